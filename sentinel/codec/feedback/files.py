"""Rows of files as feedback: read whole, or refused with the field that is wrong."""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import msgspec

from sentinel.codec.feedback.checking import FeedbackBounds, checked
from sentinel.codec.feedback.file_values import (
    COLUMNS,
    FIELDS,
    TIMES,
    entities_of,
    identifier,
    quoted,
)
from sentinel.errors import RecordError
from sentinel.records import Feedback

ENTITY = "entity_"
REFUSED_COUNT_MAX = 20  # of which the reasons are kept

_NAMED_COUNT_MAX = 1_000  # unknown columns and kinds that are remembered
_DEFAULTS: dict[str, Any] = {
    "transaction_id": "",
    "label": "",
    "who": "",
    "confidence": 1.0,
    "notes": "",
    "observed_ms": 0,
    "event_time_ms": None,
    "revision": 0,
    "probability": None,
    "selected_by": None,
}


@dataclass(frozen=True, slots=True)
class VoteRows:
    """Some rows of a file as its format has them.

    Attributes
    ----------
    first
        The number of the first one; the first of a file is 1.
    columns
        Of each column a value a row, None where there is none.
    refused
        What is wrong with the rows that the format itself cannot read, by place.
    """

    first: int
    count: int
    columns: Mapping[str, Sequence[object]]
    refused: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FeedbackRows:
    """What some rows say.

    Attributes
    ----------
    numbers
        The row of each piece of feedback.
    refused
        By the number of its row, why a row says nothing, beginning with the field.
    """

    numbers: list[int]
    all_feedback: list[Feedback]
    refused: dict[int, str]


@dataclass(slots=True)
class Refusals:
    """Rows that say nothing: how many, and of the first ones why, by number."""

    count: int = 0
    reasons: dict[int, str] = field(default_factory=dict)

    def add(self, refused: Mapping[int, str]) -> None:
        """Count some rows."""
        self.count += len(refused)
        room = REFUSED_COUNT_MAX - len(self.reasons)
        self.reasons |= dict(islice(refused.items(), room))


class FeedbackReader:
    """Makes feedback of rows.

    Parameters
    ----------
    source
        Of rows that name none.
    now_ms
        Nothing was seen much later than now, nor happened.

    Attributes
    ----------
    unknown_columns, unknown_kinds
        What was left out so far: columns, and kinds of entities that the schema does not have.
    """

    def __init__(self, bounds: FeedbackBounds, *, source: str, now_ms: int) -> None:
        self._bounds = bounds
        self._now_ms = now_ms
        self._defaults: dict[str, Any] = {**_DEFAULTS, "source": source}
        self.unknown_columns: dict[str, None] = {}
        self.unknown_kinds: dict[str, None] = {}

    def read(self, rows: VoteRows) -> FeedbackRows:
        """The rows as feedback, in their order."""
        refused = dict(rows.refused)
        for name in rows.columns:
            if not self._is_known(name):
                _note(self.unknown_columns, name)
        columns = {
            name: [
                default if value is None else value for value in self._field(rows, name, refused)
            ]
            for name, default in self._defaults.items()
        }
        columns["entities"] = self._entities(rows, refused)
        found = FeedbackRows([], [], {})
        for place, row in enumerate(zip(*columns.values(), strict=True)):
            number = rows.first + place
            if place in refused:
                found.refused[number] = refused[place]
                continue
            feedback = Feedback(**dict(zip(columns, row, strict=True)))
            try:
                self._check(feedback)
            except RecordError as error:
                found.refused[number] = error.detail
                continue
            found.numbers.append(number)
            found.all_feedback.append(feedback)
        return found

    def _check(self, feedback: Feedback) -> None:
        """Whether it says something that can be true. Raises RecordError."""
        for name, value in (("transaction_id", feedback.transaction_id), ("label", feedback.label)):
            if not value:
                raise RecordError("missing_field", f"{name} is missing")
        if not (feedback.who or feedback.source):
            raise RecordError("missing_field", "who is missing, and source, too")
        checked(feedback)
        if feedback.event_time_ms is not None:
            self._bounds.check_time("event_time", feedback.event_time_ms, self._now_ms)
        if feedback.observed_ms:
            self._bounds.check_time("observed", feedback.observed_ms, self._now_ms)

    def _is_known(self, name: str) -> bool:
        if name.startswith(ENTITY):
            return name.removeprefix(ENTITY) in self._bounds.kinds
        return name in COLUMNS or name in ("account", "entities", "v")

    def _field(self, rows: VoteRows, name: str, refused: dict[int, str]) -> list[Any]:
        """A field of each row, from whichever of its columns has it."""
        found: list[Any] | None = None
        for column in (column for column in FIELDS[name] if column in rows.columns):
            values = _parsed(rows.columns[column], column, self._parser(column), refused)
            if found is None:
                found = values
                continue
            for place, value in enumerate(values):
                if found[place] is None:
                    found[place] = value
                elif value is not None and value != found[place]:
                    refused.setdefault(place, f"{column} says something else than its other column")
        return [None] * rows.count if found is None else found

    def _parser(self, column: str) -> Callable[[Any], Any]:
        if (in_zone := TIMES.get(column)) is None:
            return COLUMNS[column][1]
        zone = self._bounds.zone
        return lambda value: in_zone(value, zone)

    def _entities(
        self, rows: VoteRows, refused: dict[int, str]
    ) -> list[dict[str, str | None] | None]:
        """What the columns of single kinds and `entities` say together; None: nothing."""
        columns = []
        for name, values in rows.columns.items():
            kind = name.removeprefix(ENTITY) if name.startswith(ENTITY) else name
            if kind in self._bounds.kinds and self._is_known(name):
                columns.append((name, kind, _parsed(values, name, identifier, refused)))
        given = rows.columns.get("entities", ())
        whole = _parsed(given, "entities", entities_of, refused) or [None] * rows.count
        found: list[dict[str, str | None]] = [self._with_known_kinds(one or {}) for one in whole]
        for name, kind, entities in columns:
            for place, entity in enumerate(entities):
                if entity is None:
                    continue
                other = found[place].setdefault(kind, entity)
                if other != entity:
                    words = f"{name} {quoted(entity)}, but entities say {quoted(other)}"
                    refused.setdefault(place, words)
        return [one or None for one in found]

    def _with_known_kinds(self, entities: Mapping[str, str | None]) -> dict[str, str | None]:
        for kind in entities:
            if kind not in self._bounds.kinds:
                _note(self.unknown_kinds, kind)
        return {kind: name for kind, name in entities.items() if kind in self._bounds.kinds}


def decode_line(line: bytes) -> dict[str, Any]:
    """The object in a line of JSON. Raises RecordError, which names a field that is not JSON."""
    try:
        return _OBJECT.decode(line)
    except msgspec.MsgspecError as error:
        reason = str(error)
    except (UnicodeDecodeError, RecursionError) as error:
        raise RecordError("not_json", "not UTF-8, or nested too deeply") from error
    for name, value in _loosely(line).items():
        if isinstance(value, float) and not math.isfinite(value):
            raise RecordError("not_json", f"{name} is {value}, which JSON does not have")
    raise RecordError("not_json", f"not a JSON object: {reason}")


def _loosely(line: bytes) -> dict[str, Any]:
    """What Python takes for JSON: NaN and numbers beyond doubles, too."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _parsed(
    values: Sequence[object],
    name: str,
    parse: Callable[[Any], Any],
    refused: dict[int, str],
) -> list[Any]:
    """Each value as it is meant; blanks are missing."""
    found: list[Any] = []
    for place, value in enumerate(values):
        if value is None or (type(value) is str and not value.strip()):
            found.append(None)
            continue
        try:
            found.append(parse(value))
        except ValueError as error:
            found.append(None)
            refused.setdefault(place, f"{name} {error}")
    return found


def _note(names: dict[str, None], name: str) -> None:
    if len(names) < _NAMED_COUNT_MAX:
        names[name] = None


def missing_columns(names: Sequence[str]) -> list[str]:
    """What a row must have and no column of a file with these can give, in words."""
    return [
        " or ".join(FIELDS[name])
        for name in ("transaction_id", "label")
        if not set(FIELDS[name]) & set(names)
    ]


def columns_of(rows: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, list[object]]]:
    """Rows turned on their side: every name that any of them has."""
    for name in dict.fromkeys(name for row in rows for name in row):
        yield name, [row.get(name) for row in rows]


_OBJECT = msgspec.json.Decoder(dict[str, Any])
