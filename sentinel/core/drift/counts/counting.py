"""How often each cell of each column was met, by groups of accounts.

Rows of one account are alike, so that a test which takes them for independent alarms at nothing.
What the accounts share shows between groups of them: an account is always in the same group, and
the counts of a cell differ from group to group by more than chance as far as its rows are alike.
"""

from dataclasses import dataclass
from typing import Self

import numba
import numpy as np
from numpy.typing import NDArray

from sentinel.core.drift.counts.columns import CELL_COUNT, MISSING, UNSEEN
from sentinel.core.features.hashing import rehashed
from sentinel.records import Floats, Ints

GROUP_COUNT = 64
# From the rows of this many groups follows how many rows an account has, within some 4 per cent.
SIZE_GROUP_COUNT = 1024
_SALT = 0x6472696674_31  # any other number would do, but for 0; it may never change

Counts = NDArray[np.int32]


def size_groups(account_hashes: Ints) -> Ints:
    """The group of each account among SIZE_GROUP_COUNT, int64 (n,); its 64 lowest bits' group is
    the one among GROUP_COUNT.
    """
    return rehashed(account_hashes, _SALT).view(np.uint64).astype(np.int64) & (SIZE_GROUP_COUNT - 1)


@dataclass(frozen=True, eq=False, slots=True)
class GroupCounts:
    """Counts of rows that can be added up.

    Attributes
    ----------
    cells
        int64 (F, GROUP_COUNT, CELL_COUNT): rows of each account group in each cell of each column.
    sizes
        int64 (SIZE_GROUP_COUNT,): rows of each of the many small groups.

    Of one segment there are fewer groups of either (`segments.of_segment`).
    """

    cells: Ints
    sizes: Ints

    @classmethod
    def empty(cls, column_count: int) -> Self:
        """Of no rows."""
        return cls(
            np.zeros((column_count, GROUP_COUNT, CELL_COUNT), dtype=np.int64),
            np.zeros(SIZE_GROUP_COUNT, dtype=np.int64),
        )

    @property
    def row_count(self) -> int:
        """How many rows were counted."""
        return int(self.sizes.sum())

    def __add__(self, other: "GroupCounts") -> "GroupCounts":
        return GroupCounts(self.cells + other.cells, self.sizes + other.sizes)

    def add(self, cells: Ints, sizes: Ints) -> None:
        """Count these in, in place."""
        np.add(self.cells, cells, out=self.cells)
        np.add(self.sizes, sizes, out=self.sizes)

    def of_columns(self, at: Ints | list[int]) -> "GroupCounts":
        """Those of some columns."""
        return GroupCounts(self.cells[at], self.sizes)

    def rows_per_account(self) -> float:
        """Rows per account, weighted by them: the sum of n_a^2 over the sum of n_a; at least 1.

        Unbiased, from E[sum (n_g - n / G)^2] = (1 - 1 / G) sum n_a^2, since accounts fall into
        groups at random.
        """
        n, group_count = self.row_count, self.sizes.size
        if n == 0:
            return 1.0
        spread = ((self.sizes - n / group_count) ** 2).sum()
        return max(1.0, float(spread / (1 - 1 / group_count) / n))


def count(values: Floats, account_hashes: Ints, edges: Floats, by_value: Floats) -> GroupCounts:
    """Count rows.

    Parameters
    ----------
    values
        float64 (n, F); NaN where one is missing.
    account_hashes
        int64 (n,): `hash64` of each row's account.
    edges, by_value
        Of `columns.edges_of`.
    """
    cells = np.zeros((edges.shape[0], GROUP_COUNT, CELL_COUNT), dtype=np.int32)
    sizes = np.zeros(SIZE_GROUP_COUNT, dtype=np.int32)
    groups = size_groups(account_hashes)
    rows = np.arange(len(values))
    count_rows(np.ascontiguousarray(values), rows, groups, edges, by_value, cells, sizes)
    return GroupCounts(cells.astype(np.int64), sizes.astype(np.int64))


@numba.njit(cache=True, nogil=True, inline="always")
def _cell(x: float, e: Floats, is_value: bool) -> int:
    """The cell of a number: how many edges are below it, or MISSING, or UNSEEN.

    Five steps without a branch, where numba's own np.searchsorted takes seven times as long.
    """
    k = 16 * (e[15] < x)
    k += 8 * (e[k + 7] < x)
    k += 4 * (e[k + 3] < x)
    k += 2 * (e[k + 1] < x)
    k += 1 * (e[k] < x)
    if x != x:
        return MISSING
    if is_value and (k == len(e) or e[k] != x or x == np.inf):
        return UNSEEN
    return k


@numba.njit(cache=True, nogil=True)
def count_rows(
    values: Floats,
    rows: Ints,
    groups: Ints,
    edges: Floats,
    by_value: Floats,
    cells: Counts,
    sizes: Counts,
) -> None:
    """Add the rows of a batch that are named in `rows` to `cells` and `sizes`.

    Parameters
    ----------
    values
        float64 (n, F), C-contiguous.
    rows
        int64 (m,): which rows to count.
    groups
        int64 (n,): of `size_groups`.
    edges, by_value
        float64 (F, EDGE_COUNT) and (F,).
    """
    for f in range(edges.shape[0]):
        e, of_column, is_value = edges[f], cells[f], by_value[f] > 0.0
        for i in rows:
            of_column[groups[i] & (GROUP_COUNT - 1), _cell(values[i, f], e, is_value)] += 1
    for i in rows:
        sizes[groups[i]] += 1


@numba.njit(cache=True, nogil=True)
def mark_cells(values: Floats, edges: Floats, by_value: Floats, out: NDArray[np.uint8]) -> None:
    """Fill `out`, uint8 (F, n), with the cells of `values`, float64 (n, F): to count them later."""
    for f in range(edges.shape[0]):
        e, of_column, is_value = edges[f], out[f], by_value[f] > 0.0
        for i in range(values.shape[0]):
            of_column[i] = _cell(values[i, f], e, is_value)


@numba.njit(cache=True, nogil=True)
def count_cells(
    marked: NDArray[np.uint8], rows: Ints, groups: Ints, cells: Counts, sizes: Counts
) -> None:
    """As `count_rows`, of cells that are known: uint8 (F, n)."""
    for f in range(marked.shape[0]):
        of_row, of_column = marked[f], cells[f]
        for i in rows:
            of_column[groups[i] & (GROUP_COUNT - 1), of_row[i]] += 1
    for i in rows:
        sizes[groups[i]] += 1
