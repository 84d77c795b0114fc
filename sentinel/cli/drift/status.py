"""`sentinel drift status|reference`: how the watch stands, on one screen."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from sentinel.cli.options import ConfigOption, login_name
from sentinel.cli.texts import PlainConsole, echo, echo_json

if TYPE_CHECKING:
    from rich.table import Table

    from sentinel.operations.drift.references import ReferenceFacts
    from sentinel.operations.drift.status import DriftStatus
    from sentinel.stored.drift import Alarm, WindowReport

_SEVERITY_STYLE = {"critical": "bold red", "warning": "yellow", "info": "cyan"}


def show_status(
    config: ConfigOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="One object, for scripts.")] = False,
) -> None:
    """What is watched, how far, and which alarms are open."""
    from sentinel.codec.stored import encode_stored
    from sentinel.operations import embedded
    from sentinel.operations.drift.status import read_status

    settings = embedded.running_from(config)
    found = asyncio.run(read_status(settings))
    if as_json:
        echo_json(encode_stored(found))
        return
    _print(found, settings.schema.amount_decimals)


def _print(found: "DriftStatus", decimals: int) -> None:
    from sentinel.cli.drift import sentences

    console = PlainConsole()
    for line in (
        sentences.watched_line(found),
        sentences.reference_line(found.reference),
        *found.lacking,
        sentences.alarms_line(found),
    ):
        console.print(line, soft_wrap=True)
    if found.alarms:
        suppressed = frozenset(one.column for one in found.suppressions)
        console.print(alarm_table(found.alarms, suppressed))
    for suppression in found.suppressions:
        console.print(sentences.suppression_line(suppression), soft_wrap=True)
    if found.windows:
        console.print(window_table(found.windows, "the newest window of each scale"))
        for window in found.windows:
            if harm := sentences.harm_text(window.harm, decimals):
                name = sentences.window_name(window)
                console.print(f"harm in {name}: {harm}", soft_wrap=True)


def alarm_table(alarms: "Sequence[Alarm]", suppressed: frozenset[str] = frozenset()) -> "Table":
    """A line for each alarm."""
    from rich.table import Table
    from rich.text import Text

    from sentinel.cli.drift import sentences
    from sentinel.core.drift.telling import moved

    table = Table()
    for name in (
        "severity",
        "what",
        "since (UTC)",
        "effect",
        "kind",
        "in words",
        "stands",
        "alarm",
    ):
        table.add_column(
            name,
            justify="right" if name == "effect" else "left",
            no_wrap=name in ("severity", "since (UTC)", "effect"),
            overflow="fold",
        )
    for one in alarms:
        table.add_row(
            Text(one.severity, style=_SEVERITY_STYLE[one.severity]),
            moved(one),
            sentences.until_text(one.since_ms),
            sentences.effect_text(one),
            sentences.kind_text(one.kind),
            one.words,
            sentences.status_text(one, suppressed),
            one.id,
        )
    return table


def window_table(windows: "Sequence[WindowReport]", title: str) -> "Table":
    """A line for each window."""
    from rich.table import Table

    from sentinel.cli.drift import sentences

    table = Table(title=title, title_justify="left")
    for name in ("window", "until (UTC)", "rows", "tested", "changed", "first causes"):
        is_number = name in ("rows", "tested", "changed")
        table.add_column(
            name,
            justify="right" if is_number else "left",
            no_wrap=is_number or name == "until (UTC)",
            overflow="fold",
        )
    for window in windows:
        table.add_row(
            sentences.window_name(window),
            sentences.until_text(window.end_ms),
            f"{window.row_count:,}",
            f"{window.counted:,}",
            f"{sum(one.alarm for one in window.findings):,} of {len(window.findings):,}",
            sentences.causes_text(window),
        )
    return table


def show_reference(
    version: Annotated[
        str, typer.Argument(help="Such as 1.2.0. [default: the one that is watched]")
    ] = "",
    config: ConfigOption = None,
    forget: Annotated[
        bool,
        typer.Option("--forget", help="Forget what the stream gave: it gives another."),
    ] = False,
    who: Annotated[str, typer.Option(help="Who forgets it (default: the login name).")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="One object, for scripts.")] = False,
) -> None:
    """What a version is compared with; or have the stream give another."""
    from sentinel.cli.drift.acting import do
    from sentinel.codec.stored import encode_stored
    from sentinel.operations import embedded
    from sentinel.operations.drift.acting import forget_reference
    from sentinel.operations.drift.references import read_reference
    from sentinel.operations.drift.status import lacking_reference
    from sentinel.operations.models.registry import now_ms

    settings = embedded.running_from(config)
    name, found = asyncio.run(read_reference(settings, version))
    if forget:
        by = login_name(who)
        do(
            settings,
            lambda drift, models: forget_reference(drift, models, name, who=by, at_ms=now_ms()),
            f"the reference of version {name} is forgotten: the stream gives another",
        )
    elif as_json:
        echo_json(encode_stored(found))
    elif found is None:
        echo(lacking_reference(settings, name, found))
    else:
        _print_reference(found)


def _print_reference(facts: "ReferenceFacts") -> None:
    from rich.table import Table

    from sentinel.cli.drift import sentences

    echo(f"version {facts.version}")
    echo(sentences.reference_line(facts))
    echo(f"kept in {'its manifest' if facts.kept_in == 'manifest' else 'the store'}")
    if facts.row_count:
        echo(f"an account has {facts.rows_per_account:.3g} of the rows, weighted by them")
    table = Table()
    for name in ("feature", "counted by", "cells", "missing"):
        table.add_column(name, justify="right" if name in ("cells", "missing") else "left")
    for one in facts.columns:
        missing = "" if one.missing_share is None else f"{one.missing_share:.2%}"
        counted = "value" if one.kind == "values" else "quantiles"
        table.add_row(one.name, counted, f"{one.cell_count:,}", missing)
    PlainConsole().print(table)
