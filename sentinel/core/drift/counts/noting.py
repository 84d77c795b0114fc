"""Decided rows, kept in few bytes until they are counted together."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

from sentinel.core.decision import APPROVE
from sentinel.core.drift.counts.columns import (
    CELL_COUNT,
    BinnedColumn,
    digest,
    edges_of,
    score_column,
)
from sentinel.core.drift.counts.counting import (
    GROUP_COUNT,
    SIZE_GROUP_COUNT,
    GroupCounts,
    count_cells,
    mark_cells,
    size_groups,
)
from sentinel.core.drift.counts.segments import count_segments
from sentinel.records import Floats, Ints

MILLION = 1_000_000
# What is added up by the cell of the score: rows, their probabilities in millionths, amounts, and
# amounts times probability, both in minor units; then of the alerted ones how many, and the same.
SCORE_SUMS = ("rows", "ppm", "amount", "money", "alerts", "caught_ppm", "caught_money")


class Binning:
    """The columns in whose cells is counted: the features, behind them the score."""

    def __init__(self, features: Sequence[BinnedColumn]) -> None:
        self.features = tuple(features)
        self.columns = (*self.features, score_column())
        self.digest = digest(self.columns)
        self._edges, self._by_value = edges_of(self.columns)

    def cells(self, features: Floats, probability: Floats) -> NDArray[np.uint8]:
        """The cell of each value: features (n, F) and probabilities (n,); uint8 (F + 1, n)."""
        marked = np.empty((len(self.columns), len(features)), dtype=np.uint8)
        mark_cells(features, self._edges[:-1], self._by_value[:-1], marked[:-1])
        mark_cells(probability[:, np.newaxis], self._edges[-1:], self._by_value[-1:], marked[-1:])
        return marked


@dataclass(frozen=True, eq=False, slots=True)
class NotedRows:
    """Rows that were decided; all arrays are of the same n rows.

    Attributes
    ----------
    partition, step
        int64: the input partition, and the step of event time.
    key
        int64: which arm of which version has decided.
    action
        int64: `core.decision`'s code of what was done.
    amount_minor, ppm
        int64: the amount, and the probability of fraud in millionths.
    group
        int64: of `counting.size_groups`.
    is_counted
        bool: whether it is among the first rows of its account in the hour.
    cells
        uint8 (F + 1, n): of `Binning.cells`.
    segments
        uint8 (C, n): of `Segmentation.of_rows`.
    """

    partition: Ints
    step: Ints
    key: Ints
    action: Ints
    amount_minor: Ints
    ppm: Ints
    group: Ints
    is_counted: NDArray[np.bool_]
    cells: NDArray[np.uint8]
    segments: NDArray[np.uint8]

    def __len__(self) -> int:
        return self.step.size

    def where(self, at: Ints | NDArray[np.bool_]) -> "NotedRows":
        """Some of the rows."""
        return NotedRows(
            self.partition[at], self.step[at], self.key[at], self.action[at],
            self.amount_minor[at], self.ppm[at], self.group[at], self.is_counted[at],
            np.ascontiguousarray(self.cells[:, at]), np.ascontiguousarray(self.segments[:, at]),
        )  # fmt: skip


def noted(
    partition: Ints,
    step: Ints,
    key: Ints,
    action: Ints,
    amount_minor: Ints,
    probability: Floats,
    account_hashes: Ints,
    is_counted: NDArray[np.bool_],
    cells: NDArray[np.uint8],
    segments: NDArray[np.uint8] | None = None,
) -> NotedRows:
    """Rows as they come from scoring; a row without a probability has 0.

    Without `segments` the stream is not split.
    """
    ppm, groups = millionths(probability), size_groups(account_hashes)
    if segments is None:
        segments = np.empty((0, step.size), dtype=np.uint8)
    return NotedRows(
        partition, step, key, action, amount_minor, ppm, groups, is_counted, cells, segments
    )


def millionths(probability: Floats) -> Ints:
    """Probabilities as whole numbers; of none 0."""
    return np.rint(np.nan_to_num(probability) * MILLION).astype(np.int64)


def joined(pieces: Sequence[NotedRows]) -> NotedRows:
    """All rows of several pieces, of which there is at least one."""

    def column(name: str) -> Ints:
        return np.concatenate([getattr(piece, name) for piece in pieces])

    return NotedRows(
        partition=column("partition"),
        step=column("step"),
        key=column("key"),
        action=column("action"),
        amount_minor=column("amount_minor"),
        ppm=column("ppm"),
        group=column("group"),
        is_counted=np.concatenate([piece.is_counted for piece in pieces]),
        cells=np.concatenate([piece.cells for piece in pieces], axis=1),
        segments=np.concatenate([piece.segments for piece in pieces], axis=1),
    )


@dataclass(frozen=True, eq=False, slots=True)
class StepCounts:
    """What was decided in one step by one arm.

    Attributes
    ----------
    actions
        int64: rows of each action code.
    counts
        Of the rows that are counted.
    scores
        int64 (CELL_COUNT, len(SCORE_SUMS)): of `score_sums`.
    segments
        The same rows as of `counts`, by segment; None where the stream is not split.
    """

    step: int
    key: int
    row_count: int
    actions: Ints
    counts: GroupCounts
    scores: Ints
    segments: GroupCounts | None


def steps_of(rows: NotedRows) -> Iterator[StepCounts]:
    """The rows counted by step and key, in that order."""
    order = np.lexsort((rows.key, rows.step))
    step, key = rows.step[order], rows.key[order]
    begins = np.flatnonzero(np.diff(step, prepend=step[0] - 1) | np.diff(key, prepend=key[0]))
    for begin, end in zip(begins, [*begins[1:], order.size], strict=True):
        yield _counted(rows, order[begin:end])


def _counted(rows: NotedRows, at: Ints) -> StepCounts:
    cells = np.zeros((len(rows.cells), GROUP_COUNT, CELL_COUNT), dtype=np.int32)
    sizes = np.zeros(SIZE_GROUP_COUNT, dtype=np.int32)
    counted = at[rows.is_counted[at]]
    count_cells(rows.cells, counted, rows.group, cells, sizes)
    is_split = len(rows.segments) > 0
    is_alert = rows.action[at] != APPROVE
    return StepCounts(
        step=int(rows.step[at[0]]),
        key=int(rows.key[at[0]]),
        row_count=at.size,
        actions=np.bincount(rows.action[at]),
        counts=GroupCounts(cells.astype(np.int64), sizes.astype(np.int64)),
        scores=score_sums(rows.cells[-1, at], rows.ppm[at], rows.amount_minor[at], is_alert),
        segments=count_segments(rows.cells, rows.segments, counted, rows.group)
        if is_split
        else None,
    )


def score_sums(
    cells: NDArray[np.uint8], ppm: Ints, amount_minor: Ints, is_alert: NDArray[np.bool_]
) -> Ints:
    """Sums of n rows by the cell of their score, int64 (CELL_COUNT, len(SCORE_SUMS)).

    Amounts times probability are rounded to the nearest minor unit; exact below 9 * 10**12.
    """
    found = np.zeros((CELL_COUNT, len(SCORE_SUMS)), dtype=np.int64)
    _add_sums(cells, ppm, amount_minor, is_alert, found)
    return found


@numba.njit(cache=True, nogil=True)
def _add_sums(
    cells: NDArray[np.uint8],
    ppm: Ints,
    amount_minor: Ints,
    is_alert: NDArray[np.bool_],
    found: Ints,
) -> None:
    for i in range(cells.size):
        of_cell = found[cells[i]]
        money = (amount_minor[i] * ppm[i] + MILLION // 2) // MILLION
        of_cell[0] += 1
        of_cell[1] += ppm[i]
        of_cell[2] += amount_minor[i]
        of_cell[3] += money
        if is_alert[i]:
            of_cell[4] += 1
            of_cell[5] += ppm[i]
            of_cell[6] += money
