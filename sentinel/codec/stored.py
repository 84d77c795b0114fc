"""Values that Sentinel keeps for itself, as JSON."""

import functools
from collections.abc import Hashable
from typing import Any, TypeVar, cast

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
        value: T = _decoder(cast(Hashable, kind)).decode(data)
    except msgspec.MsgspecError as error:
        raise RecordError("not_stored", f"{kind.__name__}: {error}") from error
    return value


@functools.cache
def _decoder(kind: Hashable) -> msgspec.json.Decoder[Any]:
    """Made once for each kind: it takes several times as long as decoding one value."""
    return msgspec.json.Decoder(kind)
