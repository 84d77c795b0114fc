"""What an archive has, shown: its columns, and the decisions of one account. No broker is asked."""

from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sentinel import archive
from sentinel import config as configuration
from sentinel.archive import Column
from sentinel.codec.archive import KINDS, Kind
from sentinel.codec.records import encode
from sentinel.codec.times import date_text
from sentinel.errors import ConfigError


def schema_command(kind: str, config_file: Path | None) -> None:
    """A line for each column: its type, since when, in how many files, whether it came or went."""
    directory = configuration.load(config_file).archive.directory
    found = archive.columns(directory, _kind(kind))
    if not found:
        raise ConfigError(f"{Path(directory) / kind}: there are no archived files")
    table = Table()
    for name in ("column", "type", "since", "until", "files", ""):
        table.add_column(name, justify="right" if name == "files" else "left")
    for one in found:
        cells = (one.name, one.type, str(one.since), str(one.last) if one.has_gone else "")
        files = f"{one.file_count:,} of {one.total_count:,}"
        table.add_row(*map(Text, cells), files, Text(_remark(one)))
    Console().print(table)


def _remark(column: Column) -> str:
    remarks = []
    if column.has_come:
        remarks.append(f"came with {column.file.name}")
    if column.has_gone:
        remarks.append("the newest file is without")
    if len(column.types) > 1:
        counts = ", ".join(f"{name} in {count:,}" for name, count in column.types.items())
        remarks.append(f"was {counts} files")
    return "; ".join(remarks)


def history_command(
    account: str, config_file: Path | None, *, since: str, limit: int, as_json: bool
) -> None:
    """The newest decisions of an account, in the order of event time."""
    directory = configuration.load(config_file).archive.directory
    found = archive.history(directory, account, since=since or None)
    if found.is_empty():
        raise ConfigError(f"no decision on account {account} is in {directory}")
    shown = found.tail(limit).to_dicts()
    if as_json:
        for row in shown:
            typer.echo(encode({name: value for name, value in row.items() if value is not None}))
        return
    table = Table()
    for name in ("happened", "transaction", "amount", "probability", "action", "model"):
        table.add_column(name, justify="right" if name in ("amount", "probability") else "left")
    for row in shown:
        table.add_row(*map(Text, _cells(row)))
    console = Console()
    console.print(table)
    if len(found) > limit:
        console.print(f"the last {limit:,} of {len(found):,}", highlight=False)


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    return (
        date_text(row["event_time_ms"]),
        row["transaction_id"],
        f"{row['amount_minor']:,}",
        f"{row['probability']:.4f}",
        row["action"],
        row["model_version"],
    )


def _kind(name: str) -> Kind:
    for kind in KINDS:
        if kind == name:
            return kind
    raise ConfigError(f'"{name}" is not archived, but {", ".join(KINDS)} are')
