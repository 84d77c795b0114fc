"""Savepoints: columns as bytes, in pieces, and a head that says what they are.

Each column is compressed by itself: features are mostly counts and sums of few different values. To
sort the bytes of the values by significance before would make those larger, by a seventh, and only
what is random smaller. The SHA-256 is that of the head and of all that follows it. Nothing is
executed to read one.
"""

import hashlib
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentinel.codec.stored import decode_stored, encode_stored
from sentinel.errors import RecordError

Column = NDArray[Any]

# Of the layout, and of whatever decides what is kept of an example: other strata or another salt
# make another version of it.
VERSION = 1
PIECE_BYTES_MAX = 2**18  # what a store and an event loop take at once without being held up
_FASTEST = 1  # of zlib's levels: the default takes twice as long, for a twentieth less
_DTYPES = ("<f8", "<i8", "|b1")


@dataclass(frozen=True, slots=True)
class SavedColumn:
    """Where a column is: the next `byte_count` bytes, with so many values."""

    name: str
    dtype: str
    value_count: int
    byte_count: int


@dataclass(frozen=True, slots=True)
class Head:
    """What a savepoint says of itself.

    Attributes
    ----------
    log
        Names the log that the offset belongs to.
    next_offset
        All records below it are in, and no others.
    facts
        Whatever must be the same where it is read, and what is no column; JSON.
    columns
        In the order of their bytes.
    """

    version: int
    log: str
    next_offset: int
    facts: dict[str, Any]
    columns: tuple[SavedColumn, ...]


@dataclass(frozen=True, slots=True)
class Encoded:
    """A savepoint as bytes: the head, the SHA-256 of all of it, the pieces."""

    head: bytes
    sha256: str
    pieces: list[bytes]


def encode_savepoint(
    columns: Mapping[str, Column], facts: dict[str, Any], *, log: str, next_offset: int
) -> Encoded:
    """Columns of one dimension as bytes; the same columns give the same ones.

    Parameters
    ----------
    columns
        By name: float64, int64 or bool, (n,) each.
    """
    parts, places = [], []
    for name, column in columns.items():
        assert column.ndim == 1
        stored = column.astype(column.dtype.newbyteorder("<"), copy=False)
        assert stored.dtype.str in _DTYPES, name
        part = zlib.compress(np.ascontiguousarray(stored).data, _FASTEST)
        parts.append(part)
        places.append(SavedColumn(name, stored.dtype.str, stored.size, len(part)))
    head = encode_stored(Head(VERSION, log, next_offset, facts, tuple(places)))
    pieces = list(_pieces(parts))
    return Encoded(head, _sha256(head, pieces), pieces)


def decode_head(head: bytes) -> Head:
    """What a savepoint says of itself. Raises RecordError when it is of another version."""
    found = decode_stored(Head, head)
    if found.version != VERSION:
        raise RecordError("savepoint", f"it is of version {found.version}, {VERSION} is read")
    return found


def decode_savepoint(
    head: bytes, sha256: str, pieces: Sequence[bytes]
) -> tuple[Head, dict[str, Column]]:
    """What was encoded, to the bit. Raises RecordError when anything is missing or was changed."""
    if _sha256(head, pieces) != sha256:
        raise RecordError(
            "savepoint", "it does not have its SHA-256: something is missing or was changed"
        )
    found = decode_head(head)
    body = memoryview(b"".join(pieces))
    columns: dict[str, Column] = {}
    begin = 0
    for place in found.columns:
        end = begin + place.byte_count
        columns[place.name] = _column(place, body[begin:end])
        begin = end
    return found, columns


def _column(place: SavedColumn, data: memoryview) -> Column:
    if place.dtype not in _DTYPES or place.value_count < 0 or len(data) != place.byte_count:
        raise RecordError("savepoint", f"its column {place.name} cannot be read")
    dtype = np.dtype(place.dtype)
    size = dtype.itemsize * place.value_count
    inflating = zlib.decompressobj()
    try:
        raw = inflating.decompress(data, size + 1)
    except zlib.error as error:
        raise RecordError(
            "savepoint", f"its column {place.name} cannot be read: {error}"
        ) from error
    if len(raw) != size or not inflating.eof:
        raise RecordError("savepoint", f"its column {place.name} is of another length")
    return np.frombuffer(raw, dtype).astype(dtype.newbyteorder("="))  # one that can be written


def _pieces(parts: Iterable[bytes]) -> Iterable[bytes]:
    """The same bytes, cut to pieces of one size but for the last; one at least."""
    waiting = bytearray()
    for part in parts:
        waiting += part
        whole = len(waiting) // PIECE_BYTES_MAX * PIECE_BYTES_MAX
        for begin in range(0, whole, PIECE_BYTES_MAX):
            yield bytes(waiting[begin : begin + PIECE_BYTES_MAX])
        del waiting[:whole]
    yield bytes(waiting)


def _sha256(head: bytes, pieces: Iterable[bytes]) -> str:
    found = hashlib.sha256(head)
    for piece in pieces:
        found.update(piece)
    return found.hexdigest()
