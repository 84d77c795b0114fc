"""Votes as they come: posteriors of the transactions they touch, and records that fade.

Incremental EM (Neal, Hinton: A view of the EM algorithm that justifies incremental, sparse, and
other variants, 1998): each vote remembers with which posterior it was counted into its annotator's
record; when the posterior moves, the record moves by the difference. Records fade by half each
`half_life_votes` votes of the annotator's own, so that a skill that is lost is noticed.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sentinel.core.consensus.dawid_skene import posterior_of, standing_of
from sentinel.core.consensus.params import ConsensusParams
from sentinel.core.consensus.standing import Standing
from sentinel.core.consensus.votes import Votes
from sentinel.records import Floats


@dataclass(frozen=True, slots=True)
class Settled:
    """What a batch of votes came to.

    Attributes
    ----------
    posterior
        float64 (n_tasks,).
    standing
        Of every annotator of the batch, behind it.
    """

    posterior: Floats
    standing: Standing


def settle(
    votes: Votes,
    counted: Floats,
    standing: Standing,
    prevalence: float,
    params: ConsensusParams,
    known: Floats | None = None,
) -> Settled:
    """All votes on the transactions that a batch touches, old ones and new, weighed again.

    Parameters
    ----------
    counted
        float64 (n_votes,), in the order of `votes`: the posterior with which each was counted into
        its annotator's record; not a number for one that was not yet.
    known
        float64 (n_tasks,), as for `dawid_skene.fit`.
    """
    assert counted.shape == votes.task.shape
    is_new = np.isnan(counted)
    posterior = posterior_of(votes, standing, prevalence, params)
    if known is not None:
        posterior = np.where(np.isnan(known), posterior, known)
    faded = _faded(standing, votes, is_new, params)
    before = standing_of(_only(votes, ~is_new), counted[~is_new])
    now = standing_of(votes, posterior[votes.task])
    moved = [
        np.maximum(f + n - b, 0.0)
        for f, n, b in zip(_columns(faded), _columns(now), _columns(before), strict=True)
    ]
    return Settled(posterior, Standing(*moved))


def _columns(standing: Standing) -> tuple[Floats, Floats, Floats, Floats]:
    return standing.seen, standing.missed, standing.cleared, standing.accused


def _faded(
    standing: Standing,
    votes: Votes,
    is_new: NDArray[np.bool_],
    params: ConsensusParams,
) -> Standing:
    """The record before the batch, as much of it as is left behind the new votes."""
    new_count = np.bincount(votes.annotator[is_new], minlength=votes.annotator_count)
    left = np.exp2(-new_count / params.half_life_votes)
    return Standing(*(column * left for column in _columns(standing)))


def _only(votes: Votes, chosen: NDArray[np.bool_]) -> Votes:
    return replace(
        votes,
        task=votes.task[chosen],
        annotator=votes.annotator[chosen],
        says_fraud=votes.says_fraud[chosen],
        weight=votes.weight[chosen],
    )
