"""`sentinel state`: entity state of an older version, and of another deployment."""

import asyncio
from pathlib import Path

import typer

from sentinel import config as configuration
from sentinel.operations import embedded
from sentinel.operations.migration import adopt_store, migrate_store


def migrate_command(config_file: Path | None) -> None:
    """Bring the state of an older version to the present form."""
    config = embedded.running(configuration.load(config_file))
    done = asyncio.run(migrate_store(config))
    typer.echo(
        f"{done.blob_count:,} entities of {done.partition_count} partitions and "
        f"{done.label_count:,} labels are in the present form"
    )


def adopt_command(config_file: Path | None, *, is_sure: bool) -> None:
    """Make the state under the prefix that of this configuration's group and topic."""
    config = embedded.running(configuration.load(config_file))
    topic = config.topics.full(config.topics.transactions)
    if not is_sure:
        typer.confirm(
            f'Give the state under "{config.redis.key_prefix}" to the group '
            f"{config.kafka.group_id} on {topic}? Whoever it belongs to now must not run any more",
            abort=True,
        )
    before = asyncio.run(adopt_store(config))
    typer.echo(f"it belonged to the group {before.group_id} on {before.topic}")
