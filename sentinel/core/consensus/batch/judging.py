"""Cases judged all at once: by the batch fit, which knows no order, and knows who copies whom.

What settles a case, what is taken back and what a later word replaces is as it is when votes are
counted one by one (`counting.py`): both read the same cases.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from sentinel.core.consensus.batch.dawid_skene import Consensus, evidence_of, fit
from sentinel.core.consensus.batch.groups import groups, shared_weight
from sentinel.core.consensus.batch.votes import Votes, numbers_of, temporal_weight
from sentinel.core.consensus.counting import selection_of
from sentinel.core.consensus.known import truth_of
from sentinel.core.consensus.params import ConsensusParams
from sentinel.core.consensus.verdict import Verdict, verdicts
from sentinel.records import Floats, Ints
from sentinel.stored.votes import Case, Vote


@dataclass(frozen=True, slots=True)
class Judged:
    """Cases, and what came of their votes.

    Attributes
    ----------
    names
        Of the annotators who say something and are not trusted, sorted.
    votes
        Theirs, with the weights that they had: those of a group on one task share one vote.
    consensus
        The posterior of every case, in their order, and the skills of every annotator.
    group
        int64 (m,): annotators with the same number always vote alike.
    known
        float64 (n,): what trusted sources make of a case; not a number of the others.
    verdicts
        What each case is.
    """

    names: list[str]
    votes: Votes
    consensus: Consensus
    group: Ints
    known: Floats
    verdicts: list[Verdict]


def judged(
    cases: Sequence[Case],
    trusted_sources: Collection[str],
    params: ConsensusParams,
    base_rate: float | None = None,
) -> Judged:
    """Fit, find those who always vote alike, and fit again with one vote for all of them."""
    names, votes = _votes_of(cases, trusted_sources, params)
    known = _known(cases, trusted_sources, params)
    selection = selection_of(cases, base_rate)
    found = fit(votes, params, known, selection)
    group = groups(votes, found.posterior, found.skills, params)
    if np.unique(group).size < group.size:
        votes = votes.weighed(shared_weight(votes, group))
        found = fit(votes, params, known, selection)
    pro, con = evidence_of(votes, found.skills, params)
    pro[known > 0.5], con[known < 0.5] = math.inf, math.inf
    return Judged(names, votes, found, group, known, verdicts(found.posterior, pro, con, params))


def _votes_of(
    cases: Sequence[Case], trusted_sources: Collection[str], params: ConsensusParams
) -> tuple[list[str], Votes]:
    """Who says something, and all that they say."""
    said = [
        (number, vote)
        for number, case in enumerate(cases)
        for vote in case.votes
        if vote.is_telling and vote.source not in trusted_sources
    ]
    names, annotator = numbers_of([vote.annotator for _, vote in said])
    newest_ms = [max((vote.observed_ms for vote in case.votes), default=0) for case in cases]
    age_s = np.array([newest_ms[number] - vote.observed_ms for number, vote in said]) / 1000
    confidence = np.array([vote.confidence for _, vote in said], dtype=np.float64)
    votes = Votes.of(
        np.array([number for number, _ in said], dtype=np.int64),
        annotator,
        np.array([vote.label == "fraud" for _, vote in said], dtype=np.bool_),
        confidence * temporal_weight(age_s, params.vote_half_life_s),
        task_count=len(cases),
        annotator_count=len(names),
    )
    return names, votes


def _known(
    cases: Sequence[Case], trusted_sources: Collection[str], params: ConsensusParams
) -> Floats:
    sure = params.trusted_posterior
    believed = {"fraud": sure, "genuine": 1.0 - sure, None: math.nan}
    told = [believed[truth_of(case, trusted_sources)] for case in cases]
    return np.array(told, dtype=np.float64)


def is_judged_first(
    votes: Sequence[Vote], trusted_sources: Collection[str], params: ConsensusParams
) -> bool:
    """Whether somebody judged a transaction before a source spoke of what it had noticed itself.

    Only then it says something about others of its channel. By the time of observation, then by
    the place in the log or file.
    """
    self_selected = {*trusted_sources, *params.self_selected_sources}
    judged = [v for v in votes if v.is_telling and v.source not in self_selected]
    brought = [v for v in votes if v.source in self_selected]
    if not judged:
        return False
    return not brought or min(map(_when, judged)) < min(map(_when, brought))


def _when(vote: Vote) -> tuple[int, int]:
    return vote.observed_ms, vote.offset
