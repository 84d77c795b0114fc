"""From the state of an older version to the present form, and from one deployment to another.

Format 1 knew offsets without names: they become those of the topics that are there now. It knew
the labels of a partition by how far they had been applied: each becomes one that is.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sentinel.adapters.kafka import KafkaAdmin, KafkaBroker, KafkaTail
from sentinel.adapters.redis import Format1, RedisStateStore
from sentinel.codec.records import decode_label
from sentinel.codec.stored import encode_stored
from sentinel.config import Config
from sentinel.core.features.hashing import hash64
from sentinel.core.features.packing import from_format_1, log_numbers
from sentinel.core.features.state import layout_of
from sentinel.core.partitioning import PartitionOf
from sentinel.engine.registry.lifecycle import update_of
from sentinel.engine.store.owner import StoreOwner, read_owner
from sentinel.errors import ConfigError, RecordError
from sentinel.operations.stores import open_cases, open_models, open_started_state
from sentinel.operations.topics import topic_specs
from sentinel.ports import Broker, CaseStore, ModelStore, PartitionState, StateStore, Tail
from sentinel.records import TopicPartition
from sentinel.stored.votes import CaseBatch

log = logging.getLogger(__name__)

_POLL_S = 1.0


@dataclass(frozen=True, slots=True)
class Migrated:
    """What a migration has done."""

    blob_count: int
    label_count: int
    partition_count: int


async def adopt_store(config: Config) -> StoreOwner:
    """Make the store this deployment's, whosever it was; returns the note of before.

    Raises ConfigError when it is nobody's.
    """
    layout = layout_of(config.entities, config.features)
    async with RedisStateStore(config.redis, layout=layout) as store:
        noted, found = await read_owner(store)
        if found is None:
            raise ConfigError(
                f'the state under "{config.redis.key_prefix}" is nobody\'s: it needs no adoption'
            )
        topic = config.topics.full(config.topics.transactions)
        after = replace(found, group_id=config.kafka.group_id, topic=topic)
        await store.note_owner(noted, encode_stored(after))
    return found


async def migrate_our_own(config: Config) -> None:
    """The same of an embedded store, which nobody else can have running."""
    topic = config.topics.full(config.topics.transactions)
    async with open_started_state(config) as store:
        if not await store.is_of_format_1(topic, config.topics.partition_count):
            return
    async with KafkaBroker(config.kafka) as broker:
        await broker.ensure_topics(topic_specs(config))
    done = await _migrate_store(config, {})  # its log is gone, with all that groups had committed
    log.info("%d entities that an older version has stored are in the present form",
             done.blob_count)  # fmt: skip


async def migrate_store(config: Config) -> Migrated:
    """Bring what format 1 has written under the prefix to the present one.

    No instance may run. Raises ConfigError when there is nothing of format 1, or its instances were
    not stopped in order.
    """
    topic = config.topics.full(config.topics.transactions)
    async with KafkaAdmin(config.kafka) as admin:
        committed = await admin.group_offsets(config.kafka.group_id, topic)
    return await _migrate_store(config, committed)


async def _migrate_store(config: Config, committed: Mapping[int, int]) -> Migrated:
    layout = layout_of(config.entities, config.features)
    labels = config.topics.full(config.topics.labels)
    async with (
        KafkaBroker(config.kafka) as broker,
        RedisStateStore(config.redis, layout=layout) as store,
        open_cases(config.redis) as cases,
        open_models(config.redis) as models,
        Format1(config.redis, layout=layout) as old,
        KafkaTail(config.kafka, [labels]) as tail,
    ):
        world = OldWorld(broker, store, old, tail, cases, models, committed)
        return await migrate(config, world)


@dataclass(frozen=True, slots=True)
class OldWorld:
    """All that a migration reads and writes, open.

    Attributes
    ----------
    committed
        What the group has committed for each partition of the transactions.
    """

    broker: Broker
    store: StateStore
    old: Format1
    tail: Tail
    cases: CaseStore
    models: ModelStore
    committed: Mapping[int, int]


async def migrate(config: Config, world: OldWorld) -> Migrated:
    """As `migrate_store`, on what is open already."""
    broker, store, old = world.broker, world.store, world.old
    topic = config.topics.full(config.topics.transactions)
    label_topic = config.topics.full(config.topics.labels)
    seen, labels_seen = await broker.look(topic), await broker.look(label_topic)
    if seen is None or labels_seen is None:
        raise ConfigError(f"{topic} and {label_topic} must be there: their names are needed")
    partitions = [TopicPartition(topic, number) for number in range(seen.partition_count)]
    if not await store.is_of_format_1(topic, seen.partition_count):
        prefix = config.redis.key_prefix
        raise ConfigError(f'there is no state of an older version under "{prefix}" for {topic}')
    states = {at: await old.state(at) for at in partitions}
    for at, state in states.items():
        if state is not None and state.replay_from < world.committed.get(at.partition, 0):
            raise ConfigError(
                f"{at.topic}-{at.partition}: what was decided is not all stored: start the version "
                "that wrote it once more, and stop it with SIGTERM"
            )
    owner = StoreOwner(config.kafka.group_id, topic, seen.name, seen.partition_count)
    logs, old_log = log_numbers(owner.log_names()), int(hash64([broker.cluster_id])[0])
    partition_of = PartitionOf(seen.partition_count)

    def convert(_: str, key: str, part: int | None, data: bytes) -> bytes | None:
        number = partition_of(key) if part is None else part
        log = int(logs[number]) if number < logs.size else 0
        return from_format_1(data, old_log=old_log, log=log, partition=number)

    blob_count = await old.convert_blobs(convert)
    reached = [0] * len(partitions)  # labels below were applied
    for at, state in states.items():
        if state is None or state.cluster_id != broker.cluster_id:
            continue
        reached[at.partition] = state.labels_from
        after = PartitionState(seen.name, state.replay_from, labels_seen.name, state.labels_from)
        await old.write_state(at, after)
    applied = await _applied(broker, world.tail, label_topic, reached, partition_of)
    for entity in config.entities:
        await old.note_applied(entity, labels_seen.name, applied)
    await _name_documents(config, world)
    noted, _ = await read_owner(store)
    await store.note_owner(noted, encode_stored(owner))
    for at in partitions:
        await old.count_saves(at)
    return Migrated(blob_count, len(applied), len(partitions))


async def _name_documents(config: Config, world: OldWorld) -> None:
    """How far feedback was counted, and the newest update, are of the topics that are there now."""
    cluster_id = world.broker.cluster_id
    names = ("feedback", "examples", "control")
    topics = [config.topics.full(getattr(config.topics, name)) for name in names]
    for topic in topics:
        await world.broker.look(topic)
    feedback_log, example_log, control_log = map(world.broker.log_of, topics)
    progress = await world.cases.progress()
    if progress is not None and progress.log == cluster_id:
        await world.cases.save(progress, CaseBatch(replace(progress, log=feedback_log)))
    noted = await world.models.update()
    update = update_of(noted, example_log, control_log)
    if noted is not None and update.number:
        await world.models.note_update(noted, encode_stored(update))


async def _applied(
    broker: Broker, tail: Tail, topic: str, reached: Sequence[int], partition_of: PartitionOf
) -> list[int]:
    """The labels that were applied, as far as the log still has them."""
    at = TopicPartition(topic, 0)
    first = await broker.start_offset(at)
    lowest, highest = min(reached), max(reached)
    found = list(range(first, lowest))
    offset = max(first, lowest)
    tail.seek(topic, offset)
    while offset < highest:
        for record in (await tail.poll(timeout_s=_POLL_S, count_max=10_000)).get(topic, ()):
            offset = record.offset + 1
            try:
                account = decode_label(record.value).entities.get("account")
            except RecordError:
                continue
            if account and record.offset < reached[partition_of(account)]:
                found.append(record.offset)
    return found
