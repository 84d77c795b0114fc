"""Which commands there are and where each is, and how all of them end when something is wrong."""

import errno
from importlib import import_module
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from sentinel.cli import streams
from sentinel.cli.texts import echo, plain
from sentinel.errors import SentinelError, TransientError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

# Along a user's way: of each panel of the help the commands, and the modules that they are in.
PANELS = {
    "Run": {"run": "run.run", "demo": "run.demo"},
    "Your data": {
        "init": "data.init",
        "check-config": "data.check_config",
        "train": "data.history",
        "backfill": "data.backfill",
        "features": "data.history",
        "produce": "data.produce",
    },
    "Labels": {
        "feedback": "labels.feedback",
        "investigators": "labels.investigators",
        "consensus": "labels.consensus",
    },
    "Models": {
        "models": "models.registry",
        "update": "models.updates",
        "rollouts": "rollouts.rollouts",
    },
    "Experiments": {"experiments": "experiments.experiments"},
    "Look into it": {
        "drift": "drift.drift",
        "why": "inspection.why",
        "audit": "inspection.audit",
        "archive": "inspection.archive",
    },
    "Operate": {
        "status": "overview.status",
        "topics": "operate.topics",
        "dead-letters": "operate.dead_letters",
        "state": "operate.state",
        "config": "operate.config",
        "pause": "operate.switches",
        "resume": "operate.switches",
        "maintenance": "operate.switches",
        "warm": "operate.warm",
    },
}
_PLACES = {
    name: (panel, module) for panel, names in PANELS.items() for name, module in names.items()
}


def command_group(text: str) -> typer.Typer:
    """A group of commands under one name, with what the help says of it."""
    return typer.Typer(help=text, no_args_is_help=True, add_completion=False)


class Commands(TyperGroup):
    """The commands, each loaded when it is asked for; an error of theirs ends in one clear line."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes | {"commands": dict.fromkeys(_PLACES)})

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name in _PLACES and self.commands[cmd_name] is None:
            self.commands[cmd_name] = _loaded(cmd_name)
        return super().get_command(ctx, cmd_name)

    def main(self, *args: Any, **options: Any) -> Any:
        streams.settle_streams()
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


def _loaded(name: str) -> Any:
    """The command, or the group of commands, which its module has under the same name."""
    panel, module = _PLACES[name]
    found = getattr(import_module(f"sentinel.cli.{module}"), name.replace("-", "_"))
    if not isinstance(found, typer.Typer):
        alone = typer.Typer(add_completion=False)
        alone.command()(found)
        found = alone
    command = typer.main.get_command(found)
    command.name = name
    command.rich_help_panel = panel  # type: ignore[attr-defined]
    return command


def exit_code(error: SentinelError) -> int:
    """2 for what the user can mend, 1 for what may pass by itself."""
    return 1 if isinstance(error, TransientError) else 2


def fail(error: SentinelError) -> NoReturn:
    """End with one clear line."""
    lines = [plain(line) for line in str(error).splitlines()]  # it may quote what strangers wrote
    echo("sentinel: " + "\n".join(lines), err=True)
    raise typer.Exit(exit_code(error))
