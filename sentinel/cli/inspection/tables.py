"""What an archive has, shown: columns, decisions of an account, counts against the log."""

from collections.abc import Sequence
from typing import Any

from rich.table import Table

from sentinel.archive import Column
from sentinel.cli.texts import fixed, shown
from sentinel.codec.archive import KINDS, Kind
from sentinel.codec.times import date_text
from sentinel.errors import ConfigError
from sentinel.operations.verify import Verified


def schema_table(columns: Sequence[Column]) -> Table:
    """A line for each column: its type, since when, in how many files, whether it came or went."""
    table = Table()
    for name in ("column", "type", "since", "until", "files", ""):
        table.add_column(name, justify="right" if name == "files" else "left")
    for one in columns:
        cells = (one.name, one.type, str(one.since), str(one.last) if one.has_gone else "")
        files = f"{one.file_count:,} of {one.total_count:,}"
        table.add_row(*map(shown, cells), files, shown(_remark(one)))
    return table


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


def decision_table(rows: Sequence[dict[str, Any]]) -> Table:
    """Archived decisions, a line for each."""
    table = Table()
    for name in ("happened", "transaction", "amount", "probability", "action", "model"):
        table.add_column(name, justify="right" if name in ("amount", "probability") else "left")
    for row in rows:
        table.add_row(*map(shown, _cells(row)))
    return table


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    return (
        date_text(row["event_time_ms"]),
        row["transaction_id"],
        f"{row['amount_minor']:,}",
        fixed(row["probability"], 4),
        row["action"],
        row["model_version"],
    )


def verified_table(partitions: Sequence[Verified]) -> Table:
    """A line for each partition."""
    table = Table()
    table.add_column("partition")
    for name in ("in the log", "in the archive", "twice", "files twice", "yet to come", ""):
        table.add_column(name, justify="right")
    for one in partitions:
        counts = (one.in_log, one.in_archive, one.doubled, one.overlap_count, one.behind_count)
        table.add_row(
            f"{one.at.topic}-{one.at.partition}",
            *(f"{count:,}" for count in counts),
            "ok" if one.is_right else "wrong",
        )
    return table


def archived_kind(name: str) -> Kind:
    """The kind of rows with this name. Raises ConfigError."""
    for kind in KINDS:
        if kind == name:
            return kind
    raise ConfigError(f'"{name}" is not archived, but {", ".join(KINDS)} are')
