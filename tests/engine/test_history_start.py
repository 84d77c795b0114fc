"""An instance that begins with a history decides as if it had read all of it itself."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sentinel.adapters.memory import MemoryCluster, MemoryStateStore, MemoryStore
from sentinel.codec.records import encode
from sentinel.core.features.state import layout_of
from sentinel.core.learning.params import TrainingParams
from sentinel.engine.store.history import (
    StoredHistory,
    beginning_of,
    carry_over,
    note_history,
    read_history,
)
from sentinel.errors import ConfigError, TransientError
from sentinel.operations.data.backfill import backfill
from sentinel.operations.data.history import History
from sentinel.ports import PartitionState
from sentinel.records import Floats, TopicPartition
from tests.engine.clock import until
from tests.engine.samples import ENTITIES, FEATURES, NAMES, a_config, encoded, transactions
from tests.engine.world import World

LAYOUT = layout_of(ENTITIES, FEATURES)
COUNT, LATER = 300, 120


def ignored(_: int) -> None:
    pass


async def stored_history(
    world: World, values: Sequence[bytes], is_fraud: Sequence[bool | None]
) -> History:
    config = world.config
    history = History(config, partition_count=world.partition_count)
    history.fold(values, is_fraud)
    store = MemoryStateStore(world.store, layout=LAYOUT)
    await backfill(history, store, config, "file", on_saved=ignored)
    return history


def features_of(world: World, records: Sequence[dict[str, Any]]) -> Floats:
    """What the decisions on these transactions were made of, (n, n_features)."""
    found = {one["transaction_id"]: one["features"] for one in world.values("decisions")}
    return np.array([found[one["transaction_id"]] for one in records], dtype=np.float64)


@pytest.mark.parametrize("partition_count", [1, 3])
async def test_what_training_knows_serving_knows(partition_count: int) -> None:
    """With the labels that fall due behind the history's end, which are sent first."""
    training = TrainingParams(label_delay="1h")  # 30 transactions
    world = World(config=replace(a_config(partition_count), training=training))
    records = transactions(COUNT + LATER, seed=5)
    frauds = [
        n % 3 == 0 and (n < COUNT - 40 or COUNT - 15 <= n < COUNT) for n in range(len(records))
    ]
    values = [encoded(one) for one in records]
    expected = History(world.config).fold(values, frauds).features[COUNT:]
    history = await stored_history(world, values[:COUNT], frauds[:COUNT])
    waiting = history.waiting_labels()
    assert waiting

    async with world.instance() as instance:
        world.send_feedback([encode(one) for one in waiting])
        world.send(records[COUNT : COUNT + 10])  # a label is applied behind the next commit
        await instance.idle()
        world.send(records[COUNT + 10 :])
        await instance.idle()
        await instance.stop()

    served = features_of(world, records[COUNT:])
    own = [i for i, name in enumerate(NAMES) if not name.startswith("terminal")]
    assert str(instance.beginning).startswith("12 accounts known up to ")
    assert np.array_equal(served[:, own], expected[:, own], equal_nan=True)
    if partition_count == 1:  # of several, terminals see what came in another order
        assert np.array_equal(served, expected, equal_nan=True)


async def test_what_the_history_has_is_decided_and_not_counted_again() -> None:
    """The whole file is played, as a newcomer does."""
    world = World()
    records = transactions(COUNT + LATER, seed=6)
    values = [encoded(one) for one in records]
    expected = History(world.config).fold(values, [None] * len(values)).features[COUNT:]
    await stored_history(world, values[:COUNT], [None] * COUNT)

    world.send(records)
    instance = await world.run_through()

    flags = {one["transaction_id"]: one["degraded"] for one in world.values("decisions")}
    assert [flags[one["transaction_id"]] for one in records] == [["history"]] * COUNT + [[]] * LATER
    assert np.array_equal(features_of(world, records[COUNT:]), expected, equal_nan=True)
    assert instance.metrics.in_history == COUNT
    assert instance.metrics.late == 0


async def test_a_replay_leaves_the_history_out_as_the_first_time() -> None:
    """What was not stored is read again: nothing of it counts twice, or is counted only now."""
    records = transactions(COUNT, seed=7)
    values = [encoded(one) for one in records]
    whole, crashed = World(), World()
    for world in (whole, crashed):
        await stored_history(world, values[: COUNT // 2], [None] * (COUNT // 2))
        world.send(records)
    await whole.run_through()
    async with crashed.instance():
        await until(lambda: len(crashed.records("decisions")) > COUNT // 3)
    await crashed.run_through()

    assert crashed.counts() == whole.counts()
    assert crashed.decisions().keys() == whole.decisions().keys()
    assert not crashed.unsafe


async def test_without_a_history_the_start_is_cold_once() -> None:
    world = World()
    world.send(transactions(20))

    first = await world.run_through()
    second = await world.run_through()

    assert str(first.beginning) == "cold: 0 accounts known"
    assert str(second.beginning) == "goes on with the accounts in the store"


async def test_a_history_of_other_features_is_none() -> None:
    store = MemoryStateStore(MemoryStore(), layout=LAYOUT)
    await note_history(store, StoredHistory("another", (5,), {"account": 1}, "file"))

    assert (await beginning_of(store, "transactions", 1, LAYOUT)).is_cold


async def test_a_history_that_was_not_stored_to_its_end_is_refused() -> None:
    store = MemoryStateStore(MemoryStore(), layout=LAYOUT)
    await note_history(store, StoredHistory(LAYOUT, (5,), {}, "h.csv", is_whole=False))

    with pytest.raises(ConfigError, match=r"history of h.csv is in the store in part"):
        await beginning_of(store, "transactions", 1, LAYOUT)


async def test_a_note_that_cannot_be_read_is_no_cold_start() -> None:
    store = MemoryStateStore(MemoryStore(), layout=LAYOUT)
    await store.note_history(None, b"{}")

    with pytest.raises(TransientError, match="what the state began with cannot be read"):
        await read_history(store)


async def test_what_live_records_have_said_is_not_replaced() -> None:
    world = World()
    records = transactions(50)
    world.send(records)
    await world.run_through()
    before = world.blobs()

    with pytest.raises(ConfigError, match=r"keeps it: .* `sentinel state reset` first"):
        await stored_history(world, [encoded(one) for one in records], [None] * 50)

    assert world.blobs() == before


async def test_a_second_history_takes_the_place_of_the_first() -> None:
    world, other = World(), World()
    records = [encoded(one) for one in transactions(80)]
    await stored_history(world, records, [None] * 80)
    await stored_history(world, records[60:], [None] * 20)
    await stored_history(other, records[60:], [None] * 20)

    assert world.blobs() == other.blobs()


async def test_a_history_without_a_usable_row_is_refused() -> None:
    with pytest.raises(ConfigError, match="file: there is not one usable row"):
        await stored_history(World(), [b"{}"], [None])


async def test_what_was_counted_from_a_log_that_is_gone_is_a_history() -> None:
    """Each input partition has come as far as it has."""
    store = MemoryStateStore(MemoryStore(), layout=LAYOUT)
    for number, watermark_ms in ((0, 70), (1, 50)):
        at = TopicPartition("transactions", number)
        state = PartitionState("log", 3, "labels", 0, watermark_ms=watermark_ms)
        await store.save(at, await store.claim(at), [], state)

    found = await carry_over(store, "transactions", 3, LAYOUT)

    assert found is not None
    assert found.past_ms(3).tolist() == [70, 50, 0]
    assert found.past_ms(2).tolist() == [70, 70], "an account may be in any of them now"
    assert await read_history(store) == found
    assert await carry_over(store, "transactions", 3, LAYOUT) is None


async def test_a_file_that_is_played_once_more_changes_nothing() -> None:
    """The log of an embedded broker is new at each start, the state is not."""
    world = World()
    records = transactions(100, seed=8)
    world.send(records)
    await world.run_through()
    counted = world.blobs()
    again = World(store=world.store, cluster=MemoryCluster("another"))
    await carry_over(MemoryStateStore(world.store, layout=LAYOUT), "transactions", 1, LAYOUT)

    again.send(records)
    await again.run_through()

    assert all(one["degraded"] == ["history"] for one in again.values("decisions"))
    bodies = {at: data[16:] for at, data in counted.items()}
    assert {at: data[16:] for at, data in again.blobs().items()} == bodies
