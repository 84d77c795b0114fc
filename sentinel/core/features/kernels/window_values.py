"""What a statistic says of a window, from its sums: the same of events and of tiles."""

import math

import numba

from sentinel.core.features.plan import (
    COUNT,
    FRAUD_COUNT,
    FRAUD_SHARE,
    MAX,
    MEAN,
    RATIO,
    STD,
    SUM,
)


@numba.njit(cache=True, nogil=True, inline="always")
def past_value(
    stat: int, n: int, s: int, m: int, f: int, std: float, amount: int, scale: float
) -> float:
    """A statistic from a window's count, sum, maximum, frauds and deviation; NaN when empty."""
    if stat == COUNT:
        return float(n)
    if stat == SUM:
        return s / scale
    if stat == FRAUD_COUNT:
        return float(f)
    if n == 0:
        return math.nan
    if stat == MEAN:
        return s / n / scale
    if stat == MAX:
        return m / scale
    if stat == STD:
        return std / scale
    if stat == FRAUD_SHARE:
        return f / n
    if stat == RATIO:
        return float(amount) * n / s if s > 0 else math.nan
    # Z_SCORE: the mean as a whole number and a rest, or large amounts would lose the difference.
    centre = s // n
    return (amount - centre - (s - centre * n) / n) / std if std > 0 else math.nan
