"""Avro as JSON, by the schemas of a folder; the only home of fastavro."""

import struct
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Any

import fastavro
import orjson
from fastavro.schema import SchemaParseException, UnknownType

from sentinel.codec.schema import PARTS_OF_MS, SchemaParams
from sentinel.errors import ConfigError, RecordError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNREADABLE = (
    *(ArithmeticError, EOFError, LookupError, MemoryError, RecursionError, TypeError, ValueError),
    struct.error,
)
_INT_MAX, _INT_MIN = 2**64 - 1, -(2**63)  # of what becomes a JSON number


class AvroPayloads:
    """Reads payloads by the schemas in a folder: `17.avsc` is that of number 17.

    Raises ConfigError when the folder or one of them cannot be read.
    """

    def __init__(self, folder: Path, schema: SchemaParams) -> None:
        self._folder = folder
        self._schemas = _schemas(folder)
        self._default = _default(schema)

    def json_of(self, schema_id: int, payload: bytes) -> bytes:
        """All fields of a payload. Raises RecordError."""
        if schema_id not in self._schemas:
            told = f"{self._folder} has no {schema_id}.avsc"
            raise RecordError("unknown_schema", told)
        data = BytesIO(payload)
        try:
            value = fastavro.schemaless_reader(data, self._schemas[schema_id], None)
            left = len(payload) - data.tell()
            text = orjson.dumps(value, default=self._default, option=_OPTIONS)
        except _UNREADABLE as error:
            said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            raise RecordError("not_avro", f"of schema {schema_id}: {said}") from error
        if left:
            raise RecordError("not_avro", f"of schema {schema_id}: {left} bytes are left over")
        return text


_OPTIONS = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_NON_STR_KEYS


def _schemas(folder: Path) -> dict[int, Any]:
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        raise ConfigError(
            f"[schema] payload_schemas {folder}: {error.strerror or error}"
        ) from error
    found = {}
    for path in paths:
        if path.suffix != ".avsc":
            continue
        if not (path.stem.isascii() and path.stem.isdigit()):
            raise ConfigError(f"{path}: is named by the number of its schema, such as 17.avsc")
        found[int(path.stem)] = _schema(path)
    if not found:
        raise ConfigError(f"[schema] payload_schemas {folder}: holds no schema, such as 17.avsc")
    return found


def _schema(path: Path) -> Any:
    try:
        return fastavro.parse_schema(orjson.loads(path.read_bytes()))
    except (OSError, SchemaParseException, UnknownType, *_UNREADABLE) as error:
        said = str(error) or type(error).__name__
        raise ConfigError(f"{path}: is no Avro schema: {said}") from error


def _default(schema: SchemaParams) -> Callable[[Any], Any]:
    """What JSON has for values that it does not know; times as `event_time_format` wants them."""

    def time(value: datetime) -> str | float:
        if schema.event_time_format == "rfc3339":
            return value.isoformat()
        aware = value if value.tzinfo else value.replace(tzinfo=schema.zone)
        since_us = (aware - _EPOCH) // timedelta(microseconds=1)
        if parts := PARTS_OF_MS.get(schema.event_time_format):
            return since_us * parts // 1_000
        return (since_us / 1_000 - schema.origin_ms) / schema.time_scale

    def default(value: Any) -> Any:
        if isinstance(value, datetime):
            return time(value)
        if isinstance(value, date):
            return time(datetime(value.year, value.month, value.day, tzinfo=UTC))
        if isinstance(value, Decimal):
            return _number(value)
        if isinstance(value, bytes):
            return _text(value)
        return str(value)

    return default


def _number(value: Decimal) -> int | float | str:
    """42 for 42.00, as files are read, too; what no number of JSON holds is a text."""
    if value != value.to_integral_value():
        return float(value)
    return int(value) if _INT_MIN <= value <= _INT_MAX else str(int(value))


def _text(data: bytes) -> str:
    """The text that bytes hold, or else their digits."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.hex()
