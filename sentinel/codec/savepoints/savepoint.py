"""Savepoints: Parquet files in pieces, and a head that says what they are.

Joined, the pieces are the files one after the other, each as long as the head says. The SHA-256 is
that of the head and of all that follows it. Nothing is executed to read one.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sentinel.codec.savepoints.format_1 import SavedColumn, inflated
from sentinel.codec.savepoints.tables import Column as Column
from sentinel.codec.savepoints.tables import SavedTable, decode_tables, encode_tables
from sentinel.codec.stored import decode_stored, encode_stored
from sentinel.errors import RecordError

# Of the layout, and of whatever decides what is kept of an example: other strata or another salt
# make another version of it, and those before are read no more.
VERSION = 2
_DEFLATED = 1
_READ = (_DEFLATED, VERSION)
PIECE_BYTES_MAX = 2**18  # what a store and an event loop take at once without being held up


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
    columns, tables
        In the order of their bytes: columns in version 1, tables from then on.
    """

    version: int
    log: str
    next_offset: int
    facts: dict[str, Any]
    columns: tuple[SavedColumn, ...] = ()
    tables: tuple[SavedTable, ...] = ()


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
    parts, tables = encode_tables(columns)
    head = encode_stored(Head(VERSION, log, next_offset, facts, tables=tuple(tables)))
    pieces = list(_pieces(parts))
    return Encoded(head, _sha256(head, pieces), pieces)


def decode_head(head: bytes) -> Head:
    """What a savepoint says of itself. Raises RecordError when it is of another version."""
    found = decode_stored(Head, head)
    if found.version not in _READ:
        read = " and ".join(map(str, _READ))
        raise RecordError("savepoint", f"it is of version {found.version}, {read} are read")
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
    if found.version == _DEFLATED:
        return found, inflated(found.columns, body)
    return found, decode_tables(found.tables, body)


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
