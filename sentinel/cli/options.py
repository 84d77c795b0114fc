"""Options that commands of several rooms share."""

import getpass
from pathlib import Path
from typing import Annotated

import typer

from sentinel.errors import ConfigError

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", "-c", metavar="FILE", help="Configuration; none: the built-in one."),
]
LabelColumn = Annotated[
    str | None,
    typer.Option(
        metavar="COLUMN",
        help="The column that says whether a row is fraud. [default: training.label_column]",
    ),
]
HistoryArgument = Annotated[
    Path, typer.Argument(help="Your history, a file or a folder, in the order of event time.")
]
DaysOption = Annotated[
    float | None, typer.Option(min=1, metavar="N", help="Use only the first N days.")
]
IdleOption = Annotated[
    float | None,
    typer.Option(min=0.1, metavar="SECONDS", help="Stop after so long without a record."),
]
NewestOption = Annotated[int, typer.Option(min=1, help="Show so many of the newest.")]
TransactionArgument = Annotated[str, typer.Argument(help="Its identifier.")]


def login_name(who: str) -> str:
    """Who does it: as they say, or as they have logged in. Raises ConfigError if neither tells."""
    try:
        return who.strip() or getpass.getuser()
    except (OSError, KeyError) as error:  # KeyError until Python 3.12
        raise ConfigError("your login name is not known here: give one with --who") from error
