"""What the commands share: options, and how they end when something is wrong."""

import errno
import getpass
import os
import threading
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from sentinel.cli import streams
from sentinel.cli.texts import plain
from sentinel.errors import ConfigError, SentinelError, TransientError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", "-c", metavar="FILE", help="Configuration; none: the built-in one."),
]
LabelColumn = Annotated[
    str, typer.Option(metavar="COLUMN", help="The column that says whether a row is fraud.")
]


def fail(error: SentinelError) -> NoReturn:
    """One clear line; exit code 2 for what the user can mend, 1 for what may pass by itself."""
    lines = [plain(line) for line in str(error).splitlines()]  # it may quote what strangers wrote
    typer.echo("sentinel: " + "\n".join(lines), err=True)
    raise typer.Exit(1 if isinstance(error, TransientError) else 2)


# Along a user's way, each command in one of them.
PANELS = {
    "Run": ("run",),
    "Your data": ("check-config", "train", "features", "produce"),
    "Labels": ("feedback", "investigators", "consensus"),
    "Models": ("models", "update"),
    "Look into it": ("why", "audit", "archive"),
    "Operate": ("topics", "dead-letters", "state", "warm"),
}
_ORDER = [name for names in PANELS.values() for name in names]


class Commands(TyperGroup):
    """Commands, and groups of them, which end in one clear line when something is wrong."""

    def list_commands(self, ctx: Any) -> list[str]:
        return sorted(super().list_commands(ctx), key=_ORDER.index)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        command = super().get_command(ctx, cmd_name)
        if command is not None:
            [panel] = [panel for panel, names in PANELS.items() if cmd_name in names]
            command.rich_help_panel = panel  # type: ignore[attr-defined]
        return command

    def main(self, *args: Any, **options: Any) -> Any:
        streams.settle()
        try:
            return super().main(*args, **options)
        except OSError as error:
            if error.errno not in _FULL:
                raise
            streams.give_up(f"{error.filename or 'what is written'}: {error.strerror}")

    def invoke(self, ctx: Any) -> Any:  # of Typer's own copy of click
        try:
            return super().invoke(ctx)
        except SentinelError as error:
            fail(error)


def login_name(who: str) -> str:
    """Who does it: as they say, or as they have logged in. Raises ConfigError if neither tells."""
    try:
        return who.strip() or getpass.getuser()
    except (OSError, KeyError) as error:  # KeyError until Python 3.12
        raise ConfigError("nobody knows who you are here: say it with --who") from error


def end_with_input() -> None:
    """Have this process end, at once, when its standard input does: with whoever started it.

    In a thread, so that it ends while its loop hangs, too. Nothing is lost that a kill -9 would not
    lose.
    """

    def watch() -> None:
        while os.read(0, 4096):
            continue
        os._exit(1)

    threading.Thread(target=watch, name="end with input", daemon=True).start()
