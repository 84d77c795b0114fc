"""State that the version before has written: `sentinel state migrate` brings it here, whole.

tests/data/format_1/state.json holds what that version had stored of 240 transactions in two
partitions and 30 labels, of which ten had not been applied, when it was stopped in order.
"""

import asyncio
import json
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sentinel.adapters.kafka import KafkaParams
from sentinel.adapters.memory import MemoryBroker, MemoryStore, MemoryTail
from sentinel.adapters.redis import Format1, RedisParams, RedisStateStore, connect
from sentinel.config import Config
from sentinel.core.features.state import layout_of
from sentinel.engine.store.owner import own, read_owner
from sentinel.errors import ConfigError
from sentinel.operations.entities.migration import OldWorld, migrate, migrate_our_own
from sentinel.operations.stores import open_cases, open_models
from sentinel.records import Commit, TopicPartition
from sentinel.stored.votes import CaseBatch, FeedbackProgress
from tests.engine.clock import run
from tests.engine.samples import a_config, transactions
from tests.engine.world import World

DUMP = json.loads((Path(__file__).parents[1] / "data/format_1/state.json").read_text())
pytestmark = pytest.mark.integration


@pytest.fixture
def config(redis_params: RedisParams) -> Config:
    redis = replace(redis_params, key_prefix=uuid.uuid4().hex)
    return replace(a_config(2, commit_interval_s=0.2, batch_count_max=64), redis=redis)


async def write_as_before(config: Config, topic: str = "transactions") -> None:
    """The keys of format 1."""
    prefix = config.redis.key_prefix
    async with connect(config.redis, db=config.redis.state_db) as redis:
        client: Any = redis
        for layout, entity, key, part, data in DUMP["blobs"]:
            name, blob = f"{prefix}:s:{layout}:{entity}:{key}", bytes.fromhex(data)
            if part == -1:
                await client.set(name, blob, px=10**9)
            else:
                await client.hset(name, str(part), blob)
                await client.pexpire(name, 10**9)
        for layout, partition, state in DUMP["states"]:
            await client.hset(f"{prefix}:p:{layout}:{topic}:{partition}", mapping=state)
            await client.set(f"{prefix}:e:{topic}:{partition}", "1750000000000")


def a_world(config: Config, labels_behind: int = 240) -> World:
    """The logs as they were then."""
    world = World(config=config)
    world.send(transactions(labels_behind))
    for label in DUMP["labels"]:
        world.append("labels", label.encode())
    return world


async def migrated(config: Config, world: World, committed: dict[int, int]) -> Any:
    layout = layout_of(config.entities, config.features)
    async with (
        MemoryBroker(world.cluster) as broker,
        RedisStateStore(config.redis, layout=layout) as store,
        Format1(config.redis, layout=layout) as old,
        open_cases(config.redis) as cases,
        open_models(config.redis) as models,
    ):
        if await cases.progress() is None:
            await cases.save(None, CaseBatch(FeedbackProgress("memory", 30)))
        tail = MemoryTail(world.cluster, ["labels"])
        done = await migrate(config, OldWorld(broker, store, old, tail, cases, models, committed))
        progress = await cases.progress()
        assert progress is not None
        assert progress.log == broker.log_of("feedback")
        return done


async def read_back(config: Config, world: World) -> None:
    """All that Redis has of the migrated state, into the world's store."""
    layout = layout_of(config.entities, config.features)
    store = MemoryStore()
    async with RedisStateStore(config.redis, layout=layout) as stored:
        for number in range(2):
            at = TopicPartition("transactions", number)
            state = await stored.partition_state(at)
            assert state is not None
            store.states[layout, at] = state
            store.fences[at] = await stored.claim(at)
            for entity in ("account", "terminal"):
                found = await stored.applied_labels(entity, state.labels_log, range(40))
                store.labels[layout, state.labels_log, entity] = {
                    offset for offset, is_in in enumerate(found) if is_in
                }
        store.owner = await stored.owner()
        for _, entity, key, part, _ in DUMP["blobs"]:
            blobs = store.blobs.setdefault((layout, entity, key), {})
            if part == -1:
                (blob,) = await stored.load_owned(entity, [key], {})
                assert blob is not None
                blobs[-1] = blob
            else:
                (parts,) = await stored.load_shared(entity, [key], {})
                blobs |= parts
    world.store = store


@pytest.fixture
async def old(config: Config) -> Config:
    await write_as_before(config)
    return config


COMMITTED = {int(p): commit["offset"] for p, commit in DUMP["committed"].items()}


async def test_what_is_migrated_goes_on_as_if_there_had_been_no_other_version(
    old: Config,
) -> None:
    world = a_world(old)
    for number, commit in DUMP["committed"].items():
        at = TopicPartition("transactions", int(number))
        world.cluster.group("sentinel").committed[at] = Commit(**commit)
    done = await migrated(old, world, COMMITTED)
    await read_back(old, world)

    def go_on() -> dict[Any, bytes]:
        expected = a_world(old, 240)
        for each in (world, expected):
            each.send(transactions(60, first=240))
            run(each.run_through())
            each.send(transactions(60, first=300))
            run(each.run_through())
        assert len(world.decisions()) == 120
        return expected.blobs()

    expected = await asyncio.to_thread(go_on)
    assert world.blobs() == expected
    assert (done.blob_count, done.partition_count) == (len(DUMP["blobs"]), 2)
    assert 20 <= done.label_count <= 25


async def test_a_migration_that_was_broken_off_can_be_done_again(old: Config) -> None:
    world = a_world(old)
    layout = layout_of(old.entities, old.features)
    async with Format1(old.redis, layout=layout) as half:
        count = await half.convert_blobs(lambda *_: None)
    assert count == 0

    await migrated(old, world, COMMITTED)
    await write_epochs(old)
    again = await migrated(old, world, COMMITTED)

    assert again.blob_count == 0


async def write_epochs(config: Config) -> None:
    """As they are before the last step."""
    async with connect(config.redis, db=config.redis.state_db) as redis:
        for number in range(2):
            await redis.set(f"{config.redis.key_prefix}:e:transactions:{number}", "1750000000000")


async def test_state_of_before_is_not_taken_for_that_of_today(old: Config) -> None:
    world = a_world(old)
    layout = layout_of(old.entities, old.features)

    async def start() -> None:
        async with (
            MemoryBroker(world.cluster) as broker,
            RedisStateStore(old.redis, layout=layout) as store,
        ):
            await own(store, broker, "transactions", group_id="sentinel", key_prefix="p")

    with pytest.raises(ConfigError, match=r"older version: .*then run `sentinel state migrate`"):
        await start()
    await migrated(old, world, COMMITTED)
    await start()
    async with RedisStateStore(old.redis, layout=layout) as store:
        _, owner = await read_owner(store)
    assert owner is not None
    assert owner.partition_count == 2


async def test_state_that_was_not_stopped_in_order_is_not_migrated(old: Config) -> None:
    """Which labels its entities hold would not be known."""
    with pytest.raises(ConfigError, match="start the version that wrote it once more"):
        await migrated(old, a_world(old), {0: COMMITTED[0] + 1, 1: COMMITTED[1]})


async def test_an_embedded_store_of_before_is_migrated_at_the_start(
    config: Config, kafka_params: KafkaParams
) -> None:
    """Its broker is another one each time: entities are kept, offsets mean nothing."""
    topics = replace(config.topics, prefix="of-before-")
    config = replace(config, kafka=kafka_params, topics=topics)
    await write_as_before(config, "of-before-transactions")

    await migrate_our_own(config)
    await migrate_our_own(config)  # there is nothing more to do

    layout = layout_of(config.entities, config.features)
    async with RedisStateStore(config.redis, layout=layout) as store:
        assert not await store.is_of_format_1("of-before-transactions", 2)
        accounts = [key for _, entity, key, _, _ in DUMP["blobs"] if entity == "account"]
        found = await store.load_owned("account", accounts, {})
    assert all(blob is not None and blob[0] == 2 for blob in found)


async def test_there_must_be_something_to_migrate(config: Config) -> None:
    with pytest.raises(ConfigError, match="there is no state of an older version"):
        await migrated(config, a_world(config), {})
