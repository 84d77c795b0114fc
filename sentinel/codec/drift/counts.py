"""Many counts, most of them 0, in few bytes.

Two bytes say how wide numbers are, eight how many there are; then come, compressed, how far each
count that is not 0 stands behind the one before, and the counts.
"""

import struct
import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sentinel.core.drift.counts.columns import CELL_COUNT
from sentinel.core.drift.counts.counting import GroupCounts
from sentinel.core.drift.counts.noting import SCORE_SUMS
from sentinel.core.drift.counts.open_steps import SparseCounts, flat_size, summed
from sentinel.errors import RecordError
from sentinel.records import Ints

_HEAD = struct.Struct("<BBQ")
_WIDTHS = (1, 2, 4, 8)
_LEVEL = 1  # level 6 saves a tenth and takes four times as long
_COLUMN_COUNT_MAX = 10_000


def _narrow(numbers: Ints) -> NDArray[np.unsignedinteger]:
    """In the fewest bytes each."""
    most = int(numbers.max(initial=0))
    width = next(w for w in _WIDTHS if most < 1 << 8 * w)
    return numbers.astype(f"<u{width}")


def pack_counts(counts: GroupCounts) -> bytes:
    """Counts as bytes; the same counts give the same bytes."""
    sparse = SparseCounts.of(counts)
    at = sparse.at.astype(np.int64)
    gaps = _narrow(at - np.concatenate([[-1], at[:-1]]) - 1)
    values = _narrow(sparse.values)
    head = _HEAD.pack(gaps.itemsize, values.itemsize, sparse.column_count)
    return head + zlib.compress(gaps.tobytes() + values.tobytes(), _LEVEL)


def unpack_counts(data: bytes, column_count_wanted: int | None = None) -> GroupCounts:
    """What `pack_counts` packed. Raises RecordError when the bytes are not that."""
    return summed([unpack_sparse(data, column_count_wanted)])


def unpack_sparse(data: bytes, column_count_wanted: int | None = None) -> SparseCounts:
    """The same, without the zeros; of so many columns, where that is known."""
    try:
        gap_width, width, column_count = _HEAD.unpack_from(data)
        size = flat_size(column_count)
        if not {gap_width, width} <= set(_WIDTHS) or column_count > _COLUMN_COUNT_MAX:
            raise RecordError("not_counts", "the head makes no sense")
        if column_count_wanted not in (None, column_count):
            detail = f"it counts {column_count} columns, not {column_count_wanted}"
            raise RecordError("not_counts", detail)
        # No more than these bytes can be meant, whatever they would unfold to.
        unfolding = zlib.decompressobj()
        raw = unfolding.decompress(data[_HEAD.size :], (gap_width + width) * size + 1)
        if not unfolding.eof or len(raw) % (gap_width + width):
            raise RecordError("not_counts", "too many, or cut off")
    except (struct.error, zlib.error) as error:
        raise RecordError("not_counts", str(error)) from error
    count = len(raw) // (gap_width + width)
    gaps = np.frombuffer(raw, f"<u{gap_width}", count)
    values = np.frombuffer(raw, f"<u{width}", count, count * gap_width).astype(np.int64)
    if count and gaps.max() >= size:  # their sum could come round
        raise RecordError("not_counts", "a count stands where there is no cell")
    at = np.cumsum(gaps.astype(np.int64) + 1) - 1
    if (count and at[-1] >= size) or (values < 0).any():
        raise RecordError("not_counts", "a count stands where there is no cell")
    return SparseCounts(column_count, at.astype(np.int32), values)


def sums_as_listed(sums: Ints) -> list[list[int]]:
    """Sums by the cell of the score, (CELL_COUNT, len(SCORE_SUMS)): cells with a row, by number."""
    met = np.flatnonzero(sums[:, 0]).tolist()
    return [[cell, *sums[cell].tolist()] for cell in met]


def listed_sums(listed: Sequence[Sequence[int]]) -> Ints:
    """What was listed. Raises RecordError when it makes no sense."""
    sums = np.zeros((CELL_COUNT, len(SCORE_SUMS)), dtype=np.int64)
    for one in listed:
        if len(one) != 1 + len(SCORE_SUMS) or not 0 <= one[0] < CELL_COUNT:
            raise RecordError("not_counts", "a cell of the score makes no sense")
        cell, *values = one
        if not all(-(2**63) <= value < 2**63 for value in values):
            raise RecordError("not_counts", f"a sum of cell {cell} of the score has no 64 bits")
        sums[cell] = values
    return sums
