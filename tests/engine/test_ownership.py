"""Partitions come and go: state moves whole, an old owner is refused, gaps are seen."""

import asyncio
import logging
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sentinel.adapters.memory import MemoryCluster, MemoryStateStore, MemoryStore
from sentinel.errors import ConfigError, FencedError, TransientError
from sentinel.operations.data.history import History
from sentinel.records import Commit, TopicPartition
from tests.engine.clock import run, until
from tests.engine.faults import Away, CrashError, Doom
from tests.engine.samples import (
    DAY_MS,
    FEATURES,
    NAMES,
    START_MS,
    a_config,
    encoded,
    transactions,
    voice,
)
from tests.engine.world import MemoryInstance, World

ACCOUNT_FEATURES = [i for i, f in enumerate(FEATURES) if f.entity == "account"]


def a_world(partition_count: int = 4, *, seed: int | None = None) -> World:
    rng = None if seed is None else np.random.default_rng(seed)
    return World(config=a_config(partition_count, commit_interval_s=0.2), rng=rng)


def alone(count: int, partition_count: int = 4) -> World:
    """What one instance makes of it all, never disturbed."""
    world = a_world(partition_count)
    world.send(transactions(count))
    run(world.run_through())
    return world


def account_features(world: World) -> dict[str, list[list[float | None]]]:
    """Of each transaction, in every decision about it, the features of its account."""
    found: dict[str, list[list[float | None]]] = {}
    for decision in world.values("decisions"):
        values = [decision["features"][i] for i in ACCOUNT_FEATURES]
        found.setdefault(decision["transaction_id"], []).append(values)
    return found


@pytest.mark.parametrize("seed", range(5))
def test_partitions_move_whole_from_one_instance_to_another(seed: int) -> None:
    """One runs, a second joins, the first leaves in order: nothing is decided twice."""
    world, expected = a_world(seed=seed), alone(400)

    async def scenario() -> None:
        async with world.instance() as first:
            world.send(transactions(150))
            await until(lambda: first.metrics.decisions > 50)
            async with world.instance() as second:
                await until(lambda: len(second.parts.partitions) == 2)
                world.send(transactions(150, first=150))
                await until(lambda: first.metrics.decisions + second.metrics.decisions > 200)
                await first.stop()
                await first.__aexit__()
                world.send(transactions(100, first=300))
                await until(lambda: len(second.parts.partitions) == 4)
                await second.idle()
                await second.stop()

    run(scenario())

    assert world.unsafe == []
    decided = world.decisions()
    assert decided.keys() == expected.decisions().keys()
    assert all(len(found) == 1 for found in decided.values())
    assert world.blobs() == expected.blobs()


@pytest.mark.parametrize("seed", range(8))
def test_partitions_are_taken_over_exactly_from_one_that_died(seed: int) -> None:
    world, expected = a_world(seed=seed), alone(400)

    async def scenario() -> None:
        async with world.instance() as second:
            async with world.instance() as first:
                await until(lambda: len(first.parts.partitions) == 2)
                world.send(transactions(200))
                await until(lambda: first.metrics.decisions > 20 + 5 * seed)
            world.send(transactions(200, first=200))
            await until(lambda: len(second.parts.partitions) == 4)
            await second.idle()
            await second.stop()

    run(scenario())

    assert world.unsafe == []
    assert world.blobs() == expected.blobs()
    found, reference = account_features(world), account_features(expected)
    assert found.keys() == reference.keys()
    for name, several in found.items():
        assert all(values == reference[name][0] for values in several)


@pytest.mark.parametrize("seed", range(12))
def test_whoever_dies_at_whichever_call_the_other_carries_on(seed: int) -> None:
    """With feedback on its way: each voice counts once, wherever its account is by then."""
    rng = np.random.default_rng(seed)
    world = World(config=a_config(4, commit_interval_s=0.2), rng=rng)
    sent = transactions(300)
    voices = [voice(x) for x in sent[::5]]

    async def scenario() -> None:
        doom = Doom(crash_at=int(rng.integers(20, 250)), after_effect=bool(rng.integers(2)))
        async with world.instance() as second:
            async with world.instance(doom) as first:
                assert first.task is not None
                world.send(sent[:200])
                world.send_feedback(voices[:40])
                with pytest.raises(CrashError):
                    await asyncio.wait_for(first.task, 120.0)
            await until(lambda: len(second.parts.partitions) == 4)
            world.send_feedback(voices[40:])
            for begin in range(200, 300, 20):  # each lets labels in
                world.send(sent[begin : begin + 20])
                await second.idle()
            await second.stop()

    run(scenario())

    assert world.unsafe == []
    expected = with_feedback(sent, voices)
    assert world.counts() == expected.counts()
    assert world.decisions().keys() == expected.decisions().keys()


def with_feedback(sent: list[dict[str, Any]], voices: list[dict[str, Any]]) -> World:
    """What one instance makes of transactions and feedback, never disturbed."""
    world = World(config=a_config(4, commit_interval_s=0.2))

    async def scenario() -> None:
        async with world.instance() as instance:
            world.send(sent[:200])
            world.send_feedback(voices)
            await instance.idle()
            for begin in range(200, 300, 20):
                world.send(sent[begin : begin + 20])
                await instance.idle()
            await instance.stop()

    run(scenario())
    return world


def test_after_an_orderly_stop_the_next_start_replays_nothing() -> None:
    world = a_world()
    world.send(transactions(300))
    run(world.run_through())
    states = dict(world.store.states)
    for (_, at), state in states.items():
        commit = world.committed(*at)
        assert commit is not None
        assert state.replay_from == commit.offset == world.cluster.log(at).end
    before = world.blobs()

    world.send(transactions(50, first=300))
    instance = run(world.run_through())

    assert instance.metrics.replayed == 0
    assert instance.metrics.decisions == 50
    assert len(world.records("decisions")) == 350
    assert world.blobs().keys() >= before.keys()


def test_a_stop_in_the_middle_of_a_backlog_leaves_the_rest_to_the_next() -> None:
    world, expected = a_world(1, seed=3), alone(2000, 1)
    world.send(transactions(2000))

    async def stopped_early() -> MemoryInstance:
        async with world.instance() as instance:
            await until(lambda: instance.metrics.decisions > 100)
            await instance.stop()
            return instance

    first = run(stopped_early())
    commit = world.committed()
    assert commit is not None
    assert commit.offset == len(world.records("decisions")) == first.metrics.decisions < 2000
    second = run(world.run_through())

    assert second.metrics.replayed == 0
    assert all(len(found) == 1 for found in world.decisions().values())
    assert world.blobs() == expected.blobs()


def test_an_old_owner_is_refused_and_stops() -> None:
    """It does not know yet that another has claimed its partition: the store does."""
    world = a_world(1)

    async def scenario() -> None:
        async with world.instance() as zombie:
            world.send(transactions(50))
            await zombie.idle()
            layout = zombie.parts.state.fingerprint
            heir = MemoryStateStore(world.store, layout=layout)
            await heir.claim(TopicPartition("transactions", 0))
            before = world.blobs()
            world.send(transactions(50, first=50))
            assert zombie.task is not None
            with pytest.raises(FencedError, match="not the newest"):
                await zombie.task
            assert world.blobs() == before

    run(scenario())


def test_an_old_owner_decides_nothing_from_what_its_heir_has_stored() -> None:
    """It wakes with records in hand; the store knows by now what comes after them."""
    later = {"account_count": 60, "terminal_count": 30}
    spans = [transactions(50), transactions(50, first=50, **later)]
    expected, world = a_world(1), a_world(1)
    for span in spans:
        expected.send(span)
    run(expected.run_through())

    async def scenario() -> None:
        async with world.instance() as zombie:
            world.send(spans[0])
            await zombie.idle()
            await MemoryStateStore(world.store).claim(TopicPartition("transactions", 0))
            world.store.blobs |= {at: dict(parts) for at, parts in expected.store.blobs.items()}
            world.send(spans[1])
            assert zombie.task is not None
            with pytest.raises(FencedError, match="not the newest"):
                await zombie.task

    run(scenario())
    right = expected.decisions()
    assert all(set(found) == set(right[name]) for name, found in world.decisions().items())


def test_a_commit_of_one_that_was_left_out_is_refused() -> None:
    world = a_world(1)

    async def scenario() -> None:
        async with world.instance() as instance:
            world.send(transactions(50))
            await instance.idle()
            group = world.cluster.group("sentinel")
            group.members[0].partitions = frozenset()
            world.send(transactions(50, first=50))
            await asyncio.sleep(0)
            task = instance.task
            assert task is not None
            group.members[0].partitions = frozenset([TopicPartition("transactions", 0)])
            await until(lambda: instance.metrics.decisions > 50)
            group.members[0].partitions = frozenset()
            with pytest.raises(TransientError):
                await task

    run(scenario())


# Where to start.


def test_a_group_that_has_lost_its_commits_goes_on_from_its_state() -> None:
    """Kafka forgets what an idle group committed after a week; what is stored was decided."""
    world = a_world(2)
    world.send(transactions(50))
    run(world.run_through())
    world.cluster.group("sentinel").committed.clear()
    world.send(transactions(20, first=50))

    run(world.run_through())

    assert {len(found) for found in world.decisions().values()} == {1}
    assert len(world.decisions()) == 70


def test_a_commit_older_than_the_state_is_not_believed() -> None:
    """A coordinator that has just taken over may give an old answer: ask again."""
    world, at = a_world(1), TopicPartition("transactions", 0)
    world.send(transactions(50))
    run(world.run_through())
    committed = world.cluster.group("sentinel").committed
    right, committed[at] = committed[at], Commit(20)

    with pytest.raises(TransientError, match="older than the stored state"):
        run(world.run_through())
    committed[at] = right
    run(world.run_through())

    assert {len(found) for found in world.decisions().values()} == {1}


def trimmed(world: World, start: int) -> None:
    """Retention deletes what is below `start`."""
    world.cluster.trim(TopicPartition("transactions", 0), start)


def test_a_gap_in_what_was_never_decided_stops_the_instance_with_advice() -> None:
    world = a_world(1)
    world.send(transactions(100))
    run(world.run_through())
    world.send(transactions(100, first=100))
    trimmed(world, 150)

    with pytest.raises(ConfigError, match=r"should be read from offset 100, the log begins at 150"):
        run(world.run_through())
    with pytest.raises(
        ConfigError, match=r"decisions are lost; with --on-gap earliest, or engine.on_gap"
    ):
        run(world.run_through())


def test_a_gap_in_what_state_needs_stops_the_instance_with_advice() -> None:
    world = a_world(1)
    world.send(transactions(100))
    run(world.run_through())
    trimmed(world, 100)
    at = TopicPartition("transactions", 0)
    (address,) = world.store.states
    world.store.states[address] = replace(world.store.states[address], replay_from=40)

    with pytest.raises(ConfigError, match=r"from offset 40.*entity state is incomplete"):
        run(world.run_through())
    assert world.committed(*at) is not None


def test_with_on_gap_earliest_it_goes_on_with_what_is_left(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World(config=a_config(on_gap="earliest"))
    world.send(transactions(100))
    run(world.run_through())
    world.send(transactions(100, first=100))
    trimmed(world, 150)

    with caplog.at_level(logging.WARNING):
        instance = run(world.run_through())

    assert "the log begins at 150: decisions are lost; going on with what is left" in caplog.text
    assert instance.metrics.decisions == 50
    assert world.is_done()


@pytest.mark.parametrize("on_gap", ["fail", "earliest"])
def test_a_gap_in_feedback_is_a_choice_too(on_gap: str, caplog: pytest.LogCaptureFixture) -> None:
    world = World(config=a_config(on_gap=on_gap))
    world.send_feedback([voice(x) for x in transactions(10)])
    run(world.run_through())
    world.send_feedback([voice(x) for x in transactions(10, first=10)])
    world.cluster.trim(TopicPartition("feedback", 0), 15)

    if on_gap == "fail":
        with pytest.raises(ConfigError, match=r"feedback-0 should be read from offset 10, .* 15"):
            run(world.run_through())
    else:
        with caplog.at_level(logging.WARNING):
            assert run(world.run_through()).metrics.feedback == 5
        assert (
            "the log begins at 15: what it said is lost; going on with what is left" in caplog.text
        )


@pytest.mark.parametrize("on_gap", ["fail", "earliest"])
def test_a_gap_in_the_labels_is_a_choice_too(on_gap: str, caplog: pytest.LogCaptureFixture) -> None:
    """Of labels that some partition had yet to apply; what all have applied may go."""
    world = World(config=a_config(on_gap=on_gap))
    world.send(transactions(100))
    world.send_feedback([voice(x) for x in transactions(10)])
    run(world.run_through())
    world.send(transactions(100, first=100))
    run(world.run_through())
    [address] = world.store.states
    stored = world.store.states[address]
    assert stored.labels_from == 10
    world.cluster.trim(TopicPartition("labels", 0), 10)
    run(world.run_through())

    world.store.states[address] = replace(stored, labels_from=4)

    if on_gap == "fail":
        with pytest.raises(ConfigError, match=r"labels-0 should be read from offset 4, .* 10"):
            run(world.run_through())
    else:
        with caplog.at_level(logging.WARNING):
            run(world.run_through())
        assert "the log begins at 10: labels are lost; going on with what is left" in caplog.text


def test_without_stored_state_it_does_not_wait_for_labels_that_are_no_more() -> None:
    """The last commit says how many labels were known; retention has deleted them since."""
    world = a_world(1)
    world.send(transactions(100))
    world.send_feedback([voice(x) for x in transactions(10)])
    run(world.run_through())
    world.send(transactions(100, first=100))
    run(world.run_through())
    world.cluster.trim(TopicPartition("labels", 0), 10)
    world.store.states.clear()
    world.store.blobs.clear()

    world.send(transactions(10, first=200))
    instance = run(world.run_through())

    assert (instance.metrics.replayed, instance.metrics.decisions) == (200, 10)


def test_a_group_that_starts_in_a_trimmed_log_starts_at_its_beginning() -> None:
    """Nothing was decided before, so nothing is lost that was promised."""
    world = World(config=a_config(on_gap="earliest"))
    world.send(transactions(100))
    trimmed(world, 30)

    instance = run(world.run_through())

    assert instance.metrics.decisions == 70


def test_another_log_forgets_offsets_and_keeps_state() -> None:
    """As when an in-memory broker is started anew: its offsets begin again at 0."""
    sent = transactions(120)
    old = a_world(1)
    old.send(sent[:80])
    run(old.run_through())
    cluster = MemoryCluster("another", clock_ms=lambda: START_MS + 100 * DAY_MS)
    new = World(config=old.config, cluster=cluster, store=old.store)
    new.send(sent[80:])

    instance = run(new.run_through())

    offline = History(new.config).fold([encoded(x) for x in sent], [None] * len(sent)).features
    online = np.array([d["features"] for d in new.values("decisions")], dtype=np.float64)
    assert online.tobytes() == offline[80:].tobytes()
    assert (instance.metrics.decisions, instance.metrics.replayed) == (40, 0)


def test_the_positions_of_another_log_are_never_taken_for_those_of_this() -> None:
    """The first instance on the new log commits and dies before it has stored anything."""
    old, away = a_world(1), Away(names=frozenset({"save"}))
    old.send(transactions(80))
    run(old.run_through())

    def on_a_new_log() -> World:
        cluster = MemoryCluster("another", clock_ms=lambda: START_MS + 100 * DAY_MS)
        store = MemoryStore(blobs={k: dict(v) for k, v in old.store.blobs.items()})
        store.states.update(old.store.states)
        world = World(config=old.config, cluster=cluster, store=store)
        world.send(transactions(120, first=80))
        return world

    world, expected = on_a_new_log(), on_a_new_log()

    async def until_the_crash() -> None:
        async with world.instance(store_faults=away) as instance:
            await instance.idle()

    run(until_the_crash())
    instance = run(world.run_through())
    run(expected.run_through())

    assert instance.metrics.replayed == 120
    assert world.blobs() == expected.blobs()


def test_another_layout_folds_the_whole_log_again_and_decides_nothing_twice() -> None:
    world = a_world(1)
    sent = transactions(150)
    world.send(sent[:100])
    run(world.run_through())
    longer = tuple(replace(f, window="14d") if f.name == "terminal_frauds" else f for f in FEATURES)
    world.config = replace(world.config, features=longer)
    world.send(sent[100:])

    instance = run(world.run_through())

    assert (instance.metrics.replayed, instance.metrics.decisions) == (100, 50)
    assert [d["transaction_id"] for d in world.values("decisions")] == [f"t{i}" for i in range(150)]
    offline = History(world.config).fold([encoded(x) for x in sent], [None] * 150).features
    online = np.array([d["features"] for d in world.values("decisions")], dtype=np.float64)
    assert online[100:].tobytes() == offline[100:].tobytes()
    assert len(world.store.states) == 2


def test_state_that_cannot_be_read_counts_as_none_and_is_counted() -> None:
    world = a_world(1)
    world.send(transactions(60, account_count=1))
    run(world.run_through())
    (address,) = [a for a in world.store.blobs if a[1] == "account"]
    world.store.blobs[address] = {-1: b"damaged"}
    world.send(transactions(1, first=60, account_count=1))

    instance = run(world.run_through())

    assert instance.metrics.state_unreadable == 1
    at = NAMES.index("account_count_1d")
    assert world.decision_of("t60")["features"][at] == 0


def test_a_foreign_commit_is_taken_by_its_offset() -> None:
    """An operator has moved the group by hand: there is no text beside the offset, or any."""
    for metadata in ("", "by hand", "[1]", '{"labels":"x"}'):
        world = a_world(1)
        world.send(transactions(50))
        at = TopicPartition("transactions", 0)
        world.cluster.group("sentinel").committed[at] = Commit(20, metadata)

        instance = run(world.run_through())

        assert (instance.metrics.replayed, instance.metrics.decisions) == (20, 30)
