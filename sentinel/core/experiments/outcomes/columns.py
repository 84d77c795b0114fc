"""The same sums from columns: of many accounts at once."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentinel.core.experiments.outcomes.sums import ArmSums, Number
from sentinel.records import Ints

Column = NDArray[Any]  # of whole numbers, or of float64

_EXACT_MAX = 2.0**62  # sums of whole numbers up to there need no longer ones than numpy's


def arm_sums(y: Column, n: Column, x: Column | None = None) -> ArmSums:
    """Sums over accounts, of which each has one y, n and x; exact where they are whole numbers."""
    assert y.shape == n.shape
    assert x is None or x.shape == y.shape
    found = ArmSums(
        accounts=len(y),
        with_some=int(np.count_nonzero(y)),
        with_rest=int(np.count_nonzero(y != n)),
        n=dot(n),
        y=dot(y),
        nn=dot(n, n),
        ny=dot(n, y),
        yy=dot(y, y),
    )
    if x is not None:
        found.x, found.nx, found.yx, found.xx = dot(x), dot(n, x), dot(y, x), dot(x, x)
    return found


def totals(accounts: Ints, values: Column, count: int) -> Column:
    """The sum of each account's rows, (count,); exact of whole numbers."""
    if values.dtype.kind in "iub":
        found = np.zeros(count, dtype=np.int64)
        np.add.at(found, accounts, values.astype(np.int64))
        return found
    return np.bincount(accounts, weights=values, minlength=count)


def dot(a: Column, b: Column | None = None) -> Number:
    """The sum of a column, or of the products of two; exact of whole numbers."""
    if a.dtype.kind not in "iub" or (b is not None and b.dtype.kind not in "iub"):
        return float(a.sum() if b is None else np.dot(a.astype(np.float64), b.astype(np.float64)))
    largest = float(np.abs(a).max(initial=0)) * float(1 if b is None else np.abs(b).max(initial=0))
    if largest * len(a) < _EXACT_MAX:
        wide = a.astype(np.int64)
        return int(wide.sum() if b is None else np.dot(wide, b.astype(np.int64)))
    return sum(a.tolist()) if b is None else sum(map(int.__mul__, a.tolist(), b.tolist()))
