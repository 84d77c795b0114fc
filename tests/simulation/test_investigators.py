"""Simulated investigators: how often they are right, and when they fail."""

import numpy as np
import pytest

from sentinel.simulation.investigators import (
    TEAMS,
    Collapse,
    Team,
    cases,
    half_collapsing,
    one_careless,
    votes_on,
)

EVEN = Team(np.array([0.9, 0.8, 0.7, 0.6]), np.array([0.6, 0.7, 0.8, 0.9]), np.arange(4))


def test_each_is_right_as_often_as_their_skill_says_and_votes_once_on_a_task() -> None:
    truth = np.random.default_rng(1).random(40_000) < 0.4

    votes = votes_on(truth, EVEN, np.random.default_rng(2), votes_min=2, votes_max=3)

    pair = votes.task * 4 + votes.annotator
    assert np.unique(pair).size == len(votes)
    count = np.bincount(votes.task, minlength=truth.size)
    assert set(count.tolist()) == {2, 3}
    assert np.mean(count) == pytest.approx(2.5, abs=0.02)
    is_right = votes.says_fraud == truth[votes.task]
    for who in range(4):
        own = votes.annotator == who
        on_fraud = truth[votes.task]
        assert np.mean(is_right[own & on_fraud]) == pytest.approx(EVEN.sensitivity[who], abs=0.02)
        assert np.mean(is_right[own & ~on_fraud]) == pytest.approx(EVEN.specificity[who], abs=0.02)


def test_a_collapse_strikes_those_that_it_names_from_its_task_on() -> None:
    truth = np.random.default_rng(1).random(20_000) < 0.4
    collapse = Collapse(from_task=12_000, who=np.array([True, False, False, False]), skill=0.5)

    votes = votes_on(
        truth, EVEN, np.random.default_rng(2), votes_min=3, votes_max=3, collapse=collapse
    )
    calm = votes_on(truth, EVEN, np.random.default_rng(2), votes_min=3, votes_max=3)

    is_late = votes.task >= 12_000
    struck = is_late & (votes.annotator == 0)
    differs = votes.says_fraud != calm.says_fraud
    assert np.array_equal(votes.annotator, calm.annotator)
    assert not differs[~struck].any()
    is_right = votes.says_fraud == truth[votes.task]
    assert np.mean(is_right[struck]) == pytest.approx(0.5, abs=0.02)


def test_half_collapsing_are_right_in_92_of_100_and_then_half_of_them_in_55() -> None:
    found = half_collapsing(np.random.default_rng(1), task_count=20_000)

    votes = found.votes
    assert np.bincount(votes.task).tolist() == [3] * 20_000
    is_right = votes.says_fraud == found.truth[votes.task]
    struck = (votes.task >= 10_000) & (votes.annotator < 10)
    assert np.mean(is_right[struck]) == pytest.approx(0.55, abs=0.015)
    assert np.mean(is_right[~struck]) == pytest.approx(0.92, abs=0.01)


def test_one_of_eight_is_careless() -> None:
    team = one_careless(8, np.random.default_rng(1))

    assert team.sensitivity[-1] == team.specificity[-1] == 0.5
    assert team.sensitivity[:-1].min() >= 0.75
    assert team.specificity[:-1].min() >= 0.8


@pytest.mark.parametrize("name", list(TEAMS))
def test_the_same_seed_gives_the_same_votes(name: str) -> None:
    first, second, other = (
        cases(TEAMS[name](12, np.random.default_rng(s)), np.random.default_rng(s), task_count=200)
        for s in (3, 3, 4)
    )

    assert np.array_equal(first.truth, second.truth)
    assert np.array_equal(first.votes.annotator, second.votes.annotator)
    assert np.array_equal(first.votes.says_fraud, second.votes.says_fraud)
    assert not np.array_equal(first.truth, other.truth)


def test_those_who_copy_say_what_their_leader_says() -> None:
    found = cases(TEAMS["six copy one"](8, np.random.default_rng(1)), np.random.default_rng(2))

    said: dict[int, set[bool]] = {}
    for task, who, says in zip(
        found.votes.task, found.votes.annotator, found.votes.says_fraud, strict=True
    ):
        if who < 6:
            said.setdefault(int(task), set()).add(bool(says))
    assert all(len(words) == 1 for words in said.values())
