"""Files of transactions: Parquet, CSV and JSON lines, also gzipped, as JSON records in chunks."""

import gzip
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from polars.exceptions import PolarsError

from sentinel.codec.transactions import SchemaParams
from sentinel.errors import ConfigError

CHUNK_ROW_COUNT = 20_000

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

    Parameters
    ----------
    label_column
        The column that says whether a row is fraud (0/1, true/false, fraud/genuine), if any.
    """

    def __init__(self, path: Path, schema: SchemaParams, *, label_column: str = "") -> None:
        self._path = path
        self._schema = schema
        self._label_column = label_column
        self._format = _format(path)
        if not path.is_file():
            raise ConfigError(f"{path}: there is no such file")
        try:
            self._check_columns(self._scan().collect_schema())
        except (PolarsError, OSError) as error:
            raise ConfigError(f"{path}: cannot be read as {self._format}: {error}") from error

    def row_count(self) -> int:
        """How many rows the file has."""
        try:
            return int(self._scan().select(pl.len()).collect().item())
        except (PolarsError, OSError) as error:
            raise ConfigError(f"{self._path}: cannot be read: {error}") from error

    def chunks(self, *, skip: int = 0) -> Iterator[Chunk]:
        """Rows from row `skip` on. Raises ConfigError when the file turns out to be damaged."""
        try:
            frames = (
                self._scan()
                .slice(skip)
                .collect_batches(chunk_size=CHUNK_ROW_COUNT, maintain_order=True, lazy=True)
            )
            for frame in frames:
                yield Chunk(self._json(frame), self._labels(frame))
        except (PolarsError, OSError) as error:
            raise ConfigError(f"{self._path}: cannot be read: {error}") from error

    def _scan(self) -> pl.LazyFrame:
        if self._format == "parquet":
            return pl.scan_parquet(self._path)
        texts = dict.fromkeys(self._text_fields(), pl.String)
        if self._format == "csv":
            # Identifiers keep their leading zeros: they are texts, whatever they look like.
            return pl.scan_csv(self._path, schema_overrides=texts, infer_schema_length=10_000)
        source = gzip.decompress(self._path.read_bytes()) if self._is_gzip else self._path
        return pl.scan_ndjson(source, infer_schema_length=10_000)

    @property
    def _is_gzip(self) -> bool:
        return self._path.suffix == ".gz"

    def _text_fields(self) -> list[str]:
        schema = self._schema
        ids = [schema.transaction_id, schema.account, *schema.entities.values()]
        return [*ids, *schema.categorical]

    def _check_columns(self, found: pl.Schema) -> None:
        names = [name for name, _ in self._schema.columns]
        required = [*names[:4], *([self._label_column] if self._label_column else [])]
        if missing := [name for name in required if name not in found]:
            raise ConfigError(
                f"{self._path}: has no column {missing}; it has {sorted(found.names())}"
            )

    def _json(self, frame: pl.DataFrame) -> list[bytes]:
        """Each row as the JSON that a producer of this schema would send."""
        names = [name for name, _ in self._schema.columns if name in frame.columns]
        kept = frame.select(names)
        for name, kind in kept.schema.items():
            if isinstance(kind, pl.Datetime):
                kept = kept.with_columns(self._time(pl.col(name), kind))
            elif kind.is_float():
                kept = kept.with_columns(pl.col(name).fill_nan(None))
        text = kept.write_ndjson()
        return [line.encode() for line in text.splitlines()]

    def _time(self, column: pl.Expr, kind: pl.Datetime) -> pl.Expr:
        if self._schema.event_time_format == "epoch_ms":
            return column.dt.epoch("ms")
        if self._schema.event_time_format == "epoch_s":
            return column.dt.epoch("ms") / 1000
        in_utc = column.dt.convert_time_zone("UTC") if kind.time_zone else column
        return in_utc.dt.strftime("%Y-%m-%dT%H:%M:%S%.3fZ")

    def _labels(self, frame: pl.DataFrame) -> list[bool | None]:
        if not self._label_column:
            return [None] * len(frame)
        texts: Sequence[str | None] = frame[self._label_column].cast(pl.String).to_list()
        return [_is_fraud(text, self._label_column) for text in texts]


def _is_fraud(text: str | None, column: str) -> bool | None:
    if text is None or text == "":
        return None
    low = text.lower()
    if low in _FRAUD:
        return True
    if low in _GENUINE:
        return False
    raise ConfigError(f'column {column}: "{text}" is none of {sorted(_FRAUD | _GENUINE)}')


def _format(path: Path) -> str:
    name = path.name.removesuffix(".gz")
    for ending, kind in ((".parquet", "parquet"), (".csv", "csv"), (".jsonl", "jsonl")):
        if name.endswith(ending):
            if kind == "parquet" and path.suffix == ".gz":
                break
            return kind
    raise ConfigError(f"{path}: must end in .parquet, .csv, .csv.gz, .jsonl or .jsonl.gz")
