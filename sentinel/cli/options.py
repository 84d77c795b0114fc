"""What the commands share: options, and how they end when something is wrong."""

from pathlib import Path
from typing import Annotated, NoReturn

import typer

from sentinel.errors import SentinelError, TransientError

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", "-c", metavar="FILE", help="Configuration; none: the built-in one."),
]
LabelColumn = Annotated[
    str, typer.Option(metavar="COLUMN", help="The column that says whether a row is fraud.")
]


def fail(error: SentinelError) -> NoReturn:
    """One clear line; exit code 2 for what the user can mend, 1 for what may pass by itself."""
    typer.echo(f"sentinel: {error}", err=True)
    raise typer.Exit(1 if isinstance(error, TransientError) else 2)
