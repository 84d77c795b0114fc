"""A hash of strings that is the same in every process, version and machine."""

from collections.abc import Sequence

import numba
import numpy as np
from numpy.typing import NDArray

from sentinel.records import Floats, Ints
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


def rehashed(hashes: Ints, salt: int) -> Ints:
    """Other hashes of the same texts, int64 (n,), which do not show the first ones.

    Murmur3's finaliser turns half of the bits for each bit that differs, but leaves 0 as it is: the
    salt, below 2**63, is what makes the second round another one.
    """
    h = hashes.view(np.uint64) ^ np.uint64(salt)
    h = (h ^ (h >> _SHIFT)) * _MIX_1
    h = (h ^ (h >> _SHIFT)) * _MIX_2
    return (h ^ (h >> _SHIFT)).view(np.int64)


def uniform(hashes: Ints) -> Floats:
    """Hashes as numbers in [0, 1), float64 (n,): their upper 53 bits."""
    return (hashes.view(np.uint64) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def is_drawn(hashes: Ints, salt: int, share: float) -> NDArray[np.bool_]:
    """Which are in a share of all, bool (n,): the same ones each time, with a larger share more.

    What is drawn with one salt does not show what is drawn with another.
    """
    found: NDArray[np.bool_] = uniform(rehashed(hashes, salt)) < share
    return found
