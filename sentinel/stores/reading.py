"""What stores read of documents: all that is readable, one that must be, and as it was read."""

import logging
from collections.abc import Sequence
from typing import TypeVar

from sentinel.codec.stored import decode_stored, encode_stored
from sentinel.errors import RecordError, TransientError

Kept = TypeVar("Kept")

log = logging.getLogger(__name__)


def readable(
    kind: type[Kept], names: Sequence[str], values: Sequence[bytes | None]
) -> dict[str, Kept]:
    """By name what is there; what somebody else has damaged is as if it were not."""
    found = {}
    for name, data in zip(names, values, strict=True):
        if data is None:
            continue
        try:
            found[name] = decode_stored(kind, data)
        except RecordError as error:
            log.warning("%s: %s", name, error.unquoted)
    return found


def undamaged(kind: type[Kept], name: str, data: bytes) -> Kept:
    """One that nothing goes on without. TransientError where somebody has damaged it."""
    try:
        return decode_stored(kind, data)
    except RecordError as error:
        raise TransientError(f"{name} is damaged: {error}") from error


class AsRead:
    """Documents as they were read last: an older version has written other fields, perhaps."""

    def __init__(self) -> None:
        self._read: dict[str, tuple[object, bytes]] = {}

    def known(self, kind: type[Kept], name: str, data: bytes) -> Kept:
        """As `undamaged`, and remembered."""
        found = undamaged(kind, name, data)
        self._read[name] = found, data
        return found

    def bytes_of(self, name: str, value: object) -> bytes:
        """As it is stored, where that is known."""
        read, data = self._read.get(name, (None, b""))
        return data if read == value else encode_stored(value)
