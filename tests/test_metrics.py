"""Histograms: how far from the truth their quantiles may be, and what they count."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.metrics import SCORE_BUCKET_COUNT, Histogram, Metrics

# From the lowest bucket to the highest.
values = st.floats(1e-5, 9e3)


def filled(observed: list[float]) -> Histogram:
    histogram = Histogram()
    for value in observed:
        histogram.observe(value)
    return histogram


@given(observed=st.lists(values, min_size=1, max_size=50), q=st.floats(0.01, 1.0))
def test_a_quantile_is_within_a_bucket_of_the_truth(observed: list[float], q: float) -> None:
    exact = float(np.quantile(observed, q, method="inverted_cdf"))

    found = filled(observed).quantile(q)

    assert found == pytest.approx(exact, rel=0.13)  # a bucket is 12 % wide


@given(observed=st.lists(st.floats(0.0, 1e6), max_size=50))
def test_one_by_one_and_together_are_the_same(observed: list[float]) -> None:
    together = Histogram()
    together.observe_many(np.array(observed, dtype=np.float64))

    assert together.count == len(observed)
    for q in (0.0, 0.5, 0.99, 1.0):
        assert together.quantile(q) == filled(observed).quantile(q)


def test_without_values_there_is_no_quantile() -> None:
    assert Histogram().quantile(0.5) is None
    assert Histogram().count == 0


@pytest.mark.parametrize("value", [0.0, 1e-9, 1e5, 1e300])
def test_what_lies_outside_is_counted_at_the_border(value: float) -> None:
    found = filled([value]).quantile(0.5)

    assert found is not None
    assert 1e-6 <= found <= 1.1e4


def test_scores_are_counted_in_equal_buckets_with_both_ends() -> None:
    metrics = Metrics()
    metrics.count_scores(np.array([0.0, 0.049, 0.05, 0.999, 1.0]))

    assert metrics.scores.sum() == 5
    assert metrics.scores[0] == 2
    assert metrics.scores[1] == 1
    assert metrics.scores[SCORE_BUCKET_COUNT - 1] == 2
