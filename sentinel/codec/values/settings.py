"""From the values of a TOML file, or of variables, to Params dataclasses."""

import math
import tomllib
import types
from dataclasses import fields, is_dataclass
from datetime import date, time
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from sentinel.errors import ConfigError

T = TypeVar("T")

# Beyond it a number is a slip, and in milliseconds would not fit into 64 bits.
NUMBER_MAX = 10**15
_SHOWN_LENGTH_MAX = 80
_NAMES = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}


class Variable(str):
    """The value of a variable: TOML, or else plain text; which of both, its setting decides."""

    __slots__ = ()

    def read_as(self, kind: Any) -> Any:
        try:
            found = tomllib.loads(f"value = {self}")["value"]
        except (tomllib.TOMLDecodeError, ValueError):  # of a date that does not exist
            return str(self)
        wants_text = kind is str or (get_origin(kind) is Literal and found not in get_args(kind))
        return str(self) if wants_text and not isinstance(found, str) else found


def table_of(value: Any, name: str) -> dict[str, Any]:
    """A TOML table. Raises ConfigError when the value is none."""
    if not isinstance(value, dict):
        raise ConfigError(f"[{name}] must be a table")
    return value


def section(kind: type[T], table: Any, *, name: str) -> T:
    """Build one Params dataclass from one TOML table; unknown keys and wrong types are errors."""
    assert is_dataclass(kind)
    hints = get_type_hints(kind)
    table = table_of(table, name)
    if unknown := sorted(table.keys() - hints.keys()):
        raise ConfigError(f"[{name}] has unknown keys {unknown}; known: {sorted(hints)}")
    values = {key: converted(value, hints[key], f"[{name}] {key}") for key, value in table.items()}
    for one in fields(kind):
        if _is_nan(values.get(one.name)) and not _is_nan(one.default):
            raise ConfigError(f"[{name}] {one.name} must be a number, got nan")
    try:
        return kind(**values)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"[{name}] {error}") from error


def converted(value: Any, kind: Any, where: str) -> Any:
    """A TOML value as the type that a field asks for. Raises ConfigError."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return converted(value, next(a for a in arguments if a is not type(None)), where)
    if isinstance(value, Variable):
        return converted(value.read_as(kind), kind, where)
    if is_dataclass(kind) and isinstance(kind, type):
        return section(kind, value, name=_dotted(where))
    if origin is Literal:
        if value not in arguments:
            raise ConfigError(f"{where} must be one of {list(arguments)}, got {_short(value)}")
        return value
    if origin is tuple:
        if not isinstance(value, list):
            raise ConfigError(f"{where} must be a list, got {_short(value)}")
        return tuple(converted(item, arguments[0], where) for item in value)
    if origin is dict:
        return {
            k: converted(v, arguments[1], where) for k, v in table_of(value, _dotted(where)).items()
        }
    return _scalar(value, kind, where)


def _scalar(value: Any, kind: Any, where: str) -> Any:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if is_number and not (_is_nan(value) or abs(value) <= NUMBER_MAX):
        raise ConfigError(f"{where} must be within {NUMBER_MAX:.0e} of 0, got {_short(value)}")
    if kind is float and is_number:
        return float(value)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise ConfigError(f"{where} must be {_NAMES.get(kind, kind)}, got {_short(value)}")
    return value


def _short(value: Any) -> str:
    """A value in an error: the beginning of a long one."""
    text = str(value) if isinstance(value, date | time) else repr(value)
    return text if len(text) <= _SHOWN_LENGTH_MAX else f"{text[:_SHOWN_LENGTH_MAX]}…"


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _dotted(where: str) -> str:
    """The name of a section below another: `[a] b` is `a.b`."""
    return where.removeprefix("[").replace("] ", ".")
