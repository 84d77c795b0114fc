"""Where a change stands: in one segment only, or mostly, or in all of them.

Of each column that changed the contrast that showed it is compared in a segment and in the rest. A
change of the mix of segments moves the whole and none of them: then none is named.
"""

from collections.abc import Sequence

import numpy as np
from scipy.special import ndtri

from sentinel.core.drift.counts.columns import MISSING
from sentinel.core.drift.counts.counting import GroupCounts
from sentinel.core.drift.counts.segments import Segmentation
from sentinel.core.drift.windows.effects import ridits, shares
from sentinel.core.drift.windows.window_test import ColumnTest
from sentinel.records import Floats, Ints

LEVEL = 0.01  # of naming one where the change is alike in all, of all segments of a column together
_REST_MAX = 1 / 3  # of the change in the segment: so much of it the rest may show
_SHARE_MIN = 0.7  # of the change of the whole: so much of it the segment makes up
_CHANCE = 2.0  # standard errors by which what has not changed may seem to have
_ROW_COUNT_MIN = 30  # of either side


def segment_standing_out(
    tests: Sequence[ColumnTest],
    window: GroupCounts,
    reference: GroupCounts,
    segmentation: Segmentation,
) -> dict[str, str]:
    """The segment that a change stands in, by the name of the column; of all that alarm.

    Parameters
    ----------
    tests
        Of each column of the whole stream.
    window, reference
        Counts of these columns with segments for groups.
    """
    found = {}
    for f, test in enumerate(tests):
        if test.alarm:
            segment = _standing(test, window.cells[f], reference.cells[f], segmentation)
            if segment is not None:
                found[test.name] = segmentation.names[segment]
    return found


def _standing(
    test: ColumnTest, window: Ints, reference: Ints, segmentation: Segmentation
) -> int | None:
    """Of all segments the one that stands out most; int64 (GROUP_COUNT, CELL_COUNT)."""
    columns_of = np.array(segmentation.columns_of)
    limit = -float(ndtri(LEVEL / 2 / max(columns_of.size, 1)))
    found, most = None, limit
    for name in dict.fromkeys(columns_of.tolist()):
        at = np.flatnonzero(columns_of == name)
        z = _apart(test, window[at], reference[at])
        best = int(np.argmax(z))
        if z[best] > most:
            found, most = int(at[best]), float(z[best])
    return found


def _apart(test: ColumnTest, window: Ints, reference: Ints) -> Floats:
    """How many standard errors the change in each segment is beyond that in the rest, (S,).

    Minus infinity where the rest has changed as well, or there are too few rows.
    """
    contrast = _contrast(test, window.sum(axis=0), reference.sum(axis=0))
    sides = [_Means(side, contrast) for side in (window, reference)]
    own = sides[0].mean() - sides[1].mean()
    rest = sides[0].mean_of_rest() - sides[1].mean_of_rest()
    of_own, of_rest = np.zeros(len(own)), np.zeros(len(own))  # variances
    enough = np.ones(len(own), dtype=np.bool_)
    for side, design_effect in zip(sides, test.design_effects, strict=True):
        others = side.rows.sum() - side.rows
        enough &= (side.rows >= _ROW_COUNT_MIN) & (others >= _ROW_COUNT_MIN)
        of_own += design_effect * side.spread() / np.maximum(side.rows, 1.0)
        of_rest += design_effect * side.spread_of_rest() / np.maximum(others, 1.0)
    variance = of_own + of_rest
    z = np.abs(own - rest) / np.sqrt(np.maximum(variance, 1e-300))
    # One by one: changes of the others may cancel each other out.
    beyond_chance = np.maximum(np.abs(own) - _CHANCE * np.sqrt(of_own), 0.0) * sides[0].rows
    share = np.abs(own) * sides[0].rows
    of_others = beyond_chance.sum() - beyond_chance
    stands = enough & (variance > 0) & (np.abs(rest) <= _REST_MAX * np.abs(own))
    return np.where(stands & (share >= _SHARE_MIN * (share + of_others)), z, -np.inf)


def _contrast(test: ColumnTest, window: Ints, reference: Ints) -> Floats:
    """A number for each cell, NaN where a row is none of it: along what the whole has changed.

    Where a mean moved, its ridits. Else the cells that gained and lost, in the direction of that:
    one alone would be most in whatever segment has most of it.
    """
    if test.part != "cell":
        found = np.full(window.size, np.nan)
        ridit = ridits((window + reference)[:MISSING])
        found[:MISSING] = ridit if test.part == "location" else (ridit - 0.5) ** 2
        return found
    sides, variance = [], np.zeros(window.size)
    for cells, design_effect in zip((window, reference), test.design_effects, strict=True):
        share = shares(cells)
        sides.append(share)
        variance += design_effect * share * (1 - share) / max(cells.sum(), 1)
    gain, both = sides[0] - sides[1], sides[0] + sides[1]
    moved = np.abs(gain) >= _CHANCE * np.sqrt(variance)
    moved[test.cell] = True
    return np.where(moved & (both > 0), gain / np.maximum(both, 1e-300), 0.0)


class _Means:
    """Of one side: rows (S, CELL_COUNT) by a contrast (CELL_COUNT,)."""

    def __init__(self, cells: Ints, contrast: Floats) -> None:
        counted, values = ~np.isnan(contrast), np.nan_to_num(contrast)
        self.rows = cells[:, counted].sum(axis=1).astype(np.float64)
        self._sums = cells @ values
        self._squares = cells @ values**2

    def mean(self) -> Floats:
        return _ratio(self._sums, self.rows)

    def mean_of_rest(self) -> Floats:
        return _ratio(*(one.sum() - one for one in (self._sums, self.rows)))

    def spread(self) -> Floats:
        return np.maximum(_ratio(self._squares, self.rows) - self.mean() ** 2, 0.0)

    def spread_of_rest(self) -> Floats:
        squares, rows = (one.sum() - one for one in (self._squares, self.rows))
        return np.maximum(_ratio(squares, rows) - self.mean_of_rest() ** 2, 0.0)


def _ratio(sums: Floats, rows: Floats) -> Floats:
    return sums / np.maximum(rows, 1.0)
