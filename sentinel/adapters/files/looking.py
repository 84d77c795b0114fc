"""A look at a file that nobody has described: some rows, each value as the text that it has."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

import polars as pl

from sentinel.adapters.files.opening import (
    check_content,
    kind_of,
    not_blank,
    open_lines,
    scan,
    translated,
)
from sentinel.codec.records import JsonForm, texts_of_line
from sentinel.errors import ConfigError

ColumnForm = Literal["any", "text", "number", "boolean", "nested"]

_FIRST_ROW_COUNT = 5_000  # next to each other: whether an account comes back is seen there
_ROW_COUNT_MAX = 10_000
_CELL_COUNT_MAX = 2_000_000
_TEXT_LENGTH_MAX = 300
_LINES_LOOKED_AT = 1_000
_ROW = "\x00row"  # no CSV has a column of that name


@dataclass(frozen=True, slots=True)
class SeenColumn:
    """A column of the rows that were looked at.

    Attributes
    ----------
    values
        Texts as a CSV would have them, cut where they are very long; None where there is none.
    form
        "any" where whoever reads the file converts values to what the schema wants; in JSON lines
        they stay what they are.
    """

    name: str
    values: list[str | None]
    form: ColumnForm


@dataclass(frozen=True, slots=True)
class SeenRows:
    """The first rows of a file, and others spread evenly over it."""

    columns: list[SeenColumn]
    row_count: int  # of the whole file


def seen_rows(path: Path) -> SeenRows:
    """A bounded look at a file. Raises ConfigError where it cannot be read or has no rows."""
    kind = kind_of(path)
    check_content(path)
    with translated(path):
        found = _seen_lines(path) if kind == "jsonl" else _seen_table(path)
    if not found.row_count:
        raise ConfigError(f"{path}: has no rows")
    return found


def _stride(row_count: int, column_count: int) -> tuple[int, int]:
    """How many of the first rows are looked at, and each how-manieth of all."""
    most = min(_ROW_COUNT_MAX, max(_CELL_COUNT_MAX // max(column_count, 1), 200))
    if row_count <= most:
        return row_count, 1
    first = min(_FIRST_ROW_COUNT, most // 2)
    return first, -(-row_count // (most - first))


def _seen_table(path: Path) -> SeenRows:
    table = scan(path)
    kinds = table.collect_schema()
    row_count = int(table.select(pl.len()).collect().item())
    first, stride = _stride(row_count, len(kinds))
    texts = [_text(pl.col(name), kind).alias(name) for name, kind in kinds.items()]
    frame = (
        table.with_row_index(_ROW)
        .filter((pl.col(_ROW) < first) | (pl.col(_ROW) % stride == 0))
        .select(texts)
        .collect(engine="streaming")
    )
    columns = [
        SeenColumn(name, frame[name].to_list(), "nested" if kind.is_nested() else "any")
        for name, kind in kinds.items()
    ]
    return SeenRows(columns, row_count)


def _text(column: pl.Expr, kind: pl.DataType) -> pl.Expr:
    """The values as texts; times in RFC 3339, with an offset where their type has a zone."""
    if kind.is_nested():
        return pl.when(column.is_not_null()).then(pl.lit("{}"))
    if isinstance(kind, pl.Datetime):
        zone = "%:z" if kind.time_zone else ""
        return column.dt.strftime(f"%Y-%m-%dT%H:%M:%S%.6f{zone}")
    if kind == pl.Date:
        return column.dt.strftime("%Y-%m-%dT00:00:00")
    if kind == pl.Binary:
        column = column.bin.encode("hex")
    return column.cast(pl.String).str.slice(0, _TEXT_LENGTH_MAX)


def _seen_lines(path: Path) -> SeenRows:
    with open_lines(path) as file:
        names = list(
            dict.fromkeys(
                name
                for line in islice(not_blank(file), _LINES_LOOKED_AT)
                for name in texts_of_line(line)
            )
        )
    with open_lines(path) as file:
        row_count = sum(1 for _ in not_blank(file))
    first, stride = _stride(row_count, len(names))
    values: dict[str, list[str | None]] = {name: [] for name in names}
    forms: dict[str, set[JsonForm]] = {name: set() for name in names}
    for line in _some_lines(path, first, stride):
        fields = texts_of_line(line)
        for name in names:
            form, text = fields.get(name, ("null", None))
            values[name].append(None if text is None else text[:_TEXT_LENGTH_MAX])
            forms[name].add(form)
    columns = [SeenColumn(name, values[name], _form(forms[name])) for name in names]
    return SeenRows(columns, row_count)


def _some_lines(path: Path, first: int, stride: int) -> Iterator[bytes]:
    with open_lines(path) as file:
        for row, line in enumerate(not_blank(file)):
            if row < first or row % stride == 0:
                yield line


def _form(forms: set[JsonForm]) -> ColumnForm:
    """What a field of JSON lines is: numbers are also texts where some rows write them so."""
    some: set[JsonForm] = forms - {"null"}
    if "nested" in some:
        return "nested"
    if some == {"number"} or some == {"boolean"}:
        return "number" if "number" in some else "boolean"
    return "text"
