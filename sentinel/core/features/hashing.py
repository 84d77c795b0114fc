"""A hash of strings that is the same in every process, version and machine."""

from collections.abc import Sequence

import numba
import numpy as np

from sentinel.records import Ints
from sentinel.texts import Bytes, Spans, packed

# FNV-1a (http://www.isthe.com/chongo/tech/comp/fnv/), then murmur3's finaliser: FNV alone mixes
# its high bits poorly, and the bitmaps of `distinct` need every bit.
_FNV_OFFSET = np.uint64(0xCBF29CE484222325)
_FNV_PRIME = np.uint64(0x100000001B3)
_MIX_1 = np.uint64(0xFF51AFD7ED558CCD)
_MIX_2 = np.uint64(0xC4CEB9FE1A85EC53)
_SHIFT = np.uint64(33)


@numba.njit(cache=True, nogil=True)
def hash_span(data: Bytes, begin: int, length: int) -> np.int64:
    """Hash of a text in `data`; never 0."""
    h = _FNV_OFFSET
    for i in range(begin, begin + length):
        h = (h ^ np.uint64(data[i])) * _FNV_PRIME
    h = (h ^ (h >> _SHIFT)) * _MIX_1
    h = (h ^ (h >> _SHIFT)) * _MIX_2
    h = h ^ (h >> _SHIFT)
    return np.int64(h) if h != 0 else np.int64(1)


@numba.njit(cache=True, nogil=True)
def hash_spans(data: Bytes, start: Spans, length: Spans, out: Ints) -> None:
    """Hash each span of `data` into `out`; 0 for one that is missing or empty."""
    for row in range(start.size):
        out[row] = hash_span(data, start[row], length[row]) if length[row] > 0 else 0


def hash64(texts: Sequence[str | None]) -> Ints:
    """Hash of each text, int64 (n,); 0 stands for a missing or empty text and for nothing else."""
    column = packed(texts)
    out = np.empty(len(column), dtype=np.int64)
    hash_spans(column.data, column.start, column.length, out)
    return out
