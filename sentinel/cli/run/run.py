"""`sentinel run`: transactions scored until somebody stops it."""

import sys
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from sentinel.cli.options import ConfigOption, IdleOption
from sentinel.errors import ConfigError


class OnGap(StrEnum):
    """What to do when the log has lost records that were to be read."""

    FAIL = "fail"
    EARLIEST = "earliest"


def run(
    config: ConfigOption = None,
    rate: Annotated[
        float, typer.Option(min=0.1, metavar="N", help="Built-in stream: transactions a second.")
    ] = 200.0,
    stream: Annotated[
        bool | None,
        typer.Option(
            "--stream/--no-stream", help="Play the built-in stream (default without --config)."
        ),
    ] = None,
    duration: Annotated[
        float | None, typer.Option(min=0.1, metavar="SECONDS", help="Stop after so long.")
    ] = None,
    exit_when_idle: IdleOption = None,
    plain: Annotated[bool, typer.Option("--plain", help="Log lines instead of the view.")] = False,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the run's figures as JSON.")
    ] = None,
    on_gap: Annotated[
        OnGap | None,
        typer.Option(
            help="When Kafka has deleted records that were to be read: stop, or go on with what is "
            "left. [default: engine.on_gap]"
        ),
    ] = None,
    archive: Annotated[
        bool,
        typer.Option(
            "--archive/--no-archive",
            help="Beside an embedded broker, run `sentinel archive run` as well.",
        ),
    ] = True,
) -> None:
    """Score transactions until stopped; with no configuration, a built-in stream."""
    from sentinel.app.run import RunOptions
    from sentinel.cli.run.session import watched
    from sentinel.config import load

    settings = load(config)
    options = RunOptions(
        stream=config is None if stream is None else stream,
        rate=rate,
        duration_s=duration,
        exit_when_idle_s=exit_when_idle,
        archive_command=_archive_command(config) if archive else (),
        on_gap=None if on_gap is None else on_gap.value,
        read=partial(load, config),
    )
    if report is not None and not report.parent.is_dir():
        raise ConfigError(f"{report}: its folder does not exist")
    watched(settings, options, report, plain=plain)


def _archive_command(config_file: Path | None) -> tuple[str, ...]:
    """An archive that ends with this process."""
    own = () if config_file is None else ("--config", str(config_file))
    return (sys.executable, "-m", "sentinel", "archive", "run", "--until-input-ends", *own)
