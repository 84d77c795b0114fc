"""Columns of a table by name, or by a path into a struct: `after.amount` is a field of `after`."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from sentinel.codec.paths import path_of
from sentinel.errors import ConfigError


def names_of(file: Path, schema: pl.Schema, wanted: Sequence[str]) -> set[str]:
    """The columns of a table, and which of those that are wanted lie in a struct.

    Raises ConfigError when something else stands on the way to one.
    """
    return {*schema.names(), *(name for name in wanted if _is_reached(file, schema, name))}


def column_of(schema: pl.Schema, name: str) -> pl.Expr:
    """A column of that very name, or else what the path leads to; null where a struct is null."""
    if name in schema:
        return pl.col(name)
    first, *rest = path_of(name)
    column = pl.col(first)
    for field in rest:
        column = column.struct.field(field)
    return column.alias(name)


def leaves_of(schema: pl.Schema) -> Iterator[tuple[str, pl.Expr, pl.DataType]]:
    """The columns of a table, those in structs under their paths.

    One in a struct to which no path leads is told as a nested one.
    """
    for name, kind in schema.items():
        if isinstance(kind, pl.Struct) and kind.fields and path_of(f"{name}.x") == (name, "x"):
            for path, column, inner in _leaves(name, pl.col(name), kind):
                if path not in schema:
                    yield path, column, inner
        else:
            yield name, pl.col(name), kind


def _leaves(
    path: str, column: pl.Expr, kind: pl.Struct
) -> Iterator[tuple[str, pl.Expr, pl.DataType]]:
    for name, inner in kind:
        assert isinstance(inner, pl.DataType)
        at, field = f"{path}.{name}", column.struct.field(name)
        if not name or "." in name:
            yield at, field, pl.Struct([])
        elif isinstance(inner, pl.Struct) and inner.fields:
            yield from _leaves(at, field, inner)
        else:
            yield at, field, inner


def _is_reached(file: Path, schema: pl.Schema, name: str) -> bool:
    if name in schema:
        return True
    fields: dict[str, pl.DataType] = dict(schema)
    path = path_of(name)
    for depth, key in enumerate(path):
        if key not in fields:
            return False
        if depth + 1 == len(path):
            return True
        kind = fields[key]
        if not isinstance(kind, pl.Struct):
            what = "an array" if isinstance(kind, pl.List | pl.Array) else f"a column of {kind}"
            at = ".".join(path[: depth + 1])
            raise ConfigError(f"{file}: {name}: {what} stands at {at}, no struct")
        fields = {name: inner for name, inner in kind if isinstance(inner, pl.DataType)}
    return False
