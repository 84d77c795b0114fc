"""Votes held against the word of a trusted source: a chargeback, or a transaction known before.

The record of an annotator is expected counts, which fade, and which lean on what the others said.
These counts lean on nobody: how often somebody was right where the truth was told, in all.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from sentinel.stored.votes import Annotator, Case


def truth_of(case: Case, trusted_sources: Collection[str]) -> str | None:
    """The newest word of a trusted source that says something; None while there is none.

    Of two that were observed at the same time, the one that was read last: the one that the kernel
    believes (`online.py`).
    """
    told = [v for v in case.votes if v.source in trusted_sources and v.is_telling]
    if not told:
        return None
    return max(reversed(told), key=lambda vote: vote.observed_ms).label


def agreement(case: Case, trusted_sources: Collection[str]) -> list[bool | None]:
    """`agreed` of every vote of the case, as it is now."""
    truth = truth_of(case, trusted_sources)
    if truth is None:
        return [None] * len(case.votes)
    return [
        None if not vote.is_telling or vote.source in trusted_sources else vote.label == truth
        for vote in case.votes
    ]


def with_known(
    annotators: Mapping[str, Annotator], before: Iterable[Case], after: Iterable[Case]
) -> dict[str, Annotator]:
    """The annotators with their known counts moved by what the same cases were and are marked.

    The marks are stored with the votes, so what is taken back is what was counted, also when other
    sources are trusted meanwhile, and nothing of cases that were stored before there were marks.
    """
    known: Counter[str] = Counter()
    right: Counter[str] = Counter()
    for cases, sign in ((before, -1), (after, 1)):
        for vote in (vote for case in cases for vote in case.votes if vote.agreed is not None):
            known[vote.annotator] += sign
            right[vote.annotator] += sign * (vote.agreed is True)
    moved = {name for name in known if known[name] or right[name]}
    return {
        name: _moved(one, known[name], right[name]) if name in moved else one
        for name, one in annotators.items()
    }


def _moved(annotator: Annotator, known: int, right: int) -> Annotator:
    # Where a stored annotator was lost, more may be taken back than is left.
    known_count = max(annotator.known_count + known, 0)
    right_count = min(max(annotator.known_right_count + right, 0), known_count)
    return replace(annotator, known_count=known_count, known_right_count=right_count)
