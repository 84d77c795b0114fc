"""Two-coin Dawid–Skene: annotators judged by the posteriors, posteriors by the annotators.

A. P. Dawid, A. M. Skene: Maximum likelihood estimation of observer error-rates using the EM
algorithm. Applied Statistics 28 (1979). With Beta priors on every rate, so that an annotator with
three votes is not believed blindly; rates are posterior means, which never reach 0 or 1.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from sentinel.core.consensus.batch.votes import Votes
from sentinel.core.consensus.channels import ChannelSelection, base_of
from sentinel.core.consensus.params import ConsensusParams
from sentinel.core.consensus.skills import AnnotatorSkills
from sentinel.core.consensus.vote_kernels import SAYS_FRAUD, SAYS_GENUINE
from sentinel.records import Floats


@dataclass(frozen=True, slots=True)
class Consensus:
    """What a fit found.

    Attributes
    ----------
    posterior
        float64 (n_tasks,): the probability of fraud; the prior's where nobody voted.
    skills
        Of every annotator.
    prior
        float64 (n_channels,): log-odds of fraud before any vote, of each selection channel.
    iteration_count
        Rounds until no posterior moved by more than the tolerance, or until the limit.
    """

    posterior: Floats
    skills: AnnotatorSkills
    prior: Floats
    iteration_count: int


def fit(
    votes: Votes,
    params: ConsensusParams,
    known: Floats | None = None,
    selection: ChannelSelection | None = None,
) -> Consensus:
    """The posterior of every task and the skills of every annotator, from all votes at once.

    Parameters
    ----------
    known
        float64 (n_tasks,): 1 for known fraud, 0 for known genuine, not a number for the others.
        Known tasks judge the annotators and keep their value.
    selection
        How the tasks came to be looked at; None where nothing is known of that. The share of frauds
        in a channel is that of its tasks that are counted there, by their votes alone.
    """
    if known is None:
        known = np.full(votes.task_count, np.nan)
    has_votes = np.bincount(votes.task, minlength=votes.task_count) > 0
    if selection is None:
        selection, is_counted = (
            ChannelSelection.unknown(votes.task_count),
            has_votes & np.isnan(known),
        )
    else:
        is_counted = has_votes & ~np.isnan(selection.evidence)
    assert known.shape == selection.channel.shape == (votes.task_count,)
    by_votes = _first_guess(votes)
    posterior = np.where(np.isnan(known), by_votes, known)
    for count in range(1, params.iteration_count_max + 1):  # noqa: B007 -- it is returned
        skills = skills_of(votes, posterior[votes.task])
        prior = _priors(by_votes, is_counted, selection, params)
        by_votes = posterior_of(votes, skills, prior[selection.channel], params)
        new = np.where(np.isnan(known), by_votes, known)
        moved = float(np.max(np.abs(new - posterior), initial=0.0))
        posterior = new
        if moved <= params.tolerance:
            break
    return Consensus(posterior, skills, prior, count)


def posterior_of(
    votes: Votes, skills: AnnotatorSkills, prior: Floats, params: ConsensusParams
) -> Floats:
    """The probability of fraud of each task, float64 (n_tasks,), given what annotators are like.

    `prior` is the log-odds of each before any vote, float64 (n_tasks,).
    """
    pro, con = evidence_of(votes, skills, params)
    posterior: Floats = expit(prior + pro - con)
    return posterior


def evidence_of(
    votes: Votes, skills: AnnotatorSkills, params: ConsensusParams
) -> tuple[Floats, Floats]:
    """Evidence for and against fraud of each task, in nats, float64 (n_tasks,) each."""
    weighed = votes.weight * skills.evidence(params).ravel()[votes.kind]
    count = votes.task_count
    pro = np.bincount(votes.task, np.maximum(weighed, 0.0), minlength=count)
    con = np.bincount(votes.task, np.maximum(-weighed, 0.0), minlength=count)
    return np.asarray(pro, dtype=float), np.asarray(con, dtype=float)


def skills_of(votes: Votes, is_fraud: Floats) -> AnnotatorSkills:
    """The record of every annotator, if what each vote is about is fraud with a probability.

    `is_fraud` has one for each vote, float64 (n_votes,).
    """

    def total(weight: Floats) -> Floats:
        found = np.bincount(votes.kind, weight, 2 * votes.annotator_count)
        return np.asarray(found, dtype=float).reshape(-1, 2)

    on_fraud, on_genuine = total(votes.weight * is_fraud), total(votes.weight * (1 - is_fraud))
    return AnnotatorSkills(
        tp=on_fraud[:, SAYS_FRAUD],
        fn=on_fraud[:, SAYS_GENUINE],
        tn=on_genuine[:, SAYS_GENUINE],
        fp=on_genuine[:, SAYS_FRAUD],
    )


def _first_guess(votes: Votes) -> Floats:
    """The share of votes that say fraud; half where there are none."""
    total = np.bincount(votes.task, votes.weight, minlength=votes.task_count)
    fraud = np.bincount(votes.task, votes.weight * votes.says_fraud, minlength=votes.task_count)
    share: Floats = np.full(votes.task_count, 0.5)
    np.divide(fraud, total, out=share, where=total > 0)
    return share


def _priors(
    by_votes: Floats,
    is_counted: NDArray[np.bool_],
    selection: ChannelSelection,
    params: ConsensusParams,
) -> Floats:
    """Log-odds of fraud in each channel, float64 (n_channels,), as in `channels.py`."""
    channel, told = selection.channel[is_counted], selection.probability[is_counted]
    is_told = ~np.isnan(told)

    def total(weight: Floats, where: NDArray[np.bool_] | slice = slice(None)) -> Floats:
        found = np.bincount(channel[where], weight, len(selection.totals))
        return np.asarray(found, dtype=float)

    strength = params.fraud_prior + params.genuine_prior
    expected = strength * base_of(selection.base_rate, params) + total(told[is_told], is_told)
    expected /= strength + total(np.ones(told[is_told].size), is_told)
    share = strength * expected + total(by_votes[is_counted])
    share /= strength + total(np.ones(channel.size))
    limit = params.evidence_max
    return np.asarray(np.clip(logit(share), -limit, limit), dtype=float)
