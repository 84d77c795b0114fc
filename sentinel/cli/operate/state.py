"""`sentinel state`: what is known of entities, looked at, forgotten, and taken over."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from sentinel.cli.commands import command_group
from sentinel.cli.options import ConfigOption
from sentinel.cli.texts import PlainConsole, echo, echo_json

if TYPE_CHECKING:
    from rich.table import Table

    from sentinel.core.features.story import EntityStory

state = command_group("What is known of entities: look at it, forget it, take it over.")


@state.command("show")
def show_state(
    entity: Annotated[str, typer.Argument(help="Its kind, such as account.")],
    key: Annotated[str, typer.Argument(help="Its identifier.")],
    config: ConfigOption = None,
    count: Annotated[int, typer.Option(min=1, help="Show so many of the newest.")] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="One line of JSON, with all.")] = False,
) -> None:
    """What the store knows of one account, or of another entity."""
    from sentinel.codec.stored import encode_stored
    from sentinel.config import load
    from sentinel.operations.entities.state import entity_story

    settings = load(config)
    found = asyncio.run(entity_story(settings, entity, key))
    if as_json:
        echo_json(encode_stored(found))
        return
    echo(_headline(found, entity, key))
    if found is not None:
        PlainConsole().print(_table(found, settings.schema.amount_decimals, count))


def _headline(found: "EntityStory | None", entity: str, key: str) -> str:
    from sentinel.codec.times import date_text

    if found is None:
        return f"{entity} {key}: nothing is known"
    known = len(found.events) or sum(one.count for one in found.tiles)
    frauds = sum(one.label == "fraud" for one in found.events) or sum(
        one.fraud_count or 0 for one in found.tiles
    )
    newest = "none" if found.last_ms is None else f"the newest of {date_text(found.last_ms)} UTC"
    return f"{entity} {key}: {known:,} transactions are kept, {newest}; {frauds:,} known frauds"


def _table(found: "EntityStory", decimals: int, count: int) -> "Table":
    from rich.table import Table

    from sentinel.codec.times import date_text

    def money(minor: int) -> str:
        return f"{minor / 10**decimals:,.{decimals}f}"

    if found.tiles or not found.events:
        table = Table("from, UTC", "transactions", "sum", "largest", "known frauds")
        for tile in reversed(found.tiles[-count:]):
            frauds = "" if tile.fraud_count is None else f"{tile.fraud_count:,}"
            amounts = money(tile.sum_minor), money(tile.max_minor)
            table.add_row(date_text(tile.begin_ms), f"{tile.count:,}", *amounts, frauds)
        return table
    table = Table("happened, UTC", "amount", "label")
    for event in reversed(found.events[-count:]):
        amount = money(event.amount_minor)
        table.add_row(date_text(event.event_time_ms), amount, event.label or "")
    return table


@state.command("reset")
def reset_state(
    config: ConfigOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Forget all entities of this deployment; no instance may run."""
    from sentinel.config import load
    from sentinel.operations import embedded
    from sentinel.operations.entities.state import forget_entities

    settings = load(config)
    what, then = (
        "what is known of every entity",
        "counts what the log still holds, and nothing else",
    )
    if embedded.is_kafka_wanted(settings):
        what, then = f"{what}, every vote and every label", "knows nothing"
    if not yes:
        typer.confirm(
            f'Forget {what} under "{settings.redis.key_prefix}"? The next start {then}', abort=True
        )
    echo(f"{asyncio.run(forget_entities(settings)):,} keys are forgotten")


@state.command("migrate")
def migrate_state(config: ConfigOption = None) -> None:
    """Bring the entity state of an older version to the present form; no instance may run."""
    from sentinel.operations import embedded
    from sentinel.operations.entities.migration import migrate_store

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
    from sentinel.operations.entities.migration import adopt_store

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
