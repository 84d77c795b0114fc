"""`sentinel experiments start|ramp|pause|resume|stop|settle`: what a person does with one."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sentinel.cli.options import ConfigOption, login_name
from sentinel.cli.texts import echo
from sentinel.errors import ConfigError

if TYPE_CHECKING:
    from sentinel.config import Config
    from sentinel.core.experiments.transitions import Step
    from sentinel.operations.experiments.acting import ExperimentChanged

ExperimentName = Annotated[str, typer.Argument(metavar="NAME", help="What it is called.")]
WhoActs = Annotated[
    str, typer.Option(metavar="NAME", help="Who does it. [default: your login name]")
]
WhyActs = Annotated[str, typer.Option(metavar="TEXT", help="The reason, for the audit.")]
WhyNeeded = Annotated[str, typer.Option("--why", metavar="TEXT", help="The reason.")]


def start_draft(name: ExperimentName, config: ConfigOption = None, who: WhoActs = "") -> None:
    """Let a draft run: from now on what it compares is fixed."""
    from sentinel.operations import embedded
    from sentinel.operations.experiments.acting import start_experiment

    settings, by = embedded.running_from(config), login_name(who)
    tell_change(settings, asyncio.run(start_experiment(settings, name, who=by)))


def ramp_up(
    name: ExperimentName,
    config: ConfigOption = None,
    to: Annotated[
        int | None,
        typer.Option("--to", metavar="STEP", help="From 1; it may be back. [default: the next]"),
    ] = None,
    who: WhoActs = "",
    why: WhyActs = "",
) -> None:
    """Take a ramp to its next step, or to any."""
    from sentinel.core.experiments import transitions

    step = transitions.ramp(None if to is None else to - 1)
    _act(config, name, step, who, why or "taken to another step")


def pause_running(
    name: ExperimentName, config: ConfigOption = None, who: WhoActs = "", why: WhyActs = ""
) -> None:
    """Let the champion decide for all for a while; every account stays in its arm."""
    from sentinel.core.experiments import transitions

    _act(config, name, transitions.pause, who, why or "paused")


def resume_paused(
    name: ExperimentName, config: ConfigOption = None, who: WhoActs = "", why: WhyActs = ""
) -> None:
    """Go on after a pause."""
    from sentinel.core.experiments import transitions

    _act(config, name, transitions.resume, who, why or "resumed")


def stop_running(
    name: ExperimentName, why: WhyNeeded, config: ConfigOption = None, who: WhoActs = ""
) -> None:
    """End it, whatever it may have found: the champion decides for all."""
    from sentinel.operations.experiments.acting import stopping

    why = _needed(why)
    _act(config, name, stopping(why), who, why)


def settle_waiting(
    name: ExperimentName, why: WhyNeeded, config: ConfigOption = None, who: WhoActs = ""
) -> None:
    """Say what became of a verdict that waited for a person: carried out, or declined."""
    from sentinel.core.experiments import transitions

    _act(config, name, transitions.settle, who, _needed(why))


def _needed(why: str) -> str:
    if not why.strip():
        raise ConfigError("--why must give the reason")
    return why.strip()


def _act(config_file: Path | None, name: str, step: "Step", who: str, why: str) -> None:
    from sentinel.operations import embedded
    from sentinel.operations.experiments.acting import change_experiment

    settings, by = embedded.running_from(config_file), login_name(who)
    tell_change(settings, asyncio.run(change_experiment(settings, name, step, who=by, why=why)))


def tell_change(config: "Config", changed: "ExperimentChanged", more: Sequence[str] = ()) -> None:
    """How it is now; exit code 1 when the topics do not tell of it."""
    from sentinel.cli.experiments.sentences import standing_lines

    for line in [*more, *standing_lines(changed.after)]:
        echo(line)
    if changed.unpublished:
        topics = config.topics
        echo(
            "sentinel: it is done, and running instances will see it; but the topics "
            f"{topics.full(topics.experiments)} and {topics.full(topics.audit)} do not tell of it: "
            f"{changed.unpublished}",
            err=True,
        )
        raise typer.Exit(1)
