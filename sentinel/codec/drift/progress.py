"""How far the watch is, as plain values."""

from collections.abc import Mapping
from typing import Any

import msgspec

from sentinel.core.drift.counts.steps import BookPosition
from sentinel.errors import RecordError


def book_values(position: BookPosition) -> dict[str, Any]:
    """A position of the step book, as JSON has it."""
    values: dict[str, Any] = msgspec.to_builtins(position)
    return values


def position_of(values: Mapping[str, Any]) -> BookPosition:
    """What was kept. Raises RecordError when it makes no sense."""
    try:
        return msgspec.convert(values, BookPosition)
    except msgspec.ValidationError as error:
        raise RecordError("not_a_position", str(error)) from error
