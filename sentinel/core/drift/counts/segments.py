"""Parts of the stream that are counted beside the whole: a country, a channel.

What is counted is as in the whole, but for the groups: here they are the segments, so that all that
adds up, packs and keeps counts does so with these, too. Each row is in one segment of each column.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numba
import numpy as np
from numpy.typing import NDArray

from sentinel.core.drift.counts.columns import CELL_COUNT
from sentinel.core.drift.counts.counting import (
    GROUP_COUNT,
    SIZE_GROUP_COUNT,
    Counts,
    GroupCounts,
    count_cells,
)
from sentinel.core.features.spec import FeatureParams
from sentinel.records import Floats, Ints

VALUE_COUNT_MAX = 16  # of a column; the others are one segment together, and with what is missing
COLUMN_COUNT_MAX = 3
# Of accounts in a segment. How many rows an account has follows within some 40 per cent.
SIZE_COUNT = SIZE_GROUP_COUNT // GROUP_COUNT
_TEXT_LENGTH_MAX = 40

assert COLUMN_COUNT_MAX * (VALUE_COUNT_MAX + 1) <= GROUP_COUNT


@dataclass(frozen=True, slots=True)
class SegmentColumn:
    """A feature of stat "category" whose values are segments.

    Attributes
    ----------
    place
        Of the feature among all.
    values
        At most VALUE_COUNT_MAX, in the order of their codes.
    """

    name: str
    place: int
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Segmentation:
    """By which columns the stream is split; by none, it is not."""

    columns: tuple[SegmentColumn, ...] = ()

    @classmethod
    def of(cls, features: Sequence[FeatureParams], names: Sequence[str]) -> Self:
        """By the features that are named, in the order of the features."""
        return cls(
            tuple(
                SegmentColumn(one.name, place, one.values[:VALUE_COUNT_MAX])
                for place, one in enumerate(features)
                if one.name in names
            )
        )

    @property
    def names(self) -> list[str]:
        """Of each segment, as a person reads it."""
        return [
            f'{column.name} "{_cut(value)}"' if value is not None else f"other {column.name}"
            for column, value in self._segments()
        ]

    @property
    def columns_of(self) -> list[str]:
        """Of each segment, the column that it is of."""
        return [column.name for column, _ in self._segments()]

    def _segments(self) -> Iterator[tuple[SegmentColumn, str | None]]:
        for column in self.columns:
            yield from ((column, value) for value in (*column.values, None))

    @property
    def digest(self) -> str:
        """Names these segments: counts of the same can be added up and compared; empty of none."""
        if not self.columns:
            return ""
        told = [f"{column.name}\0{column.values}".encode() for column in self.columns]
        return hashlib.sha256(b"\1".join(told)).hexdigest()[:12]

    def of_rows(self, features: Floats) -> NDArray[np.uint8]:
        """The segment of each row by each column: features (n, F); uint8 (C, n)."""
        found = np.empty((len(self.columns), len(features)), dtype=np.uint8)
        begin = 0
        for column, out in zip(self.columns, found, strict=True):
            _mark_segments(features, column.place, len(column.values), begin, out)
            begin += len(column.values) + 1
        return found


@numba.njit(cache=True, nogil=True)
def _mark_segments(
    features: Floats, place: int, value_count: int, begin: int, out: NDArray[np.uint8]
) -> None:
    for i in range(len(features)):
        code = features[i, place]  # what is missing is not within
        is_own = 0.0 <= code < value_count
        out[i] = begin + (int(code) if is_own else value_count)


def _cut(text: str) -> str:
    return text if len(text) <= _TEXT_LENGTH_MAX else text[: _TEXT_LENGTH_MAX - 1] + "…"


def count_segments(
    cells: NDArray[np.uint8], segments: NDArray[np.uint8], rows: Ints, size_groups: Ints
) -> GroupCounts:
    """Rows in each cell, with segments for groups.

    Parameters
    ----------
    cells
        uint8 (F, n), of `Binning.cells`.
    segments
        uint8 (C, n), of `Segmentation.of_rows`.
    rows
        int64 (m,): which rows to count.
    size_groups
        int64 (n,): of `counting.size_groups`.
    """
    counts: Counts = np.zeros((len(cells), GROUP_COUNT, CELL_COUNT), dtype=np.int32)
    sizes: Counts = np.zeros(SIZE_GROUP_COUNT, dtype=np.int32)
    for of_column in segments:
        groups = of_column + GROUP_COUNT * (size_groups & (SIZE_COUNT - 1))
        count_cells(cells, rows, groups, counts, sizes)
    return GroupCounts(counts.astype(np.int64), sizes.astype(np.int64))


def of_segment(counts: GroupCounts, segment: int) -> GroupCounts:
    """The counts of one segment: one group, and SIZE_COUNT small ones."""
    return GroupCounts(counts.cells[:, segment : segment + 1], counts.sizes[segment::GROUP_COUNT])


@dataclass(eq=False, slots=True)
class SegmentCounts:
    """Counts by segment; they are added to in place.

    Attributes
    ----------
    features
        GroupCounts of the features, with segments for groups.
    score
        GroupCounts of the score of one version.
    """

    features: GroupCounts
    score: GroupCounts

    @classmethod
    def empty(cls, feature_count: int) -> Self:
        """Of no rows."""
        return cls(GroupCounts.empty(feature_count), GroupCounts.empty(1))

    @property
    def row_count(self) -> int:
        """How many rows were counted: each as often as there are columns to split by."""
        return int(self.features.sizes.sum())

    def add(self, other: "SegmentCounts") -> None:
        """Count the other's rows, too."""
        self.features.add(other.features.cells, other.features.sizes)
        self.score.add(other.score.cells, other.score.sizes)
