"""Columns as Parquet files: those of one length are one table."""

import io
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
from numpy.typing import NDArray

from sentinel.errors import RecordError

Column = NDArray[Any]

# The fastest level takes 0.7 s less of the six that a full savepoint takes, for 6 % more bytes
# (`python -m benchmarks.savepoint_formats`).
_LEVEL = 3
_DTYPES = ("<f8", "<i8", "|b1")
_TYPES = frozenset({pl.Float64(), pl.Int64(), pl.Boolean()})


@dataclass(frozen=True, slots=True)
class SavedTable:
    """Where a table is: the next `byte_count` bytes, with so many rows."""

    row_count: int
    byte_count: int


def encode_tables(columns: Mapping[str, Column]) -> tuple[list[bytes], list[SavedTable]]:
    """Columns of one dimension, float64, int64 or bool; the same ones give the same bytes."""
    by_length: dict[int, dict[str, Column]] = defaultdict(dict)
    for name, column in columns.items():
        assert column.ndim == 1
        assert column.dtype.str in _DTYPES, name
        by_length[column.size][name] = column
    parts = [_encoded(table) for table in by_length.values()]
    sizes = zip(by_length, map(len, parts), strict=True)
    return parts, [SavedTable(*size) for size in sizes]


def _encoded(table: Mapping[str, Column]) -> bytes:
    buffer = io.BytesIO()
    pl.DataFrame(dict(table)).write_parquet(
        buffer, compression="zstd", compression_level=_LEVEL, statistics=False
    )
    return buffer.getvalue()


def decode_tables(tables: Sequence[SavedTable], body: memoryview) -> dict[str, Column]:
    """To the bit, and writable. Raises RecordError when a table is not what its place says."""
    columns: dict[str, Column] = {}
    begin = 0
    for number, place in enumerate(tables):
        data = body[begin : begin + max(place.byte_count, 0)]
        for name, column in _columns(number, place, data):
            if name in columns:
                raise RecordError("savepoint", f"its column {name} is there twice")
            columns[name] = column
        begin += len(data)
    return columns


def _columns(number: int, place: SavedTable, data: memoryview) -> Iterator[tuple[str, Column]]:
    if place.row_count < 0 or len(data) != place.byte_count:
        raise RecordError("savepoint", f"its table {number} cannot be read")
    try:
        # No more than it says: a few bytes may stand for many rows.
        table = pl.read_parquet(io.BytesIO(data), n_rows=place.row_count + 1)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        reason = str(error).partition("\n")[0]
        raise RecordError("savepoint", f"its table {number} cannot be read: {reason}") from error
    if table.height != place.row_count:
        raise RecordError("savepoint", f"its table {number} is of another length")
    for column in table.get_columns():
        if column.dtype not in _TYPES or column.null_count():
            raise RecordError("savepoint", f"its column {column.name} cannot be read")
        yield column.name, column.to_numpy(writable=True)
