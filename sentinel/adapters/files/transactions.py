"""Files of transactions: Parquet, CSV and JSON lines, packed or not, as JSON records in chunks."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO

import polars as pl
from polars.exceptions import PolarsError

from sentinel.adapters.files.columns import as_json
from sentinel.adapters.files.opening import (
    check_content,
    kind_of,
    not_blank,
    open_lines,
    scan,
    some_names,
    stem_of,
    translated,
)
from sentinel.adapters.files.structs import column_of, names_of
from sentinel.codec.records import fields_of_line, with_first
from sentinel.codec.schema import REQUIRED_COUNT, SchemaParams
from sentinel.codec.values.labels import fraud_said
from sentinel.codec.values.repeated_hours import RepeatedHours
from sentinel.errors import ConfigError

CHUNK_ROW_COUNT = 20_000

# JSON lines have no header: their columns are those of the first few.
_LINES_LOOKED_AT = 1_000


def row_name(row: int) -> str:
    """Where a person finds a row of the only file: the first below the header is row 1."""
    return f"row {row:,}"


@dataclass(frozen=True, slots=True)
class Chunk:
    """Consecutive rows: their JSON, and whether each is fraud (None: not known)."""

    values: list[bytes]
    is_fraud: list[bool | None]


class TransactionFile:
    """A file of the user's transactions, in the order of its rows.

    Only the fields that the schema maps are kept, so that a label never travels with its record.
    What does not fit the schema is kept as it is: its reader says why it is refused.

    Parameters
    ----------
    label_column
        The column that says whether a row is fraud, if any; codec/values/labels.py has the words.
    is_label_needed
        Whether the file must have that column; else a file without it has no labels.
    stem
        By which rows without an identifier are called; empty: the name of the file.
    repeated
        Tells the showings of an hour apart, where the rows of other files come before.

    Attributes
    ----------
    columns
        Those that are read: fields of the schema, and the label.
    """

    def __init__(
        self,
        path: Path,
        schema: SchemaParams,
        *,
        label_column: str = "",
        is_label_needed: bool = True,
        stem: str = "",
        repeated: RepeatedHours | None = None,
    ) -> None:
        self._path = path
        self._stem = os.fsencode(stem or stem_of(path)).decode(errors="replace")
        self._label_column = label_column
        if label_column in [name for name, _ in schema.columns]:
            raise ConfigError(
                f"{label_column} is a field of [schema]: the label may not be among the inputs"
            )
        kind = _Lines if kind_of(path) == "jsonl" else _FileTable
        check_content(path)
        self._rows = kind(path, schema, label_column)
        with translated(path):
            found = self._rows.names()
        if not is_label_needed and label_column not in found:
            self._label_column = label_column = ""
            self._rows = kind(path, schema, "")
        # What the file lacks of these, its rows stand for.
        self._numbered = [name for name in schema.row_numbers if name not in found]
        self._repeated = repeated or RepeatedHours(schema)
        names = [name for name, _ in schema.columns]
        required = [*names[:REQUIRED_COUNT], *filter(None, (schema.currency, label_column))]
        if missing := [n for n in required if n not in {*found, *self._numbered}]:
            raise ConfigError(f"{path}: has no column {missing}; it has {some_names(found)}")
        self.columns = found & {*names, *filter(None, [label_column])}

    @property
    def path(self) -> Path:
        """Where it is."""
        return self._path

    @property
    def label_column(self) -> str:
        """The column that says whether a row is fraud; empty if none does."""
        return self._label_column

    def row_count(self) -> int:
        """How many rows the file has."""
        with translated(self._path):
            return self._rows.count()

    def chunks(self, *, skip: int = 0) -> Iterator[Chunk]:
        """Rows from row `skip` on. Raises ConfigError when the file turns out to be damaged."""
        with translated(self._path):
            row = skip
            for values, labels in self._rows.chunks(skip):
                rows = self._repeated.resolved(self._with_numbers(values, row))
                yield Chunk(rows, [self._is_fraud(text) for text in labels])
                row += len(values)

    @property
    def undecided_count(self) -> int:
        """How many rows read so far have a local time that was twice, and no sign of which."""
        return self._repeated.undecided_count

    def row_name(self, row: int) -> str:
        """Where a person finds a row, counted from 1."""
        return row_name(row)

    def _with_numbers(self, values: list[bytes], before: int) -> list[bytes]:
        """The rows with their numbers, from 1 on, where the file lacks an identifier."""
        if not self._numbered:
            return values
        return [
            with_first(value, dict.fromkeys(self._numbered, f"{self._stem}-{number}"))
            for number, value in enumerate(values, before + 1)
        ]

    def _is_fraud(self, text: str | None) -> bool | None:
        try:
            return fraud_said(text)
        except ValueError as error:
            raise ConfigError(f"{self._path}: column {self._label_column}: {error}") from error


class _Lines:
    """JSON lines: each field keeps the very text that it has."""

    def __init__(self, path: Path, schema: SchemaParams, label_column: str) -> None:
        self._path = path
        self._names = [name for name, _ in schema.columns]
        self._label_column = label_column

    def names(self) -> set[str]:
        with self._open() as file:
            lines = list(islice(not_blank(file), _LINES_LOOKED_AT))
        wanted, label = self._names, self._label_column
        return {name for line in lines for name in fields_of_line(line, wanted, label).names}

    def count(self) -> int:
        with self._open() as file:
            return sum(1 for _ in not_blank(file))

    def chunks(self, skip: int) -> Iterator[tuple[list[bytes], list[str | None]]]:
        with self._open() as file:
            lines = islice(not_blank(file), skip, None)
            while some := list(islice(lines, CHUNK_ROW_COUNT)):
                found = [fields_of_line(line, self._names, self._label_column) for line in some]
                yield [fields.kept for fields in found], [fields.label for fields in found]

    def _open(self) -> IO[bytes]:
        return open_lines(self._path)


class _FileTable:
    """Parquet and CSV, by polars. A CSV is text at first: no guess that a later row breaks."""

    def __init__(self, path: Path, schema: SchemaParams, label_column: str) -> None:
        self._path = path
        self._schema = schema
        self._label_column = label_column
        self._wanted = [name for name, _ in schema.columns]
        self._wanted += [label_column] if label_column else []

    def names(self) -> set[str]:
        return names_of(self._path, self._scan().collect_schema(), self._wanted)

    def count(self) -> int:
        return int(self._scan().select(pl.len()).collect().item())

    def chunks(self, skip: int) -> Iterator[tuple[list[bytes], list[str | None]]]:
        kinds, found = self._scan().collect_schema(), self.names()
        frames = (
            self._scan()
            .slice(skip)
            .select(column_of(kinds, name) for name in self._wanted if name in found)
            .collect_batches(chunk_size=CHUNK_ROW_COUNT, maintain_order=True, lazy=True)
        )
        for frame in frames:
            yield as_json(frame, self._schema), self._labels(frame)

    def _scan(self) -> pl.LazyFrame:
        return scan(self._path)

    def _labels(self, frame: pl.DataFrame) -> list[str | None]:
        if not self._label_column:
            return [None] * len(frame)
        return frame[self._label_column].cast(pl.String).to_list()


def write_table(frame: pl.DataFrame, path: Path, *, called: Path | None = None) -> None:
    """A file of rows, Parquet or CSV by its name; `called` so where it gets another name later.

    Raises ConfigError, which says why it cannot be written.
    """
    try:
        frame.write_csv(path) if path.suffix == ".csv" else frame.write_parquet(path)
    except (OSError, PolarsError) as error:  # of a full disk polars says the one or the other
        told = str(error).partition("\n")[0].rpartition(" error: ")[2]
        reason = told.partition(" (os error ")[0]
        raise ConfigError(f"{called or path}: cannot be written: {reason}") from error
