"""What the soak computes: the slope of memory, and how sure it is of it."""

import numpy as np
import pytest
from scipy.stats import linregress

from benchmarks.soak import slope_of


def test_the_slope_of_a_line_is_found_without_error() -> None:
    x = np.arange(20.0)

    slope = slope_of(x, 3.0 * x + 7.0)

    assert slope.value == pytest.approx(3.0)
    assert slope.error == pytest.approx(0.0, abs=1e-9)


def test_with_independent_errors_it_is_what_a_regression_says() -> None:
    rng = np.random.default_rng(1)
    x = np.arange(400.0)
    y = 0.5 * x + rng.normal(0, 10, x.size)

    slope, regression = slope_of(x, y), linregress(x, y)

    assert slope.value == pytest.approx(regression.slope)
    assert slope.error == pytest.approx(regression.stderr, rel=0.15)


def test_errors_that_hang_together_make_it_less_sure() -> None:
    """A walk that goes nowhere has a slope by chance; independent errors would be sure of it."""
    rng = np.random.default_rng(1)
    x = np.arange(400.0)
    y = np.cumsum(rng.normal(0, 1, x.size))

    slope, regression = slope_of(x, y), linregress(x, y)

    assert slope.error > 3 * regression.stderr
