"""Which columns could say when, and how they say it."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from sentinel.codec.schema import rfc3339_ms
from sentinel.core.features.spec import duration_ms
from sentinel.operations.arrival.columns import FileColumn, Look
from sentinel.records import Floats

ORIGIN = "2020-01-01T00:00:00Z"  # of steps, where nobody knows it: a midnight in the past

_UNITS = {"epoch_s": 1, "epoch_ms": 10**3, "epoch_us": 10**6, "epoch_ns": 10**9}
# 2000 to 2100: a number that is a time of these years in one unit is none in another.
_EPOCH_S_MIN, _EPOCH_S_MAX = 946_684_800, 4_102_444_800
_TEXT = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:?\d\d)?", re.ASCII)
_HAS_OFFSET = re.compile(r".*([Zz]|[+-]\d\d:?\d\d)")

# How long a step of a counter is, by the last word of its name.
_STEPS = (
    (r"months?", "30d"),
    (r"weeks?", "7d"),
    (r"days?", "1d"),
    (r"step|hours?", "1h"),
    (r"minutes?", "1m"),
    (r"seconds?|secs?|time|dt", "1s"),
)
_GOOD = re.compile(
    r"\b(event|transaction|trans|tx|txn|created|occurred|timestamp|datetime|time|ts|date|dt)\b"
)
_BAD = re.compile(
    r"\b(birth|dob|updated|settled|settlement|expiry|expires|reported|chargeback|label|signup|"
    r"opened|registered|last|first|due)\b"
)


@dataclass(frozen=True, slots=True)
class TimeColumn:
    """A column that may say when a transaction happened.

    Attributes
    ----------
    format
        As `event_time_format`.
    has_zone
        Whether each value says of which zone it is.
    step
        Of a counter, the length of a step as a duration; else empty.
    """

    column: FileColumn
    format: str
    has_zone: bool = True
    step: str = ""

    def times_ms(self, step: str = "", origin: str = "") -> Floats:
        """When each row happened, without any zone taken as UTC; NaN where it does not say."""
        if self.format == "rfc3339":
            return np.array([_text_ms(value) for value in self.column.values], np.float64)
        if self.format == "steps":
            length_ms = duration_ms(step or self.step)
            return rfc3339_ms(origin or ORIGIN) + self.column.numbers * length_ms
        return self.column.numbers / (_UNITS[self.format] / 1000)

    @property
    def is_in_order(self) -> bool:
        """Whether no row is earlier than one before it, among those that were looked at."""
        return not np.any(np.diff(_there(self.times_ms())) < 0)

    @property
    def rank(self) -> tuple[bool, bool, int]:
        """The larger, the more it is the event time."""
        words = self.column.words
        named = len(_GOOD.findall(words)) - 2 * len(_BAD.findall(words))
        return (self.is_in_order, self.format == "rfc3339", named)


def time_columns(look: Look) -> list[TimeColumn]:
    """All that could be the event time, the likeliest first."""
    found = [one for one in map(time_column, look.columns) if one is not None]
    return sorted(found, key=lambda one: one.rank, reverse=True)


def time_column(column: FileColumn) -> TimeColumn | None:
    """The column as a time, if its values can be times."""
    if column.form == "nested" or not column.present:
        return None
    if not column.reads_as_number:
        texts = list(column.counts)
        fitting = [text for text in texts if _TEXT.fullmatch(text)]
        if len(fitting) < 0.98 * len(texts):
            return None
        return TimeColumn(column, "rfc3339", all(map(_HAS_OFFSET.fullmatch, fitting)))
    numbers = column.numbers[np.isfinite(column.numbers)]
    if not column.is_number:
        return None
    for name, per_s in _UNITS.items():
        if np.all((numbers >= _EPOCH_S_MIN * per_s) & (numbers < _EPOCH_S_MAX * per_s)):
            return TimeColumn(column, name)
    return _counter(column)


def _counter(column: FileColumn) -> TimeColumn | None:
    """A counter of steps: its name says so, and it only goes up."""
    last = column.words.rpartition(" ")[2]
    step = next((length for words, length in _STEPS if re.fullmatch(words, last)), "")
    is_moving = column.distinct_count > 1 and column.is_in_order
    return TimeColumn(column, "steps", step=step) if step and is_moving else None


def agrees_in_utc(chosen: TimeColumn, others: list[TimeColumn]) -> TimeColumn | None:
    """Another column that says the same since 1970: then a time without a zone is one of UTC."""
    times_ms = chosen.times_ms()
    for other in others:
        if other.format not in _UNITS:
            continue
        away_ms = np.abs(other.times_ms() - times_ms)
        if away_ms.size and np.nanmax(away_ms, initial=0.0) < 1_000:
            return other
    return None


def first_and_last_ms(times_ms: Floats) -> tuple[float, float]:
    """The first and the last time; zeros where there is none."""
    there = _there(times_ms)
    return (float(there.min()), float(there.max())) if there.size else (0.0, 0.0)


def _there(times_ms: Floats) -> Floats:
    return times_ms[np.isfinite(times_ms)]


def _text_ms(text: str | None) -> float:
    try:
        when = datetime.fromisoformat(text or "")
    except ValueError:
        return float("nan")
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() * 1000
