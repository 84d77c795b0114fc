"""The paired bootstrap against the same draws counted in plain Python."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.random import default_rng

from sentinel.core.learning.evaluation import average_precision
from sentinel.core.learning.gate.evidence import PairedScores
from sentinel.core.learning.gate.paired_bootstrap import (
    Bootstrap,
    bootstrap_average_precision,
    bootstrap_money,
)
from sentinel.records import Floats
from tests.core.learning.pairs import binormal

Row = tuple[int, int, bool, int, int, int, int]

# Champion, challenger, fraud, weight, group, day, amount: few of each, so that ties are common.
rows = st.lists(
    st.tuples(
        st.integers(-2, 2),
        st.integers(-2, 2),
        st.booleans(),
        st.integers(1, 3),
        st.integers(0, 5),
        st.integers(0, 2),
        st.integers(0, 900),
    ),
    min_size=1,
    max_size=15,
)


def paired(found: list[Row]) -> PairedScores:
    columns = [np.array(column) for column in zip(*found, strict=True)]
    champion, challenger, labels, weights, groups, days, amounts = columns
    return PairedScores(
        champion.astype(np.float64),
        challenger.astype(np.float64),
        labels.astype(np.int64),
        weights.astype(np.float64),
        groups,
        days,
        amounts,
    )


def draws(scores: PairedScores, replicate_count: int, seed: int) -> list[list[int]]:
    """The rows of each replicate, one as often as its group was drawn."""
    rng = default_rng(seed)
    groups = sorted(set(scores.groups.tolist()))
    found = []
    for _ in range(replicate_count):
        count = Counter(groups[i] for i in rng.integers(0, len(groups), len(groups)).tolist())
        found.append([i for i, g in enumerate(scores.groups.tolist()) for _ in range(count[g])])
    return found


def slow_precision(score: Floats, scores: PairedScores, drawn: list[int]) -> float:
    """Precision at each threshold, times the gain in recall; each row so often as it weighs."""
    labels = [(score[i], scores.labels[i]) for i in drawn for _ in range(int(scores.weights[i]))]
    total = sum(y for _, y in labels)
    area = before = 0.0
    for threshold in sorted({s for s, _ in labels}, reverse=True):
        chosen = [y for s, y in labels if s >= threshold]
        area += sum(chosen) / len(chosen) * (sum(chosen) - before)
        before = sum(chosen)
    return float(area / total) if total else 0.0


def slow_money(score: Floats, scores: PairedScores, drawn: list[int], capacity: int) -> float:
    """Each day the highest scores, one transaction at a time; among equals, their mean."""
    caught = 0.0
    for day in set(scores.days.tolist()):
        whole = sum(scores.weights[scores.days == day].tolist())
        today = [i for i in drawn if scores.days[i] == day]
        left = capacity * sum(scores.weights[i] for i in today) / whole
        for threshold in sorted({score[i] for i in today}, reverse=True):
            equal = [i for i in today if score[i] == threshold]
            size = sum(scores.weights[i] for i in equal)
            money = sum(
                scores.weights[i] * scores.amounts_minor[i] * scores.labels[i] for i in equal
            )
            caught += money * min(1.0, left / size)
            left = max(0.0, left - size)
    return float(caught)


@settings(deadline=None)
@given(found=rows, seed=st.integers(0, 3))
def test_each_replicate_of_the_precision_is_that_of_its_draw(found: list[Row], seed: int) -> None:
    scores = paired(found)
    everything = list(range(len(scores)))

    bootstrap = bootstrap_average_precision(scores, replicate_count=5, seed=seed)

    for score, measured in (
        (scores.champion, bootstrap.champion),
        (scores.challenger, bootstrap.challenger),
    ):
        assert measured == pytest.approx(slow_precision(score, scores, everything))
    assert bootstrap.differences.tolist() == pytest.approx(
        [
            slow_precision(scores.challenger, scores, drawn)
            - slow_precision(scores.champion, scores, drawn)
            for drawn in draws(scores, 5, seed)
        ]
    )


@settings(deadline=None)
@given(found=rows, seed=st.integers(0, 3), capacity=st.integers(1, 20))
def test_each_replicate_of_the_money_is_that_of_its_draw(
    found: list[Row], seed: int, capacity: int
) -> None:
    scores = paired(found)
    everything = list(range(len(scores)))

    bootstrap = bootstrap_money(scores, capacity=capacity, replicate_count=5, seed=seed)

    for score, measured in (
        (scores.champion, bootstrap.champion),
        (scores.challenger, bootstrap.challenger),
    ):
        assert measured == pytest.approx(slow_money(score, scores, everything, capacity))
    assert bootstrap.differences.tolist() == pytest.approx(
        [
            slow_money(scores.challenger, scores, drawn, capacity)
            - slow_money(scores.champion, scores, drawn, capacity)
            for drawn in draws(scores, 5, seed)
        ]
    )


def test_without_weights_and_ties_the_measures_are_the_known_ones() -> None:
    scores = binormal(default_rng(2), 3000, fraud_share=0.05)

    precision = bootstrap_average_precision(scores, replicate_count=2, seed=0)
    money = bootstrap_money(scores, capacity=7, replicate_count=2, seed=0)

    expected = average_precision(scores.challenger, scores.labels)
    assert precision.challenger == pytest.approx(expected, rel=1e-12)
    caught = 0
    for day in range(14):
        today = np.flatnonzero(scores.days == day)
        top = today[np.argsort(-scores.champion[today])[:7]]
        caught += int(np.sum(scores.amounts_minor[top] * scores.labels[top]))
    assert money.champion == caught, "whole minor units, exactly"


def test_a_day_that_is_drawn_twice_is_two_days() -> None:
    """With days for groups each replicate is a sum of what the days drawn have caught."""
    scores = binormal(default_rng(3), 600, fraud_share=0.2)
    by_day = replace(scores, groups=scores.days)

    bootstrap = bootstrap_money(by_day, capacity=5, replicate_count=20, seed=6)

    alone = []
    for day in range(14):
        one = bootstrap_money(
            by_day.where(scores.days == day), capacity=5, replicate_count=2, seed=0
        )
        alone.append(one.difference)
    rng = default_rng(6)
    expected = [sum(alone[d] for d in rng.integers(0, 14, 14).tolist()) for _ in range(20)]
    assert bootstrap.differences.tolist() == pytest.approx(expected)


def test_the_same_seed_gives_the_same_bits_whatever_the_order_of_the_rows() -> None:
    scores = binormal(default_rng(3), 500, fraud_share=0.1, rows_a_group=5)
    order = default_rng(4).permutation(500)
    columns = (getattr(scores, name) for name in PairedScores.__dataclass_fields__)
    shuffled = PairedScores(*(column[order] for column in columns))

    def money(of: PairedScores, seed: int) -> bytes:
        found = bootstrap_money(of, capacity=5, replicate_count=20, seed=seed)
        return found.differences.tobytes()

    def precision(of: PairedScores, seed: int) -> bytes:
        found = bootstrap_average_precision(of, replicate_count=20, seed=seed)
        return found.differences.tobytes()

    assert money(scores, 1) == money(shuffled, 1) != money(scores, 2)
    assert precision(scores, 1) == precision(shuffled, 1) != precision(scores, 2)


def test_what_counts_eight_times_counts_as_eight_of_one_account() -> None:
    scores = binormal(default_rng(5), 300, fraud_share=0.2)
    weighted = replace(scores, weights=np.full(300, 8.0))
    copies = [np.repeat(getattr(scores, name), 8) for name in PairedScores.__dataclass_fields__]

    a = bootstrap_average_precision(weighted, replicate_count=20, seed=0)
    b = bootstrap_average_precision(PairedScores(*copies), replicate_count=20, seed=0)

    assert a.differences.tolist() == pytest.approx(b.differences.tolist())


def test_rows_of_one_account_leave_more_doubt_than_as_many_of_many_accounts() -> None:
    scores = binormal(default_rng(8), 4000, fraud_share=0.1, rows_a_group=10)
    apart = replace(scores, groups=np.arange(len(scores)))

    together, alone = (
        bootstrap_average_precision(one, replicate_count=300, seed=0) for one in (scores, apart)
    )

    assert together.standard_error > 1.15 * alone.standard_error


def test_the_error_is_how_much_the_difference_varies_from_sample_to_sample() -> None:
    rng = default_rng(11)
    found = [
        bootstrap_average_precision(
            binormal(rng, 1000, fraud_share=0.1), replicate_count=100, seed=i
        )
        for i in range(200)
    ]

    spread = np.std([bootstrap.difference for bootstrap in found])
    stated = np.sqrt(np.mean([bootstrap.standard_error**2 for bootstrap in found]))
    assert stated == pytest.approx(spread, rel=0.15)


def test_equal_models_are_never_better() -> None:
    scores = binormal(default_rng(1), 300, fraud_share=0.1)
    equal = replace(scores, challenger=scores.champion)

    bootstrap = bootstrap_average_precision(equal, replicate_count=50, seed=0)

    assert bootstrap.p_value == 1.0
    assert bootstrap.interval(0.05) == (0.0, 0.0)


def test_the_interval_and_the_p_value_are_of_the_replicates() -> None:
    bootstrap = Bootstrap(0.5, 0.6, np.arange(-4.0, 96.0))

    assert bootstrap.p_value == 6 / 101
    assert bootstrap.interval(0.05) == pytest.approx((0.95, 90.05))


def test_replicates_that_only_rounding_tells_apart_are_not_better() -> None:
    assert Bootstrap(0.5, 0.5, np.full(99, 1e-17)).p_value == 1.0
    assert Bootstrap(0.5, 0.5, np.full(99, 1e-9)).p_value == 0.01
