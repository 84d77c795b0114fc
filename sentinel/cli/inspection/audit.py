"""`sentinel audit`: what was changed of a transaction, or of one who votes, and by whom."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from sentinel import config as configuration
from sentinel.adapters.archive import ParquetArchive
from sentinel.cli.texts import shown
from sentinel.codec.records import encode
from sentinel.codec.times import date_text
from sentinel.errors import ConfigError
from sentinel.operations.why import audit_of
from sentinel.records import AuditEntry


def audit_command(subject: str, config_file: Path | None, *, limit: int, as_json: bool) -> None:
    """A line for each change, oldest first."""
    config = configuration.load(config_file)
    entries = audit_of(ParquetArchive(config.archive), subject)
    if not entries:
        raise ConfigError(
            f"nothing of {subject} is in the audit under {config.archive.directory}: name a "
            "transaction, one who votes, such as investigator/ann, an update, such as update-3, "
            "or a model's version"
        )
    if as_json:
        for entry in entries[-limit:]:
            typer.echo(encode(entry))
        return
    console = Console()
    console.print(audit_table(entries[-limit:]))
    if len(entries) > limit:
        console.print(f"the last {limit:,} of {len(entries):,}", highlight=False)


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
