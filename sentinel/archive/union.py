"""Tables of one kind that were written by several versions, as one table."""

from collections.abc import Iterable, Mapping, Sequence

import polars as pl


def widened(types: Iterable[pl.DataType]) -> pl.DataType:
    """The one type that a column has which was written with several.

    Integers of several sizes are Int64; integers with other numbers, or with true and false, are
    Float64 (exact up to 2**53); anything else is text. Where there was no value at all, the others
    decide.
    """
    distinct = {str(one): one for one in types if one != pl.Null}
    if len(distinct) < 2:
        return next(iter(distinct.values()), pl.Null())
    if all(one.is_integer() and one != pl.UInt64 for one in distinct.values()):
        return pl.Int64()
    if all(one.is_numeric() or one == pl.Boolean for one in distinct.values()):
        return pl.Float64()
    return pl.String()


def united(schemas: Iterable[Mapping[str, pl.DataType]]) -> pl.Schema:
    """All columns that any of them has, in the order in which they came."""
    types: dict[str, list[pl.DataType]] = {}
    for schema in schemas:
        for name, one in schema.items():
            types.setdefault(name, []).append(one)
    return pl.Schema({name: widened(found) for name, found in types.items()})


def union(frames: Sequence[pl.LazyFrame], schemas: Sequence[pl.Schema]) -> pl.LazyFrame:
    """One after the other, each with all columns: null where it has none, of the wider type."""
    whole = united(schemas)
    parts = [
        frame.select(_columns(schema, whole)) for frame, schema in zip(frames, schemas, strict=True)
    ]
    return pl.concat(parts, how="vertical") if parts else pl.LazyFrame()


def union_of(frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """The same of what was read already; it has no columns if none of them has."""
    return union([frame.lazy() for frame in frames], [frame.schema for frame in frames]).collect()


def _columns(schema: pl.Schema, whole: pl.Schema) -> list[pl.Expr]:
    return [
        pl.lit(None, dtype=wanted).alias(name)
        if name not in schema
        else pl.col(name)
        if schema[name] == wanted
        else pl.col(name).cast(wanted)
        for name, wanted in whole.items()
    ]
