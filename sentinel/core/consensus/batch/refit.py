"""The newest cases judged anew, all at once: who copies whom, and what was settled too early.

Votes are counted as they come, each by what was known of its annotator then. Looked at together
they may say something else: the first votes of somebody who turned out to be careless, or six votes
that were one. The batch fit (`dawid_skene.py`) knows all of that, and no order.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from sentinel.core.consensus.batch.judging import Judged, judged
from sentinel.core.consensus.params import ConsensusParams
from sentinel.core.consensus.verdict import label_as
from sentinel.stored.votes import Case

RECOUNTED_COUNT_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Refit:
    """What a look at many cases at once has found.

    Attributes
    ----------
    groups
        The group of each annotator by name, named after one of them; "" of one who copies nobody.
    doubtful
        Transactions whose label is not what all votes together say, or that would have none, at
        most `RECOUNTED_COUNT_MAX`, the newest first.
    """

    groups: dict[str, str]
    doubtful: list[str]


def refit(
    cases: Sequence[Case],
    trusted_sources: Collection[str],
    params: ConsensusParams,
    base_rate: float | None = None,
) -> Refit:
    """Judge cases, the newest first, and everybody who voted on them, from scratch."""
    found = judged(cases, trusted_sources, params, base_rate)
    sizes = np.bincount(found.group, minlength=len(found.names))[found.group]
    numbers = zip(found.names, found.group.tolist(), sizes.tolist(), strict=True)
    return Refit(
        groups={name: found.names[number] if size > 1 else "" for name, number, size in numbers},
        doubtful=_doubtful(cases, found),
    )


def _doubtful(cases: Sequence[Case], found: Judged) -> list[str]:
    """What the fit settles otherwise than it was, and labels that it would not give."""
    names = [
        case.transaction_id
        for case, told, status in zip(cases, found.known.tolist(), found.verdicts, strict=True)
        if math.isnan(told) and label_as(status) != case.label
    ]
    return names[:RECOUNTED_COUNT_MAX]
