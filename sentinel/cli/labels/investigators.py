"""`sentinel investigators`: who votes, and what their record says."""

import asyncio
from typing import Annotated

import typer

from sentinel.cli.options import ConfigOption
from sentinel.cli.texts import PlainConsole, echo_json


def investigators(
    config: ConfigOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="A line of JSON for each.")] = False,
) -> None:
    """Everybody who votes: how well they see fraud, and what is odd about them."""

    from sentinel.cli.labels.annotators import annotator_facts, annotator_table
    from sentinel.codec.records import encode
    from sentinel.operations import embedded
    from sentinel.operations.feedback import annotators

    settings = embedded.running_from(config)
    found = asyncio.run(annotators(settings))
    if as_json:
        for one in found:
            echo_json(encode(annotator_facts(one, settings)))
        return
    PlainConsole().print(annotator_table(found, settings))
