"""`sentinel drift report`: windows and alarms in detail, in the terminal or as a page."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sentinel.cli.options import ConfigOption, NewestOption
from sentinel.cli.texts import PlainConsole, echo, echo_json
from sentinel.errors import ConfigError

if TYPE_CHECKING:
    from rich.table import Table

    from sentinel.operations.drift.examples import AlarmExamples
    from sentinel.operations.drift.report import DriftReport
    from sentinel.stored.drift import Alarm, ColumnFinding, WindowReport

_QUIET_COUNT_MAX = 5  # columns of a window without an alarm that are shown


def show_report(
    config: ConfigOption = None,
    alarm: Annotated[
        str, typer.Option(metavar="ALARM", help="Only this one, and windows of its column.")
    ] = "",
    html: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write a page that needs nothing else: it prints, too."),
    ] = None,
    limit: NewestOption = 20,
    as_json: Annotated[
        bool, typer.Option("--json", help="All that is kept, as one object.")
    ] = False,
) -> None:
    """Alarms and windows in detail: what changed, since when, and what it costs."""
    from sentinel.codec.stored import encode_stored
    from sentinel.operations import embedded
    from sentinel.operations.drift.report import read_report

    settings = embedded.running_from(config)
    found = asyncio.run(read_report(settings, alarm))
    decimals = settings.schema.amount_decimals
    if html is not None:
        _write(html, found, decimals, alarm=bool(alarm))
    if as_json:
        echo_json(encode_stored(found))
    elif html is not None:
        from sentinel.cli.drift import sentences

        alarms, windows = len(found.alarms), len(found.windows)
        told = sentences.how_many(alarms, "alarm"), sentences.how_many(windows, "window")
        echo(f"{html}: {', '.join(told)}")
    elif alarm:
        _print_alarm(found, found.alarms[0], decimals, limit)
    else:
        _print(found, decimals, limit)


def _write(path: Path, found: "DriftReport", decimals: int, *, alarm: bool) -> None:
    from sentinel.cli.drift.html.page import page

    try:
        path.write_text(page(found, decimals, of_alarm=alarm), encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror or error}") from error


def _print(found: "DriftReport", decimals: int, limit: int) -> None:
    from sentinel.cli.drift import sentences
    from sentinel.cli.drift.status import alarm_table, window_table

    console = PlainConsole()
    status = found.status
    for line in (
        sentences.watched_line(status),
        sentences.reference_line(status.reference),
        *status.lacking,
        sentences.alarms_line(status),
    ):
        console.print(line, soft_wrap=True)
    if found.alarms:
        console.print(alarm_table(found.alarms[:limit]))
        if len(found.alarms) > limit:
            console.print(f"the newest {limit:,} of {len(found.alarms):,}")
    if not found.windows:
        console.print("no window is complete yet")
        return
    console.print(window_table(found.windows[:limit], _newest(found.windows, limit)))
    for window in status.windows:
        console.print(finding_table(window))
        if harm := sentences.harm_text(window.harm, decimals):
            console.print(harm, soft_wrap=True)


def _newest(windows: "Sequence[WindowReport]", limit: int) -> str:
    from sentinel.cli.drift import sentences

    if len(windows) <= limit:
        return sentences.how_many(len(windows), "window")
    return f"the newest {limit:,} of {sentences.how_many(len(windows), 'window')}"


def _print_alarm(found: "DriftReport", alarm: "Alarm", decimals: int, limit: int) -> None:
    from sentinel.cli.drift import sentences

    console = PlainConsole()
    console.print(f"{alarm.id}: {sentences.alarm_headline(alarm)}", soft_wrap=True)
    kind = f", {sentences.kind_text(alarm.kind)}" if alarm.kind else ""
    console.print(f"{alarm.severity}{kind}, {sentences.effect_text(alarm)}")
    console.print(f"compared with version {alarm.version}, {sentences.status_text(alarm)}")
    for line in (alarm.words, sentences.harm_text(alarm.harm, decimals)):
        if line:
            console.print(line, soft_wrap=True)
    for when, what in sentences.life(alarm):
        console.print(f"{when:<23}  {what}", soft_wrap=True)
    rows = [
        (window, finding)
        for window in found.windows
        for finding in window.findings
        if finding.name == alarm.column
    ]
    if rows:
        console.print(_column_table(alarm.column, rows[:limit]))
    if (examples := found.examples.get(alarm.id)) is not None:
        _print_examples(console, examples, decimals)


def _print_examples(console: PlainConsole, examples: "AlarmExamples", decimals: int) -> None:
    """Transactions among those that the alarm is about."""
    from rich.table import Table

    from sentinel.cli.drift import sentences

    if examples.why:
        console.print(f"no example: {examples.why}", soft_wrap=True)
        return
    many = sentences.how_many(len(examples.found), "transaction")
    table = Table(title=f"{many} where it grew most", title_justify="left")
    for name in sentences.EXAMPLE_HEADERS:
        is_number = name in ("amount", "probability", "value")
        table.add_column(name, justify="right" if is_number else "left", overflow="fold")
    for one in examples.found:
        table.add_row(*sentences.example_cells(one, decimals))
    console.print(table)
    console.print("`sentinel why TRANSACTION` tells why one was decided so", soft_wrap=True)


def _column_table(column: str, rows: "Sequence[tuple[WindowReport, ColumnFinding]]") -> "Table":
    """What windows say of one column, a line for each."""
    from sentinel.cli.drift import sentences

    table = _table(f"{column} in windows", ("window", "until (UTC)"))
    for window, finding in rows:
        table.add_row(
            sentences.window_name(window), sentences.until_text(window.end_ms), *_cells(finding)
        )
    return table


def finding_table(window: "WindowReport") -> "Table":
    """What a window says of its columns: those that changed, and the next few."""
    from sentinel.cli.drift import sentences

    changed = [one for one in window.findings if one.alarm]
    quiet = [one for one in window.findings if not one.alarm]
    name, until = sentences.window_name(window), sentences.until_text(window.end_ms)
    table = _table(f"{name} until {until} UTC", ("column",))
    for finding in [*changed, *quiet[:_QUIET_COUNT_MAX]]:
        table.add_row(finding.name, *_cells(finding))
    if len(quiet) > _QUIET_COUNT_MAX:
        table.caption = f"and {len(quiet) - _QUIET_COUNT_MAX:,} more without a change"
    return table


def _table(title: str, first: tuple[str, ...]) -> "Table":
    from rich.table import Table

    table = Table(title=title, title_justify="left", caption_justify="left")
    for name in (*first, "verdict", "effect", "p", "PSI", "kind", "what changed"):
        is_number = name in ("effect", "p", "PSI")
        table.add_column(
            name, justify="right" if is_number else "left", no_wrap=is_number, overflow="fold"
        )
    return table


def _cells(finding: "ColumnFinding") -> tuple[str, ...]:
    from sentinel.cli.drift import sentences

    verdict = "changed" if finding.alarm else "as before"
    numbers = (f"{finding.effect:.3f}", sentences.p_text(finding.p), f"{finding.psi:.3f}")
    return (verdict, *numbers, sentences.kind_text(finding.kind), sentences.changed_text(finding))
