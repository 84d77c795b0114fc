"""A hash of strings that is the same in every process, version and machine."""

from collections.abc import Sequence

import numba
import numpy as np
from numpy.typing import NDArray

from sentinel.records import Ints

# FNV-1a (http://www.isthe.com/chongo/tech/comp/fnv/), then murmur3's finaliser: FNV alone mixes
# its high bits poorly, and the bitmaps of `distinct` need every bit.
_FNV_OFFSET = np.uint64(0xCBF29CE484222325)
_FNV_PRIME = np.uint64(0x100000001B3)
_MIX_1 = np.uint64(0xFF51AFD7ED558CCD)
_MIX_2 = np.uint64(0xC4CEB9FE1A85EC53)
_SHIFT = np.uint64(33)


@numba.njit(cache=True, nogil=True)
def _hash_segments(data: NDArray[np.uint8], out: Ints) -> None:
    """Hash each zero-terminated segment of `data` into `out`; an empty segment hashes to 0."""
    begin = 0
    row = 0
    h = _FNV_OFFSET
    for i in range(data.size):
        if data[i] != 0:
            h = (h ^ np.uint64(data[i])) * _FNV_PRIME
            continue
        if i > begin:
            h = (h ^ (h >> _SHIFT)) * _MIX_1
            h = (h ^ (h >> _SHIFT)) * _MIX_2
            h = h ^ (h >> _SHIFT)
            out[row] = np.int64(h) if h != 0 else np.int64(1)
        row += 1
        begin = i + 1
        h = _FNV_OFFSET


def hash64(texts: Sequence[str | None]) -> Ints:
    """Hash of each text, int64 (n,); 0 stands for a missing or empty text and for nothing else."""
    out = np.zeros(len(texts), dtype=np.int64)
    joined = "\0".join([text or "" for text in texts])
    if joined.count("\0") != max(len(texts) - 1, 0):  # a text holds a zero character itself
        joined = "\0".join([(text or "").replace("\0", "\x01\x02") for text in texts])
    data = np.frombuffer(joined.encode("utf-8", "surrogatepass") + b"\0", dtype=np.uint8)
    if len(texts) > 0:
        _hash_segments(data, out)
    return out
