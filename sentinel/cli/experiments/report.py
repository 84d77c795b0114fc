"""`sentinel experiments report`: every look, in the terminal or as a page."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sentinel.cli.experiments.acting import ExperimentName
from sentinel.cli.options import ConfigOption
from sentinel.cli.texts import PlainConsole, echo, echo_json
from sentinel.errors import ConfigError

if TYPE_CHECKING:
    from sentinel.operations.experiments.acting import Shown


def report_looks(
    name: ExperimentName,
    config: ConfigOption = None,
    html: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write a page that needs nothing else: it prints, too."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="All that is kept, as one object.")
    ] = False,
) -> None:
    """Every look at an experiment: what was known when, and what it decided.

    NAME is of its newest definition, NAME@NUMBER of a former one.
    """
    from sentinel.codec.stored import encode_stored
    from sentinel.operations import embedded
    from sentinel.operations.experiments.acting import show_experiment

    settings = embedded.running_from(config)
    found = asyncio.run(show_experiment(settings, name))
    decimals = settings.schema.amount_decimals
    if html is not None:
        _write(html, found, decimals)
    if as_json:
        echo_json(encode_stored(found))
    elif html is not None:
        count = len(found.looks)
        echo(f"{html}: {found.stored.definition.id}, {count:,} look{'s' if count != 1 else ''}")
    else:
        _print(found, decimals)


def _write(path: Path, found: "Shown", decimals: int) -> None:
    from sentinel.cli.experiments.html.page import experiment_page
    from sentinel.operations.models.registry import now_ms

    try:
        path.write_text(experiment_page(found, decimals, made_ms=now_ms()), encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror or error}") from error


def _print(found: "Shown", decimals: int) -> None:
    from sentinel.cli.experiments.showing import print_look, print_standing
    from sentinel.cli.experiments.tables import look_table

    console = PlainConsole()
    print_standing(console, found)
    if found.looks:
        console.print(look_table(found.stored.definition, found.looks, decimals))
        print_look(console, found.looks[-1], decimals)
