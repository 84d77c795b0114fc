"""Performance of matured examples against plain counts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.random import default_rng

from sentinel.core.drift.outcomes.performance import performance


def test_figures_are_those_of_plain_counts() -> None:
    scores = np.array([0.9, 0.8, 0.7, 0.2, 0.1])
    labels = np.array([1, 0, 1, 1, 0])

    found = performance(scores, labels, scores >= 0.7, capacity=0.4)

    assert (found.precision, found.recall) == (2 / 3, 2 / 3)
    assert found.recall_at_capacity == pytest.approx(1 / 3)
    assert found.expected == pytest.approx(0.54)
    assert found.observed == 0.6
    assert found.average_precision == pytest.approx((1 + 2 / 3 + 3 / 4) / 3)
    assert found.auc == pytest.approx(4 / 6)


@given(st.floats(0.01, 1.0), st.integers(0, 2**32 - 1))
def test_scores_that_tie_at_the_edge_of_capacity_count_in_part(capacity: float, seed: int) -> None:
    """The mean over all orders of the ties: each of them has the same share checked."""
    rng = default_rng(seed)
    scores, labels = rng.integers(4, size=30) / 4, rng.integers(2, size=30)
    labels[0] = 1
    room, expected = capacity * 30, 0.0
    for score in sorted(set(scores.tolist()), reverse=True):
        tied = scores == score
        expected += labels[tied].sum() * min(1.0, max(0.0, room) / tied.sum())
        room -= tied.sum()

    found = performance(scores, labels, scores > 0.5, capacity=capacity)

    assert found.recall_at_capacity == pytest.approx(expected / labels.sum())


def test_a_sample_of_the_genuine_weighs_as_all_of_them() -> None:
    scores = np.array([0.9, 0.3, 0.3, 0.3, 0.6, 0.6])
    labels = np.array([1, 0, 0, 0, 0, 0])
    sampled = np.array([0, 1, 4])

    whole = performance(scores, labels, scores > 0.5, capacity=0.5)
    part = performance(
        scores[sampled],
        labels[sampled],
        scores[sampled] > 0.5,
        capacity=0.5,
        weights=np.array([1.0, 3.0, 2.0]),
    )

    assert part.precision == whole.precision == pytest.approx(1 / 3)
    assert part.observed == pytest.approx(whole.observed)
    assert part.recall_at_capacity == whole.recall_at_capacity
    assert part.average_precision == pytest.approx(whole.average_precision)


def test_of_nothing_nothing_is_said() -> None:
    none = np.empty(0)

    found = performance(none, none.astype(np.int64), none > 0, capacity=0.1)

    assert (found.example_count, found.precision, found.recall, found.auc) == (0, None, None, None)
    assert (found.expected, found.average_precision, found.recall_at_capacity) == (None, None, None)
