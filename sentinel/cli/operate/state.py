"""`sentinel state`: entity state of an older version, and of another deployment."""

import asyncio
from typing import Annotated

import typer

from sentinel.cli.commands import command_group
from sentinel.cli.options import ConfigOption
from sentinel.cli.texts import echo

state = command_group("Entity state of an older version, or of another deployment.")


@state.command("migrate")
def migrate_state(config: ConfigOption = None) -> None:
    """Bring the entity state of an older version to the present form; no instance may run."""
    from sentinel.operations import embedded
    from sentinel.operations.migration import migrate_store

    done = asyncio.run(migrate_store(embedded.running_from(config)))
    echo(
        f"{done.blob_count:,} entities of {done.partition_count} partitions and "
        f"{done.label_count:,} labels are in the present form"
    )


@state.command("adopt")
def adopt_state(
    config: ConfigOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Give the state under redis.key_prefix to this configuration's group and topic."""
    from sentinel.operations import embedded
    from sentinel.operations.migration import adopt_store

    settings = embedded.running_from(config)
    topic = settings.topics.full(settings.topics.transactions)
    if not yes:
        typer.confirm(
            f'Give the state under "{settings.redis.key_prefix}" to the group '
            f"{settings.kafka.group_id} on {topic}? No instance that it belongs to now may run",
            abort=True,
        )
    before = asyncio.run(adopt_store(settings))
    echo(f"the state belonged to the group {before.group_id} on {before.topic}")
