"""An interval that may be looked at any time, however often: an asymptotic confidence sequence.

Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas (2024), with the mixture tuned to be narrowest where
the plan ends. It never decides: at that end it is a third wider than the interval of one fixed
look. It stays valid where the variance is the larger one of the pooled and the separate estimate,
and from five positives in each arm on; with separate variances of unequal arms it misses the true
difference in up to 28 of 100 experiments instead of 5.
"""

import math

from sentinel.core.experiments.inference.comparison import ArmComparison

POSITIVES_MIN = 5


def half_width(variance: float, share: float, alpha: float = 0.05) -> float:
    """Half of the interval's width.

    Parameters
    ----------
    variance
        Of the difference, now.
    share
        Of what is planned, above 0; it may be over 1.
    alpha
        In what share of experiments the interval may miss the true difference at any time at all.
    """
    assert variance >= 0
    assert share > 0
    least = -2 * math.log(alpha)
    t = share * (least + math.log(least + 1))
    return math.sqrt(variance * 2 * (t + 1) / t * math.log(math.sqrt(t + 1) / alpha))


def interval_at_any_time(
    comparison: ArmComparison | None, share: float, alpha: float = 0.05
) -> tuple[float, float] | None:
    """In which the true difference lies; None where nothing can be said yet."""
    if comparison is None or share <= 0 or not comparison.is_known:
        return None
    if min(comparison.positives) < POSITIVES_MIN:
        return None
    half = half_width(comparison.largest, share, alpha)
    return comparison.estimate - half, comparison.estimate + half
