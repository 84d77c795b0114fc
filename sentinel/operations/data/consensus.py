"""Feedback of a file as the cases that it makes, to be judged at once as the stream's are."""

from collections.abc import Collection, Sequence
from dataclasses import replace

from sentinel.core.consensus.batch.judging import is_judged_first
from sentinel.core.consensus.intake import take
from sentinel.core.consensus.params import ConsensusParams
from sentinel.records import Feedback
from sentinel.stored.votes import Case, Vote


def cases_of(
    all_feedback: Sequence[Feedback], trusted_sources: Collection[str], params: ConsensusParams
) -> list[Case]:
    """The case of each transaction, by name, with the votes that count; rows come in their order.

    What takes the place of what, and what is taken back, is decided by the code of the stream. A
    feedback that does not say when was observed last: in the stream, when it was appended.
    """
    last_ms = 1 + max((feedback.observed_ms for feedback in all_feedback), default=0)
    placed = [
        (
            Case(
                feedback.transaction_id,
                feedback.event_time_ms or 0,
                feedback.entities or {},
                prior=feedback.probability,
                channel=feedback.selected_by or "",
            ),
            Vote(
                annotator=f"{feedback.source}/{feedback.who}",
                label=feedback.label,
                revision=feedback.revision,
                confidence=feedback.confidence,
                observed_ms=feedback.observed_ms or last_ms,
                offset=row,
                notes=feedback.notes,
            ),
        )
        for row, feedback in enumerate(all_feedback)
    ]
    cases = take({}, placed).cases
    found = []
    for _, case in sorted(cases.items()):
        counts = is_judged_first(case.votes, trusted_sources, params)
        found.append(replace(case, evidence=0.0 if counts else None))
    return found
