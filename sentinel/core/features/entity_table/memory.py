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


def zeroed_rows(row_count: int, word_count: int) -> Ints:
    """Zeros, int64 (row_count, word_count), of which only touched pages exist in memory."""
    return zeroed(row_count * word_count, np.int64).reshape(row_count, word_count)
