"""What kind of change it is: what broke in a pipeline, or the world as it goes on.

Of a pipeline: one constant, missing values, a category that was never seen, another unit, texts
where numbers were. Of the world: where numbers lie, or the shape of their distribution.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from sentinel.core.drift.counts.columns import MISSING, UNSEEN, BinnedColumn
from sentinel.core.drift.windows.effects import ridits, shares
from sentinel.core.drift.windows.window_test import ColumnTest
from sentinel.records import Floats, Ints

KindName = Literal["constant", "missing", "new_category", "unit", "type", "location", "shape"]

_MOST = 0.5  # of the total variation: what makes up so much of a change gives it its name
_ALL = 0.999  # of the values in one cell: they are one value, or all beyond the reference
# What units differ by, the likelier first: decimals, thousands, minutes and hours; another sign.
_LARGE = (100.0, 1e3, 10.0, 60.0, 3600.0, 1e6, 1e4, 1e5, 24.0, 1440.0, 86_400.0)
_FACTORS: tuple[float, ...] = (*_LARGE, *(1 / factor for factor in _LARGE), -1.0)
# Miles, pounds, inches. Any rise of prices could be one, so that all values must have changed so.
_SMALL = (1.609344, 2.2046226, 2.54, 3.6)
_SMALL_FACTORS: tuple[float, ...] = (*_SMALL, *(1 / factor for factor in _SMALL))
_IS_ALL = 0.95  # of the values, by the share that fits best
# How much of D may be left when the factor is taken out.
_LEFT_MAX, _LEFT_MAX_SMALL = 0.25, 0.1
# A wider law, or customers who spend twice as much, look like a share of values in another unit,
# but for the tails.
_SPREADS = (0.25, 0.33, 0.5, 0.6, 0.7, 0.8, 0.9, 1.1, 1.2, 1.3, 1.4, 1.6, 1.8, 2.0, 3.0, 4.0)
_ORDERED = slice(0, MISSING)


@dataclass(frozen=True, slots=True)
class Kind:
    """The kind of a change.

    Attributes
    ----------
    name
        "constant": one value where there were several. "missing": more or fewer values are
        missing. "new_category": values that the reference does not have. "unit": all values, or
        some of them, times a factor. "type": texts where the reference has numbers. "location":
        numbers lie higher or lower. "shape": any other change of shares.
    factor
        Of kind "unit", about what the values were multiplied by; None where all lie beyond the
        reference, and nothing tells by how much.
    share
        Of kind "unit", of the values that were.
    """

    name: KindName
    factor: float | None = None
    share: float | None = None


def kind_of(
    column: BinnedColumn,
    test: ColumnTest,
    window: Ints,
    reference: Ints,
    *,
    value_count: int | None = None,
) -> Kind | None:
    """The kind of a column's change; None without an alarm.

    Parameters
    ----------
    window, reference
        int64 (CELL_COUNT,), rows in each cell.
    value_count
        How many different values the window has, where rows were at hand. Where not, numbers that
        are all in the highest cell are taken for another unit, in any other one for a constant.
    """
    if not test.alarm:
        return None
    p, q = shares(window), shares(reference)
    variation = np.abs(p - q).sum() / 2
    if test.cell == MISSING or abs(p[MISSING] - q[MISSING]) >= _MOST * variation:
        return Kind("missing")
    if column.kind == "numeric" and p[UNSEEN] - q[UNSEEN] >= _MOST * variation:
        return Kind("type")
    if _is_constant(column, window, reference, value_count):
        return Kind("constant")
    if column.kind == "values":
        is_new = (reference == 0) & (window > 0)
        is_new[[MISSING, UNSEEN]] = False, p[UNSEEN] > q[UNSEEN]
        gain = (p - q)[is_new].sum()
        found = test.cell is not None and bool(is_new[test.cell])
        return Kind("new_category" if found or gain >= _MOST * variation else "shape")
    return _of_numbers(column, window[_ORDERED], reference[_ORDERED])


def _is_constant(
    column: BinnedColumn, window: Ints, reference: Ints, value_count: int | None
) -> bool:
    if value_count is not None:
        return value_count == 1 and int((reference[:MISSING] > 0).sum()) > 1
    p, q = window.copy(), reference.copy()
    p[MISSING] = q[MISSING] = 0
    at = int(p.argmax())
    is_one = p[at] >= _ALL * p.sum() and q[at] < _ALL * q.sum()
    is_above = at == (UNSEEN if column.kind == "values" else column.finite_count)
    return bool(is_one and not is_above)


def _of_numbers(column: BinnedColumn, window: Ints, reference: Ints) -> Kind:
    p, q = shares(window), shares(reference)
    if (unit := _unit(column.edges, np.cumsum(p), np.cumsum(q))) is not None:
        return unit
    distance = np.abs(np.cumsum(p - q)).max()
    moved = abs(float((ridits(window + reference) * (p - q)).sum()))
    # A shift of a normal law moves the mean ridit by 0.7 D, a change of its spread by nothing.
    return Kind("location" if moved >= 0.4 * distance else "shape")


def _unit(edges: Floats, in_window: Floats, in_reference: Floats) -> Kind | None:
    """The factor by which values, or a share of them, were multiplied, if that explains a change.

    With the distribution function F of the reference and a share s it makes
    (1 - s) F(x) + s F(x / factor).
    """
    x = edges[np.isfinite(edges)]
    if x.size == 0:
        return None
    f_w, f_r = in_window[: x.size], in_reference[: x.size]
    change = f_w - f_r
    distance = np.abs(change).max()
    if f_w.max() < 1 - _ALL and f_r.max() > 1 - _LEFT_MAX:
        return Kind("unit", None, 1.0)
    factors = _FACTORS if x.min() < 0 else _FACTORS + _SMALL_FACTORS
    fits: list[tuple[float, float, float]] = []
    for factor in factors:
        with np.errstate(over="ignore"):  # of the largest numbers there are
            at = x / factor
        moved = _at(x, f_r, at) if factor > 0 else 1 - _at(x, f_r, at)
        full = moved - f_r
        size = max(float(full @ full), 1e-12)
        share = min(max(float(change @ full) / size, 0.0), 1.0)
        left = change - share * full
        is_small = factor in _SMALL_FACTORS
        is_enough = share >= (_IS_ALL if is_small or factor == -1 else 0.0)
        if (
            is_enough
            and np.abs(left).max() <= (_LEFT_MAX_SMALL if is_small else _LEFT_MAX) * distance
        ):
            fits.append((float(left @ left), factor, share))
    if not fits:
        return None
    # Beyond the reference nothing tells 60 from 100: of those that fit alike the likelier one.
    best = min(fits)[0]
    squares, chosen, share = next(fit for fit in fits if fit[0] <= 2 * best + 1e-4)
    if share < _IS_ALL and _left_by_others(x, f_r, change) < squares:
        return None
    return Kind("unit", chosen, share)


def _left_by_others(x: Floats, f: Floats, change: Floats) -> float:
    """What is left of a change, squared, where some or all values are a few times as large."""
    found = []
    for by in _SPREADS:
        full = _at(x, f, x / by) - f
        share = min(max(float(change @ full) / max(float(full @ full), 1e-12), 0.0), 1.0)
        left = change - share * full
        found.append(float(left @ left))
    return min(found)


def _at(x: Floats, f: Floats, wanted: Floats) -> Floats:
    """The distribution function where it is wanted, between its edges on a scale of magnitudes."""
    scale = float(np.median(np.abs(x))) or 1.0

    def magnitude(values: Floats) -> Floats:
        return np.arcsinh(values / scale)

    return np.interp(magnitude(wanted), magnitude(x), f, left=0.0, right=1.0)
