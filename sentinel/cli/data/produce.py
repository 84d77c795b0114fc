"""`sentinel produce`: a file into Kafka, with a progress bar."""

import hashlib
import re
from pathlib import Path
from typing import Annotated

import typer

from sentinel.cli.options import ConfigOption, LabelColumn
from sentinel.errors import ConfigError

_SPEED = re.compile(r"(\d+(?:\.\d+)?)x?")


def produce(
    file: Annotated[Path, typer.Argument(help="Parquet, CSV or JSON lines, or a folder of them.")],
    config: ConfigOption = None,
    speed: Annotated[
        str, typer.Option(metavar="60x", help="Pace by event time; empty: as fast as possible.")
    ] = "",
    label_column: LabelColumn = None,
    label_delay: Annotated[
        str | None,
        typer.Option(
            metavar="7d",
            help="After which a row's label is sent as feedback. [default: training.label_delay]",
        ),
    ] = None,
    label_source: Annotated[
        str, typer.Option(metavar="NAME", help="Source named in the feedback.")
    ] = "ground_truth",
    frauds_only: Annotated[
        bool, typer.Option("--frauds-only", help="Send no labels of genuine transactions.")
    ] = False,
    skip: Annotated[int, typer.Option(min=0, metavar="N", help="Leave out the first N rows.")] = 0,
    count: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Send at most N rows.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where the last run of this file stopped.")
    ] = False,
) -> None:
    """Send a file's transactions to Kafka, and its labels when their delay has passed."""
    from sentinel.cli.data.sending import send_file
    from sentinel.cli.data.sources import transaction_file
    from sentinel.core.features.spec import duration_ms
    from sentinel.operations import embedded
    from sentinel.operations.data.produce import ProduceOptions

    settings = embedded.running_from(config)
    source = transaction_file(file, settings, label_column, needs_labels=False)
    try:
        delay_ms = duration_ms(label_delay or settings.training.label_delay)
    except ValueError as error:
        raise ConfigError(f"--label-delay: {error}") from error
    name = hashlib.sha256(str(file.resolve()).encode()).hexdigest()[:12]
    options = ProduceOptions(
        speed=_speed(speed),
        label_delay_ms=delay_ms,
        label_source=label_source,
        frauds_only=frauds_only,
        skip=skip,
        count_max=count,
        position_file=embedded.DIRECTORY / f"produce-{file.stem}-{name}.json",
        resume=resume,
    )
    send_file(file.name, source, settings, options)


def _speed(text: str) -> float | None:
    """Seconds of event time in a second, from "60x" or "60"; None for an empty text."""
    if not text:
        return None
    match = _SPEED.fullmatch(text)
    if match is None or float(match[1]) <= 0:
        raise ConfigError(f'--speed: "{text}" must be a number such as 60x')
    return float(match[1])
