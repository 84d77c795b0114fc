"""Has a column changed between a reference and a window, or is that chance?

The test keeps its rate where rows of one account are alike (`dependence`). In simulated windows of
30 features without a change any of them alarms in fewer than `alpha` of windows, where tests of
independent rows alarm in 99 of 100 (docs/measurements.md, "Drift: windows").
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sentinel.core.drift.counts.columns import MISSING, OTHER, UNSEEN, BinnedColumn
from sentinel.core.drift.counts.counting import GroupCounts
from sentinel.core.drift.windows.dependence import GroupedMeans, Sureness, independent, sureness
from sentinel.core.drift.windows.effects import effects, psi_by_chance, ridits, shares
from sentinel.core.drift.windows.two_samples import shares_p, welch_p
from sentinel.records import Floats, Ints

Flags = NDArray[np.bool_]
Part = Literal["location", "spread", "cell"]

ALPHA = 0.01
FLOOR = 0.02  # a distribution of numbers that changed by less than this D does not alarm as a whole

# Which share of the level goes where, of a table that has numbers: most changes move a mean.
_LOCATION_SHARE, _SPREAD_SHARE, _CELL_SHARE = 0.4, 0.1, 0.5
# With fewer of them, a side's variance is too little known for the normal law of shares.
_ACCOUNT_COUNT_MIN = 40
_ORDERED = slice(0, MISSING)
_PARTS: tuple[Part, ...] = ("location", "spread", "cell")


@dataclass(frozen=True, slots=True)
class ColumnTest:
    """What the test found in one column.

    Attributes
    ----------
    p
        Adjusted for all that was tested in all columns: some column has p <= alpha in a share alpha
        of windows without a change, at most.
    effect
        `Effects.effect`: D of numbers, total variation of values.
    part, cell
        What has the smallest p: where numbers lie, how far they spread, or the share of one cell.
    design_effects
        How many rows weigh as an independent one, in the window and in the reference: for the mean
        of numbers, for the most frequent cell of values.
    psi_beyond_chance
        The population stability index less what chance makes of it, at least 0.
    """

    name: str
    p: float
    alarm: bool
    effect: float
    total_variation: float
    part: Part
    cell: int | None
    design_effects: tuple[float, float]
    psi_beyond_chance: float


@dataclass(frozen=True, eq=False, slots=True)
class _Tested:
    """Unadjusted p-values of K contrasts of F columns, (F, K), and how sure the sides are."""

    p: Floats
    window: Sureness
    reference: Sureness


def window_test(
    columns: Sequence[BinnedColumn],
    window: GroupCounts,
    reference: GroupCounts,
    *,
    alpha: float = ALPHA,
    floor: float = FLOOR,
    rows_are_independent: bool = False,
) -> list[ColumnTest]:
    """Test every column.

    Parameters
    ----------
    window, reference
        Counts of these columns, in the same cells.
    alpha
        In which share of windows without a change any column alarms, at most; in (0, 1).
    floor
        The smallest D at which a distribution of numbers alarms as a whole; a cell has none.
    rows_are_independent
        Take each row for an account of its own, whatever the groups show.
    """
    assert window.cells.shape == reference.cells.shape
    assert len(window.cells) == len(columns)
    assert 0 < alpha < 1
    if not columns:
        return []
    sides = (window.cells.sum(axis=1), reference.cells.sum(axis=1))
    found = effects(columns, *sides)
    is_numeric = ~np.isnan(found.distance)
    wholes = _wholes(window, reference, rows_are_independent)
    cells = _cells(columns, window, reference, rows_are_independent)
    p = _adjusted(wholes.p, cells.p, is_numeric, found.distance >= floor, sides[0] + sides[1])
    design = np.stack(
        [
            _design_effect(whole, cell, is_numeric, sides[0] + sides[1])
            for whole, cell in (
                (wholes.window, cells.window),
                (wholes.reference, cells.reference),
            )
        ]
    )
    n = np.stack([side.sum(axis=1) for side in sides]) / design
    psi = np.maximum(found.psi - psi_by_chance(*sides, n[0], n[1]), 0.0)
    parts, at = p.argmin(axis=1), cells.p.argmin(axis=1)
    least = np.minimum(p.min(axis=1), 1.0)
    return [
        ColumnTest(
            name=column.name,
            p=float(least[f]),
            alarm=bool(least[f] <= alpha),
            effect=float(found.effect[f]),
            total_variation=float(found.total_variation[f]),
            part=_PARTS[parts[f]],
            cell=int(at[f]) if _PARTS[parts[f]] == "cell" else None,
            design_effects=(float(design[0, f]), float(design[1, f])),
            psi_beyond_chance=float(psi[f]),
        )
        for f, column in enumerate(columns)
    ]


def _adjusted(
    wholes: Floats, cells: Floats, is_numeric: Flags, is_large: Flags, both: Ints
) -> Floats:
    """Each part's p-value times how many share its level, (F, 3); the least is the column's."""
    numeric_count = int(is_numeric.sum())
    cell_level = _CELL_SHARE if numeric_count else 1.0
    tested_count = int((both > 0).sum())
    p = np.column_stack(
        [
            wholes[:, 0] * numeric_count / _LOCATION_SHARE,
            wholes[:, 1] * numeric_count / _SPREAD_SHARE,
            cells.min(axis=1) * max(tested_count, 1) / cell_level,
        ]
    )
    p[~(is_numeric & is_large), :2] = np.inf
    return p


def _design_effect(whole: Sureness, cells: Sureness, is_numeric: Flags, both: Ints) -> Floats:
    at = both.argmax(axis=1)
    of_cell = cells.design_effect[np.arange(len(both)), at]
    return np.where(is_numeric, whole.design_effect[:, 0], of_cell)


def _sides(
    window: GroupedMeans,
    reference: GroupedMeans,
    spread: Floats,
    rows_per_account: tuple[float, float],
    are_independent: bool,
) -> tuple[Sureness, Sureness]:
    if are_independent:
        return independent(window, spread), independent(reference, spread)
    return sureness(window, reference, spread, rows_per_account)


def _wholes(window: GroupCounts, reference: GroupCounts, are_independent: bool) -> _Tested:
    """Where the numbers of a column lie, and how far they spread: Welch's test of both means."""
    counts = [side.cells[:, :, _ORDERED].astype(np.float64) for side in (window, reference)]
    both = counts[0].sum(axis=1) + counts[1].sum(axis=1)
    ridit = ridits(both)
    contrasts = np.stack([ridit, (ridit - 0.5) ** 2], axis=1)
    share = shares(both)[:, None, :]
    center = (share * contrasts).sum(axis=2, keepdims=True)
    spread = (share * (contrasts - center) ** 2).sum(axis=2)
    can_change = spread > 1e-12
    spread = np.where(can_change, spread, 1.0)
    means = []
    for side in counts:
        sums = contrasts @ side.transpose(0, 2, 1)
        means.append(GroupedMeans.of(sums, np.broadcast_to(side.sum(axis=2)[:, None], sums.shape)))
    per_account = (window.rows_per_account(), reference.rows_per_account())
    a, b = _sides(means[0], means[1], spread, per_account, are_independent)
    p = welch_p(means[0], means[1], a, b)
    return _Tested(np.where(can_change, p, 1.0), a, b)


def _account_count(window: GroupCounts, reference: GroupCounts) -> float:
    """Of the side with fewer, as many as would have as many rows each."""
    return min(side.row_count / side.rows_per_account() for side in (window, reference))


def _cells(
    columns: Sequence[BinnedColumn],
    window: GroupCounts,
    reference: GroupCounts,
    are_independent: bool,
) -> _Tested:
    """The share of each cell: of missing ones among all rows, of others among those with a value.

    That the reference has more of what is unseen is no change: there may be nothing new. The rest
    of the values, in OTHER, has what the cells beside it leave.
    """
    means = []
    for side in (window, reference):
        sums = side.cells.transpose(0, 2, 1).astype(np.float64)
        rows = sums.sum(axis=1, keepdims=True)
        sizes = np.repeat(rows - sums[:, MISSING : MISSING + 1], sums.shape[1], axis=1)
        sizes[:, MISSING] = rows[:, 0]
        means.append(GroupedMeans.of(sums, sizes))
    w, r = means
    n = np.maximum(w.row_count + r.row_count, 1)
    share = (w.mean * w.row_count + r.mean * r.row_count) / n
    spread = share * (1 - share)
    can_change = (spread > 1e-15) & (w.row_count > 0) & (r.row_count > 0)
    spread = np.where(can_change, spread, 1.0)
    per_account = (window.rows_per_account(), reference.rows_per_account())
    a, b = _sides(w, r, spread, per_account, are_independent)
    n_w, n_r = w.row_count / a.design_effect, r.row_count / b.design_effect
    p = np.ones_like(share)
    p[can_change] = shares_p(*(x[can_change] for x in (w.mean * n_w, n_w, r.mean * n_r, n_r)))
    if not are_independent and _account_count(window, reference) < _ACCOUNT_COUNT_MIN:
        p = np.maximum(p, welch_p(w, r, a, b))
    p[[c.kind == "values" for c in columns], OTHER] = 1.0
    p[:, UNSEEN] = np.where(w.mean[:, UNSEEN] > r.mean[:, UNSEEN], p[:, UNSEEN], 1.0)
    return _Tested(p, a, b)
