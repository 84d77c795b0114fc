"""What changed in a column, in words, by what its cells hold."""

import numpy as np

from sentinel.core.drift.counts.columns import MISSING, OTHER, UNSEEN, BinnedColumn
from sentinel.core.drift.windows.effects import shares
from sentinel.core.drift.windows.kinds import Kind
from sentinel.core.drift.windows.window_test import ColumnTest
from sentinel.records import Floats, Ints

_TEXT_LENGTH_MAX = 40
_IS_ALL = 0.95


def words_of_counts(
    column: BinnedColumn, test: ColumnTest, kind: Kind, reference: Ints, window: Ints
) -> str:
    """A few words; rows in each cell, int64 (CELL_COUNT,)."""
    before, after = shares(reference), shares(window)
    match kind.name:
        case "missing":
            return f"{from_to(before[MISSING], after[MISSING])} missing"
        case "type":
            return f"{from_to(before[UNSEEN], after[UNSEEN])} are no numbers"
        case "constant":
            return f"always the same: {called(column, int(after.argmax()))}"
        case "unit":
            return of_unit(kind)
        case "new_category":
            return of_new(column, before, after)
        case "location":
            return f"median {_median(column, before)} -> {_median(column, after)}"
    return moved_most(column, test, before, after)


def _median(column: BinnedColumn, share: Floats) -> str:
    """The upper edge of the cell with the middle row."""
    values = share[:MISSING]
    cell = int(np.searchsorted(np.cumsum(values), values.sum() / 2))
    if cell >= column.finite_count:
        return f"above {column.edges[column.finite_count - 1]:.4g}" if column.finite_count else "?"
    return f"{column.edges[cell]:.4g}"


def of_unit(kind: Kind) -> str:
    if kind.factor is None:
        return "all beyond the reference"
    by = f"× {kind.factor:.7g}" if abs(kind.factor) >= 1 else f"÷ {1 / kind.factor:.7g}"
    is_all = kind.share is None or kind.share >= _IS_ALL
    return by if is_all else f"{_percent(kind.share or 0.0)} of the values {by}"


def of_new(column: BinnedColumn, before: Floats, after: Floats) -> str:
    gains = np.where((before == 0) & (after > 0), after, 0.0)
    gains[[MISSING, UNSEEN]] = 0.0
    gains[UNSEEN] = max(after[UNSEEN] - before[UNSEEN], 0.0)
    return _cell(column, int(gains.argmax()), before, after)


def moved_most(column: BinnedColumn, test: ColumnTest, before: Floats, after: Floats) -> str:
    change = np.abs(after - before)
    return _cell(column, int(change.argmax()) if test.cell is None else test.cell, before, after)


def _cell(column: BinnedColumn, cell: int, before: Floats, after: Floats) -> str:
    return f"{called(column, cell)}: {from_to(before[cell], after[cell])}"


def called(column: BinnedColumn, cell: int) -> str:
    """What a cell holds."""
    if cell == MISSING:
        return "missing"
    if cell == UNSEEN:
        return "values that the reference does not have" if column.kind == "values" else "no number"
    if column.kind == "values":
        return "the rarer values" if cell == OTHER else quoted(column.names[cell])
    if cell < len(column.names):
        return column.names[cell]
    edges = column.edges
    if cell == 0:
        return f"up to {edges[0]:.6g}"
    if cell >= column.finite_count:
        return f"above {edges[cell - 1]:.6g}"
    return f"above {edges[cell - 1]:.6g} up to {edges[cell]:.6g}"


def quoted(text: str) -> str:
    cut = text if len(text) <= _TEXT_LENGTH_MAX else text[: _TEXT_LENGTH_MAX - 1] + "…"
    return f'"{cut}"'


def from_to(before: float, after: float) -> str:
    return f"{_percent(before)} -> {_percent(after)}"


def _percent(share: float) -> str:
    """With as many digits as it takes to tell small ones from none."""
    percent = 100 * float(share)
    if percent == 0 or percent >= 10:
        return f"{percent:.0f} %"
    return f"{percent:.1f} %" if percent >= 1 else f"{percent:.2g} %"
