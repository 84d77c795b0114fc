"""Topics that operators change: grown, deleted and made anew, read by two deployments."""

import asyncio
import logging
from typing import Any

import numpy as np
import pytest

from sentinel.engine.store.owner import own, read_owner
from sentinel.errors import ConfigError, FencedError, TransientError
from sentinel.records import Commit, TopicPartition
from tests.engine.clock import run, until
from tests.engine.samples import FEATURES, a_config, transactions, voice
from tests.engine.world import MemoryInstance, World

COUNT = next(i for i, f in enumerate(FEATURES) if f.name == "account_count_1d")
ACCOUNT = [i for i, f in enumerate(FEATURES) if f.entity == "account"]


def a_world(partition_count: int = 4, *, seed: int | None = None, **engine: Any) -> World:
    rng = None if seed is None else np.random.default_rng(seed)
    return World(config=a_config(partition_count, commit_interval_s=0.2, **engine), rng=rng)


def alone(count: int) -> dict[str, list[float | None]]:
    """The features of the account of each transaction, in one partition that nobody changes."""
    world = a_world(1)
    world.send(transactions(count))
    run(world.run_through())
    return account_features(world)


def account_features(world: World) -> dict[str, list[float | None]]:
    """By transaction; what is decided twice is decided from the same."""
    found: dict[str, list[float | None]] = {}
    for decision in world.values("decisions"):
        values = [decision["features"][i] for i in ACCOUNT]
        assert found.setdefault(decision["transaction_id"], values) == values
    return found


async def ended(world: World, *, within_s: float) -> str:
    """What an instance that ends by itself says."""
    async with world.instance() as instance:
        assert instance.task is not None
        return await the_end(instance, within_s=within_s)


async def the_end(instance: MemoryInstance, *, within_s: float) -> str:
    task = instance.task
    assert task is not None
    await until(task.done, timeout_s=within_s)
    with pytest.raises(TransientError) as raised:
        task.result()
    return str(raised.value)


@pytest.mark.parametrize("count", [8, 6])
def test_accounts_keep_their_history_wherever_they_land_when_a_topic_has_grown(count: int) -> None:
    world = a_world(4)
    world.send(transactions(300))
    run(world.run_through())
    world.cluster.grow_topic("transactions", count)
    world.send(transactions(300, first=300))

    run(world.run_through())

    assert account_features(world) == alone(600)
    assert world.unsafe == []
    assert world.cluster.partition_count("decisions") == count
    assert world.cluster.partition_count("alerts") == count


@pytest.mark.parametrize("seed", range(6))
def test_what_the_partitions_of_before_still_hold_comes_before_the_new_ones(seed: int) -> None:
    """Killed with a backlog, grown, started: an account's older transactions are elsewhere."""
    rng = np.random.default_rng(seed)
    world = a_world(4, seed=seed)
    world.send(transactions(300))

    async def killed() -> None:
        async with world.instance() as instance:
            await until(lambda: instance.metrics.decisions > int(rng.integers(20, 250)))

    run(killed())
    world.cluster.grow_topic("transactions", 8)
    world.send(transactions(300, first=300))

    run(world.run_through())

    assert account_features(world) == alone(600)
    assert world.unsafe == []


def test_two_instances_wait_for_each_other_when_a_topic_has_grown() -> None:
    world = a_world(4)
    world.send(transactions(400))

    async def scenario() -> None:
        async with world.instance() as first:
            await until(lambda: first.metrics.decisions > 100)
        world.cluster.grow_topic("transactions", 8)
        world.send(transactions(300, first=400))
        async with world.instance() as one, world.instance() as other:
            await until(lambda: len(one.parts.partitions) == len(other.parts.partitions) == 4)
            await until(world.is_done, timeout_s=300.0)
            await one.idle()
            await other.idle()

    run(scenario())

    assert account_features(world) == alone(700)


def test_a_running_instance_sees_that_its_topic_has_grown() -> None:
    world = a_world(4)
    world.send(transactions(100))

    async def scenario() -> str:
        async with world.instance() as instance:
            await instance.idle()
            world.cluster.grow_topic("transactions", 8)
            world.send(transactions(200, first=100))
            return await the_end(instance, within_s=10.0)

    said = run(scenario())
    assert "transactions has" in said
    assert "partitions" in said
    assert "starting again" in said
    run(world.run_through())
    assert account_features(world) == alone(300)


def remade(world: World, partition_count: int) -> None:
    world.cluster.delete_topic("transactions")
    world.cluster.create_topic("transactions", partition_count)


@pytest.mark.parametrize("count", [40, 160])
@pytest.mark.parametrize("keeps_commits", [False, True])
def test_a_topic_that_was_made_anew_is_read_from_its_beginning(
    count: int, keeps_commits: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever had not heard of it may have committed the old offsets for the new one."""
    world = a_world(1)
    world.send(transactions(100))
    run(world.run_through())
    before = world.committed()
    remade(world, 1)
    if keeps_commits:
        assert before is not None
        world.cluster.group("sentinel").committed[TopicPartition("transactions", 0)] = before
    world.send(transactions(count, first=100))

    with caplog.at_level(logging.WARNING):
        run(world.run_through())

    assert account_features(world) == alone(100 + count)
    assert "another one than before: entities are kept, offsets are forgotten" in caplog.text
    assert len(world.decisions()) == 100 + count  # no two of them have one name


@pytest.mark.parametrize("seed", range(4))
def test_a_topic_that_is_made_anew_under_an_instance_counts_nothing_twice(seed: int) -> None:
    world = a_world(2, seed=seed)
    world.send(transactions(200))

    async def scenario() -> None:
        async with world.instance() as instance:
            await instance.idle()
            await asyncio.sleep(1.0)  # all is stored
            remade(world, 2)
            world.send(transactions(300, first=200))
            await the_end(instance, within_s=10.0)

    run(scenario())
    run(world.run_through())

    names = {d["transaction_id"] for d in world.values("decisions")}
    assert names == {f"t{i}" for i in range(500)}
    newest = {d["transaction_id"]: [d["features"][i] for i in ACCOUNT]
              for d in world.values("decisions")}  # fmt: skip
    assert newest == alone(500)


def test_what_was_not_stored_when_the_topic_was_deleted_is_stored_at_once() -> None:
    """Nobody can read it again."""
    world = a_world(2, snapshot_after_s=600.0)
    world.send(transactions(200))

    async def scenario() -> None:
        async with world.instance() as instance:
            await instance.idle()
            await asyncio.sleep(5.0)
            remade(world, 2)
            await the_end(instance, within_s=10.0)

    run(scenario())
    world.send(transactions(100, first=200))
    run(world.run_through())

    assert account_features(world) == alone(300)


def test_a_log_that_ends_before_what_was_read_of_it_is_a_gap() -> None:
    """As after an unclean election: the topic is the same, its newest records are gone."""
    world = a_world(1)
    world.send(transactions(100))
    run(world.run_through())
    log = world.cluster.log(TopicPartition("transactions", 0))
    del log.records[60:]

    with pytest.raises(ConfigError, match=r"from offset 100, the log ends at 60: it was made anew"):
        run(world.run_through())

    world.config = a_config(1, commit_interval_s=0.2, on_gap="earliest")
    with pytest.raises(TransientError, match="starting again with what the log holds"):
        run(world.run_through())
    world.send(transactions(50, first=100))
    run(world.run_through())
    assert account_features(world) == alone(150)


def test_a_feedback_log_that_ends_before_what_was_read_of_it_is_a_gap() -> None:
    world = a_world(1)
    world.send_feedback([voice(x) for x in transactions(20)])
    run(world.run_through())
    del world.cluster.log(TopicPartition("feedback", 0)).records[5:]

    with pytest.raises(ConfigError, match=r"feedback-0 should be .* 20, the log ends at 5"):
        run(world.run_through())


def test_feedback_that_nobody_remembers_and_the_log_does_not_hold_is_a_gap() -> None:
    world = a_world(1)
    world.send_feedback([voice(x) for x in transactions(20)])
    run(world.run_through())
    del world.cases.documents["feedback"]
    world.cluster.trim(TopicPartition("feedback", 0), 10)

    with pytest.raises(ConfigError, match=r"the log begins at 10: what it said is lost"):
        run(world.run_through())


@pytest.mark.parametrize(("group", "topic"), [("other", "transactions"), ("sentinel", "decisions")])
def test_the_store_of_another_deployment_is_refused(group: str, topic: str) -> None:
    world = a_world(1)
    run(world.run_through())

    async def second() -> None:
        async with world.instance() as instance:
            ports = instance.ports
            await own(ports.store, ports.broker, topic, group_id=group, key_prefix="shared")

    with pytest.raises(ConfigError, match=r'under "shared" belongs to the group sentinel on trans'):
        run(second())


def test_two_instances_that_start_at_once_agree_on_whose_the_store_is() -> None:
    world = a_world(2)

    async def scenario() -> None:
        async with world.instance() as one, world.instance() as other:
            await until(lambda: len(one.parts.partitions) == len(other.parts.partitions) == 1)
            _, found = await read_owner(one.ports.store)
            assert found is not None
            assert (found.group_id, found.partition_count) == ("sentinel", 2)

    run(scenario())


def test_a_note_that_another_has_changed_meanwhile_is_not_overwritten() -> None:
    world = a_world(1)

    async def scenario() -> None:
        async with world.instance() as instance:
            store = instance.ports.store
            noted = await store.owner()
            await store.note_owner(noted, b"newer")
            with pytest.raises(FencedError):
                await store.note_owner(noted, b"mine")

    run(scenario())


def test_an_offset_that_a_person_has_set_is_believed() -> None:
    """`kafka-consumer-groups --reset-offsets` knows of no names."""
    world = a_world(1)
    world.send(transactions(100))
    run(world.run_through())
    world.send(transactions(100, first=100))
    world.cluster.group("sentinel").committed[TopicPartition("transactions", 0)] = Commit(150)

    run(world.run_through())

    decided = {d["transaction_id"] for d in world.values("decisions")}
    assert decided == {f"t{i}" for i in range(200) if i < 100 or i >= 150}
    expected = alone(200)
    found = account_features(world)
    assert all(values == expected[name] for name, values in found.items())


def test_a_copy_of_the_log_in_another_cluster_is_read_on_where_the_group_stands() -> None:
    """Mirrored with its offsets: what the entities hold of it is not counted again."""
    world = a_world(1)
    world.send(transactions(100))
    run(world.run_through())
    world.cluster.cluster_id = "another"
    world.send(transactions(50, first=100))

    run(world.run_through())

    assert account_features(world) == alone(150)
    assert {len(found) for found in world.decisions().values()} == {1}


def test_a_log_that_began_anew_goes_on_from_its_state_when_the_group_forgets() -> None:
    """Kafka drops the commits of a group that was idle for a week."""
    world = a_world(1, on_gap="earliest")
    world.send(transactions(100))
    run(world.run_through())
    del world.cluster.log(TopicPartition("transactions", 0)).records[60:]
    with pytest.raises(TransientError, match="starting again with what the log holds"):
        run(world.run_through())
    world.send(transactions(50, first=100))
    run(world.run_through())
    world.cluster.group("sentinel").committed.clear()
    world.send(transactions(50, first=150))

    run(world.run_through())

    assert account_features(world) == alone(200)
    assert all(len(found) == 1 for found in world.decisions().values())
