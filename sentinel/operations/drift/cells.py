"""Two files counted in the same cells, which are drawn from both.

Cells drawn from both sides treat them alike, so that where nothing has changed chance has no side
to prefer: the most frequent values of the reference alone are rarer elsewhere, by choice alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sentinel.adapters.files.tables import NO_NUMBER, Coding, TableFile, TextCounts
from sentinel.core.drift.counts.columns import (
    CELL_COUNT,
    EDGE_COUNT,
    MISSING,
    OTHER,
    UNSEEN,
    BinnedColumn,
    edges_of,
    numeric_column,
    padded,
)
from sentinel.core.drift.counts.counting import (
    GROUP_COUNT,
    SIZE_GROUP_COUNT,
    GroupCounts,
    count_rows,
    size_groups,
)
from sentinel.operations.arrival.columns import FileColumn
from sentinel.operations.drift.roles import ColumnRole
from sentinel.records import Floats, Ints

TEXT_COUNT_MAX = 200_000  # different texts of a column; with more it is none of categories
# So many rows of the smaller file to a cell of a number: fewer only share out the level.
_ROWS_PER_CELL = 20
_CELLS_MIN = 4


@dataclass(frozen=True, eq=False, slots=True)
class Side:
    """A file, the hash of each row's account, and which rows count."""

    table: TableFile
    accounts: Ints
    is_kept: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class TextCells:
    """The cells of a column of texts, and how each file's texts are coded."""

    column: BinnedColumn
    reference: Coding
    file: Coding


def number_cells(reference: FileColumn, file: FileColumn, row_count: int) -> BinnedColumn:
    """A cell for each of few numbers, else between quantiles of both files."""
    numbers = np.concatenate([reference.numbers, file.numbers])
    distinct = np.unique(numbers[np.isfinite(numbers)])
    if distinct.size <= EDGE_COUNT:
        return BinnedColumn(reference.name, "numeric", padded(distinct))
    cell_count = int(np.clip(row_count // _ROWS_PER_CELL, _CELLS_MIN, EDGE_COUNT + 1))
    return numeric_column(reference.name, numbers, bin_count=cell_count)


def boolean_cells(name: str) -> BinnedColumn:
    """Of no and yes."""
    return BinnedColumn(name, "numeric", padded(np.array([0.0, 1.0])), ("no", "yes"))


def text_cells(name: str, reference: TextCounts, file: TextCounts) -> TextCells:
    """A cell for each of the most frequent texts of both files.

    The others are unseen where the reference does not have them. What is unseen of the reference
    itself are texts that one account alone has: without it the reference would not have them, and
    so often will another account bring something new though nothing has changed.
    """
    total = dict(reference.rows)
    for text, count in file.rows.items():
        total[text] = total.get(text, 0) + count
    shown = sorted(total, key=lambda text: (-total[text], text))[:EDGE_COUNT]
    cells = {text: cell for cell, text in enumerate(shown)}
    of_reference = {
        text: cells.get(text, UNSEEN if text in reference.of_one else OTHER)
        for text in reference.rows
    }
    of_file = {text: cells.get(text, OTHER) for text in reference.rows} | cells
    column = BinnedColumn(
        name, "values", padded(np.arange(len(shown), dtype=np.float64)), tuple(shown)
    )
    return TextCells(
        column, Coding(of_reference, UNSEEN, MISSING), Coding(of_file, UNSEEN, MISSING)
    )


def counted(
    side: Side,
    numbers: Sequence[BinnedColumn],
    roles: Mapping[str, ColumnRole],
    texts: Mapping[str, Coding],
) -> GroupCounts:
    """Count the rows of a file: columns of numbers and booleans, then those of texts."""
    booleans = [c.name for c in numbers if roles[c.name].reading == "boolean"]
    measured = [c for c in numbers if c.name not in booleans]
    ordered = [*measured, *(c for c in numbers if c.name in booleans)]
    assert list(numbers) == ordered
    cells = np.zeros((len(numbers) + len(texts), GROUP_COUNT, CELL_COUNT), dtype=np.int64)
    sizes = np.zeros(SIZE_GROUP_COUNT, dtype=np.int64)
    begin = 0
    for rows in side.table.rows([c.name for c in measured], booleans, texts):
        end = begin + len(rows.numbers)
        at = np.flatnonzero(side.is_kept[begin:end])
        groups = size_groups(side.accounts[begin:end])
        begin = end
        _count_numbers(rows.numbers, at, groups, numbers, cells)
        _count_codes(rows.codes[at], groups[at], cells[len(numbers) :])
        sizes += np.bincount(groups[at], minlength=SIZE_GROUP_COUNT)
    return GroupCounts(cells, sizes)


def _count_numbers(
    values: Floats, at: Ints, groups: Ints, columns: Sequence[BinnedColumn], cells: Ints
) -> None:
    if not columns:
        return
    edges, by_value = edges_of(columns)
    found = np.zeros((len(columns), GROUP_COUNT, CELL_COUNT), dtype=np.int32)
    sizes = np.zeros(SIZE_GROUP_COUNT, dtype=np.int32)
    count_rows(np.ascontiguousarray(values), at, groups, edges, by_value, found, sizes)
    cells[: len(columns)] += found
    # The kernel takes what is no number for one above all.
    is_none = values == NO_NUMBER
    for f in np.flatnonzero(is_none.any(axis=0)).tolist():
        rows = at[is_none[at, f]]
        some = np.bincount(groups[rows] & (GROUP_COUNT - 1), minlength=GROUP_COUNT)
        cells[f, :, columns[f].finite_count] -= some
        cells[f, :, UNSEEN] += some


def _count_codes(codes: NDArray[np.uint8], groups: Ints, cells: Ints) -> None:
    first = (groups & (GROUP_COUNT - 1)) * CELL_COUNT
    for t in range(codes.shape[1]):
        found = np.bincount(first + codes[:, t], minlength=GROUP_COUNT * CELL_COUNT)
        cells[t] += found.reshape(GROUP_COUNT, CELL_COUNT)
