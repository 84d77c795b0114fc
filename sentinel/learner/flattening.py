"""What a learner holds as columns with names, and back.

A value is a dataclass of arrays, of numbers and of other such values; what else is in it comes of
the settings, and is taken from an empty one when it is filled. Rows of features, of which several
parts hold the same, are in a pool beside them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np

from sentinel.codec.savepoints import Column
from sentinel.core.learning.training_data.pool import pooled
from sentinel.errors import RecordError
from sentinel.records import Floats

_POOL = "pool."


def flatten(parts: Mapping[str, Any]) -> dict[str, Column]:
    """All that the parts hold, as columns of one dimension; at least one holds features."""
    leaves = dict(_leaves(parts))
    wide = [name for name, leaf in leaves.items() if leaf.ndim == 2]
    pool, places = pooled([leaves[name] for name in wide])
    columns = {**leaves, **dict(zip(wide, places, strict=True))}
    return columns | {f"{_POOL}{i}": column for i, column in enumerate(pool.T)}


def unflatten(empty: Mapping[str, Any], columns: Mapping[str, Column]) -> dict[str, Any]:
    """Parts like the empty ones that hold these columns. Raises RecordError if they do not fit."""
    leaves = dict(_leaves(empty))
    feature_count = next(leaf.shape[1] for leaf in leaves.values() if leaf.ndim == 2)
    names = [f"{_POOL}{i}" for i in range(feature_count)]
    if columns.keys() != {*leaves, *names}:
        raise RecordError("savepoint", "it has other columns")
    for part in empty:
        _check(part, leaves, columns)
    _check_pool(names, leaves, columns)
    pool = np.empty((columns[names[0]].size, feature_count))
    for i, name in enumerate(names):
        pool[:, i] = columns[name]
    return {part: _filled(value, part, columns, pool) for part, value in empty.items()}


def _leaves(parts: Mapping[str, Any]) -> Iterator[tuple[str, Column]]:
    for name, value in parts.items():
        if isinstance(value, np.ndarray):
            yield name, value
        elif isinstance(value, int | float):
            yield name, np.array([value])
        elif is_dataclass(value):
            yield from _leaves({f"{name}.{key}": one for key, one in _children(value).items()})


def _children(value: Any) -> dict[str, Any]:
    """The fields that hold examples; settings are none of them."""
    children = {field.name: getattr(value, field.name) for field in fields(value)}
    children.pop("params", None)
    return children


def _filled(value: Any, name: str, columns: Mapping[str, Column], pool: Floats) -> Any:
    if isinstance(value, np.ndarray):
        return pool[columns[name]] if value.ndim == 2 else columns[name]
    if isinstance(value, int | float):
        return columns[name].item()
    children = _children(value)
    found = {key: _filled(one, f"{name}.{key}", columns, pool) for key, one in children.items()}
    return replace(value, **found)


def _check(part: str, leaves: Mapping[str, Column], columns: Mapping[str, Column]) -> None:
    """Whether a part has one value for each of its rows; in an empty one those have none."""
    row_counts = set()
    for name, leaf in leaves.items():
        if not name.startswith(f"{part}."):
            continue
        dtype = np.dtype(np.int64) if leaf.ndim == 2 else leaf.dtype
        if len(leaf) == 0:
            row_counts.add(columns[name].size)
        if columns[name].dtype != dtype or len(leaf) not in (0, columns[name].size):
            raise RecordError("savepoint", f"its column {name} does not fit")
    if len(row_counts) != 1:
        raise RecordError("savepoint", f"the columns of its {part} differ in length")


def _check_pool(
    names: list[str], leaves: Mapping[str, Column], columns: Mapping[str, Column]
) -> None:
    count = columns[names[0]].size
    if any(columns[one].size != count or columns[one].dtype != np.float64 for one in names):
        raise RecordError("savepoint", "the columns of its features differ")
    for name in (name for name, leaf in leaves.items() if leaf.ndim == 2):
        places = columns[name]
        if places.size and not (places.min() >= 0 and places.max() < count):
            raise RecordError("savepoint", f"its column {name} points beyond the features")
