"""Entries of the audit, shown."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from sentinel.cli.texts import shown
from sentinel.codec.times import date_text
from sentinel.records import AuditEntry


def audit_table(entries: Sequence[AuditEntry]) -> Table:
    """When, what, by whom, and what is different."""
    table = Table()
    for name in ("observed", "what", "by"):
        table.add_column(name, no_wrap=True)
    table.add_column("before → after")
    for entry in entries:
        table.add_row(
            date_text(entry.at_ms),
            entry.kind,
            shown(entry.who),
            shown(difference(entry.before, entry.after)),
        )
    return table


def difference(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> str:
    """The values that are not the same, those before and those after."""
    old, new = before or {}, after or {}
    names = [*new, *(name for name in old if name not in new)]
    return ", ".join(
        f"{name} {_text(old[name])} → {_text(new.get(name))}"
        if name in old
        else f"{name} {_text(new[name])}"
        for name in names
        if old.get(name) != new.get(name)
    )


def _text(value: object) -> str:
    if value is None or value == "":
        return "none"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
