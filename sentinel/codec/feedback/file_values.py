"""The columns of a row that says something, and what their values mean: the words of the field."""

import math
from collections.abc import Callable
from datetime import UTC, tzinfo
from decimal import Decimal
from typing import Any

import msgspec

from sentinel.codec.feedback.checking import REVISION_MAX, WORDS
from sentinel.codec.times import epoch_ms, ms_of_local_micros, ms_of_micros, ms_of_number, number_of
from sentinel.codec.values.labels import meaning_of

_SHOWN_LENGTH_MAX = 60
_EXACT_MAX = 2**53  # up to there a double is a whole number for certain


class Micros(int):
    """A time as a typed column holds it: microseconds since 1970."""


class LocalMicros(Micros):
    """The same of a column that is of no zone: what a clock showed."""


def quoted(value: object) -> str:
    """A value that is refused, cut: it may be long."""
    text = value if isinstance(value, str) else repr(value)
    cut = f"{text[:_SHOWN_LENGTH_MAX]}…" if len(text) > _SHOWN_LENGTH_MAX else text
    return f'"{cut}"'


def _number(value: object) -> int | float | None:
    """The number that a value is, or is the text of; None if none."""
    if isinstance(value, bool | Micros):
        return None
    if isinstance(value, int | float):
        return value
    if isinstance(value, Decimal):
        is_whole = value.is_finite() and value == value.to_integral_value()
        return int(value) if is_whole else float(value)
    return number_of(value.strip()) if isinstance(value, str) else None


def _label(value: object) -> str:
    if isinstance(value, bool):
        return "fraud" if value else "genuine"
    number = _number(value)
    if number in (0, 1):
        return "fraud" if number == 1 else "genuine"
    if isinstance(value, str) and (meaning := meaning_of(value)) is not None:
        return meaning
    raise ValueError(f"{quoted(value)} is not one of {', '.join(WORDS)}")


def identifier(value: object) -> str:
    """As transactions have it: a text as it is, or a whole number."""
    if isinstance(value, str):
        return value
    number = _number(value)
    is_exact = isinstance(number, int) or (
        isinstance(number, float) and abs(number) <= _EXACT_MAX and number.is_integer()
    )
    if number is None or not is_exact:
        raise ValueError(f"{quoted(value)} is neither text nor a whole number")
    return str(int(number))


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float | Decimal) and not isinstance(value, Micros):
        return str(value)
    raise ValueError(f"{quoted(value)} is not text")


def _name(value: object) -> str:
    return value.strip() if isinstance(value, str) else identifier(value)


def _share(value: object) -> float:
    number = _number(value)
    if number is None or not math.isfinite(number):
        raise ValueError(f"{quoted(value)} is not a number")
    if not 0 <= number <= 1:
        raise ValueError(f"{quoted(value)} is not in [0, 1]")
    return float(number)


def _revision(value: object) -> int:
    number = _number(value)
    if number is None or not 0 <= number <= REVISION_MAX or number != int(number):
        raise ValueError(f"{quoted(value)} is not a whole number from 0 to {REVISION_MAX}")
    return int(number)


def _time(value: object, zone: tzinfo = UTC) -> int:
    """A time; one without an offset is of the zone."""
    if isinstance(value, LocalMicros):
        found: int | None = ms_of_local_micros(value, zone)
    elif isinstance(value, Micros):
        found = ms_of_micros(value)
    elif isinstance(value, str):
        found = epoch_ms(value.strip(), zone)
    else:
        found = _time_of_number(_number(value), zone)
    if found is None:
        raise ValueError(
            f"{quoted(value)} is not a time such as 2026-03-01T12:00:00Z, nor seconds or "
            "milliseconds since 1970"
        )
    if found <= 0:  # 0 is how a record says that it does not know
        raise ValueError(f"{quoted(value)} is not after 1970")
    return found


def _time_of_number(number: float | None, zone: tzinfo) -> int | None:
    if number is None:
        return None
    is_date = isinstance(number, int) and len(str(number)) == len("20261231")
    return epoch_ms(str(number), zone) if is_date else ms_of_number(number)


def _milliseconds(value: object, zone: tzinfo = UTC) -> int:
    """A time whose column says that it is in milliseconds: no guess at seconds."""
    number = None if isinstance(value, Micros) else _number(value)
    if number is None:
        return _time(value, zone)
    if not math.isfinite(number):
        raise ValueError(f"{quoted(value)} is not a time")
    return round(number)


def _observed_milliseconds(value: object, zone: tzinfo = UTC) -> int | None:
    """0: the record does not know."""
    return _milliseconds(value, zone) or None


def entities_of(value: object) -> dict[str, str | None]:
    """The entities that an object, or the JSON of one, names by their kinds."""
    if isinstance(value, str):
        try:
            value = _OBJECT.decode(value)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise ValueError(f"{quoted(value)} is not a JSON object") from error
    if not isinstance(value, dict):
        raise ValueError(f"{quoted(value)} is not a JSON object")
    found: dict[str, str | None] = {}
    for kind, entity in value.items():
        if entity is None or (isinstance(entity, str) and not entity.strip()):
            continue
        try:
            found[str(kind)] = identifier(entity)
        except ValueError as error:
            raise ValueError(f"{kind} {error}") from error
    return found


_OBJECT = msgspec.json.Decoder(dict[str, Any])

# By the name of a column: the field that it is, and how it is read.
COLUMNS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "transaction_id": ("transaction_id", identifier),
    "task": ("transaction_id", identifier),
    "label": ("label", _label),
    "is_fraud": ("label", _label),
    "source": ("source", _name),
    "who": ("who", _name),
    "worker": ("who", _name),
    "annotator": ("who", _name),
    "confidence": ("confidence", _share),
    "notes": ("notes", _text),
    "observed_ms": ("observed_ms", _observed_milliseconds),
    "observed": ("observed_ms", _time),
    "time": ("observed_ms", _time),
    "event_time_ms": ("event_time_ms", _milliseconds),
    "event_time": ("event_time_ms", _time),
    "revision": ("revision", _revision),
    "probability": ("probability", _share),
    "selected_by": ("selected_by", _name),
}
# Columns of times, which are read in the zone of the schema.
TIMES: dict[str, Callable[[object, tzinfo], int | None]] = {
    "observed_ms": _observed_milliseconds,
    "observed": _time,
    "time": _time,
    "event_time_ms": _milliseconds,
    "event_time": _time,
}
# By a field: its columns.
FIELDS: dict[str, list[str]] = {}
for _column, (_of, _) in COLUMNS.items():
    FIELDS.setdefault(_of, []).append(_column)
