"""How sure a mean is when rows of one account are alike: from groups of accounts.

A side's own groups show what its accounts share, but are few where it has few accounts; the
correlation within accounts that the other side shows does not depend on how many rows an account
has here, but misses bursts. So the larger of the two variances is taken, for either side: the one
alone alarms in up to 19 of 100 windows without a change, the other in up to 5.
"""

from dataclasses import dataclass

import numpy as np

from sentinel.records import Floats

# Accounts with fewer rows than this say nothing of how alike the rows of an account are.
_REPEATS_MIN = 1.5


@dataclass(frozen=True, eq=False, slots=True)
class GroupedMeans:
    """Means of one side, of K contrasts of each of F columns: float64 (F, K) each.

    Attributes
    ----------
    variance
        Of the mean, as the groups of accounts show it.
    row_count
        Rows that it is the mean of.
    group_count
        Groups, effective: fewer where they differ in size.
    """

    mean: Floats
    variance: Floats
    row_count: Floats
    group_count: Floats

    @classmethod
    def of(cls, sums: Floats, sizes: Floats) -> "GroupedMeans":
        """From each group's sum and rows, float64 (F, K, G)."""
        n = np.maximum(sizes.sum(axis=2), 1)
        mean = sums.sum(axis=2) / n
        residuals = sums - mean[:, :, None] * sizes
        groups = n**2 / np.maximum((sizes**2).sum(axis=2), 1)
        correction = np.where(groups > 1, groups / np.maximum(groups - 1, 1e-9), 0.0)
        variance = correction * (residuals**2).sum(axis=2) / n**2
        # What rounding leaves of residuals that are all 0 is no variance.
        variance[variance < 1e-20] = 0.0
        return cls(mean, variance, sizes.sum(axis=2), groups)

    def correlation(self, spread: Floats, rows_per_account: float) -> Floats:
        """How alike rows of an account are, 0 to 1; NaN where nothing varies here."""
        if rows_per_account < _REPEATS_MIN:
            found = np.zeros_like(spread)
        else:
            excess = self.variance * self.row_count / spread - 1
            found = np.clip(excess / (rows_per_account - 1), 0.0, 1.0)
        return np.where(self.variance > 0, found, np.nan)


@dataclass(frozen=True, eq=False, slots=True)
class Sureness:
    """Of one side's means, float64 (F, K) each.

    Attributes
    ----------
    variance
        Of the mean.
    freedom
        Degrees of freedom of that variance, at least 0.
    design_effect
        How many rows weigh as one independent row, at least 1.
    """

    variance: Floats
    freedom: Floats
    design_effect: Floats


def sureness(
    window: GroupedMeans,
    reference: GroupedMeans,
    spread: Floats,
    rows_per_account: tuple[float, float],
) -> tuple[Sureness, Sureness]:
    """How sure the means of both sides are.

    Parameters
    ----------
    spread
        Variance of the contrast between rows, of both sides together; > 0.
    rows_per_account
        Of each side, weighted by rows.
    """
    in_window = window.correlation(spread, rows_per_account[0])
    in_reference = reference.correlation(spread, rows_per_account[1])
    # Where nothing varies on either side, as between two constants, an account may be one row.
    unknown = np.where(np.isnan(in_window) & np.isnan(in_reference), 1.0, 0.0)
    in_window = np.where(np.isnan(in_window), unknown, in_window)
    in_reference = np.where(np.isnan(in_reference), unknown, in_reference)
    return (
        _side(window, reference, spread, in_reference, rows_per_account[0]),
        _side(reference, window, spread, in_window, rows_per_account[1]),
    )


def _side(
    own: GroupedMeans,
    other: GroupedMeans,
    spread: Floats,
    others_correlation: Floats,
    rows_per_account: float,
) -> Sureness:
    n = np.maximum(own.row_count, 1)
    bound = spread * (1 + (rows_per_account - 1) * others_correlation) / n
    is_own = own.variance >= bound
    variance = np.where(is_own, own.variance, bound)
    freedom = np.where(is_own, own.group_count, other.group_count) - 1
    return Sureness(variance, np.maximum(freedom, 0.0), variance * n / spread)


def independent(means: GroupedMeans, spread: Floats) -> Sureness:
    """How sure a side's means are if each row is an account of its own."""
    n = np.maximum(means.row_count, 1)
    return Sureness(spread / n, n - 1, np.ones_like(spread))
