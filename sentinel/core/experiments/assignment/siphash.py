"""SipHash-2-4 (https://www.aumasson.jp/siphash/siphash.pdf) of texts: a hash with a secret.

Who can choose identifiers, and knows how they are hashed, can choose arms. Without the key nobody
can tell the hash of one identifier from those of any others.
"""

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from sentinel.records import Ints
from sentinel.texts import Bytes, Spans, Texts

Words = NDArray[np.uint64]

_INIT = (0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573)
_V0, _V1, _V2, _V3 = (np.uint64(word) for word in _INIT)
_FINISH = np.uint64(0xFF)
_13, _16, _17, _21, _32 = (np.uint64(bits) for bits in (13, 16, 17, 21, 32))
_8, _56, _64 = np.uint64(8), np.uint64(56), np.uint64(64)


class HashKey(NamedTuple):
    """The 128 bits of a key."""

    low: int
    high: int

    @classmethod
    def of(cls, key: bytes) -> "HashKey":
        """16 bytes as the paper takes them, the lowest first."""
        assert len(key) == 16
        return cls(int.from_bytes(key[:8], "little"), int.from_bytes(key[8:], "little"))


@numba.njit(cache=True, nogil=True, inline="always")
def _rotated(x: np.uint64, bits: np.uint64) -> np.uint64:
    return (x << bits) | (x >> (_64 - bits))


@numba.njit(cache=True, nogil=True, inline="always")
def _round(
    v0: np.uint64, v1: np.uint64, v2: np.uint64, v3: np.uint64
) -> tuple[np.uint64, np.uint64, np.uint64, np.uint64]:
    v0 = v0 + v1
    v1 = _rotated(v1, _13) ^ v0
    v0 = _rotated(v0, _32)
    v2 = v2 + v3
    v3 = _rotated(v3, _16) ^ v2
    v0 = v0 + v3
    v3 = _rotated(v3, _21) ^ v0
    v2 = v2 + v1
    v1 = _rotated(v1, _17) ^ v2
    v2 = _rotated(v2, _32)
    return v0, v1, v2, v3


@numba.njit(cache=True, nogil=True)
def siphash_span(
    data: Bytes, begin: int, length: int, low: np.uint64, high: np.uint64
) -> np.uint64:
    """Hash of a text in `data` under a key of two words."""
    v0, v1, v2, v3 = _V0 ^ low, _V1 ^ high, _V2 ^ low, _V3 ^ high
    whole = length - length % 8
    for i in range(begin, begin + whole, 8):
        word = np.uint64(0)
        for j in range(8):
            word |= np.uint64(data[i + j]) << (np.uint64(j) * _8)
        v3 ^= word
        v0, v1, v2, v3 = _round(v0, v1, v2, v3)
        v0, v1, v2, v3 = _round(v0, v1, v2, v3)
        v0 ^= word
    last = np.uint64(length % 256) << _56
    for j in range(length - whole):
        last |= np.uint64(data[begin + whole + j]) << (np.uint64(j) * _8)
    v3 ^= last
    v0, v1, v2, v3 = _round(v0, v1, v2, v3)
    v0, v1, v2, v3 = _round(v0, v1, v2, v3)
    v0 ^= last
    v2 ^= _FINISH
    for _ in range(4):
        v0, v1, v2, v3 = _round(v0, v1, v2, v3)
    return v0 ^ v1 ^ v2 ^ v3


@numba.njit(cache=True, nogil=True)
def _siphash_spans(
    data: Bytes, start: Spans, length: Spans, low: np.uint64, high: np.uint64, out: Words
) -> None:
    for row in range(start.size):
        out[row] = siphash_span(data, start[row], max(length[row], 0), low, high)


def siphash(texts: Texts, key: HashKey) -> Ints:
    """Hash of each text, int64 (n,); a missing one is hashed as an empty one."""
    out = np.empty(len(texts), dtype=np.uint64)
    low, high = np.uint64(key.low), np.uint64(key.high)
    _siphash_spans(texts.data, texts.start, texts.length, low, high, out)
    return out.view(np.int64)


def siphash_of(text: str, key: HashKey) -> int:
    """Hash of one text, in 0..2**64 - 1."""
    return int(siphash(Texts.of([text]), key).view(np.uint64)[0])
