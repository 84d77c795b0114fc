"""The newest cases judged anew, all at once: who copies whom, and what was settled too early.

Votes are counted as they come, each by what was known of its annotator then. Looked at together
they may say something else: the first votes of somebody who turned out to be careless, or six votes
that were one. The batch fit (`dawid_skene.py`) knows all of that, and no order.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from sentinel.core.consensus.dawid_skene import Consensus, fit
from sentinel.core.consensus.groups import groups, shared_weight
from sentinel.core.consensus.known import truth_of
from sentinel.core.consensus.params import ConsensusParams
from sentinel.core.consensus.verdict import verdict
from sentinel.core.consensus.votes import Votes, numbered
from sentinel.records import Floats
from sentinel.votes import Case

RECOUNTED_COUNT_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Refit:
    """What a look at many cases at once has found.

    Attributes
    ----------
    groups
        The group of each annotator by name, named after one of them; "" of one who copies nobody.
    doubtful
        Transactions whose label is not what all votes together say, at most
        `RECOUNTED_COUNT_MAX`, the newest first.
    """

    groups: dict[str, str]
    doubtful: list[str]


def refit(
    cases: Sequence[Case], trusted_sources: Collection[str], params: ConsensusParams
) -> Refit:
    """Judge cases, the newest first, and everybody who voted on them, from scratch."""
    said = [
        (number, vote)
        for number, case in enumerate(cases)
        for vote in case.votes
        if vote.is_telling and vote.source not in trusted_sources
    ]
    if not said:
        return Refit({}, [])
    names, annotator = numbered([vote.annotator for _, vote in said])
    votes = Votes.of(
        np.array([number for number, _ in said], dtype=np.int64),
        annotator,
        np.array([vote.label == "fraud" for _, vote in said]),
        np.array([vote.confidence for _, vote in said], dtype=np.float64),
        task_count=len(cases),
        annotator_count=len(names),
    )
    known = _known(cases, trusted_sources, params)
    alone = fit(votes, params, known)
    group = groups(votes, alone.posterior, alone.standing, params)
    together = fit(votes.weighed(shared_weight(votes, group)), params, known)
    sizes = np.bincount(group, minlength=len(names))[group]
    return Refit(
        groups={
            name: names[number] if size > 1 else ""
            for name, number, size in zip(names, group.tolist(), sizes.tolist(), strict=True)
        },
        doubtful=_doubtful(cases, known, together, params),
    )


def _known(
    cases: Sequence[Case], trusted_sources: Collection[str], params: ConsensusParams
) -> Floats:
    """What trusted sources have told, float64 (n,); not a number of the others."""
    sure = params.trusted_posterior
    believed = {"fraud": sure, "genuine": 1.0 - sure, None: math.nan}
    return np.array([believed[truth_of(case, trusted_sources)] for case in cases])


def _doubtful(
    cases: Sequence[Case], known: Floats, found: Consensus, params: ConsensusParams
) -> list[str]:
    """What the fit settles, and settles otherwise than it was."""
    judged = (
        (case, verdict(posterior, 0.0, params))
        for case, posterior, told in zip(
            cases, found.posterior.tolist(), known.tolist(), strict=True
        )
        if math.isnan(told)
    )
    names = [
        case.transaction_id
        for case, now in judged
        if now in ("fraud", "genuine") and now != case.label
    ]
    return names[:RECOUNTED_COUNT_MAX]
