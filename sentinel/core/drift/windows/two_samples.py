"""Are two means, or two shares, equal? p-values of arrays of them."""

import numpy as np
from scipy.special import betainc, ndtr, stdtr

from sentinel.core.drift.windows.dependence import GroupedMeans, Sureness
from sentinel.records import Floats

# Of the smaller side: with fewer expected rows the binomial law is taken as well as the normal one.
_NORMAL_ROW_COUNT_MIN = 20
_FREEDOM_MIN = 0.5  # with less, nothing can be said


def welch_p(
    window: GroupedMeans, reference: GroupedMeans, in_window: Sureness, in_reference: Sureness
) -> Floats:
    """Two-sided p-values of Welch's test; 1 where a side has no rows, or hardly an account."""
    variance = in_window.variance + in_reference.variance
    t = (window.mean - reference.mean) / np.sqrt(np.maximum(variance, 1e-300))
    # Welch and Satterthwaite: what has no degree of freedom leaves the whole without any.
    parts = [
        side.variance**2 / np.maximum(side.freedom, 1e-12) for side in (in_window, in_reference)
    ]
    freedom = variance**2 / np.maximum(parts[0] + parts[1], 1e-300)
    p: Floats = 2 * stdtr(np.maximum(freedom, _FREEDOM_MIN), -np.abs(t))
    can_tell = (window.row_count > 0) & (reference.row_count > 0) & (freedom > _FREEDOM_MIN)
    return np.where(can_tell, p, 1.0)


def shares_p(x_w: Floats, n_w: Floats, x_r: Floats, n_r: Floats) -> Floats:
    """Two-sided p-values of equal shares x / n; of effective rows, which need not be whole.

    Normal with a pooled share. Where few rows are expected, the binomial tail is taken if it is
    larger: of x_w + x_r rows so many or more, or so few, fall to a side.
    """
    share = (x_w + x_r) / (n_w + n_r)
    error = np.sqrt(np.maximum(share * (1 - share) * (1 / n_w + 1 / n_r), 1e-300))
    p: Floats = 2 * ndtr(-np.abs(x_w / n_w - x_r / n_r) / error)
    is_rare = share * np.minimum(n_w, n_r) < _NORMAL_ROW_COUNT_MIN
    side = n_w / (n_w + n_r)
    above = np.where(x_w > 0, betainc(np.maximum(x_w, 1e-300), x_r + 1, side), 1.0)
    below = np.where(x_r > 0, betainc(np.maximum(x_r, 1e-300), x_w + 1, 1 - side), 1.0)
    binomial = np.minimum(2 * np.minimum(above, below), 1.0)
    return np.where(is_rare, np.maximum(p, binomial), p)
