"""The frame that serializers of a schema registry put before a record.

A zero byte, the number of the schema in four bytes, big-endian, then the payload. No JSON begins
with a zero byte, so a record without a frame is known as one.
"""

from pathlib import Path
from typing import Protocol

import numpy as np

from sentinel.codec.schema import SchemaParams
from sentinel.errors import ConfigError, RecordError
from sentinel.texts import Texts

FRAME_BYTES = 5
_BLANK_OR_BRACE = b"{ \t\r\n"


class Payloads(Protocol):
    """Reads what stands behind the frame, as JSON."""

    def json_of(self, schema_id: int, payload: bytes) -> bytes:
        """Raises RecordError when it cannot be read."""
        ...


class Frames:
    """Takes frames off, built once for a schema with `framing = "registry"`.

    Raises ConfigError when what reads the payloads cannot be had.
    """

    def __init__(self, schema: SchemaParams) -> None:
        self._bytes_max = schema.record_bytes_max + FRAME_BYTES
        self._payloads = _avro(schema) if schema.payload == "avro" else None

    def all_off(self, values: Texts) -> Texts:
        """The JSON of each record; one that cannot be read stays as it is."""
        if self._payloads is None:
            return _without_frames(values)
        return Texts.of_bytes(self._off_or_same(value) for value in values.values())

    def off(self, value: bytes) -> bytes:
        """The JSON of one record. Raises RecordError when it cannot be read."""
        if not value.startswith(b"\0"):
            return value
        schema_id = framed_by(value)
        if schema_id is None:
            raise RecordError("framed", f"a frame cut short, of {len(value)} bytes")
        payload = value[FRAME_BYTES:]
        if self._payloads is not None:
            return self._payloads.json_of(schema_id, payload)
        if payload[:1] not in _BLANK_OR_BRACE or not payload:
            told = f"behind the frame of schema {schema_id} stands no JSON object"
            raise RecordError("framed", f'{told}; of Avro [schema] says payload = "avro"')
        return payload

    def _off_or_same(self, value: bytes | None) -> bytes | None:
        if value is None or len(value) > self._bytes_max:
            return value
        try:
            return self.off(value)
        except RecordError:
            return value  # asked again, one by one, it says why


def framed_by(value: bytes) -> int | None:
    """The number of the schema in the frame of a record; None of one without a whole frame."""
    if len(value) < FRAME_BYTES or value[0] != 0:
        return None
    return int.from_bytes(value[1:FRAME_BYTES], "big")


def _without_frames(values: Texts) -> Texts:
    """The same bytes, those of records with a frame from behind it on."""
    is_long = values.length >= FRAME_BYTES
    if not is_long.any():
        return values
    shift = FRAME_BYTES * (is_long & (values.data[np.where(is_long, values.start, 0)] == 0))
    return Texts(values.data, values.start + shift, values.length - shift)


def _avro(schema: SchemaParams) -> Payloads:
    """Imported only where it is wanted: nobody else need have the library."""
    try:
        from sentinel.codec.payloads.avro import AvroPayloads
    except ModuleNotFoundError as error:
        raise ConfigError(
            '[schema] payload = "avro" needs fastavro: pip install "sentinel[avro]"'
        ) from error
    return AvroPayloads(Path(schema.payload_schemas), schema)
