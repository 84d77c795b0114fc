"""Votes of a file to posteriors, labels and a table of those who voted."""

from dataclasses import dataclass

import numpy as np

from sentinel.core.consensus.dawid_skene import Consensus, fit
from sentinel.core.consensus.groups import groups, shared_weight
from sentinel.core.consensus.params import ConsensusParams
from sentinel.core.consensus.verdict import Verdict, verdicts
from sentinel.core.consensus.votes import Votes
from sentinel.records import Floats, Ints


@dataclass(frozen=True, slots=True)
class Judged:
    """Votes weighed, and what came of it.

    Attributes
    ----------
    votes
        With the weights that they had: those of a group on one task share one vote.
    group
        int64 (m,): annotators with the same number always vote alike.
    """

    votes: Votes
    consensus: Consensus
    verdicts: list[Verdict]
    group: Ints


def judged(votes: Votes, params: ConsensusParams, known: Floats | None = None) -> Judged:
    """Fit, find those who always vote alike, and fit again with one vote for all of them."""
    found = fit(votes, params, known)
    group = groups(votes, found.posterior, found.standing, params)
    if np.unique(group).size < group.size:
        votes = votes.weighed(shared_weight(votes, group))
        found = fit(votes, params, known)
    return Judged(votes, found, verdicts(votes, found.posterior, found.standing, params), group)
