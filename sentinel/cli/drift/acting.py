"""`sentinel drift ack|suppress`: what a person says of alarms."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated

import typer

from sentinel.cli.options import ConfigOption, login_name
from sentinel.cli.texts import echo
from sentinel.errors import ConfigError

if TYPE_CHECKING:
    from sentinel.config import Config
    from sentinel.operations.drift.acting import Acted
    from sentinel.ports import DriftStore, ModelStore

WhoSays = Annotated[str, typer.Option(help="Who says so (default: the login name).")]


def acknowledge_alarm(
    alarm: Annotated[str, typer.Argument(help="Its name, or how only it begins.")],
    config: ConfigOption = None,
    who: WhoSays = "",
    note: Annotated[str, typer.Option(help="What it was, or what is done about it.")] = "",
) -> None:
    """Say that you have seen an alarm; it closes by itself when the change is over."""
    from sentinel.operations import embedded
    from sentinel.operations.drift.acting import acknowledge
    from sentinel.operations.models.registry import now_ms

    settings, name = embedded.running_from(config), login_name(who)
    do(
        settings,
        lambda drift, _: acknowledge(drift, alarm, who=name, note=note, at_ms=now_ms()),
        f"acknowledged by {name}",
    )


def suppress_column(
    column: Annotated[str, typer.Argument(help='A feature, or "score".')],
    config: ConfigOption = None,
    duration: Annotated[
        str, typer.Option("--for", metavar="DURATION", help="Such as 12h or 7d.")
    ] = "",
    who: WhoSays = "",
    why: Annotated[str, typer.Option(help="Why it is to be quiet.")] = "",
    end: Annotated[bool, typer.Option("--end", help="Tell its alarms again.")] = False,
) -> None:
    """Keep a column's alarms quiet for a while: they are kept and shown, and marked so."""
    from sentinel.cli.drift.sentences import until_text
    from sentinel.operations import embedded
    from sentinel.operations.drift.acting import end_suppression, suppress, until_ms
    from sentinel.operations.models.registry import now_ms
    from sentinel.stored.drift import Suppression

    if bool(duration) == end:
        raise ConfigError("say how long, such as --for 7d, or --end: one of them")
    settings, name, at_ms = embedded.running_from(config), login_name(who), now_ms()
    if end:
        do(
            settings,
            lambda drift, _: end_suppression(drift, column, who=name, at_ms=at_ms),
            f"alarms of {column} are told again",
        )
        return
    wanted = Suppression(column, until_ms(duration, at_ms), name, why)
    do(
        settings,
        lambda drift, _: suppress(drift, settings, wanted, at_ms=at_ms),
        f"alarms of {column} are quiet until {until_text(wanted.until_ms)} UTC",
    )


def do(
    config: "Config", act: "Callable[[DriftStore, ModelStore], Awaitable[Acted]]", done: str
) -> None:
    """Do it, and say so; exit code 1 when the topics do not tell of it."""
    from sentinel.cli.drift.sentences import alarm_headline
    from sentinel.operations.drift.acting import act_and_publish

    found = asyncio.run(act_and_publish(config, act))
    for alarm in found.acted.alarms:
        echo(f"{alarm.id}: {alarm_headline(alarm)}")
    echo(done)
    if found.unpublished:
        echo(
            "sentinel: it is done, and whoever watches will see it; but the topics "
            f"{config.topics.drift_alerts} and {config.topics.audit} do not tell of it: "
            f"{found.unpublished}",
            err=True,
        )
        raise typer.Exit(1)
