"""What the columns of two files are taken for: numbers, booleans, texts, or nothing to compare."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from sentinel.adapters.files.looking import seen_rows
from sentinel.adapters.files.opening import MISSING
from sentinel.codec.values.booleans import FALSE, TRUE
from sentinel.operations.arrival.columns import FileColumn, Look
from sentinel.operations.arrival.roles import account_columns
from sentinel.operations.arrival.times import time_column

Reading = Literal["number", "boolean", "text"]

# So many values say nothing yet of whether one comes twice.
_VALUE_COUNT_MIN = 5
_HARDLY_TWICE = 0.98
# Whole numbers drawn with replacement from so wide a range would have that many pairs of equals:
# if they have none, with a probability of e^-7, they were given out one by one.
_PAIRS_EXPECTED_MIN = 7
_NAMED = re.compile(r"\b(id|ids|uuid|guid|key|ref|reference|number|num|no|index|row|hash)\b")
_CLOCK = re.compile(r"\b(time|times|timestamp|ts|date|datetime|epoch|unix|at|when|created|utc)\b")
_DATES = re.compile(
    r"\s*(\d{4}([-/.])\d{1,2}\2\d{1,2}|\d{1,2}([-/.])\d{1,2}\3\d{4}|"
    r"\d{1,2}[- ][A-Za-z]{3}[- ]\d{4})"
    r"([Tt ]+\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?( ?[AaPp][Mm])?([Zz]|[+-]\d\d:?\d\d)?)?\s*"
)
_LARGEST = repr(float(np.finfo(np.float64).max))
_INFINITE = {"inf": _LARGEST, "+inf": _LARGEST, "-inf": f"-{_LARGEST}"}
_ENTITY_VALUE_COUNT_MIN = 200  # of a text that is not named as one
_ACCOUNT_COUNT_MIN = 10
_REPEATS_MIN = 1.5


@dataclass(frozen=True, slots=True)
class ColumnRole:
    """How a column is compared; with `left_out`, why it is not."""

    name: str
    reading: Reading
    left_out: str = ""


def seen(path: Path) -> Look:
    """A bounded look at a file, with what is missing missing. Raises ConfigError."""
    found = seen_rows(path)
    columns = tuple(
        FileColumn(one.name, [_settled(value) for value in one.values], one.form)
        for one in found.columns
    )
    return Look(path.name, columns, found.row_count)


def _settled(value: str | None) -> str | None:
    if value is None or value.strip() in MISSING:
        return None
    low = value.strip().lower().replace("infinity", "inf")
    return _INFINITE.get(low, value)


def role_of(reference: FileColumn, file: FileColumn, *, is_account: bool) -> ColumnRole:
    """What a column is, by both files; what the reference has of it decides, if it has anything."""
    name = reference.name
    known = reference if reference.present else file
    if is_account:
        return ColumnRole(name, "text", "the account")
    if "nested" in (reference.form, file.form):
        return ColumnRole(name, "text", "nested values")
    if not known.present:
        return ColumnRole(name, "text", "empty in both files")
    if is_time(known) and not (_NAMED.search(known.words) and is_unique(known)):
        return ColumnRole(name, "text", "times")
    if is_unique(known):
        return ColumnRole(name, "text", "an identifier: hardly a value comes twice")
    words = {text.strip().lower() for text in (*reference.counts, *file.counts)}
    if words <= {*TRUE, *FALSE}:
        return ColumnRole(name, "boolean")
    return ColumnRole(name, "number" if known.reads_as_number else "text")


def is_time(column: FileColumn) -> bool:
    """Whether its values are times or dates: as texts; as numbers that are called so, or only rise.

    Card numbers can lie where microseconds since 1970 do.
    """
    if (found := time_column(column)) is not None:
        return found.format == "rfc3339" or column.is_in_order or bool(_CLOCK.search(column.words))
    texts = list(column.counts)
    return sum(map(bool, map(_DATES.fullmatch, texts))) >= _HARDLY_TWICE * len(texts)


def is_unique(column: FileColumn) -> bool:
    """Whether its values identify rows: measurements do not, though hardly any comes twice."""
    n, distinct = len(column.present), column.distinct_count
    if n < _VALUE_COUNT_MIN or distinct < _HARDLY_TWICE * n:
        return False
    if not column.reads_as_number:
        return True
    if not column.is_whole:
        return False
    numbers = column.numbers[np.isfinite(column.numbers)]
    span = float(numbers.max()) - float(numbers.min()) + 1
    if _NAMED.search(column.words):
        return True
    return distinct == n and n * n / (2 * span) >= _PAIRS_EXPECTED_MIN


def account_names(look: Look) -> list[str]:
    """Columns that are called as accounts are, and come back with the same values."""
    return [
        column.name
        for column in account_columns(look)
        if _repeats(column) and column.distinct_count >= _ACCOUNT_COUNT_MIN
    ]


def account_like(look: Look) -> str | None:
    """A column that comes back with the same of many values, as accounts do, if there is one."""
    texts = [
        column
        for column in look.columns
        if not column.reads_as_number
        and column.distinct_count >= _ENTITY_VALUE_COUNT_MIN
        and _repeats(column)
        and not is_time(column)
    ]
    texts.sort(key=lambda column: -column.distinct_count)
    return next(iter([*account_names(look), *(column.name for column in texts)]), None)


def _repeats(column: FileColumn) -> bool:
    return len(column.present) >= _REPEATS_MIN * max(column.distinct_count, 1)


def median(column: FileColumn) -> float:
    """Of the numbers that were looked at; NaN without any."""
    numbers = column.numbers[np.isfinite(column.numbers)]
    return float(np.median(numbers)) if numbers.size else math.nan


def blank(name: str, row_count: int) -> FileColumn:
    """A column that a file does not have."""
    values: Sequence[str | None] = [None] * row_count
    return FileColumn(name, values)
