"""Simulated investigators: honest and tired ones, and those who make consensus hard."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sentinel.core.consensus.votes import Votes
from sentinel.records import Floats, Ints

Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Team:
    """m investigators.

    Attributes
    ----------
    sensitivity, specificity
        float64 (m,): how often each is right on frauds, and on genuine transactions.
    leader
        int64 (m,): whose vote each repeats; their own number for those who think for themselves.
    """

    sensitivity: Floats
    specificity: Floats
    leader: Ints


@dataclass(frozen=True, slots=True)
class Cases:
    """What a team was shown, in the order of time.

    Attributes
    ----------
    truth
        bool (n_tasks,): whether each is fraud.
    """

    votes: Votes
    truth: Bools


def honest(count: int, rng: np.random.Generator) -> Team:
    """Everybody does well, some better than others."""
    return Team(rng.uniform(0.75, 0.97, count), rng.uniform(0.8, 0.98, count), np.arange(count))


def adversarial(count: int, rng: np.random.Generator) -> Team:
    """One in five says the contrary of what they see."""
    team = honest(count, rng)
    is_false = np.arange(count) < count // 5
    return Team(
        np.where(is_false, 1 - team.sensitivity, team.sensitivity),
        np.where(is_false, 1 - team.specificity, team.specificity),
        team.leader,
    )


def careless(count: int, rng: np.random.Generator) -> Team:
    """Two in five throw a coin."""
    team = honest(count, rng)
    is_spam = np.arange(count) < count * 2 // 5
    return Team(
        np.where(is_spam, 0.5, team.sensitivity),
        np.where(is_spam, 0.5, team.specificity),
        team.leader,
    )


def one_sided(count: int, rng: np.random.Generator) -> Team:
    """Half of them see one kind well and the other no better than a coin."""
    team = honest(count, rng)
    number = np.arange(count)
    return Team(
        np.where((number < count // 2) & (number % 2 == 0), 0.5, team.sensitivity),
        np.where((number < count // 2) & (number % 2 == 1), 0.5, team.specificity),
        team.leader,
    )


def ring(count: int, rng: np.random.Generator) -> Team:
    """Six of them clear whatever they are shown."""
    team = honest(count, rng)
    is_in = np.arange(count) < 6
    return Team(
        np.where(is_in, 0.02, team.sensitivity),
        np.where(is_in, 0.98, team.specificity),
        team.leader,
    )


def copying(count: int, rng: np.random.Generator) -> Team:
    """Six of them repeat what the first of them says, who is no better than the rest."""
    team = honest(count, rng)
    return Team(
        team.sensitivity, team.specificity, np.where(np.arange(count) < 6, 0, np.arange(count))
    )


TEAMS: dict[str, Callable[[int, np.random.Generator], Team]] = {
    "honest": honest,
    "20 % adversarial": adversarial,
    "40 % spam": careless,
    "half one-sided": one_sided,
    "ring of six clears": ring,
    "six copy one": copying,
}


def cases(
    team: Team,
    rng: np.random.Generator,
    *,
    task_count: int = 1_500,
    votes_min: int = 2,
    votes_max: int = 5,
    fraud_share: float = 0.3,
) -> Cases:
    """Show each task to so many of the team, chosen at random."""
    m = team.sensitivity.size
    truth = rng.random(task_count) < fraud_share
    shown = rng.integers(votes_min, votes_max + 1, task_count)
    # The first of a random order of the team for each task.
    chosen = np.argsort(rng.random((task_count, m)), axis=1)
    task, place = np.nonzero(np.arange(m) < shown[:, None])
    annotator = chosen[task, place]
    is_right = rng.random((task_count, m)) < np.where(
        truth[:, None], team.sensitivity, team.specificity
    )
    says = is_right == truth[:, None]
    says = says[np.arange(task_count)[:, None], team.leader]
    votes = Votes.of(
        task, annotator, says[task, annotator], task_count=task_count, annotator_count=m
    )
    return Cases(votes, truth)
