"""`sentinel init`: a configuration for a file that nobody has described yet."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sentinel.errors import ConfigError

if TYPE_CHECKING:
    from sentinel.config import Config

History = Annotated[
    Path | None,
    typer.Argument(help="Your history: Parquet, CSV or JSON lines, or a folder of them."),
]
Topic = Annotated[
    str | None, typer.Option(metavar="NAME", help="Instead of a file: a topic with JSON.")
]
Servers = Annotated[
    str | None, typer.Option(metavar="HOST:PORT", help="The brokers that have the topic.")
]
Brokers = Annotated[
    Path | None,
    typer.Option(
        "--config", "-c", metavar="FILE", help="A configuration whose [kafka] says where it is."
    ),
]
Out = Annotated[Path, typer.Option("--out", metavar="FILE", help="The configuration to write.")]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Write over a configuration that is there.")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Take every guess, and ask nothing.")]
Identifier = Annotated[
    str | None,
    typer.Option(metavar="COLUMN", help='What identifies a transaction; "none": its row.'),
]
Time = Annotated[str | None, typer.Option(metavar="COLUMN", help="When a transaction happened.")]
Zone = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Of times without an offset, such as Europe/Berlin."),
]
Step = Annotated[
    str | None,
    typer.Option(metavar="1h", help="Of a time that is a counter: how long a step is."),
]
Origin = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="When that counter was 0, such as 2026-01-01T00:00:00Z."),
]
Account = Annotated[
    str | None,
    typer.Option(metavar="COLUMN", help='Account, card or customer; "none": each row is one.'),
]
Amount = Annotated[str | None, typer.Option(metavar="COLUMN", help="The amount.")]
Label = Annotated[
    str | None,
    typer.Option(metavar="COLUMN", help='What says that it was fraud; "none": nothing does.'),
]
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
    file: History = None,
    topic: Topic = None,
    bootstrap_servers: Servers = None,
    config: Brokers = None,
    out: Out = Path("mine.toml"),
    overwrite: Overwrite = False,
    yes: Yes = False,
    transaction_id: Identifier = None,
    time: Time = None,
    zone: Zone = None,
    step: Step = None,
    origin: Origin = None,
    account: Account = None,
    amount: Amount = None,
    amount_format: AmountFormat = None,
    negative_amounts: NegativeAmounts = None,
    label: Label = None,
    entity: Entities = None,
    ignore: Ignored = None,
) -> None:
    """Look at a file, a folder or a topic, ask what it does not say, and write a configuration."""
    from sentinel.cli.data.arriving import file_arrived, topic_arrived
    from sentinel.operations.arrival.answers import Answers, said_entities

    if (file is None) == (topic is None):
        raise ConfigError("say what to look at: a file or folder, or --topic NAME")
    if topic is None and (bootstrap_servers or config):
        raise ConfigError("--bootstrap-servers and --config are of --topic NAME")
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
    if file is not None:
        file_arrived(file, out, answers, yes=yes)
    if topic is not None:
        topic_arrived(topic, _settings(config, bootstrap_servers), out, answers, yes=yes)


def _settings(config: Path | None, bootstrap_servers: str | None) -> "Config":
    """How to reach the brokers: as the file and the environment say, but for what is said here."""
    from sentinel.config import load

    settings = load(config)
    if bootstrap_servers is None:
        return settings
    try:
        return replace(settings, kafka=replace(settings.kafka, bootstrap_servers=bootstrap_servers))
    except ValueError as error:
        raise ConfigError(f"--bootstrap-servers: {error}") from error
