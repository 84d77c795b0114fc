"""`sentinel experiments report`: every look, in the terminal or as a page."""

import asyncio
from typing import Annotated

import typer

from sentinel.cli.experiments.acting import ExperimentName
from sentinel.cli.options import ConfigOption
from sentinel.cli.texts import PlainConsole, echo_json


def report_looks(
    name: ExperimentName,
    config: ConfigOption = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="All that is kept, as one object.")
    ] = False,
) -> None:
    """Every look at an experiment: what was known when, and what it decided.

    NAME is of its newest definition, NAME@NUMBER of a former one.
    """
    from sentinel.cli.experiments.showing import print_standing
    from sentinel.cli.experiments.tables import compared_table, look_table
    from sentinel.codec.stored import encode_stored
    from sentinel.operations import embedded
    from sentinel.operations.experiments.acting import show_experiment

    settings = embedded.running_from(config)
    found = asyncio.run(show_experiment(settings, name))
    decimals = settings.schema.amount_decimals
    if as_json:
        echo_json(encode_stored(found))
        return
    console = PlainConsole()
    print_standing(console, found)
    if not found.looks:
        return
    console.print(look_table(found.stored.definition, found.looks, decimals))
    console.print(compared_table(found.looks[-1], decimals))
