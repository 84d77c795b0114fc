"""The compiled loop of `decisions`: from columns to the JSON of all rows, in one buffer."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Self, TypeVar

import numba
import numpy as np
from numpy.typing import NDArray

from sentinel.codec.kernels.shortest import (
    FLOAT_BYTES_MAX,
    INTEGER_BYTES_MAX,
    SPARE_BYTES,
    put_float,
    put_integer,
    put_word,
)
from sentinel.core.borrowed import borrowed
from sentinel.records import Floats, Ints
from sentinel.texts import Bytes, Spans, Texts

# The fragments between the values of a row, in this order; then one before each further entity;
# then those of which each row names its own: one between the probability and the features, and one
# behind them.
HEAD, ID, TIME, ACCOUNT, AMOUNT, SCORE, _PROBABILITY, ENTITIES = range(8)

ESCAPED_BYTES_MAX = 6  # \u00XX

_PLAIN, _UNICODE, _SURROGATE = 0, 1, 2  # else the letter behind the backslash


def _escapes() -> Bytes:
    """For each byte how it is written in a JSON string."""
    table = np.zeros(256, dtype=np.uint8)
    table[:0x20] = _UNICODE
    for byte, letter in zip(b'"\\\b\f\n\r\t', b'"\\bfnrt', strict=True):
        table[byte] = letter
    table[0xED] = _SURROGATE  # perhaps: U+D000 to U+D7FF begin with it as well
    return table


_ESCAPES = _escapes()
_HEX = np.frombuffer(b"0123456789abcdef", dtype=np.uint8)
_NULL = np.frombuffer(b"null", dtype=np.uint8)
_REPLACEMENT = np.frombuffer("\ufffd".encode(), dtype=np.uint8)
_QUOTE, _BACKSLASH, _COMMA, _MINUS, _LETTER_U, _ZERO = (np.uint8(ord(c)) for c in '"\\,-u0')
_U = np.uint64

AnyScalar = TypeVar("AnyScalar", bound=np.generic)


class Fragments(NamedTuple):
    """Constant byte strings, copied in whole words.

    Attributes
    ----------
    words
        uint64: the bytes of all of them, each from a word of its own.
    first
        int64: the word where each begins.
    length
        int64: its bytes.
    """

    words: NDArray[np.uint64]
    first: Ints
    length: Ints

    @classmethod
    def of(cls, pieces: Sequence[bytes]) -> Self:
        """Pack byte strings."""
        padded = [piece + bytes(-len(piece) % 8) for piece in pieces]
        length = np.array([len(piece) for piece in pieces], dtype=np.int64)
        counts = np.array([len(piece) // 8 for piece in padded], dtype=np.int64)
        words = np.frombuffer(b"".join(padded), dtype="<u8").astype(np.uint64)
        return cls(words, np.cumsum(counts) - counts, length)

    def __add__(self, more: "Fragments") -> "Fragments":  # type: ignore[override]  # of tuples
        return Fragments(
            np.concatenate([self.words, more.words]),
            np.concatenate([self.first, more.first + self.words.size]),
            np.concatenate([self.length, more.length]),
        )


@numba.njit(cache=True, nogil=True)
def _put(out: Bytes, at: int, data: Bytes, begin: int, count: int) -> int:
    """Copy bytes as they are; returns where they end."""
    source, target = _U(begin), _U(at)
    for i in range(_U(count)):
        out[target + i] = data[source + i]
    return at + count


@numba.njit(cache=True, nogil=True)
def _put_escaped(out: Bytes, at: int, data: Bytes, begin: int, end: int) -> int:
    """Write what is left of a text, from the first byte that JSON does not take as it is.

    Half of a surrogate pair is no character: it is replaced, since readers refuse it.
    """
    i = begin
    while i < end:
        byte = data[i]
        how = _ESCAPES[byte]
        if how == _SURROGATE and i + 2 < end and data[i + 1] >= 0xA0:
            at = _put(out, at, _REPLACEMENT, 0, 3)
            i += 3
            continue
        if how in (_PLAIN, _SURROGATE):
            out[at] = byte
            at += 1
        elif how == _UNICODE:
            out[at] = _BACKSLASH
            out[at + 1] = _LETTER_U
            out[at + 2] = out[at + 3] = _ZERO
            out[at + 4] = _HEX[byte >> 4]
            out[at + 5] = _HEX[byte & 15]
            at += 6
        else:
            out[at] = _BACKSLASH
            out[at + 1] = how
            at += 2
        i += 1
    return at


@numba.njit(cache=True, nogil=True)
def _put_text(out: Bytes, at: int, data: Bytes, begin: int, length: int) -> int:
    """Write a text in its quotes, or null for a missing one; returns where it ends."""
    if length < 0:
        return _put(out, at, _NULL, 0, 4)
    out[at] = _QUOTE
    at += 1
    source, target = _U(begin), _U(at)
    for i in range(_U(length)):
        byte = data[source + i]
        if _ESCAPES[byte] != _PLAIN:
            clean = np.int64(i)
            at = _put_escaped(out, at + clean, data, begin + clean, begin + length)
            out[at] = _QUOTE
            return at + 1
        out[target + i] = byte
    out[at + length] = _QUOTE
    return at + length + 1


@numba.njit(cache=True, nogil=True, forceinline=True)
def _put_fragment(out: Bytes, at: int, fragments: Any, which: int) -> int:
    """Copy a fragment, rounded up to whole words; returns where it ends."""
    words, first, length = fragments
    size = length[which]
    for i in range((size + 7) >> 3):
        put_word(out, at + 8 * i, words[first[which] + i])
    return at + size


@numba.njit(cache=True, nogil=True)
def _put_rows(
    fragments: Any,
    texts: Any,
    integers: Ints,
    judged: Floats,
    features: Floats,
    own: Ints,
    owned: Bytes,
    begin: Spans,
) -> None:
    """Write row behind row, and where each begins and the last ends."""
    out = borrowed(owned)
    data, start, length = texts
    at = 0
    row_count = own.shape[1]
    for row in range(row_count):
        begin[row] = at
        at = _put_fragment(out, at, fragments, HEAD)
        at = put_integer(out, at, integers[0, row])
        out[at] = _MINUS
        at = put_integer(out, at + 1, integers[1, row])
        at = _put_fragment(out, at, fragments, ID)
        at = _put_text(out, at, data, start[0, row], length[0, row])
        at = _put_fragment(out, at, fragments, TIME)
        at = put_integer(out, at, integers[2, row])
        at = _put_fragment(out, at, fragments, ACCOUNT)
        at = _put_text(out, at, data, start[1, row], length[1, row])
        for other in range(2, start.shape[0]):
            at = _put_fragment(out, at, fragments, ENTITIES + other - 2)
            at = _put_text(out, at, data, start[other, row], length[other, row])
        at = _put_fragment(out, at, fragments, AMOUNT)
        at = put_integer(out, at, integers[3, row])
        for i in range(2):
            at = _put_fragment(out, at, fragments, SCORE + i)
            at = put_float(out, at, judged[i, row])
        at = _put_fragment(out, at, fragments, own[0, row])
        for i in range(features.shape[1]):
            at = put_float(out, at, features[row, i])
            out[at] = _COMMA
            at += 1
        at -= features.shape[1] > 0
        at = _put_fragment(out, at, fragments, own[1, row])
    begin[row_count] = at


def _read_only(array: NDArray[AnyScalar]) -> NDArray[AnyScalar]:
    """A contiguous view that numba takes for one type, whether it can be written to or not."""
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view


def _side_by_side(columns: list[Texts]) -> tuple[Bytes, Spans, Spans]:
    """One buffer, and (n_columns, n) starts and lengths; the buffer is copied if they have many."""
    shape = (len(columns), len(columns[0]))
    start, length = np.empty(shape, dtype=np.int64), np.empty(shape, dtype=np.int64)
    buffers = [columns[0].data]
    shift = 0
    for i, column in enumerate(columns):
        if column.data is not buffers[-1]:
            shift += buffers[-1].size
            buffers.append(column.data)
        start[i] = column.start
        start[i] += shift
        length[i] = column.length
    return _read_only(np.concatenate(buffers) if len(buffers) > 1 else buffers[0]), start, length


def decision_texts(
    fragments: Fragments,
    texts: list[Texts],
    integers: Ints,
    judged: Floats,
    features: Floats,
    own: Ints,
) -> Texts:
    """The JSON of n decisions.

    Parameters
    ----------
    fragments
        In the order above.
    texts
        The transaction's identifier, the account, the other entities; n of each.
    integers
        (4, n): partition, offset, event time, amount.
    judged
        (2, n): score and probability.
    features
        (n, n_features).
    own
        (2, n): each row's own fragments, between the probability and the features, and behind them.
    """
    row_count = own.shape[1]
    assert all(len(column) == row_count for column in texts)
    assert integers.shape == (4, row_count)
    assert judged.shape == (2, row_count)
    assert features.shape[:1] == (row_count,)
    data, start, length = _side_by_side(texts)

    fixed_bytes = int(fragments.length[: ENTITIES + len(texts) - 2].sum())
    number_bytes = 4 * INTEGER_BYTES_MAX + 1 + (2 + features.shape[1]) * (FLOAT_BYTES_MAX + 1)
    row_bytes = fixed_bytes + number_bytes + len(texts) * len('"null"')
    text_bytes = ESCAPED_BYTES_MAX * int(np.maximum(length, 0).sum())
    own_bytes = int(fragments.length[own].sum())
    size = row_count * row_bytes + own_bytes + text_bytes + SPARE_BYTES

    out = np.empty(size, dtype=np.uint8)
    begin = np.empty(row_count + 1, dtype=np.int64)
    _put_rows(
        tuple(fragments),
        (data, start, length),
        integers,
        judged,
        _read_only(features),
        own,
        out,
        begin,
    )
    return Texts(out[: begin[-1]], begin[:-1], begin[1:] - begin[:-1])
