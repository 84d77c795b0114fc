"""Columns of a file that nobody has described, as texts, and what these are like."""

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from sentinel.codec.paths import path_of
from sentinel.codec.values.booleans import FALSE, TRUE
from sentinel.codec.values.seen import ColumnForm
from sentinel.records import Floats

_ARE_MOST = 0.98  # of the values that are there: a few slips do not change what a column is
_NUMBER = re.compile(r"\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\s*")
_NAMED_BOOLEAN = re.compile(r"^(is|has)\b|\b(flag|bool|valid|present|is)\b")
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[^\W\d_A-Z]+|\d+")


def _words(name: str) -> str:
    return " ".join(_WORD.findall(name)).lower()


@dataclass(frozen=True, eq=False)
class FileColumn:
    """A column with the values that were looked at, oldest first; None where there is none."""

    name: str
    values: Sequence[str | None]
    form: ColumnForm = "any"

    @cached_property
    def words(self) -> str:
        """The words of the name, small and with blanks between: "nameOrig" is "name orig"."""
        return _words(self.name)

    @cached_property
    def path_words(self) -> tuple[str, ...]:
        """The same of the name, and of what is left of a path from each of its parts on: of
        "after.cardId" the words "after card id" and "card id".
        """
        parts = path_of(self.name)
        rests = (".".join(parts[begin:]) for begin in range(1, len(parts)))
        return (self.words, *map(_words, rests))

    @property
    def is_before(self) -> bool:
        """Whether it lies in what a change record says of the row before the change."""
        return "before" in path_of(self.name)[:-1]

    @property
    def can_be_named(self) -> bool:
        """Whether the decoder can look for a field of that name."""
        name = self.name
        if self.form == "unreached":
            return False
        return bool(name.strip()) and name.isprintable() and not set(name) & {'"', "\\"}

    @cached_property
    def present(self) -> list[str]:
        """The values that are there."""
        return [value for value in self.values if value is not None and value != ""]

    @cached_property
    def counts(self) -> Counter[str]:
        """How often each value is there."""
        return Counter(self.present)

    @property
    def distinct_count(self) -> int:
        """How many different values there are."""
        return len(self.counts)

    @property
    def is_constant(self) -> bool:
        """Whether it says nothing: one value, and it is always there."""
        return self.distinct_count == 1 and len(self.present) == len(self.values)

    @cached_property
    def numbers(self) -> Floats:
        """The values as numbers, NaN where there is none."""
        known = {text: float(text) if _NUMBER.fullmatch(text) else np.nan for text in self.counts}
        return np.array([known.get(v, np.nan) if v else np.nan for v in self.values], np.float64)

    @cached_property
    def reads_as_number(self) -> bool:
        """Whether its values are numbers, or texts that hold one."""
        finite = int(np.isfinite(self.numbers).sum())
        return bool(self.present) and finite >= _ARE_MOST * len(self.present)

    @property
    def is_number(self) -> bool:
        """Whether the schema can have it as a number."""
        return self.form in ("any", "number") and self.reads_as_number

    @cached_property
    def is_whole(self) -> bool:
        """Whether its values are whole numbers."""
        numbers = self.numbers[np.isfinite(self.numbers)]
        return self.reads_as_number and bool(np.all(numbers == np.floor(numbers)))

    @cached_property
    def is_boolean(self) -> bool:
        """Whether the schema can have it as a boolean; two numbers alone are no proof of it."""
        lows = {value.strip().lower() for value in self.counts}
        if self.form not in ("any", "boolean") or not lows or not lows <= {*TRUE, *FALSE}:
            return False
        is_named = any(map(_NAMED_BOOLEAN.search, self.path_words))
        return is_named or not self.is_number

    @cached_property
    def is_in_order(self) -> bool:
        """Whether its numbers never become smaller."""
        numbers = self.numbers[np.isfinite(self.numbers)]
        return numbers.size > 0 and bool(np.all(np.diff(numbers) >= 0))

    @cached_property
    def decimals(self) -> int:
        """The most digits behind the point."""
        points = (value.strip().partition(".")[2] for value in self.counts)
        return max((len(digits.rstrip("0")) for digits in points), default=0)


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen of a file.

    Attributes
    ----------
    file_name
        For a person.
    columns
        With equally many values each: those of the first rows, and of others spread evenly.
    row_count
        Of the whole file.
    is_topic
        Whether it is a topic: its records have no rows that could stand for an identifier.
    settings
        What a configuration must say beyond what columns are, by section and key.
    """

    file_name: str
    columns: tuple[FileColumn, ...]
    row_count: int
    is_topic: bool = False
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def seen_count(self) -> int:
        """How many rows were looked at."""
        return len(self.columns[0].values) if self.columns else 0

    @property
    def is_whole(self) -> bool:
        """Whether that was every row."""
        return not self.is_topic and self.seen_count == self.row_count

    @property
    def looked_at(self) -> str:
        """What was looked at, in words."""
        if self.is_topic:
            return f"{self.row_count:,} records of"
        return f"{'all' if self.is_whole else f'{self.seen_count:,} of'} {self.row_count:,} rows of"

    def without(self, names: Collection[str | None]) -> "Look":
        """The same without some columns."""
        left = tuple(column for column in self.columns if column.name not in names)
        return replace(self, columns=left)

    def named(self, name: str) -> FileColumn | None:
        """The column of that name."""
        return next((column for column in self.columns if column.name == name), None)
