"""`sentinel demo`: half a year of a small payment company in some minutes, and a page of it."""

from pathlib import Path
from typing import Annotated

import typer

from sentinel.errors import ConfigError

_SHORT_DAYS = 40


def demo(
    seed: Annotated[
        int, typer.Option(min=0, max=4_000, help="Of the town: the same seed, the same frauds.")
    ] = 1,
    days: Annotated[
        int | None, typer.Option(min=30, max=366, metavar="N", help="To play. [default: 121]")
    ] = None,
    customers: Annotated[
        int, typer.Option(min=200, max=20_000, metavar="N", help="Of the town.")
    ] = 1_000,
    short: Annotated[bool, typer.Option("--short", help=f"{_SHORT_DAYS} days only.")] = False,
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Where the page goes, and what the run keeps.")
    ] = Path(".sentinel/demo"),
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the figures as JSON.")
    ] = None,
) -> None:
    """Play half a year: a new fraud, its alarm, a better model, a bad one that goes back."""
    from sentinel.app.demo.script import DAY_COUNT, script_of
    from sentinel.cli.run.demo_session import performed

    if short and days is not None:
        raise ConfigError("--short and --days: give one of them")
    if report is not None and not report.parent.is_dir():
        raise ConfigError(f"{report}: its folder does not exist")
    day_count = _SHORT_DAYS if short else days or DAY_COUNT
    performed(script_of(seed, day_count, customers), out, report)
