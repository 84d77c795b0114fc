"""How far two counts of the same cells are apart, in the usual measures.

None of them says whether that is chance: with 200 rows the index of population stability passes
its usual limit of 0.2 in most windows without any change. `window_test` says that.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sentinel.core.drift.counts.columns import MISSING, BinnedColumn
from sentinel.records import Floats, Ints

_ORDERED = slice(0, MISSING)  # the cells of a number that was there, in ascending order
# A cell that one side does not have would make the index infinite.
_PSEUDO_COUNT = 0.5


@dataclass(frozen=True, eq=False, slots=True)
class Effects:
    """Measures of F columns, float64 (F,) each.

    Attributes
    ----------
    psi
        Population stability index, sum (p - q) ln(p / q) over all cells, with half a row added to
        each cell that either side has.
    chi_square
        Pearson's statistic of homogeneity, as of independent rows.
    total_variation
        Half the sum of |p - q| over all cells: the share of rows that would have to be others.
    distance
        Of numbers, Kolmogorov and Smirnov's D at the edges between cells; else NaN.
    wasserstein
        Of numbers, the area between the two distribution functions over the ridits of both sides
        together: 0 to 1/2, whatever unit the numbers have; else NaN.
    missing
        Share of missing values in the window less that in the reference.
    unknown
        The same for what the reference does not have: unseen values, and texts among numbers.
    """

    psi: Floats
    chi_square: Floats
    total_variation: Floats
    distance: Floats
    wasserstein: Floats
    missing: Floats
    unknown: Floats

    @property
    def effect(self) -> Floats:
        """One figure a column, 0 to 1: D of numbers, total variation of values.

        D does not see numbers that are not there: where their share changed by more, it is that.
        """
        gone = np.maximum(np.abs(self.missing), np.abs(self.unknown))
        return np.where(np.isnan(self.distance), self.total_variation, np.fmax(self.distance, gone))


def effects(columns: Sequence[BinnedColumn], window: Ints, reference: Ints) -> Effects:
    """Measures of each column.

    Parameters
    ----------
    window, reference
        int64 (F, CELL_COUNT), rows in each cell.
    """
    assert window.shape == reference.shape
    p, q = shares(window), shares(reference)
    is_numeric = np.array([column.kind == "numeric" for column in columns], dtype=bool)
    cumulative = np.cumsum(shares(window[:, _ORDERED]) - shares(reference[:, _ORDERED]), axis=1)
    gap = np.abs(cumulative)
    steps = np.diff(ridits(window[:, _ORDERED] + reference[:, _ORDERED]), axis=1)
    return Effects(
        psi=_psi(window, reference),
        chi_square=_chi_square(window, reference),
        total_variation=np.abs(p - q).sum(axis=1) / 2,
        distance=np.where(is_numeric, gap.max(axis=1), np.nan),
        wasserstein=np.where(is_numeric, (gap[:, :-1] * steps).sum(axis=1), np.nan),
        missing=p[:, MISSING] - q[:, MISSING],
        unknown=p[:, -1] - q[:, -1],
    )


def shares(counts: Ints) -> Floats:
    """Each row of counts divided by its sum; zeros where that is 0."""
    total = counts.sum(axis=-1, keepdims=True)
    return counts / np.maximum(total, 1)


def ridits(counts: Ints) -> Floats:
    """Of each cell, the share of rows below its middle, in its row of counts: 0 to 1."""
    share = shares(counts)
    return np.cumsum(share, axis=-1) - share / 2


def _psi(window: Ints, reference: Ints) -> Floats:
    is_there = window + reference > 0
    a, b = (np.where(is_there, x + _PSEUDO_COUNT, 0.0) for x in (window, reference))
    p, q = (x / np.maximum(x.sum(axis=1, keepdims=True), 1e-300) for x in (a, b))
    logs = np.log(np.where(is_there, p, 1.0)) - np.log(np.where(is_there, q, 1.0))
    return ((p - q) * logs).sum(axis=1)


def psi_by_chance(
    window: Ints, reference: Ints, window_size: Floats, reference_size: Floats
) -> Floats:
    """What the index is on average where nothing has changed, float64 (F,).

    Sum over cells of (1 - share) (1 / n + 1 / m) with the effective sizes, float64 (F,), of both
    sides: its expectation, to first order.
    """
    both = window + reference
    left = np.where(both > 0, 1 - shares(both), 0.0).sum(axis=1)
    return left * (1 / np.maximum(window_size, 1.0) + 1 / np.maximum(reference_size, 1.0))


def _chi_square(window: Ints, reference: Ints) -> Floats:
    n = np.maximum(window.sum(axis=1, keepdims=True), 1).astype(np.float64)
    m = np.maximum(reference.sum(axis=1, keepdims=True), 1).astype(np.float64)
    both = np.maximum(window + reference, 1)
    # Of two samples: sum (sqrt(m / n) a - sqrt(n / m) b)^2 / (a + b).
    found: Floats = ((np.sqrt(m / n) * window - np.sqrt(n / m) * reference) ** 2 / both).sum(axis=1)
    return found
