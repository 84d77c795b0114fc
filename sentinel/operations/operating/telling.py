"""Settings and their changes in words."""

from collections.abc import Mapping, Sequence
from typing import Any

from sentinel.codec.stored import encode_stored
from sentinel.operations.operating.reloadable import why_restart

_SHOWN_LENGTH_MAX = 200


def setting_text(path: str) -> str:
    """A setting's name as people write it: "[updates.triggers] every_s"."""
    section, _, key = path.rpartition(".")
    return f"[{section}] {key}" if section else f"[{key}]"


def setting_value_text(value: Any) -> str:
    """A value as JSON, and nearly always TOML, writes it; the beginning of a long one."""
    text = encode_stored(value).decode()
    return text if len(text) <= _SHOWN_LENGTH_MAX else f"{text[:_SHOWN_LENGTH_MAX]}…"


def changes_text(changed: Mapping[str, tuple[Any, Any]]) -> str:
    """What has changed, key by key."""
    told = [
        f"{setting_text(path)} {setting_value_text(before)} → {setting_value_text(after)}"
        for path, (before, after) in changed.items()
    ]
    return ", ".join(told) or "nothing that may change while it runs is different"


def restart_lines(paths: Sequence[str]) -> list[str]:
    """What needs a restart, a line for each section, with the reason."""
    sections: dict[str, list[str]] = {}
    for path in paths:
        sections.setdefault(path.partition(".")[0], []).append(setting_text(path))
    return [
        f"needs a restart: {', '.join(names)} ({why_restart(section)})"
        for section, names in sections.items()
    ]
