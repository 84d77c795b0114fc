"""Why a record is refused, for whoever has to mend it: which field, what it holds, what it may."""

from dataclasses import dataclass
from typing import Any

import msgspec

from sentinel.codec.schema import AMOUNT_MINOR_MAX, REQUIRED_COUNT, SchemaParams
from sentinel.errors import RecordError

_SHOWN_LENGTH_MAX = 60

_RAW = msgspec.json.Decoder(dict[str, msgspec.Raw])


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with one record.

    Attributes
    ----------
    field
        The user's name of the field; empty where it is the record as a whole.
    value
        What is there, as JSON, shortened; empty for nothing.
    allowed
        What may be there, in words.
    """

    reason: str
    field: str
    value: str
    allowed: str


def fault(schema: SchemaParams, value: bytes | None, error: RecordError) -> Fault:
    """What is wrong with a record that was refused with this error."""
    fields = _fields(value)
    if fields is None:
        return Fault(error.reason, "", _short(value or b""), error.detail)
    field = _mistyped(schema, fields) or _named(schema, error.detail)
    if not field:
        return Fault(error.reason, "", "", error.detail)
    allowed = _allowed(schema).get(field, error.detail)
    found = _found(fields, field)
    return Fault(error.reason, field, "" if found is None else _short(bytes(found)), allowed)


def _fields(value: bytes | None) -> dict[str, msgspec.Raw] | None:
    try:
        return _RAW.decode(value or b"")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _found(fields: dict[str, msgspec.Raw], name: str) -> msgspec.Raw | None:
    """The field of that name, or the one that a path of names leads to."""
    if name in fields:
        return fields[name]
    first, _, rest = name.partition(".")
    inner = _fields(bytes(fields[first])) if rest and first in fields else None
    return None if inner is None else _found(inner, rest)


def _mistyped(schema: SchemaParams, fields: dict[str, msgspec.Raw]) -> str:
    """The first field that is not there and must be, or does not hold what it should."""
    for i, (name, kind) in enumerate(schema.columns):
        found = _found(fields, name)
        if found is None and i < REQUIRED_COUNT:
            return name
        if found is not None and not _is_a(found, kind):
            return name
    return ""


def _is_a(value: msgspec.Raw, kind: Any) -> bool:
    try:
        msgspec.json.decode(value, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _named(schema: SchemaParams, detail: str) -> str:
    """Of which field an error speaks: its name is the first word."""
    names = [name for name, _ in schema.columns if detail.startswith(f"{name} ")]
    return max(names, key=len, default="")


def _allowed(schema: SchemaParams) -> dict[str, str]:
    """What each field may hold, by the user's name of it."""
    identifier = f"a text of 1 to {schema.id_length_max} characters, or a whole number"
    optional = f"a text of at most {schema.id_length_max} characters, a whole number, or nothing"
    return {
        **dict.fromkeys(schema.categorical, "a text, a whole number, true, false, or nothing"),
        **dict.fromkeys(schema.entities.values(), optional),
        **dict.fromkeys(schema.numeric, "a number, or nothing"),
        **dict.fromkeys(schema.boolean, "true or false, or nothing"),
        schema.transaction_id: identifier,
        schema.account: identifier,
        schema.amount: _allowed_amount(schema),
        schema.event_time: _allowed_time(schema),
    }


def _allowed_amount(schema: SchemaParams) -> str:
    if schema.amount_format == "minor":
        return f"a whole number of minor units from 0 to {AMOUNT_MINOR_MAX:,}"
    return f"a number from 0 to {AMOUNT_MINOR_MAX // 10**schema.amount_decimals:,}"


def _allowed_time(schema: SchemaParams) -> str:
    since = f"not before {schema.event_time_min}"
    if schema.event_time_format == "rfc3339":
        return f"a time such as 2026-03-01T12:00:00Z, {since}"
    return f'a number as event_time_format = "{schema.event_time_format}" means it, {since}'


def _short(value: bytes) -> str:
    text = value[: 4 * _SHOWN_LENGTH_MAX].decode(errors="replace")
    return text if len(text) <= _SHOWN_LENGTH_MAX else f"{text[:_SHOWN_LENGTH_MAX]}…"
