"""`sentinel produce`: a file into Kafka, with a progress bar."""

import hashlib
import re
from pathlib import Path

import uvloop
from rich.console import Console

from sentinel import config as configuration
from sentinel.adapters.files import TransactionFile
from sentinel.cli.data.history import progress_bar
from sentinel.core.features.spec import duration_ms
from sentinel.errors import ConfigError
from sentinel.operations import embedded
from sentinel.operations.data.produce import Played, Player, ProduceOptions
from sentinel.operations.data.sender import Sender

_SPEED = re.compile(r"(\d+(?:\.\d+)?)x?")


def produce_command(
    file: Path,
    config_file: Path | None,
    *,
    speed: str,
    label_column: str,
    label_delay: str,
    label_source: str,
    frauds_only: bool,
    skip: int,
    count: int | None,
    resume: bool,
) -> None:
    """Play the file and say what was sent."""
    config = embedded.running(configuration.load(config_file))
    source = TransactionFile(file, config.schema, label_column=label_column)
    try:
        delay_ms = duration_ms(label_delay)
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
    player = Player(config, source, options)
    console = Console()
    total = min(count or source.row_count(), max(source.row_count() - skip, 0))
    with progress_bar(console) as progress:
        task = progress.add_task(f"sending {file.name}", total=total)

        async def main() -> Played:
            async with Sender(config) as sender:
                return await player.run(
                    sender, lambda sent: progress.update(task, completed=sent.rows)
                )

        sent = uvloop.run(main())
    console.print(f"{sent.rows:,} transactions and {sent.labels:,} labels sent", highlight=False)
    if sent.unreadable:
        console.print(f"{sent.unreadable:,} rows do not fit the schema: expect dead letters")
    if player.labels_waiting:
        console.print(f"{player.labels_waiting:,} labels were not due by the end of the file")


def _speed(text: str) -> float | None:
    """Seconds of event time in a second, from "60x" or "60"; None for an empty text."""
    if not text:
        return None
    match = _SPEED.fullmatch(text)
    if match is None or float(match[1]) <= 0:
        raise ConfigError(f'--speed: "{text}" must be a number such as 60x')
    return float(match[1])
