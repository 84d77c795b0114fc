"""The program itself: what comes before each command."""

import logging
from typing import Annotated

import typer

from sentinel import __version__, kernel_cache
from sentinel.cli.commands import Commands
from sentinel.cli.texts import echo
from sentinel.errors import ConfigError

app = typer.Typer(
    name="sentinel",
    cls=Commands,
    help="Scores payment transactions from Kafka while they happen.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _version(asked: bool) -> None:
    if asked:
        echo(__version__)
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Scores payment transactions from Kafka while they happen."""
    if not kernel_cache.settle():
        raise ConfigError(
            "no folder for compiled kernels can be written: set NUMBA_CACHE_DIR to one that can"
        )
    # While a broker is away the client reports it two hundred times a second; what matters of it
    # reaches the user as one error, or through health.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
