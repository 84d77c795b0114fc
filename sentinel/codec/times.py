"""Times as people and their tools write them: ISO 8601, or seconds or milliseconds since 1970."""

import math
import re
from datetime import UTC, datetime, timedelta, tzinfo

# A bare number below is seconds, from there on milliseconds: as seconds 10**11 is the year 5138, as
# milliseconds March 1973. Between 2000 and 5138 no number can be meant as both.
SECONDS_MAX = 10**11

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LOCAL_EPOCH = datetime(1970, 1, 1)
_MICROSECOND = timedelta(microseconds=1)
_DATE = re.compile(r"[0-9]{8}")  # 20261231, as ISO 8601 has it
_WHOLE = re.compile(r"[+-]?[0-9]{1,40}")
# Python's own reading takes 1_000, digits of other scripts, and nan for numbers, too.
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")


def number_of(text: str) -> int | float | None:
    """The number that a text is, exactly if it is whole; infinite beyond doubles, None if none."""
    if _WHOLE.fullmatch(text):
        return int(text)
    return float(text) if _NUMBER.fullmatch(text) else None


def ms_of_number(value: float) -> int:
    """Epoch milliseconds of seconds, or of milliseconds. Raises ValueError if it is not finite."""
    if not math.isfinite(value):
        raise ValueError(f'"{value}" is not a time')
    return round(value * (1000 if abs(value) < SECONDS_MAX else 1))


def ms_of_micros(micros: int) -> int:
    """Epoch milliseconds of microseconds, to the nearest."""
    return round(micros / 1000)


def ms_of_local_micros(micros: int, zone: tzinfo) -> int:
    """The same of microseconds that a clock of the zone would show; far beyond it, of UTC."""
    try:
        return _ms_of(_LOCAL_EPOCH + timedelta(microseconds=micros), zone)
    except OverflowError:
        return ms_of_micros(micros)


def epoch_ms(text: str, zone: tzinfo = UTC) -> int | None:
    """Of a time that a person wrote, in the zone unless it says otherwise; None if it is none."""
    number = None if _DATE.fullmatch(text) else number_of(text)
    try:
        if number is not None:
            return ms_of_number(number)
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return _ms_of(found, zone)


def _ms_of(when: datetime, zone: tzinfo) -> int:
    """One without an offset is of the zone: the first of two that are shown alike."""
    aware = when if when.tzinfo is not None else when.replace(tzinfo=zone)
    return ms_of_micros((aware - _EPOCH) // _MICROSECOND)


def date_text(time_ms: int) -> str:
    """For a person to read, in UTC; a time that no calendar has is told as a number."""
    try:
        when = _EPOCH + timedelta(milliseconds=time_ms)
    except OverflowError:
        return f"{time_ms} ms"
    return when.strftime("%Y-%m-%d %H:%M:%S")
