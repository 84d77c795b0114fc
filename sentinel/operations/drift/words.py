"""What changed in a column, in words."""

import numpy as np

from sentinel.core.drift.columns import MISSING, OTHER, UNSEEN, Column
from sentinel.core.drift.effects import shares
from sentinel.core.drift.kinds import Kind
from sentinel.core.drift.window_test import ColumnTest
from sentinel.operations.arrival.columns import FileColumn
from sentinel.operations.drift.roles import median
from sentinel.records import Floats, Ints

_TEXT_LENGTH_MAX = 40
_IS_ALL = 0.95


def what_changed(
    column: Column,
    test: ColumnTest,
    kind: Kind,
    counts: tuple[Ints, Ints],
    files: tuple[FileColumn, FileColumn],
) -> str:
    """A few words; counts of cells and what was looked at, of the reference and of the file."""
    before, after = shares(counts[0]), shares(counts[1])
    match kind.name:
        case "missing":
            return f"{_from_to(before[MISSING], after[MISSING])} missing"
        case "type":
            return f"{_from_to(before[UNSEEN], after[UNSEEN])} are no numbers"
        case "constant":
            return f"always {_quoted(next(iter(files[1].counts), ''))}"
        case "unit":
            return _unit(kind)
        case "new_category":
            return _new(column, before, after)
        case "location":
            medians = " -> ".join(f"{median(file):.6g}" for file in files)
            return f"median {medians}"
    return _moved_most(column, test, before, after)


def _unit(kind: Kind) -> str:
    if kind.factor is None:
        return "all beyond the reference"
    by = f"× {kind.factor:.7g}" if abs(kind.factor) >= 1 else f"÷ {1 / kind.factor:.7g}"
    is_all = kind.share is None or kind.share >= _IS_ALL
    return by if is_all else f"{_percent(kind.share or 0.0)} of the values {by}"


def _new(column: Column, before: Floats, after: Floats) -> str:
    gains = np.where((before == 0) & (after > 0), after, 0.0)
    gains[[MISSING, UNSEEN]] = 0.0
    gains[UNSEEN] = max(after[UNSEEN] - before[UNSEEN], 0.0)
    return _cell(column, int(gains.argmax()), before, after)


def _moved_most(column: Column, test: ColumnTest, before: Floats, after: Floats) -> str:
    change = np.abs(after - before)
    return _cell(column, int(change.argmax()) if test.cell is None else test.cell, before, after)


def _cell(column: Column, cell: int, before: Floats, after: Floats) -> str:
    return f"{_called(column, cell)}: {_from_to(before[cell], after[cell])}"


def _called(column: Column, cell: int) -> str:
    """What a cell holds."""
    if cell == MISSING:
        return "missing"
    if cell == UNSEEN:
        return "values that the reference does not have" if column.kind == "values" else "no number"
    if column.kind == "values":
        return "the rarer values" if cell == OTHER else _quoted(column.names[cell])
    if cell < len(column.names):
        return column.names[cell]
    edges = column.edges
    if cell == 0:
        return f"up to {edges[0]:.6g}"
    if cell >= column.finite_count:
        return f"above {edges[cell - 1]:.6g}"
    return f"above {edges[cell - 1]:.6g} up to {edges[cell]:.6g}"


def _quoted(text: str) -> str:
    cut = text if len(text) <= _TEXT_LENGTH_MAX else text[: _TEXT_LENGTH_MAX - 1] + "…"
    return f'"{cut}"'


def _from_to(before: float, after: float) -> str:
    return f"{_percent(before)} -> {_percent(after)}"


def _percent(share: float) -> str:
    """With as many digits as it takes to tell small ones from none."""
    percent = 100 * float(share)
    if percent == 0 or percent >= 10:
        return f"{percent:.0f} %"
    return f"{percent:.1f} %" if percent >= 1 else f"{percent:.2g} %"
