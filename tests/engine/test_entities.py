"""The state store goes away and comes back: scoring goes on, and nothing is counted wrongly."""

import asyncio
import logging
from dataclasses import replace
from typing import Any

import pytest

from sentinel.errors import TransientError
from tests.engine.clock import run, until
from tests.engine.faults import CASES, STORE, Away, Noted
from tests.engine.samples import ENTITIES, NAMES, a_config, transactions, voice
from tests.engine.world import World


def a_world(**engine: Any) -> World:
    return World(config=a_config(commit_interval_s=0.2, **engine))


def undisturbed(*spans: int) -> World:
    """The same in a world where the store is never away."""
    world = a_world()

    async def scenario() -> None:
        async with world.instance() as instance:
            first = 0
            for count in spans:
                world.send(transactions(count, first=first))
                first += count
                await instance.idle()
            await instance.stop()

    run(scenario())
    return world


@pytest.mark.parametrize("names", [STORE, {"load_owned"}, {"load_shared"}, {"save"}])
def test_decisions_go_on_while_the_store_is_away_and_state_is_whole_after(names: set[str]) -> None:
    world, away = a_world(), Away()

    async def scenario() -> None:
        async with world.instance(store_faults=away) as instance:
            world.send(transactions(60))
            await instance.idle()
            away.names = frozenset(names)
            world.send(transactions(60, first=60, account_count=40, terminal_count=20))
            await instance.idle()
            assert instance.metrics.decisions == 120
            await asyncio.sleep(5.0)
            assert instance.health().status == "degraded"
            away.names = frozenset()
            await asyncio.sleep(2.0)
            assert instance.health().status == "ok"
            world.send(transactions(60, first=120, account_count=40, terminal_count=20))
            await instance.idle()
            await instance.stop()

    run(scenario())

    clean = a_world()
    clean.send(transactions(60))
    for first in (60, 120):
        clean.send(transactions(60, first=first, account_count=40, terminal_count=20))
    run(clean.run_through())
    assert world.blobs() == clean.blobs()
    decided = world.decisions()
    assert len(decided) == 180
    assert all(len(found) == 1 for found in decided.values())
    flags = {d["decision_id"]: d["degraded"] for d in world.values("decisions")}
    flagged = [name for name, flag in flags.items() if flag]
    assert all(flags[name] == ["state"] for name in flagged)
    assert bool(flagged) == (names != {"save"})
    assert all(60 <= int(name.split("-")[-1]) < 120 for name in flagged)
    expected = {d["decision_id"]: d for d in clean.values("decisions")}
    for decision in world.values("decisions")[120:]:
        assert decision == expected[decision["decision_id"]]


def test_feedback_waits_while_the_store_is_away_and_scoring_does_not() -> None:
    """What came in between is decided by the same instance, and each label counts afterwards."""
    world, away = a_world(), Away()
    made = transactions(60)

    async def scenario() -> None:
        async with world.instance(away) as instance:
            world.send(made)
            await instance.idle()
            away.names = STORE | CASES
            world.send_feedback([voice(one) for one in made[:5]])
            world.send(transactions(60, first=60, account_count=40))
            await until(lambda: instance.metrics.decisions == 120)
            await asyncio.sleep(5.0)
            assert instance.metrics.feedback > 0
            assert world.labels == {}
            away.names = frozenset()
            await instance.idle()
            await instance.stop()

    run(scenario())
    assert len(world.labels) == 5
    assert len(world.records("labels")) == 5


def test_feedback_does_not_wait_for_the_store_longer_than_the_longest_outage() -> None:
    world, away = a_world(outage_s_max=20.0), Away()

    async def scenario() -> None:
        async with world.instance(away) as instance:
            await until(instance.parts.ownership.assigned.is_set)
            away.names = frozenset({"cases.read cases"})
            world.send_feedback([voice(transactions(1)[0])])
            await asyncio.sleep(15.0)
            assert instance.task is not None
            assert not instance.task.done()
            await asyncio.sleep(10.0)
            with pytest.raises(TransientError, match="away"):
                await instance.task

    run(scenario())


def test_what_is_flagged_is_what_uses_an_entity_not_yet_loaded() -> None:
    world, away = a_world(), Away()
    known = transactions(20, account_count=1, terminal_count=1)
    stranger = {**transactions(1, first=21)[0], "account": "stranger", "terminal": None}

    async def scenario() -> int:
        async with world.instance(store_faults=away) as instance:
            world.send(known[:10])
            await instance.idle()
            away.names = STORE
            world.send([*known[10:], stranger])
            await instance.idle()
            return instance.metrics.degraded

    assert run(scenario()) == 1
    flags = [d["degraded"] for d in world.values("decisions")]
    assert flags == [[]] * 20 + [["state"]]


def test_after_the_longest_outage_the_instance_stops() -> None:
    world, away = a_world(outage_s_max=60.0), Away(names=frozenset({"load_owned"}))
    world.send(transactions(30))

    async def scenario() -> float:
        loop = asyncio.get_running_loop()
        async with world.instance(store_faults=away) as instance:
            assert instance.task is not None
            with pytest.raises(TransientError, match="the store is away"):
                await instance.task
            return loop.time()

    assert 60.0 < run(scenario()) < 63.0


def test_a_store_that_answers_and_takes_nothing_ends_as_one_that_is_away() -> None:
    """Every entity is in memory, so nothing is asked: only what is saved can tell."""
    world, away = a_world(outage_s_max=30.0), Away()
    expected = a_world()

    async def scenario() -> float:
        loop = asyncio.get_running_loop()
        async with world.instance(store_faults=away) as instance:
            world.send(transactions(30))
            await instance.idle()
            away.names, begun_s = frozenset({"save"}), loop.time()
            world.send(transactions(30, first=30))
            assert instance.task is not None
            with pytest.raises(TransientError, match="no state could be written for"):
                await instance.task
            return loop.time() - begun_s

    assert 30.0 < run(scenario()) < 33.0
    run(world.run_through())
    expected.send(transactions(60))
    run(expected.run_through())
    assert world.counts() == expected.counts()
    assert world.decisions().keys() == expected.decisions().keys()


def test_an_outage_that_ends_in_time_begins_the_count_anew() -> None:
    world, away = a_world(outage_s_max=10.0), Away()

    async def scenario() -> None:
        async with world.instance(store_faults=away) as instance:
            for i in range(5):
                away.names = frozenset({"load_owned", "load_shared"})
                world.send(transactions(10, first=10 * i, account_count=500))
                await asyncio.sleep(8.0)
                away.names = frozenset()
                await asyncio.sleep(2.0)
            await instance.idle()
            assert instance.health().status == "ok"

    run(scenario())
    assert len(world.decisions()) == 50


def test_blobs_that_could_not_be_saved_go_with_the_next_cut() -> None:
    world, away, expected = a_world(), Away(), undisturbed(100)

    async def scenario() -> None:
        async with world.instance(store_faults=away) as instance:
            away.names = frozenset({"save"})
            world.send(transactions(100))
            await instance.idle()
            await asyncio.sleep(5.0)
            assert world.blobs() == {}
            away.names = frozenset()
            await asyncio.sleep(1.0)
            assert world.blobs() == expected.blobs()

    run(scenario())


def test_a_crash_during_an_outage_is_mended_by_the_replay() -> None:
    world, away, expected = a_world(), Away(), undisturbed(60, 60, 1)

    async def until_the_crash() -> None:
        async with world.instance(store_faults=away) as instance:
            world.send(transactions(60))
            await instance.idle()
            await asyncio.sleep(1.0)
            away.names = STORE
            world.send(transactions(60, first=60))
            await instance.idle()

    run(until_the_crash())
    world.send(transactions(1, first=120))
    instance = run(world.run_through())

    assert (instance.metrics.replayed, instance.metrics.decisions) == (60, 1)
    assert world.decision_of("t120") == expected.decision_of("t120")
    assert world.blobs() == expected.blobs()


def test_a_replay_without_the_store_is_put_off() -> None:
    """What was folded blindly would be counted a second time when the store comes back."""
    world = a_world()
    world.send(transactions(60))
    run(world.run_through())
    (address,) = world.store.states
    world.store.states[address] = replace(world.store.states[address], replay_from=20)
    expected = world.blobs()

    async def blindly() -> None:
        away = Away(names=frozenset({"load_owned", "load_shared"}))
        async with world.instance(store_faults=away) as instance:
            await instance.idle()

    with pytest.raises(TransientError, match="a replay needs the state store"):
        run(blindly())
    instance = run(world.run_through())

    assert instance.metrics.replayed == 40
    assert world.blobs() == expected


def test_labels_wait_while_the_store_is_away() -> None:
    """Applied to a state that was never loaded, a label would find no transaction and be lost."""
    world, away = a_world(), Away()
    sent = transactions(40, account_count=4, terminal_count=1)
    fraud = next(x for x in reversed(sent) if x["terminal"])
    later = [{**fraud, **{k: x[k] for k in ("transaction_id", "event_time")}}
             for x in transactions(3, first=70)]  # fmt: skip

    async def scenario() -> None:
        async with world.instance() as instance:
            world.send(sent)
            await instance.idle()
            await instance.stop()
        async with world.instance(store_faults=away) as instance:
            world.send_feedback([voice(fraud)])
            away.names = frozenset({"load_owned", "load_shared"})
            await until(lambda: instance.parts.labels.read_to == 1)
            for one in later[:2]:
                world.send([one])
                await instance.idle()
            assert instance.metrics.labels_applied == 0
            away.names = frozenset()
            await asyncio.sleep(2.0)
            world.send(later[2:])
            await instance.idle()
            assert instance.metrics.labels_applied == 1

    run(scenario())

    features = [world.decision_of(x["transaction_id"])["features"] for x in later]
    at = [NAMES.index("account_frauds"), NAMES.index("terminal_frauds")]
    assert [[row[i] for i in at] for row in features] == [[0, 0], [0, 0], [1, 1]]


def test_when_memory_is_full_and_nothing_can_be_written_the_instance_stops() -> None:
    """It may not spin: 1,500 accounts, a table of 1,024, and a store that takes nothing."""
    world, away = a_world(), Away(names=frozenset({"save"}))
    world.send([{**x, "account": f"a{i}"} for i, x in enumerate(transactions(1500))])

    async def scenario() -> None:
        async with world.instance(store_faults=away) as instance:
            await instance.idle()

    with pytest.raises(TransientError, match="account: every row in memory"):
        run(scenario())


def test_many_entities_and_many_labels_pass_through_a_small_memory() -> None:
    """Batch and labels must be in memory at once: one may not make the other leave."""

    def outcome(entities_max: int) -> World:
        entities = {k: replace(p, entities_max=entities_max) for k, p in ENTITIES.items()}
        settings = a_config(batch_count_max=256, commit_interval_s=0.05)
        world = World(config=replace(settings, entities=entities))
        sent = transactions(6000, account_count=3000, terminal_count=2000)

        async def scenario() -> None:
            async with world.instance() as instance:
                for begin in range(0, 6000, 500):
                    world.send(sent[begin : begin + 500])
                    await instance.idle()
                    world.send_feedback([voice(x) for x in sent[begin : begin + 500 : 3]])
                    await instance.idle()
                await instance.stop()

        run(scenario())
        return world

    small, large = outcome(1024), outcome(8192)

    assert [r.value for r in small.records("decisions")] == [
        r.value for r in large.records("decisions")
    ]
    assert small.blobs() == large.blobs()


def test_what_is_missing_is_asked_for_in_one_call_a_kind() -> None:
    world, faults = a_world(), Noted()
    world.send(transactions(16, account_count=500, terminal_count=500))

    run(counted(world, faults))

    assert faults.names.count("load_owned") == faults.names.count("load_shared") == 1


async def counted(world: World, faults: Noted) -> None:
    async with world.instance(faults) as instance:
        await instance.idle()


def test_an_outage_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    world, away = a_world(), Away(names=frozenset({"load_owned", "save"}))
    world.send(transactions(200, account_count=200))

    with caplog.at_level(logging.WARNING):
        run(counted_away(world, away))

    assert caplog.text.count("scoring from memory") == 1
    assert caplog.text.count("state waits to be written") == 1


async def counted_away(world: World, away: Away) -> None:
    async with world.instance(store_faults=away) as instance:
        await instance.idle()
        await asyncio.sleep(10.0)


def test_more_parts_than_memory_holds_come_and_go() -> None:
    """A terminal has a part for each of 8 partitions, and memory holds 4 for each on average."""

    def outcome(entities_max: int) -> World:
        entities = {k: replace(p, entities_max=entities_max) for k, p in ENTITIES.items()}
        settings = a_config(partition_count=8, batch_count_max=256, commit_interval_s=0.05)
        world = World(config=replace(settings, entities=entities))
        world.send(transactions(9000, account_count=500, terminal_count=900))
        run(world.run_through())
        return world

    small, large = outcome(1024), outcome(4096)

    assert small.blobs() == large.blobs()
    assert len(small.decisions()) == 9000
    assert small.unsafe == []
