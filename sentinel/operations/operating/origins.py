"""Every setting with its value, its default, and where its value comes from."""

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from typing import Any, Literal, get_type_hints

from sentinel.config import SECRETS, Config, Written, override
from sentinel.operations.operating.layers import json_value, setting_values, with_values
from sentinel.operations.operating.reloadable import is_reloadable
from sentinel.stored.switches import AppliedConfig

Origin = Literal["default", "built-in", "file", "environment", "applied"]

_HIDDEN = ("set", "not set")


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting.

    Attributes
    ----------
    path
        Such as "updates.triggers.every_s".
    value, default
        As JSON has them; of a secret whether it is set.
    file_value
        What the file and the environment say, where something else was applied over them.
    """

    path: str
    value: Any
    default: Any
    origin: Origin
    can_reload: bool
    file_value: Any = None


def settings_of(written: Written, applied: AppliedConfig, *, is_builtin: bool) -> list[Setting]:
    """All of them, in the order of the sections. Raises ConfigError where the file is refused."""
    config = written.config()
    before = setting_values(config)
    over = {path: value for path, value in applied.values.items() if path in before}
    after = setting_values(with_values(config, over))
    variables: dict[str, Any] = {}
    override(variables, written.environment)
    file: Origin = "built-in" if is_builtin else "file"
    found = []
    for path, default in _defaults(Config):
        origin: Origin = "default"
        if _has(written.table, path):
            origin = file
        if _has(variables, path):
            origin = "environment"
        if path in over:
            origin = "applied"
        if tuple(path.split(".")) in SECRETS:
            is_set = _HIDDEN[not _secret(config, path)]
            found.append(Setting(path, is_set, _HIDDEN[1], origin, can_reload=False))
            continue
        value, said = after.get(path), before.get(path)
        found.append(
            Setting(
                path,
                value,
                default,
                origin,
                is_reloadable(path),
                said if said != value else None,
            )
        )
    return found


def _secret(config: Config, path: str) -> str:
    section, key = path.split(".")
    found: str = getattr(getattr(config, section), key)
    return found


def _has(table: Any, path: str) -> bool:
    """Whether a table of TOML says something of a setting."""
    for name in path.split("."):
        if not isinstance(table, Mapping) or name not in table:
            return False
        table = table[name]
    return True


def _defaults(kind: type, before: str = "") -> Iterator[tuple[str, Any]]:
    hints = get_type_hints(kind)
    for one in fields(kind):
        path, hint = f"{before}{one.name}", hints[one.name]
        if path == "version":
            continue
        if isinstance(hint, type) and is_dataclass(hint):
            yield from _defaults(hint, f"{path}.")
        else:
            yield path, json_value(_default_of(one))


def _default_of(one: "Field[Any]") -> Any:
    if one.default is not MISSING:
        return one.default
    return None if one.default_factory is MISSING else one.default_factory()
