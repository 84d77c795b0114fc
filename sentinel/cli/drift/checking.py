"""Two files beside each other."""

from pathlib import Path
from typing import Annotated

import typer

from sentinel.cli.texts import PlainConsole, echo_json


def check_files(
    file: Annotated[Path, typer.Argument(help="What may have changed: Parquet, CSV, JSON lines.")],
    reference: Annotated[
        Path, typer.Option("--reference", metavar="FILE", help="What it is compared with.")
    ],
    account: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Account, card or customer: its rows are alike."),
    ] = None,
    columns: Annotated[
        list[str] | None,
        typer.Option("--columns", metavar="COLUMN", help="Compare these only; again or A,B."),
    ] = None,
    alpha: Annotated[
        float,
        typer.Option(help="How often any column may alarm where nothing has changed."),
    ] = 0.01,
    as_json: Annotated[bool, typer.Option("--json", help="All of it, as one object.")] = False,
) -> None:
    """Compare a file with another one, column by column."""
    from sentinel.cli.drift.tables import as_object, show_check
    from sentinel.codec.records import encode
    from sentinel.operations.drift.check import check_drift

    names = [name for one in columns or () for name in _names(one)]
    found = check_drift(file, reference, account=account, columns=names, alpha=alpha)
    if as_json:
        echo_json(encode(as_object(found)))
        return
    show_check(PlainConsole(), found)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]
