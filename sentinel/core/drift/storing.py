"""States as plain values, to be stored and taken up again bit for bit."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

import numpy as np

State = TypeVar("State")


def state_values(state: object) -> dict[str, Any]:
    """The fields of a state by name: arrays, whole numbers, floats, and dicts of these."""
    assert is_dataclass(state)
    found = {field.name: getattr(state, field.name) for field in fields(state)}
    return {name: state_values(one) if is_dataclass(one) else one for name, one in found.items()}


def state_of(fresh: State, values: Mapping[str, Any]) -> State:
    """The state that was stored, of the same kind and shapes as a fresh one.

    Arrays may come as lists, with None for NaN, as JSON has them: the decimal digits that Python
    prints of a float are the float. Raises ValueError if the state is of something else, as behind
    a reference with other columns.
    """
    assert is_dataclass(fresh)
    names = {field.name for field in fields(fresh)}
    if set(values) != names:
        raise ValueError(f"the stored state has not the fields {', '.join(sorted(names))}")
    found = {name: _restored(name, getattr(fresh, name), values[name]) for name in names}
    again: State = replace(fresh, **found)  # type: ignore[type-var]
    return again


def _restored(name: str, fresh: Any, value: Any) -> Any:
    if is_dataclass(fresh):
        if not isinstance(value, Mapping):
            raise ValueError(f"{name} of the stored state is no table")
        return state_of(fresh, value)
    if not isinstance(fresh, np.ndarray):
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"{name} of the stored state is no number")
        return type(fresh)(value)
    try:
        array = np.array(value, dtype=fresh.dtype)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} of the stored state is no array of numbers") from error
    if array.shape != fresh.shape:
        raise ValueError(f"{name} of the stored state has shape {array.shape}, not {fresh.shape}")
    return array
