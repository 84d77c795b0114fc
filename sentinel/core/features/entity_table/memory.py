"""Arrays that take memory only where they are touched."""

import mmap
import sys
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from sentinel.records import Ints

# From linux/mman.h: the size is a limit and not a wish, so the kernel need not promise it all.
_MAP_NORESERVE = 0x4000

_HUGE_BYTES = 16 << 20  # below, a huge page of 2 MB would be mostly empty

Number = TypeVar("Number", np.int32, np.int64)


def zeroed(count: int, dtype: type[Number]) -> NDArray[Number]:
    """So many zeros, of which only touched pages exist in memory."""
    if sys.platform != "linux" or count == 0:
        return np.zeros(count, dtype=dtype)
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_NORESERVE
    pages = mmap.mmap(-1, count * np.dtype(dtype).itemsize, flags=flags)
    if len(pages) >= _HUGE_BYTES:
        # Rows are read at random: with small pages most of the wait was for the address.
        pages.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(pages, dtype=dtype)


def give_back(array: Ints, rows: Ints) -> None:
    """Zero these rows of such an array, and let go of the memory that lies wholly in them.

    `rows` are ascending. What is touched again exists again, and is zero.
    """
    array[rows] = 0
    pages = _pages_of(array)
    if pages is None or rows.size == 0:
        return
    breaks = np.flatnonzero(np.diff(rows) > 1) + 1
    firsts = rows[np.concatenate([[0], breaks])]
    lasts = rows[np.concatenate([breaks - 1, [rows.size - 1]])]
    size = mmap.PAGESIZE
    begins = -(-firsts * array.strides[0] // size) * size
    ends = (lasts + 1) * array.strides[0] // size * size
    for begin, end in zip(begins.tolist(), ends.tolist(), strict=True):
        if end > begin:
            pages.madvise(mmap.MADV_DONTNEED, begin, end - begin)


def _pages_of(array: Ints) -> mmap.mmap | None:
    """What `zeroed` has mapped for an array; None where that is no mapping."""
    base: object = array
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, memoryview):
        base = base.obj
    return base if isinstance(base, mmap.mmap) and sys.platform == "linux" else None


def zeroed_rows(row_count: int, word_count: int) -> Ints:
    """Zeros, int64 (row_count, word_count), of which only touched pages exist in memory."""
    return zeroed(row_count * word_count, np.int64).reshape(row_count, word_count)
