"""The sums of a metric while rows of a file come in, look by look."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentinel.core.experiments.outcomes.cells import Cell, MetricSums
from sentinel.core.experiments.outcomes.columns import arm_sums, totals
from sentinel.core.experiments.outcomes.sums import ArmSums
from sentinel.operations.experiments.files.rows import OutcomeRows
from sentinel.records import Floats, Ints

Column = NDArray[Any]


class RunningMetric:
    """One metric of all arms: y of n, summed by account.

    Parameters
    ----------
    y, n
        Of each row; rows that do not count have NaN.
    x
        Of each account; None without a covariate.
    """

    def __init__(self, rows: OutcomeRows, y: Column, n: Column, x: Floats | None) -> None:
        self._rows = rows
        self._counts = ~(np.isnan(y) | np.isnan(n))
        self._y, self._n = (_whole(np.where(self._counts, one, 0)) for one in (y, n))
        self._x = x
        count = rows.account_count
        self._arm = np.zeros(count, dtype=np.int64)
        self._arm[rows.accounts] = rows.arms
        self._total_y = np.zeros(count, dtype=self._y.dtype)
        self._total_n = np.zeros(count, dtype=self._n.dtype)
        self._is_in = np.zeros(count, dtype=bool)
        self._sums = [ArmSums() for _ in rows.arm_names]
        self._end = 0

    @property
    def sums(self) -> MetricSums:
        """Of the rows so far."""
        names = self._rows.arm_names
        return MetricSums({Cell(0, name): s for name, s in zip(names, self._sums, strict=True)})

    def advance(self, end: int) -> None:
        """Take in the rows up to one, which is not among them."""
        at = np.flatnonzero(self._counts[self._end : end]) + self._end
        self._end = end
        touched, codes = np.unique(self._rows.accounts[at], return_inverse=True)
        before = self._sums_of(touched[self._is_in[touched]])
        self._total_y[touched] += totals(codes, self._y[at], touched.size)
        self._total_n[touched] += totals(codes, self._n[at], touched.size)
        self._is_in[touched] = True
        after = self._sums_of(touched)
        self._sums = [
            one + new - old for one, new, old in zip(self._sums, after, before, strict=True)
        ]

    def _sums_of(self, accounts: Ints) -> list[ArmSums]:
        found = []
        for arm in range(len(self._sums)):
            own = accounts[self._arm[accounts] == arm]
            x = None if self._x is None else self._x[own]
            found.append(arm_sums(self._total_y[own], self._total_n[own], x))
        return found


def _whole(values: Floats) -> Column:
    """As whole numbers, of which sums are exact, if that is what they are."""
    if np.all(np.abs(values) < 2**31) and np.all(values == np.floor(values)):
        return values.astype(np.int64)
    return values


def account_covariates(rows: OutcomeRows) -> Floats | None:
    """The covariate of each account, that of its first row which has one; the mean where none has.

    What comes later may be an effect of the arm.
    """
    if rows.covariates is None:
        return None
    there = np.flatnonzero(~np.isnan(rows.covariates))
    accounts, first = np.unique(rows.accounts[there], return_index=True)
    own = rows.covariates[there][first]
    found = np.full(rows.account_count, float(own.mean()) if own.size else 0.0)
    found[accounts] = own
    return found
