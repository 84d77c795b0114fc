"""Whom to ask, who always votes alike, and when there is a quarrel."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.core.consensus.asking import (
    Question,
    entropy,
    expected_entropy,
    questions,
    whom_to_ask,
)
from sentinel.core.consensus.batch.dawid_skene import evidence_of, fit
from sentinel.core.consensus.batch.groups import groups, shared_weight
from sentinel.core.consensus.batch.votes import Votes
from sentinel.core.consensus.params import ConsensusParams
from sentinel.core.consensus.skills import AnnotatorSkills
from sentinel.core.consensus.verdict import verdicts
from sentinel.simulation.investigators import TEAMS, cases
from sentinel.stored.votes import Annotator, Case, Vote

PARAMS = ConsensusParams()
rates = st.floats(0.01, 0.99)


@given(rates, rates, rates)
def test_a_vote_never_leaves_more_doubt_on_average(
    p: float, sensitivity: float, specificity: float
) -> None:
    left = expected_entropy(np.array([p]), np.array([sensitivity]), np.array([specificity]))

    assert left[0, 0] <= entropy(np.array([p]))[0] + 1e-12


def test_a_coin_leaves_all_doubt_and_an_oracle_none() -> None:
    left = expected_entropy(np.array([0.3]), np.array([0.5, 1.0, 0.0]), np.array([0.5, 1.0, 0.0]))

    assert left[0].tolist() == pytest.approx([entropy(np.array([0.3]))[0], 0.0, 0.0])


def test_the_most_doubtful_goes_to_the_best_who_has_time_and_has_not_voted() -> None:
    posterior = np.array([0.5, 0.4, 0.9, 0.45])
    skill = np.array([0.95, 0.8, 0.5])
    has_voted = np.zeros((4, 3), dtype=np.bool_)
    has_voted[0, 0] = True

    asked = whom_to_ask(posterior, skill, skill, has_voted, np.array([1, 2, 5]))

    assert asked.tolist() == [1, 1, -1, 0], "and nobody asks one who throws a coin"


def unsettled(name: str, posterior: float, **said: str) -> Case:
    votes = (Vote(f"x/{who}", label, 0, 1.0, 1, 0) for who, label in said.items())
    return Case(name, 0, {}, tuple(votes), posterior)


def asked(found: list[Question]) -> list[str | None]:
    return [None if one.ask is None else one.ask.name for one in found]


def test_of_each_case_the_best_who_is_left_is_asked() -> None:
    good, fair = Annotator("x/good", 95, 5, 95, 5), Annotator("x/fair", 80, 20, 80, 20)
    open_cases = [
        unsettled("a", 0.5, good="fraud"),
        unsettled("b", 0.4, other="fraud"),
        unsettled("c", 0.3, good="unsure", fair="retracted"),
    ]

    found = questions(open_cases, [fair, good], PARAMS, capacity=1)

    assert [one.case for one in found] == open_cases
    assert asked(found) == ["x/fair", "x/good", None], "who took a vote back has had their say"


def test_nobody_is_asked_for_more_than_they_can_give() -> None:
    open_cases = [unsettled(str(n), 0.5) for n in range(3)]
    alone = [Annotator("x/good", 95, 5, 95, 5)]

    assert asked(questions(open_cases, alone, PARAMS, capacity=2)).count("x/good") == 2
    assert asked(questions(open_cases, [], PARAMS, capacity=2)) == [None] * 3
    assert questions([], alone, PARAMS, capacity=2) == []


def test_those_who_copy_are_found_and_share_one_vote() -> None:
    rng = np.random.default_rng(2)
    found = cases(TEAMS["six copy one"](30, rng), rng, task_count=6_000, votes_min=4, votes_max=8)
    consensus = fit(found.votes, PARAMS)

    group = groups(found.votes, consensus.posterior, consensus.skills, PARAMS)
    weight = shared_weight(found.votes, group)

    assert len(set(group[:6].tolist())) == 1
    assert np.unique(group[6:]).size == 24
    is_copy = found.votes.annotator < 6
    by_task = np.bincount(found.votes.task, weight * is_copy)
    assert set(np.round(by_task, 9).tolist()) <= {0.0, 1.0}
    assert np.all(weight[~is_copy] == 1.0)


def test_honest_teams_hold_no_groups() -> None:
    for seed in range(3):
        rng = np.random.default_rng(seed)
        found = cases(TEAMS["honest"](30, rng), rng, task_count=6_000, votes_min=4, votes_max=8)
        consensus = fit(found.votes, PARAMS)
        group = groups(found.votes, consensus.posterior, consensus.skills, PARAMS)
        assert np.unique(group).size == 30


def test_good_votes_on_both_sides_are_a_quarrel_and_none_is_open() -> None:
    good = AnnotatorSkills(*(np.full(4, n) for n in (40.0, 4.0, 40.0, 4.0)))
    votes = Votes.of(
        np.array([0, 0, 1, 1, 1, 3]),
        np.array([0, 1, 0, 1, 2, 3]),
        np.array([True, False, True, True, True, True]),
        task_count=4,
        annotator_count=4,
    )

    pro, con = evidence_of(votes, good, PARAMS)
    found = verdicts(np.array([0.4, 0.99, 0.3, 0.7]), pro, con, PARAMS)

    assert found == ["contested", "fraud", "open", "open"]
