"""`sentinel init`: a configuration for a file that nobody has described yet."""

from pathlib import Path
from typing import Annotated

import typer

from sentinel.errors import ConfigError

AmountFormat = Annotated[
    str | None,
    typer.Option(metavar="decimal|minor", help="Whether it is in major units, or in cents."),
]
NegativeAmounts = Annotated[
    str | None,
    typer.Option(metavar="refuse|zero|signed", help="What becomes of amounts below 0."),
]
Entities = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=COLUMN", help="A further entity, such as merchant=shop_id."),
]
Ignored = Annotated[list[str] | None, typer.Option(metavar="COLUMN", help="A column to leave out.")]


def init(
    file: Annotated[Path, typer.Argument(help="Your history: Parquet, CSV or JSON lines.")],
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE", help="The configuration to write.")
    ] = Path("mine.toml"),
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Write over a configuration that is there.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Take every guess, and ask nothing.")
    ] = False,
    transaction_id: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help='What identifies a transaction; "none": its row.'),
    ] = None,
    time: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="When a transaction happened.")
    ] = None,
    zone: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Of times without an offset, such as Europe/Berlin."),
    ] = None,
    step: Annotated[
        str | None,
        typer.Option(metavar="1h", help="Of a time that is a counter: how long a step is."),
    ] = None,
    origin: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="When that counter was 0, such as 2026-01-01T00:00:00Z."),
    ] = None,
    account: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help='Account, card or customer; "none": each row is one.'),
    ] = None,
    amount: Annotated[str | None, typer.Option(metavar="COLUMN", help="The amount.")] = None,
    amount_format: AmountFormat = None,
    negative_amounts: NegativeAmounts = None,
    label: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help='What says that it was fraud; "none": nothing does.'),
    ] = None,
    entity: Entities = None,
    ignore: Ignored = None,
) -> None:
    """Look at a file and write a configuration for it; ask what the file does not say."""
    from sentinel.cli.data.arriving import arrived
    from sentinel.operations.arrival.answers import Answers, said_entities

    if out.exists() and not overwrite:
        raise ConfigError(f"{out}: is there already: name another with --out, or add --overwrite")
    answers = Answers(
        transaction_id=transaction_id,
        time=time,
        zone=zone,
        step=step,
        origin=origin,
        account=account,
        amount=amount,
        amount_format=amount_format,
        negative_amounts=negative_amounts,
        label=label,
        entities=said_entities(entity or ()),
        ignored=tuple(ignore or ()),
    )
    arrived(file, out, answers, yes=yes)
