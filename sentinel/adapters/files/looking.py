"""A look at files that nobody has described: some rows, each value as the text that it has."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import polars as pl

from sentinel.adapters.files.folders import check_shape, files_of
from sentinel.adapters.files.opening import (
    check_content,
    kind_of,
    not_blank,
    open_lines,
    scan,
    some_names,
    translated,
)
from sentinel.adapters.files.structs import leaves_of
from sentinel.codec.values.seen import (
    TEXT_LENGTH_MAX,
    SeenColumn,
    SeenRows,
    columns_seen,
    fields_seen,
    texts_of_line,
)
from sentinel.errors import ConfigError

_FIRST_ROW_COUNT = 5_000  # next to each other: whether an account comes back is seen there
_ROW_COUNT_MAX = 10_000
_CELL_COUNT_MAX = 2_000_000
_LINES_LOOKED_AT, _LINES_LOOKED_AT_LEAST = 1_000, 100  # of one file, and of each of many
_ROW = "\x00row"  # no CSV has a column of that name


def seen_rows(path: Path) -> SeenRows:
    """A bounded look at a file, or at the files of a folder.

    Raises ConfigError where they cannot be read, have no rows, or are not of one shape.
    """
    files = files_of(path)
    for file in files:
        kind_of(file)
        check_content(file)
    found = _seen_lines(files) if kind_of(files[0]) == "jsonl" else _seen_tables(files)
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


@dataclass(frozen=True, slots=True)
class _SeenTable:
    """A Parquet or CSV file: its columns as texts, by their names, and whether each is nested."""

    file: Path
    rows: pl.LazyFrame
    columns: dict[str, tuple[pl.Expr, bool]]
    row_count: int


def _opened(file: Path) -> _SeenTable:
    with translated(file):
        rows = scan(file)
        columns = {
            name: (_text(column, kind).alias(name), kind.is_nested())
            for name, column, kind in leaves_of(rows.collect_schema())
        }
        return _SeenTable(file, rows, columns, int(rows.select(pl.len()).collect().item()))


def _seen_tables(files: Sequence[Path]) -> SeenRows:
    tables = [_opened(file) for file in files]
    names = list(tables[0].columns)
    for table in tables:
        check_shape(table.file, table.columns, files[0], names)
    row_count = sum(table.row_count for table in tables)
    first, stride = _stride(row_count, len(names))
    frames, begin = [], 0
    for table in tables:
        row = pl.col(_ROW)
        with translated(table.file):
            frame = (
                table.rows.with_row_index(_ROW, offset=begin)
                .filter((row < first) | (row % stride == 0))
                .select(table.columns[name][0] for name in names)
                .collect(engine="streaming")
            )
        frames.append(frame)
        begin += table.row_count
    nested = {name for table in tables for name in names if table.columns[name][1]}
    rows = pl.concat(frames)
    columns = [
        SeenColumn(name, rows[name].to_list(), "nested" if name in nested else "any")
        for name in names
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
    return column.cast(pl.String).str.slice(0, TEXT_LENGTH_MAX)


def _seen_lines(files: Sequence[Path]) -> SeenRows:
    _check_fields(files)
    count = max(_LINES_LOOKED_AT // len(files), _LINES_LOOKED_AT_LEAST)
    names = fields_seen(line for file in files for line in islice(_lines([file]), count))
    row_count = sum(1 for _ in _lines(files))
    first, stride = _stride(row_count, len(names))
    some = (line for row, line in enumerate(_lines(files)) if row < first or row % stride == 0)
    return SeenRows(columns_seen(names, some), row_count)


def _lines(files: Sequence[Path]) -> Iterator[bytes]:
    for file in files:
        with translated(file), open_lines(file) as lines:
            yield from not_blank(lines)


def _check_fields(files: Sequence[Path]) -> None:
    """Raise ConfigError where a file never has what the first one has in every line."""
    first, *others = files
    if not others:
        return
    heads = (texts_of_line(line).keys() for line in islice(_lines([first]), _LINES_LOOKED_AT))
    always = _common(heads)
    for file in others:
        lines = islice(_lines([file]), _LINES_LOOKED_AT_LEAST)
        lacking = always.difference(*(texts_of_line(line) for line in lines))
        if lacking:
            raise ConfigError(
                f"{file}: does not fit: no line looked at has {some_names(lacking)}, which all of "
                f"{first.name} have"
            )


def _common(heads: Iterable[Collection[str]]) -> set[str]:
    """The names that are in all of them which have any."""
    found: set[str] | None = None
    for names in heads:
        if names:
            found = set(names) if found is None else found & set(names)
    return found or set()
