"""Which of new votes count, and what they take the place of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sentinel.stored.votes import Case, Vote


@dataclass(frozen=True, slots=True)
class VoteIntake:
    """Votes on some cases: those that were there, then the new ones that count.

    Attributes
    ----------
    cases
        With all of the votes.
    before
        The posterior of each case that was there, None before its first vote.
    rows
        Every vote with its transaction; the first `old_count` were there, the others are new.
    taken
        The new ones, in the order of their log: the transaction, the vote, and the row that it
        takes the place of, or -1.
    """

    cases: dict[str, Case]
    before: dict[str, float | None]
    rows: list[tuple[str, Vote]]
    old_count: int
    taken: list[tuple[str, Vote, int]]


def take(found: Mapping[str, Case], votes: Sequence[tuple[Case, Vote]]) -> VoteIntake:
    """The votes that are neither given before nor taken back by a later one."""
    cases = dict(found)
    before = {name: case.posterior for name, case in cases.items()}
    taken: list[tuple[str, Vote, int]] = []
    rows = [(name, vote) for name, case in cases.items() for vote in case.votes]
    place = {(name, vote.annotator): row for row, (name, vote) in enumerate(rows)}
    old_count = len(rows)
    # By annotator, the newest word last; a case is made anew once, not with every vote.
    said: dict[str, dict[str, Vote]] = {}
    for placed, vote in votes:
        name = placed.transaction_id
        case = cases.setdefault(name, placed)  # what its first feedback has told of it stays
        words = said.get(name)
        if words is None:
            words = said[name] = {old.annotator: old for old in case.votes}
        old = words.get(vote.annotator)
        if old is not None and not _supersedes(vote, old):
            continue
        words.pop(vote.annotator, None)
        words[vote.annotator] = vote
        taken.append((name, vote, place.get((name, vote.annotator), -1)))
        place[name, vote.annotator] = len(rows)
        rows.append((name, vote))
    for name in dict.fromkeys(name for name, *_ in taken):
        cases[name] = replace(cases[name], votes=tuple(said[name].values()))
    return VoteIntake(cases, before, rows, old_count, taken)


def _supersedes(vote: Vote, said: Vote) -> bool:
    """Whether a vote takes the place of what its annotator said: later, or read later and other."""
    new, old = (vote.revision, vote.observed_ms), (said.revision, said.observed_ms)
    if new != old:
        return new > old
    return (vote.label, vote.confidence, vote.notes) != (said.label, said.confidence, said.notes)
