"""`sentinel rollouts list|show|approve|abort|start`: how versions come to serve."""

import asyncio
import time
from typing import TYPE_CHECKING, Annotated

import typer

from sentinel.cli.commands import command_group
from sentinel.cli.options import ConfigOption, NewestOption, login_name
from sentinel.cli.texts import PlainConsole, echo, echo_json
from sentinel.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from sentinel.config import Config
    from sentinel.operations.models.rollouts import RolloutChanged
    from sentinel.stored.rollouts import StoredRollout

rollouts = command_group("How versions come to serve: step by step, watched.")

RolloutNumber = Annotated[
    int | None, typer.Argument(metavar="[NUMBER]", help="Of a rollout. [default: the newest]")
]
RolloutWho = Annotated[
    str, typer.Option("--who", metavar="NAME", help="Who does it. [default: your login name]")
]
RolloutWhy = Annotated[
    str, typer.Option("--why", metavar="TEXT", help="The reason, for the audit.")
]


@rollouts.command("list")
def list_rolled_out(
    config: ConfigOption = None,
    limit: NewestOption = 20,
    as_json: Annotated[bool, typer.Option("--json", help="A line of JSON for each.")] = False,
) -> None:
    """Every rollout and how it stands, the newest first."""
    from sentinel.codec.stored import encode_stored
    from sentinel.operations import embedded
    from sentinel.operations.models.rollouts import list_rollouts

    found = asyncio.run(list_rollouts(embedded.running_from(config), limit))
    if as_json:
        for one in found:
            echo_json(encode_stored(one))
        return
    if not found:
        echo("there was no rollout yet: one begins when the gate lets a candidate through")
        return
    PlainConsole().print(_rollout_table(found))


def _rollout_table(found: "Sequence[StoredRollout]") -> "Table":
    from rich.table import Table

    from sentinel.cli.rollouts.sentences import standing_text

    now_ms = time.time_ns() // 1_000_000
    table = Table()
    for name in ("rollout", "version", "begun by", "how it stands"):
        table.add_column(name, no_wrap=name in ("rollout", "version"), overflow="fold")
    for one in found:
        urgent = ", urgent" if one.is_urgent else ""
        table.add_row(
            f"{one.number}", one.version, f"{one.trigger}{urgent}", standing_text(one, now_ms)
        )
    return table


@rollouts.command("show")
def show_rolled_out(
    number: RolloutNumber = None,
    config: ConfigOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="All of it, as one object.")] = False,
) -> None:
    """One rollout: its steps, what each has found, and what it waits for."""
    from sentinel.codec.stored import encode_stored
    from sentinel.operations import embedded
    from sentinel.operations.models.rollouts import show_rollout

    found = asyncio.run(show_rollout(embedded.running_from(config), number))
    if as_json:
        echo_json(encode_stored(found))
        return
    _print_rollout(found)


@rollouts.command("approve")
def approve_rollout(
    number: RolloutNumber = None,
    step: Annotated[
        str, typer.Option(help="shadow, canary, ramp or champion. [default: what comes next]")
    ] = "",
    config: ConfigOption = None,
    who: RolloutWho = "",
    why: RolloutWhy = "",
) -> None:
    """Agree to the next step of a rollout, or to another one that is to come."""
    from sentinel.operations import embedded
    from sentinel.operations.models.rollouts import approve_step

    settings, by = embedded.running_from(config), login_name(who)
    _tell_rollout(settings, asyncio.run(approve_step(settings, number, step, who=by, why=why)))


@rollouts.command("abort")
def abort_rolled_out(
    why: RolloutWhy,
    number: RolloutNumber = None,
    config: ConfigOption = None,
    who: RolloutWho = "",
) -> None:
    """End a rollout: the champion decides for all within seconds; the version stays in staging."""
    from sentinel.operations import embedded
    from sentinel.operations.models.rollouts import abort_rollout

    if not why.strip():
        raise ConfigError("--why must give the reason")
    settings, by = embedded.running_from(config), login_name(who)
    _tell_rollout(settings, asyncio.run(abort_rollout(settings, number, who=by, why=why)))


@rollouts.command("start")
def start_rolling_out(
    version: Annotated[str, typer.Argument(help="Of a model in staging.")],
    config: ConfigOption = None,
    who: RolloutWho = "",
    why: RolloutWhy = "",
) -> None:
    """Have a version taken through the steps of the configuration."""
    from sentinel.operations import embedded
    from sentinel.operations.models.rollouts import start_rollout

    settings, by = embedded.running_from(config), login_name(who)
    _tell_rollout(settings, asyncio.run(start_rollout(settings, version, who=by, why=why)))


def _print_rollout(one: "StoredRollout") -> None:
    from sentinel.cli.rollouts.sentences import rollout_lines

    for line in rollout_lines(one, time.time_ns() // 1_000_000):
        echo(line)


def _tell_rollout(config: "Config", changed: "RolloutChanged") -> None:
    """How it is now; exit code 1 when the topics do not tell of it."""
    _print_rollout(changed.after)
    if changed.unpublished:
        topics = config.topics
        echo(
            "sentinel: it is done, and the running instance will see it; but the topics "
            f"{topics.full(topics.rollouts)} and {topics.full(topics.audit)} do not tell of it: "
            f"{changed.unpublished}",
            err=True,
        )
        raise typer.Exit(1)
