"""Cases and annotators as they are stored, as JSON."""

from typing import TypeVar

import msgspec

from sentinel.errors import RecordError
from sentinel.votes import Annotator, Case, FeedbackProgress

Stored = TypeVar("Stored", Case, Annotator, FeedbackProgress)

_ENCODER = msgspec.json.Encoder()


def encode_stored(value: Case | Annotator | FeedbackProgress) -> bytes:
    """JSON; the same value gives the same bytes."""
    return _ENCODER.encode(value)


def decode_stored(kind: type[Stored], data: bytes) -> Stored:
    """What was stored. Raises RecordError when the bytes are not that."""
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.MsgspecError as error:
        raise RecordError("not_stored", f"{kind.__name__}: {error}") from error
