"""What a log of feedback comes to when it is counted in one go, and how a run is held against it.

The oracle reads the log as it ended up: votes that the archive has placed are in it once more.
What was sent is held against it as well, so that a voice that never came back is missed.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from sentinel.codec.feedback.checking import checked, is_placed
from sentinel.codec.records import decode_feedback, encode
from sentinel.codec.stored import decode_stored, encode_stored
from sentinel.core.consensus.counting import count_votes
from sentinel.core.consensus.params import ConsensusParams
from sentinel.core.logs import feedback_name, log_id
from sentinel.engine.feedback.task import FeedbackParams, label_of, placed
from sentinel.errors import RecordError
from sentinel.records import Feedback, InputRecord, Label
from sentinel.stored.votes import Case, CaseBatch, FeedbackProgress, Vote

Spoken = tuple[str, str]  # a transaction, and who spoke of it
# What is wrong, by a name for a person to read: the things that are, sorted.
Offences = dict[str, list[str]]


@dataclass(frozen=True, slots=True)
class Expected:
    """What must be there in the end.

    Attributes
    ----------
    progress, cases, annotators
        As they are stored.
    votes
        For each vote that counts, the name of its audit entry, and what it was on and by whom.
    refused
        Offsets of feedback that nobody can use.
    """

    progress: bytes
    cases: dict[str, bytes]
    annotators: dict[str, bytes]
    labels: list[Label]
    votes: dict[str, Spoken]
    refused: set[int]


@dataclass(frozen=True, slots=True)
class Found:
    """What there is in the end.

    Attributes
    ----------
    labels
        Their topic, repetitions and all.
    archived_labels
        (feedback_offset, transaction, label, posterior) of every row.
    decided, archived
        Transactions: of the topic of decisions, of each archived row.
    examples
        The identifier of each record.
    votes
        The same of the audit's entries on votes, repetitions and all.
    buried
        Offsets of feedback among the dead letters.
    """

    progress: bytes
    cases: Mapping[str, bytes]
    annotators: Mapping[str, bytes]
    labels: Sequence[Label]
    archived_labels: Sequence[tuple[int, str, str, float]]
    decided: Collection[str]
    archived: Sequence[str]
    examples: Sequence[str]
    votes: Sequence[str]
    buried: Collection[int]


def expected_of(
    log: str, records: Sequence[InputRecord], params: FeedbackParams, consensus: ConsensusParams
) -> Expected:
    """Count all of the log from an empty start, in one go. `log` names it."""
    end = records[-1].offset + 1 if records else 0
    votes, refused = _votes(records)
    counted = count_votes(
        CaseBatch(FeedbackProgress(log, end)), votes, params.trusted_sources, consensus
    )
    work = counted.work
    return Expected(
        progress=encode_stored(work.progress),
        cases={name: encode_stored(case) for name, case in work.cases.items()},
        annotators={name: encode_stored(one) for name, one in work.annotators.items()},
        labels=[label_of(change, log_id(log)) for change in counted.changes],
        votes={
            f"{feedback_name(log_id(log), one.vote.offset)}-vote": (
                one.transaction_id,
                one.vote.annotator,
            )
            for one in counted.votes
        },
        refused=refused,
    )


def _votes(records: Sequence[InputRecord]) -> tuple[list[tuple[Case, Vote]], set[int]]:
    """What can be counted: on a transaction that a voice has placed, by then or with it."""
    cases: dict[str, Case] = {}
    votes: list[tuple[Case, Vote]] = []
    refused = set()
    for record in records:
        try:
            voice = checked(decode_feedback(record.value))
        except RecordError:
            refused.add(record.offset)
            continue
        name = voice.transaction_id
        if is_placed(voice):
            assert voice.event_time_ms is not None
            cases.setdefault(name, Case(name, voice.event_time_ms, voice.entities or {}))
        elif name not in cases or 0 < voice.observed_ms < cases[name].event_time_ms:
            continue
        case = replace(cases[name], prior=voice.probability, channel=voice.selected_by or "")
        votes.append(placed(voice, case, record))
    return votes, refused


def compare(
    found: Found, expected: Expected, sent: Sequence[Feedback], transactions: Collection[str]
) -> Offences:
    """Hold what happened under fire against the oracle and what was sent; nothing is all well."""
    named = {
        **_of_votes(found, expected, sent),
        **_of_labels(found, expected),
        "transactions not decided": set(transactions) - set(found.decided),
        **_tally("archived decisions", found.archived, transactions),
        **_of_examples(found, expected),
    }
    return {name: sorted(map(str, ones)) for name, ones in named.items() if ones}


def _of_votes(
    found: Found, expected: Expected, sent: Sequence[Feedback]
) -> dict[str, Collection[Hashable]]:
    return {
        "voices lost": _unheard(found.cases, sent),
        "voices counted twice": _counted_twice(found.votes, expected, sent),
        "progress that differs": {found.progress} - {expected.progress},
        "cases that differ": _differing(found.cases, expected.cases),
        "annotators that differ": _differing(found.annotators, expected.annotators),
        "votes that the audit misses": expected.votes.keys() - set(found.votes),
        "votes of the audit that do not count": set(found.votes) - expected.votes.keys(),
        "feedback that was not refused": expected.refused ^ set(found.buried),
    }


def _unheard(cases: Mapping[str, bytes], sent: Sequence[Feedback]) -> set[Spoken]:
    """Those whose last word is not what their case holds.

    The last one by revision, by the time they say, and where they say neither, by the log.
    """
    last: dict[Spoken, Feedback] = {}
    for voice in _usable(sent):
        at = _spoken(voice)
        before = last.setdefault(at, voice)
        if (voice.revision, voice.observed_ms) >= (before.revision, before.observed_ms):
            last[at] = voice
    read = {name: decode_stored(Case, data) for name, data in cases.items()}
    lost = set()
    for at, voice in last.items():
        case = read.get(voice.transaction_id)
        votes = () if case is None else case.votes
        vote = next((vote for vote in votes if vote.annotator == at[1]), None)
        if vote is None or vote.label != voice.label:
            lost.add(at)
    return lost


def _counted_twice(
    votes: Iterable[str], expected: Expected, sent: Sequence[Feedback]
) -> set[Spoken]:
    """Those who were counted more often than they spoke: the same word again does not count."""
    words: dict[Spoken, set[bytes]] = defaultdict(set)
    for number, voice in enumerate(_usable(sent)):
        when = (voice.revision, voice.observed_ms, 0 if voice.observed_ms else number)
        words[_spoken(voice)].add(encode({"label": voice.label, "when": when}))
    counted = Counter(expected.votes[name] for name in set(votes) if name in expected.votes)
    return {at for at, count in counted.items() if count > len(words[at])}


def _usable(sent: Iterable[Feedback]) -> Iterable[Feedback]:
    for voice in sent:
        try:
            yield checked(voice)
        except RecordError:
            continue


def _spoken(voice: Feedback) -> Spoken:
    return voice.transaction_id, f"{voice.source}/{voice.who}"


def _of_labels(found: Found, expected: Expected) -> dict[str, Collection[Hashable]]:
    once = {label.feedback_offset: label for label in reversed(found.labels)}
    repeated = [one for one in found.labels if one != once[one.feedback_offset]]
    wanted = {label.feedback_offset: label for label in expected.labels}
    rows = [(o.feedback_offset, o.transaction_id, o.label, o.posterior) for o in expected.labels]
    in_order = list(dict.fromkeys(label.feedback_offset for label in found.labels))
    return {
        "labels missing": wanted.keys() - once.keys(),
        "labels of no vote": once.keys() - wanted.keys(),
        "labels that differ": {o for o in wanted.keys() & once.keys() if wanted[o] != once[o]},
        "labels repeated in other words": {label.feedback_offset for label in repeated},
        "labels out of order": {b for a, b in pairwise(in_order) if b < a},
        **_tally("archived labels", found.archived_labels, rows),
    }


def _of_examples(found: Found, expected: Expected) -> dict[str, Collection[Hashable]]:
    """One of each label whose transaction was decided; beside them what silence presumes, once."""
    decided = set(found.decided)
    wanted = [
        feedback_name(label.feedback_log, label.feedback_offset)
        for label in expected.labels
        if label.transaction_id in decided
    ]
    of_labels = [name for name in found.examples if not name.startswith("presumed-")]
    presumed = Counter(name for name in found.examples if name.startswith("presumed-"))
    return {
        **_tally("examples", of_labels, wanted),
        "presumed examples doubled": {name for name, count in presumed.items() if count > 1},
    }


def _tally(
    what: str, found: Iterable[Hashable], wanted: Collection[Hashable]
) -> dict[str, Collection[Hashable]]:
    """What is there more than once, not at all, or though nobody expects it."""
    counts = Counter(found)
    return {
        f"{what} doubled": {one for one, count in counts.items() if count > 1},
        f"{what} missing": set(wanted) - counts.keys(),
        f"{what} of nothing": counts.keys() - set(wanted),
    }


def _differing(found: Mapping[str, bytes], wanted: Mapping[str, bytes]) -> set[str]:
    """In any bit, or there on one side only."""
    return {name for name in found.keys() | wanted.keys() if found.get(name) != wanted.get(name)}
