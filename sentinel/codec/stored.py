"""Values that Sentinel keeps for itself, as JSON."""

from typing import TypeVar

import msgspec

from sentinel.errors import RecordError

T = TypeVar("T")

_ENCODER = msgspec.json.Encoder()


def encode_stored(value: object) -> bytes:
    """JSON of a dataclass; the same value gives the same bytes."""
    return _ENCODER.encode(value)


def decode_stored(kind: type[T], data: bytes) -> T:
    """What was stored. Raises RecordError when the bytes are not that."""
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.MsgspecError as error:
        raise RecordError("not_stored", f"{kind.__name__}: {error}") from error
