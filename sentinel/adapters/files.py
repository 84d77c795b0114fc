"""Files of transactions: Parquet, CSV and JSON lines, also gzipped, as JSON records in chunks."""

import gzip
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce
from itertools import islice
from operator import or_
from pathlib import Path
from typing import IO, Any, cast

import polars as pl
from polars.exceptions import PolarsError

from sentinel.codec.records import fields_of_line
from sentinel.codec.schema import REQUIRED_COUNT, SchemaParams
from sentinel.errors import ConfigError

CHUNK_ROW_COUNT = 20_000

# JSON lines have no header: their columns are those of the first few.
_LINES_LOOKED_AT = 1_000

_FRAUD = {"1", "true", "fraud", "1.0"}
_GENUINE = {"0", "false", "genuine", "0.0"}


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
        The column that says whether a row is fraud (0/1, true/false, fraud/genuine), if any.
    """

    def __init__(self, path: Path, schema: SchemaParams, *, label_column: str = "") -> None:
        self._path = path
        self._label_column = label_column
        kind = _Lines if _format(path) == "jsonl" else _FileTable
        if not path.is_file():
            raise ConfigError(f"{path}: there is no such file")
        self._rows = kind(path, schema, label_column)
        with self._translated():
            found = self._rows.names()
        names = [name for name, _ in schema.columns]
        required = [*names[:REQUIRED_COUNT], *([label_column] if label_column else [])]
        if missing := [name for name in required if name not in found]:
            raise ConfigError(f"{path}: has no column {missing}; it has {sorted(found)}")

    def row_count(self) -> int:
        """How many rows the file has."""
        with self._translated():
            return self._rows.count()

    def chunks(self, *, skip: int = 0) -> Iterator[Chunk]:
        """Rows from row `skip` on. Raises ConfigError when the file turns out to be damaged."""
        with self._translated():
            for values, labels in self._rows.chunks(skip):
                yield Chunk(values, [self._is_fraud(text) for text in labels])

    def _is_fraud(self, text: str | None) -> bool | None:
        if text is None or text == "":
            return None
        low = text.lower()
        if low in _FRAUD:
            return True
        if low in _GENUINE:
            return False
        raise ConfigError(
            f'{self._path}: column {self._label_column}: "{text}" is none of '
            f"{sorted(_FRAUD | _GENUINE)}"
        )

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """The many ways in which the libraries say that a file is damaged."""
        try:
            yield
        except (PolarsError, OSError, EOFError, zlib.error) as error:
            reason = str(error).partition("\n")[0]  # polars goes on with advice about its options
            raise ConfigError(f"{self._path}: cannot be read: {reason}") from error


class _Lines:
    """JSON lines: each field keeps the very text that it has."""

    def __init__(self, path: Path, schema: SchemaParams, label_column: str) -> None:
        self._path = path
        self._names = [name for name, _ in schema.columns]
        self._label_column = label_column

    def names(self) -> set[str]:
        with self._open() as file:
            lines = list(islice(_not_blank(file), _LINES_LOOKED_AT))
        return {name for line in lines for name in fields_of_line(line, [], "").names}

    def count(self) -> int:
        with self._open() as file:
            return sum(1 for _ in _not_blank(file))

    def chunks(self, skip: int) -> Iterator[tuple[list[bytes], list[str | None]]]:
        with self._open() as file:
            lines = islice(_not_blank(file), skip, None)
            while some := list(islice(lines, CHUNK_ROW_COUNT)):
                found = [fields_of_line(line, self._names, self._label_column) for line in some]
                yield [fields.kept for fields in found], [fields.label for fields in found]

    def _open(self) -> IO[bytes]:
        if self._path.suffix == ".gz":
            return cast("IO[bytes]", gzip.open(self._path))
        return self._path.open("rb")


def _not_blank(file: IO[bytes]) -> Iterator[bytes]:
    return (line.rstrip(b"\r\n") for line in file if not line.isspace())


class _FileTable:
    """Parquet and CSV, by polars. A CSV is text at first: no guess that a later row breaks."""

    def __init__(self, path: Path, schema: SchemaParams, label_column: str) -> None:
        self._path = path
        self._schema = schema
        self._label_column = label_column
        self._is_csv = _format(path) == "csv"

    def names(self) -> set[str]:
        return set(self._scan().collect_schema().names())

    def count(self) -> int:
        return int(self._scan().select(pl.len()).collect().item())

    def chunks(self, skip: int) -> Iterator[tuple[list[bytes], list[str | None]]]:
        frames = (
            self._scan()
            .slice(skip)
            .collect_batches(chunk_size=CHUNK_ROW_COUNT, maintain_order=True, lazy=True)
        )
        for frame in frames:
            yield self._json(frame), self._labels(frame)

    def _scan(self) -> pl.LazyFrame:
        if self._is_csv:
            return pl.scan_csv(self._path, infer_schema=False, null_values="")
        return pl.scan_parquet(self._path)

    def _json(self, frame: pl.DataFrame) -> list[bytes]:
        """Each row as the JSON that a producer of this schema would send."""
        names = [name for name, _ in self._schema.columns if name in frame.columns]
        kept = frame.select(names)
        if not self._is_csv:
            return _lines(kept.with_columns(_plain(kept, self._schema)))
        parsed = kept.with_columns(_parsed(kept, self._schema))
        values = _lines(parsed)
        unread = [parsed[name].is_null() & kept[name].is_not_null() for name in names]
        at = reduce(or_, unread).arg_true()
        for i, text in zip(at.to_list(), _lines(kept[at]), strict=True):
            values[i] = text
        return values

    def _labels(self, frame: pl.DataFrame) -> list[str | None]:
        if not self._label_column:
            return [None] * len(frame)
        return frame[self._label_column].cast(pl.String).to_list()


def _lines(frame: pl.DataFrame) -> list[bytes]:
    """Only a line feed ends a line: JSON may hold every other character that Unicode calls so."""
    return frame.write_ndjson().encode().split(b"\n")[:-1] if len(frame) else []


def _parsed(frame: pl.DataFrame, schema: SchemaParams) -> list[pl.Expr]:
    """The columns of a CSV that are no texts, null where they cannot be read."""
    numbers = [*schema.numeric, *([schema.amount] if schema.amount_format == "decimal" else [])]
    if schema.event_time_format != "rfc3339":
        numbers.append(schema.event_time)
    whole = [schema.amount] if schema.amount_format == "minor" else []
    kinds: list[tuple[Sequence[str], Any]] = [(numbers, pl.Float64), (whole, pl.Int64)]
    found = [
        pl.col(name).str.strip_chars().cast(kind, strict=False).fill_nan(None)
        for names, kind in kinds
        for name in names
        if name in frame.columns
    ]
    words = {"true": True, "false": False}
    return found + [
        pl.col(name).str.to_lowercase().replace_strict(words, default=None, return_dtype=pl.Boolean)
        for name in schema.boolean
        if name in frame.columns
    ]


def _plain(frame: pl.DataFrame, schema: SchemaParams) -> list[pl.Expr]:
    """The columns of a Parquet file whose type JSON does not have."""
    found = []
    for name, kind in frame.schema.items():
        column = pl.col(name)
        if isinstance(kind, pl.Datetime | pl.Date):
            found.append(_time(column, kind, schema))
        elif isinstance(kind, pl.Decimal):
            found.append(column.cast(pl.Float64))
        elif kind.is_float():
            found.append(column.fill_nan(None))
    return found


def _time(column: pl.Expr, kind: pl.Datetime | pl.Date, schema: SchemaParams) -> pl.Expr:
    if isinstance(kind, pl.Date):
        column = column.cast(pl.Datetime("ms"))
    elif kind.time_zone:
        column = column.dt.convert_time_zone("UTC")
    if schema.event_time_format == "epoch_ms":
        return column.dt.epoch("ms")
    if schema.event_time_format == "epoch_s":
        return column.dt.epoch("ms") / 1000
    return column.dt.strftime("%Y-%m-%dT%H:%M:%S%.3fZ")


def _format(path: Path) -> str:
    name = path.name.removesuffix(".gz")
    for ending, kind in ((".parquet", "parquet"), (".csv", "csv"), (".jsonl", "jsonl")):
        if name.endswith(ending):
            if kind == "parquet" and path.suffix == ".gz":
                break
            return kind
    raise ConfigError(f"{path}: must end in .parquet, .csv, .csv.gz, .jsonl or .jsonl.gz")


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
