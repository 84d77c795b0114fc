"""DeLong's test against its definition, against a bootstrap, and under the null hypothesis."""

import math
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.random import default_rng
from scipy.stats import norm

from sentinel.core.learning.evaluation import auc
from sentinel.core.learning.gate.delong import AucComparison, compare_auc
from sentinel.core.learning.gate.evidence import PairedScores
from sentinel.records import Floats
from tests.core.learning.pairs import binormal

# Few distinct scores, so that ties are common.
rows = st.lists(
    st.tuples(st.integers(-3, 3), st.integers(-3, 3), st.booleans(), st.integers(1, 4)),
    min_size=2,
    max_size=25,
)


def paired(
    found: list[tuple[int, int, bool, int]], groups: list[int] | None = None
) -> PairedScores:
    count = len(found)
    champion, challenger, labels, weights = (
        np.array(column) for column in zip(*found, strict=True)
    )
    return PairedScores(
        champion.astype(np.float64),
        challenger.astype(np.float64),
        labels.astype(np.int64),
        weights.astype(np.float64),
        np.arange(count) if groups is None else np.array(groups),
        np.zeros(count, dtype=np.int64),
        np.ones(count, dtype=np.int64),
    )


def components(score: Floats, scores: PairedScores) -> tuple[dict[int, float], float]:
    """DeLong's structural components by the definition, one pair at a time, and the AUC."""
    frauds = np.flatnonzero(scores.labels == 1).tolist()
    genuine = np.flatnonzero(scores.labels == 0).tolist()
    w = scores.weights
    wins = {
        (i, j): 1.0 if score[i] > score[j] else 0.5 if score[i] == score[j] else 0.0
        for i, j in product(frauds, genuine)
    }
    of_fraud, of_genuine = sum(w[i] for i in frauds), sum(w[j] for j in genuine)
    found = {i: sum(w[j] * wins[i, j] for j in genuine) / of_genuine for i in frauds}
    found |= {j: sum(w[i] * wins[i, j] for i in frauds) / of_fraud for j in genuine}
    area = sum(w[i] * w[j] * wins[i, j] for i, j in wins) / (of_fraud * of_genuine)
    return found, float(area)


def slow_standard_error(scores: PairedScores) -> float:
    """Of the difference, each example alone: weighted squares of components less their mean."""
    (a, area_a), (b, area_b) = (components(s, scores) for s in (scores.champion, scores.challenger))
    variance = 0.0
    for label in (0, 1):
        members = np.flatnonzero(scores.labels == label).tolist()
        total = sum(scores.weights[i] for i in members)
        squares = [
            (scores.weights[i] * ((b[i] - area_b) - (a[i] - area_a)) / total) ** 2 for i in members
        ]
        variance += sum(squares) * len(members) / (len(members) - 1)
    return math.sqrt(variance)


@settings(deadline=None)
@given(found=rows)
def test_weighted_areas_and_error_are_those_of_a_loop_over_pairs(
    found: list[tuple[int, int, bool, int]],
) -> None:
    scores = paired(found)
    comparison = compare_auc(scores)

    if min(np.bincount(scores.labels, minlength=2)) < 2:
        assert comparison is None
        return
    assert comparison is not None
    assert comparison.champion == pytest.approx(components(scores.champion, scores)[1])
    assert comparison.challenger == pytest.approx(components(scores.challenger, scores)[1])
    assert comparison.standard_error == pytest.approx(slow_standard_error(scores), abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_without_weights_the_error_is_from_the_covariance_of_the_components(seed: int) -> None:
    """As the paper writes it: S10 / m + S01 / n, with the contrast (-1, 1)."""
    rng = default_rng(seed)
    scores = binormal(rng, 150, fraud_share=0.3)
    a, b = (components(s, scores)[0] for s in (scores.champion, scores.challenger))
    variance = 0.0
    for label in (0, 1):
        members = np.flatnonzero(scores.labels == label).tolist()
        covariance = np.cov([a[i] for i in members], [b[i] for i in members])
        variance += float(np.array([-1, 1]) @ covariance @ np.array([-1, 1])) / len(members)

    comparison = compare_auc(scores)

    assert comparison is not None
    assert comparison.standard_error == pytest.approx(math.sqrt(variance))
    assert comparison.champion == pytest.approx(auc(scores.champion, scores.labels))


def slow_variance_by_groups(scores: PairedScores) -> float:
    """Obuchowski's sums: of each class by group, and of both classes of one group with each other.

    That of both has no correction for the number of groups: it is all but 1.
    """
    (a, area_a), (b, area_b) = (components(s, scores) for s in (scores.champion, scores.challenger))
    sums: dict[tuple[int, int], float] = {}
    totals = [float(scores.weights[scores.labels == label].sum()) for label in (0, 1)]
    for i, (label, group) in enumerate(zip(scores.labels.tolist(), scores.groups, strict=True)):
        influence = scores.weights[i] * ((b[i] - area_b) - (a[i] - area_a)) / totals[label]
        sums[label, int(group)] = sums.get((label, int(group)), 0.0) + influence
    variance = 0.0
    for label in (0, 1):
        found = [value for (of, _), value in sums.items() if of == label]
        variance += sum(value**2 for value in found) * len(found) / (len(found) - 1)
    for (label, group), value in sums.items():
        variance += value * sums.get((1 - label, group), 0.0)
    return variance


@settings(deadline=None)
@given(found=rows, seed=st.integers(0, 100))
def test_frauds_and_genuine_of_one_group_depend_on_each_other_too(
    found: list[tuple[int, int, bool, int]], seed: int
) -> None:
    groups = default_rng(seed).integers(0, 4, len(found)).tolist()
    scores = paired(found, groups)

    comparison = compare_auc(scores)

    if any(len(set(scores.groups[scores.labels == label])) < 2 for label in (0, 1)):
        assert comparison is None
        return
    assert comparison is not None
    variance = slow_variance_by_groups(scores)
    assert comparison.standard_error**2 == pytest.approx(variance, rel=1e-6, abs=1e-12)


def slow_bootstrap(scores: PairedScores, replicate_count: int, seed: int) -> float:
    """Standard deviation of the difference over draws of whole groups."""
    rng = default_rng(seed)
    group_count = int(scores.groups.max()) + 1
    differences = []
    for _ in range(replicate_count):
        count = np.bincount(rng.integers(0, group_count, group_count), minlength=group_count)
        times = count[scores.groups]
        drawn = replace(scores.where(times > 0), weights=(scores.weights * times)[times > 0])
        comparison = compare_auc(drawn)
        assert comparison is not None
        differences.append(comparison.difference)
    return float(np.std(differences, ddof=1))


@pytest.mark.parametrize("rows_a_group", [1, 10])
@pytest.mark.parametrize("is_weighted", [False, True])
def test_the_error_is_that_of_a_bootstrap_of_groups(rows_a_group: int, is_weighted: bool) -> None:
    rng = default_rng(4)
    scores = binormal(rng, 3000, fraud_share=0.15, rows_a_group=rows_a_group)
    if is_weighted:
        scores = replace(scores, weights=np.where(rng.random(3000) < 0.3, 8.0, 1.0))

    comparison = compare_auc(scores)

    assert comparison is not None
    assert comparison.standard_error == pytest.approx(slow_bootstrap(scores, 600, 9), rel=0.1)


def test_rows_of_one_account_count_for_less_than_as_many_of_many_accounts() -> None:
    scores = binormal(default_rng(8), 3000, fraud_share=0.15, rows_a_group=10)
    together, apart = (
        compare_auc(one) for one in (scores, replace(scores, groups=np.arange(len(scores))))
    )

    assert together is not None
    assert apart is not None
    assert together.standard_error > 1.15 * apart.standard_error


def test_equal_scores_prove_nothing() -> None:
    scores = binormal(default_rng(1), 500, fraud_share=0.2)

    comparison = compare_auc(replace(scores, challenger=scores.champion))

    assert comparison is not None
    assert comparison.difference == comparison.standard_error == 0.0
    assert comparison.p_value == 1.0
    assert comparison.interval(0.05) == (0.0, 0.0)


def test_a_perfect_challenger_of_a_champion_that_is_perfectly_wrong_is_better_for_certain() -> None:
    scores = paired([(1, 0, False, 1), (1, 0, False, 1), (0, 1, True, 1), (0, 1, True, 1)])

    comparison = compare_auc(scores)

    assert comparison == AucComparison(champion=0.0, challenger=1.0, standard_error=0.0)
    assert comparison.p_value == 0.0


def test_what_only_rounding_tells_apart_is_not_better() -> None:
    comparison = AucComparison(champion=0.9, challenger=0.9 + 1e-16, standard_error=1e-18)

    assert comparison.difference > 0
    assert comparison.p_value == 1.0


def test_frauds_of_a_single_account_show_nothing() -> None:
    found = [(1, 0, True, 1), (2, 1, True, 1), (0, 0, False, 1), (0, 1, False, 1)]

    assert compare_auc(paired(found, groups=[0, 0, 1, 2])) is None
    assert compare_auc(paired(found, groups=[0, 3, 1, 2])) is not None


def test_the_interval_and_the_p_value_say_the_same() -> None:
    comparison = AucComparison(champion=0.9, challenger=0.92, standard_error=0.01)

    assert comparison.p_value == pytest.approx(float(norm.sf(2.0)))
    low, high = comparison.interval(comparison.p_value)
    assert low == pytest.approx(0.0)
    assert high == pytest.approx(0.04)


@pytest.mark.parametrize("rows_a_group", [1, 5])
def test_under_the_null_hypothesis_as_many_are_significant_as_the_level_says(
    rows_a_group: int,
) -> None:
    """Of 800 looks from both sides; the standard error of the share is at most 0.8 points."""
    rng = default_rng(21)
    p_values = []
    for _ in range(800):
        comparison = compare_auc(binormal(rng, 1500, fraud_share=0.1, rows_a_group=rows_a_group))
        assert comparison is not None
        p_values.append(comparison.p_value)
    extreme = np.minimum(p_values, 1 - np.array(p_values)) <= 0.05

    assert np.mean(extreme) / 2 == pytest.approx(0.05, abs=0.02)
