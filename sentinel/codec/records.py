"""Records of Sentinel's own topics and files, as JSON."""

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
import orjson

from sentinel.errors import RecordError
from sentinel.records import Feedback, Label

T = TypeVar("T")

_FEEDBACK = msgspec.json.Decoder(Feedback)
_LABEL = msgspec.json.Decoder(Label)


def _decoded(decoder: msgspec.json.Decoder[T], value: bytes | None) -> T:
    if value is None:
        raise RecordError("tombstone", "the record has no value")
    try:
        return decoder.decode(value)
    except msgspec.ValidationError as error:
        raise RecordError("wrong_type", str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RecordError("not_json", str(error)) from error


def decode_feedback(value: bytes | None) -> Feedback:
    """One voice. Raises RecordError."""
    return _decoded(_FEEDBACK, value)


def decode_label(value: bytes | None) -> Label:
    """One label. Raises RecordError."""
    return _decoded(_LABEL, value)


def encode(record: Feedback | Label | Mapping[str, Any]) -> bytes:
    """JSON of a record; NaN and infinities become null."""
    return orjson.dumps(record, option=orjson.OPT_SERIALIZE_NUMPY)


def decode_object(data: bytes) -> dict[str, Any]:
    """A JSON object from a file or a store of ours. Raises RecordError."""
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise RecordError("not_json", str(error)) from error
    if not isinstance(value, dict):
        raise RecordError("wrong_type", f"expected an object, got {type(value).__name__}")
    return value


def encode_pretty(value: Mapping[str, Any]) -> bytes:
    """JSON for a person to read."""
    return orjson.dumps(
        value, option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE
    )
