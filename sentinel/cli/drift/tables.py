"""A comparison of two files, for a person and for a program."""

from typing import Any

from rich.table import Table

from sentinel.cli.texts import PlainConsole
from sentinel.operations.drift.check import ColumnDrift, DriftCheck

_QUIET_COUNT_MAX = 30  # columns without an alarm that are shown


def as_object(found: DriftCheck) -> dict[str, Any]:
    """All of it for JSON."""
    return {
        "alarm": found.is_alarm,
        "alpha": found.alpha,
        "account": found.account,
        "rows": dict(zip(("reference", "file"), found.row_counts, strict=True)),
        "counted_rows": dict(zip(("reference", "file"), found.counted_rows, strict=True)),
        "rows_per_account": None
        if found.account is None
        else dict(zip(("reference", "file"), found.rows_per_account, strict=True)),
        "features": [_feature(column) for column in found.columns],
        "left_out": [{"name": name, "why": why} for name, why in found.left_out],
        "warnings": found.warnings,
    }


def _feature(column: ColumnDrift) -> dict[str, Any]:
    test, kind = column.test, column.kind
    return {
        "name": test.name,
        "alarm": test.alarm,
        "p": test.p,
        "effect": test.effect,
        "kind": None if kind is None else kind.name,
        "what": column.what or None,
        "factor": None if kind is None else kind.factor,
        "total_variation": test.total_variation,
        "psi": column.psi,
        "wasserstein": column.wasserstein,
        "missing": dict(zip(("reference", "file"), column.missing, strict=True)),
    }


def show_check(console: PlainConsole, found: DriftCheck) -> None:
    """A verdict, a table, and what one has to know to believe them."""
    alarmed = [column for column in found.columns if column.test.alarm]
    quiet = [column for column in found.columns if not column.test.alarm]
    many = f"{len(found.columns):,} column{'s' if len(found.columns) != 1 else ''}"
    console.print(f"{len(alarmed):,} of {many} changed" if alarmed else f"no change in {many}")
    table = Table()
    for header in ("column", "verdict", "effect", "p", "kind", "what changed"):
        is_number = header in ("effect", "p")
        table.add_column(
            header, justify="right" if is_number else "left", no_wrap=is_number, overflow="fold"
        )
    for column in [*alarmed, *quiet[:_QUIET_COUNT_MAX]]:
        table.add_row(*_cells(column))
    if found.columns:
        console.print(table)
    if len(quiet) > _QUIET_COUNT_MAX:
        console.print(f"and {len(quiet) - _QUIET_COUNT_MAX:,} more without a change")
    for line in _footing(found):
        console.print(line, soft_wrap=True)


def _cells(column: ColumnDrift) -> list[str]:
    test = column.test
    return [
        test.name,
        "changed" if test.alarm else "as before",
        f"{test.effect:.3f}",
        f"{test.p:.2g}" if test.p >= 1e-300 else "0",
        "" if column.kind is None else column.kind.name.replace("_", " "),
        column.what,
    ]


def _footing(found: DriftCheck) -> list[str]:
    reference, file = found.row_counts
    lines = [f"{file:,} rows against {reference:,} of the reference"]
    if found.account is None:
        lines.append("each row is taken as independent of all others: no --account was given")
    else:
        per = " and ".join(f"{one:.3g}" for one in reversed(found.rows_per_account))
        lines.append(f"an account has {per} of the rows that count, weighted by them")
        if found.counted_rows != found.row_counts:
            kept, of = found.counted_rows[1], found.counted_rows[0]
            lines.append(f"{kept:,} and {of:,} rows count: of accounts with many only some do")
    rate = f"{100 * found.alpha:.3g} %"
    lines.append(f"where nothing has changed, any column at all alarms in {rate} of files, at most")
    if found.left_out:
        lines.append("left out: " + "; ".join(f"{name} ({why})" for name, why in found.left_out))
    return lines + [f"note: {warning}" for warning in found.warnings]
