"""Many counts, most of them 0, in few bytes.

Two bytes say how wide numbers are, eight how many there are; then come, compressed, how far each
count that is not 0 stands behind the one before, and the counts.
"""

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

from sentinel.core.drift.columns import CELL_COUNT
from sentinel.core.drift.counting import GROUP_COUNT, SIZE_GROUP_COUNT, GroupCounts
from sentinel.errors import RecordError
from sentinel.records import Ints

_HEAD = struct.Struct("<BBQ")
_WIDTHS = (1, 2, 4, 8)
_LEVEL = 1  # level 6 saves a tenth and takes four times as long
# Of one column, and of what is behind all columns.
_COLUMN_SIZE = GROUP_COUNT * CELL_COUNT
_COLUMN_COUNT_MAX = 10_000


def _narrow(numbers: Ints) -> NDArray[np.unsignedinteger]:
    """In the fewest bytes each."""
    most = int(numbers.max(initial=0))
    width = next(w for w in _WIDTHS if most < 1 << 8 * w)
    return numbers.astype(f"<u{width}")


def pack_counts(counts: GroupCounts) -> bytes:
    """Counts as bytes; the same counts give the same bytes."""
    flat = np.concatenate([counts.cells.ravel(), counts.sizes])
    at = np.flatnonzero(flat)
    gaps, values = _narrow(np.diff(at, prepend=-1) - 1), _narrow(flat[at])
    head = _HEAD.pack(gaps.itemsize, values.itemsize, len(counts.cells))
    return head + zlib.compress(gaps.tobytes() + values.tobytes(), _LEVEL)


def unpack_counts(data: bytes) -> GroupCounts:
    """What `pack_counts` packed. Raises RecordError when the bytes are not that."""
    try:
        gap_width, width, column_count = _HEAD.unpack_from(data)
        size = column_count * _COLUMN_SIZE + SIZE_GROUP_COUNT
        if not {gap_width, width} <= set(_WIDTHS) or column_count > _COLUMN_COUNT_MAX:
            raise RecordError("not_counts", "the head makes no sense")
        # No more than these bytes can be meant, whatever they would unfold to.
        unfolding = zlib.decompressobj()
        raw = unfolding.decompress(data[_HEAD.size :], (gap_width + width) * size + 1)
        if not unfolding.eof or len(raw) % (gap_width + width):
            raise RecordError("not_counts", "too many, or cut off")
    except (struct.error, zlib.error) as error:
        raise RecordError("not_counts", str(error)) from error
    count = len(raw) // (gap_width + width)
    gaps = np.frombuffer(raw, f"<u{gap_width}", count).astype(np.int64)
    values = np.frombuffer(raw, f"<u{width}", count, count * gap_width).astype(np.int64)
    at = np.cumsum(gaps + 1) - 1
    if (count and not 0 <= at.min() <= at.max() < size) or (values < 0).any():
        raise RecordError("not_counts", "a count stands where there is no cell")
    flat = np.zeros(size, dtype=np.int64)
    flat[at] = values
    cells = flat[: column_count * _COLUMN_SIZE].reshape(column_count, GROUP_COUNT, CELL_COUNT)
    return GroupCounts(cells, flat[column_count * _COLUMN_SIZE :])
