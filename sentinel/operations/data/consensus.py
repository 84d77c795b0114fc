"""Voices of a file as the cases that they make, to be judged at once as the stream's are."""

from collections.abc import Collection, Sequence
from dataclasses import replace

from sentinel.core.consensus.batch.judging import is_judged_first
from sentinel.core.consensus.intake import take
from sentinel.core.consensus.params import ConsensusParams
from sentinel.records import Feedback
from sentinel.stored.votes import Case, Vote


def cases_of(
    voices: Sequence[Feedback], trusted_sources: Collection[str], params: ConsensusParams
) -> list[Case]:
    """The case of each transaction, by name, with the votes that count; rows come in their order.

    What takes the place of what, and what is taken back, is decided by the code of the stream. A
    voice that does not say when was observed last: in the stream, when it was appended.
    """
    last_ms = 1 + max((voice.observed_ms for voice in voices), default=0)
    placed = [
        (
            Case(
                voice.transaction_id,
                voice.event_time_ms or 0,
                voice.entities or {},
                prior=voice.probability,
                channel=voice.selected_by or "",
            ),
            Vote(
                annotator=f"{voice.source}/{voice.who}",
                label=voice.label,
                revision=voice.revision,
                confidence=voice.confidence,
                observed_ms=voice.observed_ms or last_ms,
                offset=row,
                notes=voice.notes,
            ),
        )
        for row, voice in enumerate(voices)
    ]
    cases = take({}, placed).cases
    found = []
    for _, case in sorted(cases.items()):
        counts = is_judged_first(case.votes, trusted_sources, params)
        found.append(replace(case, evidence=0.0 if counts else None))
    return found
