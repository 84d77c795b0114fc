"""Simulated investigators: honest and tired ones, and those who make consensus hard."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sentinel.core.consensus.batch.votes import Votes
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
class Collapse:
    """Some of a team lose their skill.

    Attributes
    ----------
    from_task
        The first task of their decline.
    who
        bool (m,): whom it strikes.
    skill
        Their sensitivity and their specificity from then on.
    """

    from_task: int
    who: Bools
    skill: float


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


def one_careless(count: int, rng: np.random.Generator) -> Team:
    """The last of them throws a coin; what an alert centre may have without knowing."""
    team = honest(count, rng)
    is_last = np.arange(count) == count - 1
    return Team(
        np.where(is_last, 0.5, team.sensitivity),
        np.where(is_last, 0.5, team.specificity),
        team.leader,
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
    collapse: Collapse | None = None,
) -> Cases:
    """Show each of some new tasks to so many of the team, chosen at random."""
    truth = rng.random(task_count) < fraud_share
    votes = votes_on(truth, team, rng, votes_min=votes_min, votes_max=votes_max, collapse=collapse)
    return Cases(votes, truth)


def half_collapsing(rng: np.random.Generator, *, task_count: int = 4_000) -> Cases:
    """Twenty who are right in .92 of all cases, half of whom fall to .55 at the middle task."""
    skill = np.full(20, 0.92)
    who = np.arange(20)
    collapse = Collapse(from_task=task_count // 2, who=who < 10, skill=0.55)
    return cases(
        Team(skill, skill, who),
        rng,
        task_count=task_count,
        votes_min=3,
        votes_max=3,
        collapse=collapse,
    )


def votes_on(
    truth: Bools,
    team: Team,
    rng: np.random.Generator,
    *,
    votes_min: int,
    votes_max: int,
    collapse: Collapse | None = None,
) -> Votes:
    """What so many of the team, chosen at random for each, say of tasks in the order of time.

    Parameters
    ----------
    truth
        bool (n_tasks,): whether each is fraud.
    """
    m = team.sensitivity.size
    assert 1 <= votes_min <= votes_max <= m
    shown = rng.integers(votes_min, votes_max + 1, truth.size)
    # The first of a random order of the team for each task.
    chosen = np.argsort(rng.random((truth.size, m)), axis=1)
    task, place = np.nonzero(np.arange(m) < shown[:, None])
    annotator = chosen[task, place]
    says = _opinions(truth, team, rng, collapse)
    return Votes.of(
        task, annotator, says[task, annotator], task_count=truth.size, annotator_count=m
    )


def _opinions(
    truth: Bools, team: Team, rng: np.random.Generator, collapse: Collapse | None
) -> Bools:
    """What everybody would say of every task, bool (n_tasks, m): True for fraud."""
    skill = np.where(truth[:, None], team.sensitivity, team.specificity)
    if collapse is not None:
        assert collapse.who.shape == team.sensitivity.shape
        skill[collapse.from_task :, collapse.who] = collapse.skill
    says: Bools = (rng.random(skill.shape) < skill) == truth[:, None]
    return says[:, team.leader]
