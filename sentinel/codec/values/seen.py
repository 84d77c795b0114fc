"""Fields of records that nobody has described: each under its name or path, as the text it has."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import msgspec

ColumnForm = Literal["any", "text", "number", "boolean", "nested", "unreached"]
JsonForm = Literal["null", "text", "number", "boolean", "nested", "unreached"]

TEXT_LENGTH_MAX = 300
_DEPTH_MAX = 16
_FIELDS_MAX = 200  # an object that has more is a map, such as of counts by card


@dataclass(frozen=True, slots=True)
class SeenColumn:
    """A column of the rows that were looked at.

    Attributes
    ----------
    values
        Texts as a CSV would have them, cut where they are very long; None where there is none.
    form
        "any" where whoever reads the file converts values to what the schema wants; in JSON they
        stay what they are. "nested" is what holds lists or objects, "unreached" what no path of a
        schema leads to.
    """

    name: str
    values: list[str | None]
    form: ColumnForm


@dataclass(frozen=True, slots=True)
class SeenRows:
    """The first rows of a file, and others spread evenly over it."""

    columns: list[SeenColumn]
    row_count: int  # of the whole file


class FieldText(NamedTuple):
    """A field as JSON has it, its text, and the path of the object in which it lies."""

    form: JsonForm
    text: str | None
    within: str = ""


def texts_of_line(line: bytes) -> dict[str, FieldText]:
    """Each field of a JSON object, those of objects in it under their paths; else nothing."""
    try:
        fields = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    if not isinstance(fields, dict):
        return {}
    found = dict(_fields_of(fields, "", 0))
    for name in fields.keys() & found.keys():  # a field of that very name comes before a path
        found[name] = _field_text(fields[name], "")
    return found


def _fields_of(
    fields: Mapping[str, Any], within: str, depth: int
) -> Iterator[tuple[str, FieldText]]:
    for key, value in fields.items():
        name = f"{within}.{key}" if depth else key
        is_in_paths = bool(key) and "." not in key
        if depth and not is_in_paths:
            yield name, FieldText("unreached", "{}", within)
        elif isinstance(value, dict) and value and is_in_paths and depth < _DEPTH_MAX:
            yield from _fields_of(value, name, depth + 1)
        else:
            yield name, _field_text(value, within)


def _field_text(value: Any, within: str) -> FieldText:
    if value is None or isinstance(value, str):
        return FieldText("null" if value is None else "text", value, within)
    if isinstance(value, bool):
        return FieldText("boolean", "true" if value else "false", within)
    if isinstance(value, int | float):
        return FieldText("number", str(value), within)
    return FieldText("nested", "{}", within)


def fields_seen(lines: Iterable[bytes]) -> dict[str, bool]:
    """The names and paths of fields in some JSON objects, and whether each is an object that has
    too many fields to be one of a schema.
    """
    found: dict[str, str] = {}
    for line in lines:
        for name, field in texts_of_line(line).items():
            found.setdefault(name, field.within)
    counts = Counter(within for within in found.values() if within)
    maps = {within for within, count in counts.items() if count > _FIELDS_MAX}
    names: dict[str, bool] = {}
    for name, within in found.items():
        outermost = next((path for path in _outer(within) if path in maps), "")
        names[outermost or name] = bool(outermost)
    return names


def columns_seen(names: Mapping[str, bool], lines: Iterable[bytes]) -> list[SeenColumn]:
    """Fields, as `fields_seen` names them, with their values in some JSON objects."""
    values: dict[str, list[str | None]] = {name: [] for name in names}
    forms: dict[str, set[JsonForm]] = {name: set() for name in names}
    objects: set[str] = set()
    for line in lines:
        fields = texts_of_line(line)
        for name, is_map in names.items():
            form, text, within = fields.get(name, _ABSENT) if not is_map else _MAP
            values[name].append(None if text is None else text[:TEXT_LENGTH_MAX])
            forms[name].add(form)
            objects.update(_outer(within))
    found = []
    for name in names:
        some = forms[name] - {"null"}
        if name in objects:  # an object, which is null or empty in some rows
            if not some - {"nested"}:
                continue
            some = {"nested"}
        found.append(SeenColumn(name, values[name], _form(some)))
    return found


_ABSENT, _MAP = FieldText("null", None), FieldText("nested", "{}")


def _outer(path: str) -> Iterator[str]:
    """A path and those that lead to it, the shortest first."""
    parts = path.split(".") if path else []
    return (".".join(parts[: depth + 1]) for depth in range(len(parts)))


def _form(some: set[JsonForm]) -> ColumnForm:
    """What a field of JSON is: numbers are also texts where some rows write them so."""
    if "nested" in some or "unreached" in some:
        return "nested" if "nested" in some else "unreached"
    if some == {"number"} or some == {"boolean"}:
        return "number" if "number" in some else "boolean"
    return "text"
