"""Rows that take memory only when they are first touched."""

import mmap
import sys

import numpy as np

from sentinel.records import Ints

# From linux/mman.h: the size is a limit and not a wish, so the kernel need not promise it all.
_MAP_NORESERVE = 0x4000


def zeroed_rows(row_count: int, word_count: int) -> Ints:
    """Zeros, int64 (row_count, word_count), of which only touched pages exist in memory."""
    if sys.platform != "linux" or row_count * word_count == 0:
        return np.zeros((row_count, word_count), dtype=np.int64)
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_NORESERVE
    pages = mmap.mmap(-1, row_count * word_count * 8, flags=flags)
    return np.frombuffer(pages, dtype=np.int64).reshape(row_count, word_count)
