"""`sentinel check-config`: is it right, and what does it amount to."""

from pathlib import Path
from typing import Annotated

import typer

from sentinel.cli.options import ConfigOption
from sentinel.cli.texts import PlainConsole


def check_config(
    config: ConfigOption = None,
    file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Read this file or folder as the stream would; say what fits."
        ),
    ] = None,
) -> None:
    """Validate a configuration and say what is in force; with a file, whether it fits."""
    from rich.table import Table

    from sentinel.codec.transactions import TransactionDecoder
    from sentinel.config import load
    from sentinel.core.features.state import FeatureState

    settings = load(config)
    TransactionDecoder(settings.schema)  # what it needs, such as schemas of Avro, is there
    state = FeatureState(
        settings.entities,
        settings.features,
        amount_decimals=settings.schema.amount_decimals,
        recent_ids=settings.schema.recent_ids,
        entities_max=2,
    )
    console = PlainConsole()
    name = config or "the built-in configuration (sentinel.toml, and stream.toml over it)"
    console.print(f"{name} is valid: version {settings.version}, {len(settings.features)} features")
    table = Table("entity", "kind", "bytes in memory", "field")
    fields = {"account": settings.schema.account, **settings.schema.entities}
    for plan in state.plans:
        table.add_row(
            plan.entity, plan.params.kind, f"{plan.word_count * 8:,}", fields[plan.entity]
        )
    console.print(table)
    if file is not None:
        from sentinel.cli.data.dry_run import tell_file

        tell_file(console, file, settings)
