"""What savepoints were before they were Parquet: columns that are deflated one by one."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sentinel.codec.savepoints.tables import Column
from sentinel.errors import RecordError

_DTYPES = ("<f8", "<i8", "|b1")


@dataclass(frozen=True, slots=True)
class SavedColumn:
    """Where a column is: the next `byte_count` bytes, with so many values."""

    name: str
    dtype: str
    value_count: int
    byte_count: int


def inflated(places: Sequence[SavedColumn], body: memoryview) -> dict[str, Column]:
    """To the bit, and writable. Raises RecordError when a column is not what its place says."""
    columns: dict[str, Column] = {}
    begin = 0
    for place in places:
        end = begin + place.byte_count
        columns[place.name] = _column(place, body[begin:end])
        begin = end
    return columns


def _column(place: SavedColumn, data: memoryview) -> Column:
    if place.dtype not in _DTYPES or place.value_count < 0 or len(data) != place.byte_count:
        raise RecordError("savepoint", f"its column {place.name} cannot be read")
    dtype = np.dtype(place.dtype)
    size = dtype.itemsize * place.value_count
    inflating = zlib.decompressobj()
    try:
        raw = inflating.decompress(data, size + 1)
    except zlib.error as error:
        raise RecordError(
            "savepoint", f"its column {place.name} cannot be read: {error}"
        ) from error
    if len(raw) != size or not inflating.eof:
        raise RecordError("savepoint", f"its column {place.name} is of another length")
    return np.frombuffer(raw, dtype).astype(dtype.newbyteorder("="))  # one that can be written
