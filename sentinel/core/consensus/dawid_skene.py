"""Two-coin Dawid–Skene: annotators judged by the posteriors, posteriors by the annotators.

A. P. Dawid, A. M. Skene: Maximum likelihood estimation of observer error-rates using the EM
algorithm. Applied Statistics 28 (1979). With Beta priors on every rate, so that an annotator with
three votes is not believed blindly; rates are posterior means, which never reach 0 or 1.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from sentinel.core.consensus.params import ConsensusParams
from sentinel.core.consensus.standing import Standing
from sentinel.core.consensus.votes import Votes
from sentinel.records import Floats


@dataclass(frozen=True, slots=True)
class Consensus:
    """What a fit found.

    Attributes
    ----------
    posterior
        float64 (n_tasks,): the probability of fraud; the prior's where nobody voted.
    standing
        Of every annotator.
    prevalence
        The share of frauds among the tasks.
    iteration_count
        Rounds until no posterior moved by more than the tolerance, or until the limit.
    """

    posterior: Floats
    standing: Standing
    prevalence: float
    iteration_count: int


def fit(votes: Votes, params: ConsensusParams, known: Floats | None = None) -> Consensus:
    """The posterior of every task and the standing of every annotator, from all votes at once.

    Parameters
    ----------
    known
        float64 (n_tasks,): 1 for known fraud, 0 for known genuine, not a number for the others.
        Known tasks judge the annotators and keep their value.
    """
    if known is None:
        known = np.full(votes.task_count, np.nan)
    assert known.shape == (votes.task_count,)
    is_known = ~np.isnan(known)
    posterior = np.where(is_known, known, _first_guess(votes))
    for count in range(1, params.iteration_count_max + 1):  # noqa: B007 -- it is returned
        standing = standing_of(votes, posterior[votes.task])
        prevalence = _prevalence(posterior, params)
        new = np.where(is_known, known, posterior_of(votes, standing, prevalence, params))
        moved = float(np.max(np.abs(new - posterior), initial=0.0))
        posterior = new
        if moved <= params.tolerance:
            break
    return Consensus(posterior, standing, prevalence, count)


def posterior_of(
    votes: Votes, standing: Standing, prevalence: float, params: ConsensusParams
) -> Floats:
    """The probability of fraud of each task, float64 (n_tasks,), given what annotators are like."""
    by_kind = standing.evidence(params).ravel()
    prior = np.log(prevalence) - np.log1p(-prevalence)
    log_odds = np.bincount(votes.task, votes.weight * by_kind[votes.kind], votes.task_count)
    posterior: Floats = expit(prior + log_odds)
    return posterior


def standing_of(votes: Votes, is_fraud: Floats) -> Standing:
    """The record of every annotator, if what each vote is about is fraud with a probability.

    `is_fraud` has one for each vote, float64 (n_votes,).
    """

    def total(weight: Floats) -> Floats:
        found = np.bincount(votes.kind, weight, 2 * votes.annotator_count)
        return np.asarray(found, dtype=float).reshape(-1, 2)

    on_fraud, on_genuine = total(votes.weight * is_fraud), total(votes.weight * (1 - is_fraud))
    return Standing(
        seen=on_fraud[:, 1],
        missed=on_fraud[:, 0],
        cleared=on_genuine[:, 0],
        accused=on_genuine[:, 1],
    )


def _first_guess(votes: Votes) -> Floats:
    """The share of votes that say fraud; half where there are none."""
    total = np.bincount(votes.task, votes.weight, minlength=votes.task_count)
    fraud = np.bincount(votes.task, votes.weight * votes.says_fraud, minlength=votes.task_count)
    share: Floats = np.full(votes.task_count, 0.5)
    np.divide(fraud, total, out=share, where=total > 0)
    return share


def _prevalence(posterior: Floats, params: ConsensusParams) -> float:
    total = params.fraud_prior + params.genuine_prior + posterior.size
    return float((params.fraud_prior + posterior.sum()) / total)
