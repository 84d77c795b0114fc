"""Records of Sentinel's own topics and files, as JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
import orjson

from sentinel.codec.paths import JsonFields, path_of
from sentinel.codec.schema import EVENT_TIME_MS_MAX
from sentinel.errors import RecordError
from sentinel.records import AuditEntry, Example, Feedback, Label, OutputRecord
from sentinel.stored.versions import VERSION, Command, ModelEvent

T = TypeVar("T")

Published = Feedback | Label | Example | AuditEntry | ModelEvent  # what has a key of its own

_FEEDBACK = msgspec.json.Decoder(Feedback)
_EXAMPLE = msgspec.json.Decoder(Example)
_LABEL = msgspec.json.Decoder(Label)
_MODEL_EVENT = msgspec.json.Decoder(ModelEvent)
_COMMAND = msgspec.json.Decoder(Command)


def _decoded(decoder: msgspec.json.Decoder[T], value: bytes | None) -> T:
    if value is None:
        raise RecordError("tombstone", "the record has no value")
    try:
        return decoder.decode(value)
    except msgspec.ValidationError as error:
        raise RecordError("wrong_type", str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RecordError("not_json", str(error)) from error
    except RecursionError as error:
        raise RecordError("not_json", "nested too deeply") from error


def decode_feedback(value: bytes | None) -> Feedback:
    """One piece of feedback. Raises RecordError."""
    feedback = _decoded(_FEEDBACK, value)
    _check_times(feedback.observed_ms, feedback.event_time_ms)
    return feedback


def decode_label(value: bytes | None) -> Label:
    """One label. Raises RecordError."""
    label = _decoded(_LABEL, value)
    _check_times(label.observed_ms, label.event_time_ms)
    return label


def decode_example(value: bytes | None) -> Example:
    """One example. Raises RecordError."""
    return _decoded(_EXAMPLE, value)


def decode_command(value: bytes | None) -> Command:
    """One command. Raises RecordError."""
    return _decoded(_COMMAND, value)


def decode_model_event(value: bytes | None) -> ModelEvent:
    """One change of the registry. Raises RecordError."""
    event = _decoded(_MODEL_EVENT, value)
    _check_times(event.at_ms)
    for version in (event.version, event.champion, event.champion_before, event.shadow):
        if version is not None and not VERSION.fullmatch(version):
            raise RecordError("bad_version", f'"{version}" is not a version such as 1.2.0')
    return event


def _check_times(*times_ms: int | None) -> None:
    """JSON has integers of any length; a column, and what orjson writes, have 64 bits."""
    for time_ms in times_ms:
        if time_ms is not None and not 0 <= time_ms <= EVENT_TIME_MS_MAX:
            raise RecordError("bad_time", "a time before 1970 or after 9999")


def encode(record: Published | Command | Mapping[str, Any]) -> bytes:
    """JSON of a record; NaN and infinities become null."""
    return orjson.dumps(record, option=orjson.OPT_SERIALIZE_NUMPY)


def keyed(key: str, record: Published) -> OutputRecord:
    """The record as it is published, under its key."""
    return OutputRecord(key.encode(), encode(record))


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


@dataclass(frozen=True, slots=True)
class LineFields:
    """What one JSON line has: the names of its fields, the wanted ones as JSON, and its label."""

    names: Sequence[str]
    kept: bytes
    label: str | None


def fields_of_line(line: bytes, wanted: Sequence[str], label_name: str) -> LineFields:
    """Fields of a JSON line, each as it is written there; a line that is no object is kept whole.

    What a path leads to is kept under the path, and what stands in its way as it is. The label is
    its text, None where it is missing; a name of "" asks for none.
    """
    try:
        fields = JsonFields(line)
        texts = [text for name in wanted if (text := _kept(fields, name))]
        found = _reached(fields, label_name)
        label = None if found is None else msgspec.json.decode(found)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return LineFields((), line, None)
    paths = [name for name in (*wanted, label_name) if path_of(name) and name not in fields.top]
    names = [*fields.top, *(name for name in paths if _reached(fields, name) is not None)]
    return LineFields(names, b"{" + b",".join(texts) + b"}", None if label is None else str(label))


def _kept(fields: JsonFields, name: str) -> bytes:
    try:
        text = fields.value_of(name)
    except RecordError:
        return fields.on_the_way(name)
    return b"" if text is None else orjson.dumps(name) + b":" + text


def _reached(fields: JsonFields, name: str) -> bytes | None:
    try:
        return fields.value_of(name)
    except RecordError:
        return None


def with_text(value: bytes, name: str, text: str) -> bytes:
    """A JSON object with another text in one of its fields."""
    fields = {**JsonFields(value).top, name: msgspec.Raw(orjson.dumps(text))}
    return msgspec.json.encode(fields)


def with_fields_of(value: bytes, other: bytes, names: Sequence[str]) -> bytes:
    """A JSON object with some fields as another object has them."""
    raw = dict[str, msgspec.Raw]
    fields, others = (msgspec.json.decode(one, type=raw) for one in (value, other))
    return msgspec.json.encode({**fields, **{name: others[name] for name in names}})


def with_first(value: bytes, fields: Mapping[str, str]) -> bytes:
    """A JSON object with further fields ahead of its own; what is no object stays as it is."""
    if not value.startswith(b"{"):
        return value
    added, rest = orjson.dumps(fields)[:-1], value[1:]
    return added + (rest if rest == b"}" else b"," + rest)
