"""Settings by their names, and a configuration with others in the place of some of them."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar, get_type_hints

from sentinel.codec.stored import encode_stored
from sentinel.codec.values.settings import converted
from sentinel.config import SECRETS, Config, versioned
from sentinel.errors import ConfigError
from sentinel.operations.operating.reloadable import is_reloadable

P = TypeVar("P")

Values = Mapping[str, Any]  # by names such as "updates.triggers.every_s", as JSON has them


def setting_values(config: Config) -> dict[str, Any]:
    """Every setting but the secrets, in the order of the sections."""
    return {
        path: value
        for one in fields(config)
        if one.name != "version"
        for path, value in _leaves(one.name, getattr(config, one.name))
        if tuple(path.split(".")) not in SECRETS
    }


def reloadable_values(config: Config) -> dict[str, Any]:
    """The part of it that may change while an instance runs."""
    return {path: value for path, value in setting_values(config).items() if is_reloadable(path)}


def rest_of(config: Config) -> dict[str, str]:
    """The part of it that needs a restart: of each setting a digest, for whoever compares."""
    return {
        path: hashlib.sha256(encode_stored(value)).hexdigest()[:8]
        for path, value in setting_values(config).items()
        if not is_reloadable(path)
    }


def setting_changes(before: Values, after: Values) -> dict[str, tuple[Any, Any]]:
    """By setting what it was and what it is, of those that are not the same; None where absent."""
    paths = dict.fromkeys([*before, *after])
    pairs = {path: (before.get(path), after.get(path)) for path in paths}
    return {path: pair for path, pair in pairs.items() if pair[0] != pair[1]}


def with_values(config: Config, values: Values) -> Config:
    """The configuration with other values, checked, under the version of what it says then.

    Where nothing differs it is what it was.

    Raises ConfigError, which names the section, the key and what is allowed.
    """
    table: dict[str, Any] = {}
    if not setting_changes({path: _value_at(config, path) for path in values}, values):
        return config
    for path, value in values.items():
        *sections, key = path.split(".")
        at = table
        for name in sections:
            at = at.setdefault(name, {})
        at[key] = value
    changed = {name: _with(getattr(config, name), told, name) for name, told in table.items()}
    try:
        return versioned(replace(config, **changed))
    except ValueError as error:
        raise ConfigError(str(error)) from error


def json_value(value: Any) -> Any:
    """A setting as JSON has it."""
    if isinstance(value, list | tuple):
        return [json_value(one) for one in value]
    if is_dataclass(value):
        return {one.name: json_value(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, Mapping):
        return {name: json_value(one) for name, one in value.items()}
    return value


def _value_at(config: Config, path: str) -> Any:
    """What a setting is; None where there is none of that name."""
    found: Any = config
    for name in path.split("."):
        found = getattr(found, name, None)
    return json_value(found)


def _leaves(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if not is_dataclass(value):
        yield path, json_value(value)
        return
    for one in fields(value):
        if one.init:
            yield from _leaves(f"{path}.{one.name}", getattr(value, one.name))


def _with(params: P, table: Mapping[str, Any], name: str) -> P:
    assert is_dataclass(params)
    hints = get_type_hints(type(params))
    changes = {}
    for key, value in table.items():
        if key not in hints:
            raise ConfigError(f"[{name}] has unknown keys {[key]}; known: {sorted(hints)}")
        if is_dataclass(within := getattr(params, key)) and isinstance(value, Mapping):
            changes[key] = _with(within, value, f"{name}.{key}")
        else:
            changes[key] = converted(value, hints[key], f"[{name}] {key}")
    try:
        return replace(params, **changes)  # type: ignore[type-var]  # it is a dataclass
    except ValueError as error:
        raise ConfigError(f"[{name}] {error}") from error
