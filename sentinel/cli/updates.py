"""`sentinel update now|show`: ask for a new model, and see what became of it."""

import asyncio
from typing import Annotated

import typer
from rich.console import Console

from sentinel.cli.options import ConfigOption, login_name

update = typer.Typer(help="Ask for a new model, and see how the newest update stands.")


@update.command()
def now(
    config: ConfigOption = None,
    who: Annotated[str, typer.Option(help="Who asks (default: the login name).")] = "",
    why: Annotated[str, typer.Option(help="Why.")] = "",
) -> None:
    """Have the running instance make a candidate, and judge it, as soon as it can."""
    from sentinel import config as configuration
    from sentinel.app import embedded, updates
    from sentinel.app.models import pin_note

    settings = embedded.running(configuration.load(config))
    asyncio.run(updates.ask_for_update(settings, who=login_name(who), why=why))
    typer.echo("asked: `sentinel update show` says what becomes of it")
    if settings.model.version:
        typer.echo(f"sentinel: {pin_note(settings.model.version)}", err=True)


@update.command()
def show(
    config: ConfigOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
) -> None:
    """How the newest update stands."""
    from sentinel import config as configuration
    from sentinel.app import embedded, updates
    from sentinel.codec.stored import encode_stored

    settings = embedded.running(configuration.load(config))
    found = asyncio.run(updates.newest_update(settings))
    if as_json:
        typer.echo("null" if found is None else encode_stored(found))
        return
    if found is None:
        typer.echo("there was no update yet")
        return
    console = Console()
    console.print(
        f"update {found.number} ({found.trigger}: {found.reason}): {found.state}", highlight=False
    )
    if found.version:
        console.print(
            f"candidate {found.version}, after {found.champion}: {found.verdict}", highlight=False
        )
    if found.outcome:
        console.print(found.outcome, highlight=False)
