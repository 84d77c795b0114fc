"""`sentinel update now|show`: ask for a new model, and see what became of it."""

import asyncio
import time
from typing import Annotated

import typer

from sentinel.cli.commands import command_group
from sentinel.cli.options import ConfigOption, login_name
from sentinel.cli.texts import echo, echo_json

update = command_group("Ask for a new model, and see how the newest update stands.")


@update.command("now")
def request_update(
    config: ConfigOption = None,
    who: Annotated[str, typer.Option(help="Who asks (default: the login name).")] = "",
    why: Annotated[str, typer.Option(help="Why.")] = "",
) -> None:
    """Have the running instance make a candidate, and judge it, as soon as it can."""
    from sentinel.operations import embedded
    from sentinel.operations.models.registry import pin_note
    from sentinel.operations.models.updates import ask_for_update

    settings = embedded.running_from(config)
    asyncio.run(ask_for_update(settings, who=login_name(who), why=why))
    echo("asked: `sentinel update show` says what becomes of it")
    if settings.model.version:
        echo(f"sentinel: {pin_note(settings.model.version)}", err=True)


@update.command("show")
def show_update(
    config: ConfigOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
) -> None:
    """How the newest update stands, what the gate said of it, and what the next one waits for."""
    from sentinel.cli.models.learning import status_lines
    from sentinel.codec.stored import encode_stored
    from sentinel.operations import embedded
    from sentinel.operations.models.updates import update_status

    found = asyncio.run(update_status(embedded.running_from(config)))
    if as_json:
        echo_json(encode_stored(found))
        return
    now_ms = time.time_ns() // 1_000_000
    for line in status_lines(found, now_ms):
        echo(line)
