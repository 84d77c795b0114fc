"""From raw scores to honest probabilities."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.random import default_rng
from scipy.special import expit

from sentinel.core.learning.calibration import (
    Calibration,
    effective_count,
    expected_calibration_error,
    fit_calibration,
)


@pytest.mark.parametrize(("slope", "intercept"), [(1.0, 0.0), (0.5, -2.0), (3.0, 1.0), (0.2, -4.0)])
def test_a_known_sigmoid_is_found_again(slope: float, intercept: float) -> None:
    rng = default_rng(3)
    raw = rng.normal(-intercept / slope, 2.0 / slope, 200_000)
    labels = (rng.random(raw.size) < expit(slope * raw + intercept)).astype(np.int64)

    found = fit_calibration(raw, labels)

    assert found.slope == pytest.approx(slope, rel=0.05)
    assert found.intercept == pytest.approx(intercept, rel=0.05, abs=0.05)
    assert expected_calibration_error(found.probability(raw), labels) < 0.005


@pytest.mark.parametrize("labels", [[], [0, 0, 0], [1, 1]])
def test_from_one_class_nothing_is_learnt(labels: list[int]) -> None:
    raw = np.arange(len(labels), dtype=np.float64)

    assert fit_calibration(raw, np.array(labels, dtype=np.int64)) == Calibration(1.0, 0.0)


def test_frauds_that_all_score_above_give_no_certainty() -> None:
    """Platt's targets: with a handful of examples the probability stays away from 0 and 1."""
    raw = np.array([-2.0, -1.0, 1.0, 2.0])

    probability = fit_calibration(raw, np.array([0, 0, 1, 1])).probability(raw)

    assert np.all(np.diff(probability) > 0)
    assert 0.2 < probability[0] < 0.5 < probability[-1] < 0.8


def scored_rows(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = default_rng(seed)
    raw = rng.normal(-2, 2, count)
    return raw, (rng.random(count) < expit(0.7 * raw - 0.5)).astype(np.int64)


def test_weights_undo_that_only_some_of_the_genuine_are_there() -> None:
    """A tenth of the genuine, each for ten, calibrates as all do."""
    raw, labels = scored_rows(200_000, 5)
    kept = (labels == 1) | (default_rng(6).random(raw.size) < 0.1)
    weights = np.where(labels == 1, 1.0, 10.0)[kept]

    found = fit_calibration(raw[kept], labels[kept], weights=weights)

    unweighted = fit_calibration(raw[kept], labels[kept])
    assert found.slope == pytest.approx(0.7, rel=0.05)
    assert found.intercept == pytest.approx(-0.5, abs=0.05)
    assert unweighted.intercept == pytest.approx(-0.5 + np.log(10), abs=0.1)


def test_weights_are_what_newton_steps_on_the_weighted_likelihood_find() -> None:
    """Where the smoothed targets hardly matter: the plain maximum, found in another way."""
    raw, labels = scored_rows(50_000, 7)
    weights = default_rng(8).exponential(size=raw.size)
    design = np.stack([raw, np.ones(raw.size)], axis=1)
    place = np.zeros(2)
    for _ in range(30):
        p = expit(design @ place)
        curvature = design.T @ (design * (weights * p * (1 - p))[:, None])
        place += np.linalg.solve(curvature, design.T @ (weights * (labels - p)))

    found = fit_calibration(raw, labels, weights=weights)

    assert found.slope == pytest.approx(place[0], rel=2e-3)
    assert found.intercept == pytest.approx(place[1], rel=2e-3)


@pytest.mark.parametrize("scale", [1e-3, 0.5, 1.0, 64.0, 1e4])
def test_only_the_proportions_of_weights_matter(scale: float) -> None:
    raw, labels = scored_rows(40, 9)

    found = fit_calibration(raw, labels, weights=np.full(40, scale))

    assert found.slope == pytest.approx(fit_calibration(raw, labels).slope, rel=1e-9)
    assert found.intercept == pytest.approx(fit_calibration(raw, labels).intercept, rel=1e-9)


def test_a_row_of_weight_0_is_not_there() -> None:
    raw, labels = scored_rows(500, 10)
    weights = np.ones(500)
    weights[::3] = 0.0

    found = fit_calibration(raw, labels, weights=weights)

    expected = fit_calibration(raw[weights > 0], labels[weights > 0])
    assert found.slope == pytest.approx(expected.slope, rel=1e-5)
    assert found.intercept == pytest.approx(expected.intercept, rel=1e-5)
    assert fit_calibration(raw, labels, weights=1.0 * labels) == Calibration(1.0, 0.0)


@pytest.mark.parametrize(
    ("weights", "expected"),
    [([], 0.0), ([0.0, 0.0], 0.0), ([3.0] * 7, 7.0), ([1.0, 0.0], 1.0), ([2.0, 1.0], 9 / 5)],
)
def test_rows_of_unequal_weight_tell_less(weights: list[float], expected: float) -> None:
    assert effective_count(np.array(weights)) == pytest.approx(expected)


def test_scores_that_say_the_opposite_are_flattened_and_never_turned_round() -> None:
    raw = np.linspace(-3, 3, 100)
    found = fit_calibration(raw, (raw < 0).astype(np.int64))

    assert found.slope > 0
    assert np.ptp(found.probability(raw)) < 0.05


@given(
    raw=st.lists(st.floats(-30, 30), min_size=2, max_size=10, unique=True),
    slope=st.floats(0.1, 1.0),
    intercept=st.floats(-5, 5),
)
def test_a_higher_score_never_has_a_lower_probability(
    raw: list[float], slope: float, intercept: float
) -> None:
    probability = Calibration(slope, intercept).probability(np.sort(raw))

    assert np.all(np.diff(probability) >= 0)
    assert np.all((probability >= 0) & (probability <= 1))


@pytest.mark.parametrize(
    ("slope", "intercept"), [(0.0, 0.0), (-1.0, 0.0), (np.nan, 0.0), (1.0, np.inf)]
)
def test_a_calibration_rises_and_is_finite(slope: float, intercept: float) -> None:
    with pytest.raises(ValueError, match="finite slope > 0"):
        Calibration(slope, intercept)


def test_known_calibration_errors() -> None:
    def error(probability: list[float], labels: list[int], bins: int = 2) -> float:
        return expected_calibration_error(
            np.array(probability), np.array(labels, dtype=np.int64), bin_count=bins
        )

    assert error([], []) == 0.0
    assert error([0.0, 0.0, 1.0, 1.0], [0, 0, 1, 1]) == 0.0
    assert error([1.0, 1.0, 1.0, 1.0], [0, 0, 0, 0]) == 1.0
    assert error([0.5, 0.5, 0.5, 0.5], [0, 1, 0, 1]) == 0.0
    # Bins of two: 0.2 stated and 0.5 seen, 0.8 stated and 1.0 seen.
    assert error([0.1, 0.3, 0.7, 0.9], [0, 1, 1, 1]) == pytest.approx((0.3 + 0.2) / 2)
    assert error([0.3], [1], bins=15) == pytest.approx(0.7)


@given(
    rows=st.lists(
        st.tuples(st.floats(0, 1), st.integers(0, 1), st.integers(1, 4)),
        min_size=1,
        max_size=20,
        unique_by=lambda row: row[0],
    )
)
def test_in_one_bin_what_weighs_three_times_counts_as_three(
    rows: list[tuple[float, int, int]],
) -> None:
    """With more bins copies may fall into different ones."""
    probability, labels, weights = (np.array(column) for column in zip(*rows, strict=True))

    weighted = expected_calibration_error(
        probability, labels, bin_count=1, weights=weights.astype(np.float64)
    )

    copies = (np.repeat(probability, weights), np.repeat(labels, weights))
    assert weighted == pytest.approx(expected_calibration_error(*copies, bin_count=1), abs=1e-12)


def test_equal_weights_change_nothing_and_bins_are_of_equal_weight() -> None:
    rng = default_rng(5)
    probability = rng.random(1000)
    labels = (rng.random(1000) < probability).astype(np.int64)

    plain = expected_calibration_error(probability, labels)

    assert expected_calibration_error(probability, labels, weights=np.ones(1000)) == plain
    # The first three weigh as much as the last two.
    p, y = np.array([0.1, 0.2, 0.3, 0.6, 0.9]), np.array([0, 0, 0, 1, 1])
    weights = np.array([1.0, 1.0, 1.0, 1.5, 1.5])
    found = expected_calibration_error(p, y, bin_count=2, weights=weights)
    assert found == pytest.approx((0.6 + (0.4 + 0.1) * 1.5) / 6)
