"""What the trainer holds survives a restart; nothing that is wrong with it ends the training."""

import asyncio
import json
import logging
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from sentinel.adapters.memory import Faults, MemoryRecord
from sentinel.codec.savepoints import decode_head
from sentinel.codec.stored import decode_stored, encode_stored
from sentinel.core.decision import PolicyParams
from sentinel.core.features.spec import FeatureParams
from sentinel.core.learning.gate.judging import Verdict
from sentinel.engine.updates.savepoints import SavepointParams
from sentinel.errors import TransientError
from sentinel.learner.learner import Learner
from sentinel.ports import Savepoint
from sentinel.records import TopicPartition
from sentinel.serving_model import serving_model
from tests.engine import examples_stream
from tests.engine.clock import run, until
from tests.engine.faults import Away, CrashError, DoomAmong
from tests.engine.learning_world import (
    HOUR_MS,
    UPDATES,
    Script,
    ScriptedLearner,
    a_learning_config,
    a_learning_world,
    a_worker,
    ask,
    candidate,
    registry_state_of,
    send_examples,
    serve,
    update_of,
)
from tests.engine.samples import START_MS, transactions
from tests.engine.test_training import (
    check_trail,
    learning,
    reached,
    training_alone,
    worker_of,
)
from tests.engine.world import InProcessTrainer, World
from tests.kept import KeptModels

EXAMPLES = TopicPartition("examples", 0)
SAVING = replace(UPDATES, savepoint=SavepointParams(after_example_count=20))
# On demand only, so that examples that come do not begin updates.
ON_DEMAND = replace(SAVING, triggers=replace(SAVING.triggers, after_example_count=0))
LOGGER = "sentinel.engine.updates.savepoints"


def kept(world: World) -> Savepoint:
    assert world.savepoints.savepoint is not None
    return decode_stored(Savepoint, world.savepoints.savepoint)


def kept_to(world: World) -> int:
    """Up to which offset there are examples in what is kept; 0 if there is nothing."""
    stored = world.savepoints.savepoint
    return 0 if stored is None else decode_head(kept(world).head).next_offset


def check_whole(world: World) -> None:
    """All pieces of what is kept are there."""
    assert len(world.savepoints.pieces(kept(world))) == kept(world).piece_count


async def saved_to(world: World, offset: int) -> None:
    await until(lambda: kept_to(world) == offset)


async def save_examples(world: World, script: Script, count: int) -> None:
    """An instance takes so many examples, saves them and ends."""
    async with learning(world, script):
        send_examples(world, count)
        await saved_to(world, count)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING]


def test_after_a_restart_nothing_is_read_again_and_the_candidate_sees_all() -> None:
    """Not even when the topic does not hold it any more."""
    world, script = a_learning_world(updates=ON_DEMAND), Script([candidate(1)])

    async def scenario() -> None:
        await save_examples(world, script, 25)
        world.cluster.trim(EXAMPLES, 25)
        send_examples(world, 10)
        async with learning(world, script) as instance:
            await until(lambda: instance.metrics.examples == 10)
            ask(world)
            await reached(world, "watching")
            await asyncio.sleep(20.0)
            assert instance.metrics.examples == 10

    run(scenario())
    assert script.restored == [25]
    assert script.seen == [list(range(35))]
    check_trail(world)


def test_the_restored_learner_makes_the_candidate_that_it_would_have_made() -> None:
    """Not a scripted one; of what it had read the topic holds nothing when it begins again."""
    rows = examples_stream.records(examples_stream.stream(24_000, changed_at=12_000))
    champion = examples_stream.champion_of(rows[:9_000])
    params = replace(examples_stream.PARAMS, strategies=("continue",))
    texts = []
    for restarted_at in (None, 21_000):
        world = a_world_of(champion)
        append(world, rows[:restarted_at])
        run(trained(world, params, None if restarted_at is None else rows[restarted_at:]))
        made = update_of(world).version
        assert registry_state_of(world).champion == made != "1.0.0"
        manifest = json.loads(world.models.manifests[made])
        texts.append((world.models.texts[made], manifest["window"], manifest["trained"]))

    assert texts[0] == texts[1]


def a_world_of(champion: Any) -> World:
    features = (
        FeatureParams(name="amount", stat="amount"),
        FeatureParams(name="count_1h", stat="count", entity="account", window="1h"),
        FeatureParams(name="known_frauds", stat="fraud_count", entity="account", window="2d"),
        FeatureParams(name="age_ms", stat="time_since_last", entity="account"),
    )
    models = KeptModels()
    serve(models, champion)
    config = replace(a_learning_config(updates=ON_DEMAND), features=features)
    serving = serving_model(champion, examples_stream.NAMES)
    return World(config=config, models=models, serving=serving, artifact=champion)


def append(world: World, rows: examples_stream.Records) -> None:
    log = world.cluster.log(EXAMPLES)
    log.records += [MemoryRecord(at, stamp_ms, None, value, ()) for at, stamp_ms, value in rows]


async def trained(world: World, params: Any, rest: examples_stream.Records | None) -> None:
    """Ask for an update once all is read; if there is a rest, by an instance that begins then."""
    make = partial(Learner, examples_stream.NAMES, PolicyParams(), params)
    end = world.cluster.log(EXAMPLES).end
    if rest is not None:
        instance = world.instance()
        instance.trainer = InProcessTrainer(make)
        async with instance:
            await saved_to(world, end)
        world.cluster.trim(EXAMPLES, end)
        append(world, rest)
    instance = world.instance()
    instance.trainer = InProcessTrainer(make)
    async with instance:
        count = end if rest is None else len(rest)
        await until(lambda: instance.metrics.examples == count)
        ask(world)
        await reached(world, "watching")


@pytest.mark.parametrize("method", ["take", "update", "piece", "save"])
def test_a_lost_process_is_given_what_was_saved(method: str) -> None:
    world, script = a_learning_world(updates=ON_DEMAND), Script()

    async def scenario() -> None:
        async with learning(world, script) as instance:
            send_examples(world, 25)
            await saved_to(world, 25)
            world.cluster.trim(EXAMPLES, 25)
            worker_of(instance).lost_at.add(method)
            send_examples(world, 25, hours=1)
            ask(world)
            if method == "update":
                await until(lambda: "the process died" in update_of(world).outcome)
                ask(world)
            await reached(world, "idle", 2 if method == "update" else 1)
            await until(lambda: script.restored == [25])
            await saved_to(world, 50)
            world.send(transactions(40))
            await instance.idle()

    run(scenario())
    assert script.restored == [25]
    assert script.seen == [list(range(50))]


def test_a_process_that_cannot_save_is_not_asked_for_it_again_and_again() -> None:
    world, script = a_learning_world(updates=ON_DEMAND), Script()

    async def scenario() -> None:
        async with learning(world, script) as instance:
            worker_of(instance).lost_at.add("save")
            send_examples(world, 25)
            await until(lambda: instance.metrics.examples == 50)
            await asyncio.sleep(60.0)
            assert worker_of(instance).calls.count("save") == 2

    run(scenario())
    assert kept_to(world) == 25


def test_examples_since_the_last_update_are_counted_on() -> None:
    """Those that were saved among them, and those of before it not."""
    world, script = a_learning_world(updates=SAVING), Script()

    async def scenario() -> None:
        async with learning(world, script):
            send_examples(world, 50)
            await reached(world, "idle")
            await saved_to(world, 50)
            send_examples(world, 30, hours=1)
            await saved_to(world, 80)
        async with learning(world, script) as instance:
            send_examples(world, 19, hours=1)
            await until(lambda: instance.metrics.examples == 19)
            await asyncio.sleep(20.0)
            assert update_of(world).number == 1
            send_examples(world, 1, hours=1)
            await reached(world, "idle", 2)

    run(scenario())
    assert [len(seen) for seen in script.seen] == [50, 100]
    assert update_of(world).reason == "50 new examples"


def test_examples_since_a_take_over_count_for_its_watch() -> None:
    world = a_learning_world(updates=ON_DEMAND)
    script = Script([candidate(1)], [Verdict("not_yet", ())])

    async def scenario() -> None:
        async with learning(world, script):
            send_examples(world, 25)
            ask(world)
            await reached(world, "watching")
            send_examples(world, 29, hours=0.1)
            await saved_to(world, 54)
            assert script.compared == []
        async with learning(world, script):
            await until(lambda: script.restored == [54])
            await asyncio.sleep(5.0)
            assert script.compared == []
            send_examples(world, 1, hours=0.2)
            await until(lambda: len(script.compared) == 1)

    run(scenario())


def test_how_new_what_was_saved_is_is_known_without_any_newer_example() -> None:
    world, script = a_learning_world(updates=ON_DEMAND), Script()

    async def scenario() -> None:
        async with learning(world, script):
            send_examples(world, 25, hours=3)
            await saved_to(world, 25)
        async with learning(world, script):
            await until(lambda: script.restored == [25])
            ask(world)
            await reached(world, "idle")

    run(scenario())
    assert update_of(world).updated_ms == START_MS + 3 * HOUR_MS + 24


def test_what_the_topic_has_lost_since_is_skipped() -> None:
    world, script = a_learning_world(updates=ON_DEMAND), Script()

    async def scenario() -> None:
        await save_examples(world, script, 25)
        send_examples(world, 25)
        world.cluster.trim(EXAMPLES, 40)
        async with learning(world, script):
            ask(world)
            await reached(world, "idle")

    run(scenario())
    assert script.seen == [[*range(25), *range(40, 50)]]


def test_after_each_update_what_it_was_made_of_is_saved() -> None:
    world, script = a_learning_world(updates=ON_DEMAND), Script()

    async def scenario() -> None:
        async with learning(world, script) as instance:
            send_examples(world, 5)
            await until(lambda: instance.metrics.examples == 5)
            await asyncio.sleep(20.0)
            assert kept_to(world) == 0
            ask(world)
            await saved_to(world, 5)
            ask(world)
            await reached(world, "idle", 2)
            await asyncio.sleep(20.0)

    run(scenario())
    assert script.saved == [5], "with nothing new there is nothing to save"


def test_switched_off_nothing_is_saved_and_nothing_is_read() -> None:
    off = replace(ON_DEMAND, savepoint=SavepointParams(after_example_count=0))
    worlds = [a_learning_world(updates=updates) for updates in (ON_DEMAND, off)]
    script = Script()

    async def scenario(world: World, count: int) -> None:
        async with learning(world, script) as instance:
            send_examples(world, count)
            await until(lambda: instance.metrics.examples == 25)
            ask(world)
            await reached(world, "idle")
            await asyncio.sleep(20.0)

    run(scenario(worlds[0], 25))
    worlds[1].savepoints = worlds[0].savepoints
    before = worlds[0].savepoints.snapshot()
    run(scenario(worlds[1], 25))
    assert worlds[1].savepoints == before
    assert (script.saved, script.restored) == ([25], [])


@pytest.mark.parametrize("damage", ["a piece is missing", "a byte is wrong", "other log", "line"])
def test_one_that_cannot_be_used_is_refused_in_a_sentence_and_replaced(
    damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    world, script = a_learning_world(updates=ON_DEMAND), Script()

    async def scenario() -> None:
        await save_examples(world, script, 25)
        one, pieces = kept(world), world.savepoints.pieces(kept(world))
        if damage == "a piece is missing":
            del pieces["1"]
        elif damage == "a byte is wrong":
            pieces["1"] = bytes(10)
        elif damage == "other log":
            other = replace(one, head=one.head.replace(b'"log":"', b'"log":"x'))
            world.savepoints.savepoint = encode_stored(other)
        else:
            world.savepoints.savepoint = b"{"
        async with learning(world, script) as instance:
            await until(lambda: instance.metrics.examples == 25)
            await until(lambda: len(script.saved) == 2)
            ask(world)
            await reached(world, "idle")

    with caplog.at_level(logging.WARNING, logger=LOGGER):
        run(scenario())
    # What it cannot read the store says by itself.
    said = [one for one in warnings(caplog) if not one.startswith("which savepoint there is: ")]
    assert len(said) == (0 if damage == "line" else 1)
    for sentence in said:
        assert sentence.startswith("the trainer's savepoint is not used, ")
        assert sentence.endswith("; all is read again")
    assert script.restored == []
    assert script.seen == [list(range(25))]
    assert kept_to(world) == 25
    assert kept(world).number == (1 if damage == "line" else 2)
    check_whole(world)


def test_one_that_is_too_large_is_not_kept(caplog: pytest.LogCaptureFixture) -> None:
    small = SavepointParams(after_example_count=20, byte_count_max=30)
    world = a_learning_world(updates=replace(ON_DEMAND, savepoint=small))
    script = Script([candidate(1)])

    async def scenario() -> None:
        async with learning(world, script):
            send_examples(world, 25)
            await until(lambda: len(script.saved) == 1)
            await asyncio.sleep(60.0)
            assert script.saved == [25], "before as many more have come"
            ask(world)
            await reached(world, "watching")

    with caplog.at_level(logging.WARNING, logger=LOGGER):
        run(scenario())
    assert world.savepoints.savepoint is None
    assert warnings(caplog)[0].startswith("what the trainer holds is not saved: it has ")
    assert warnings(caplog)[0].endswith(" bytes, 30 are allowed")


@pytest.mark.parametrize(
    "name",
    [
        "savepoints.read which savepoint there is",
        "savepoints.read a piece of a savepoint",
        "savepoints.write a piece of a savepoint",
        "savepoints.write which savepoint there is",
    ],
)
def test_training_goes_on_though_savepoints_cannot_be_used_at_all(name: str) -> None:
    """As when the user of the store may not do it, though everything else is there."""
    world, script = a_learning_world(updates=ON_DEMAND), Script([candidate(1)])

    async def scenario() -> None:
        if name == "savepoints.read a piece of a savepoint":
            async with learning(world, script):
                send_examples(world, 25)
                await saved_to(world, 25)
        faults = Away(names=frozenset({name}))
        async with learning(world, script, faults) as instance:
            send_examples(world, 25, hours=1)
            await until(lambda: instance.metrics.examples >= 25)
            ask(world)
            await reached(world, "watching")
            send_examples(world, 30, hours=1.5)
            await asyncio.sleep(20.0)

    run(scenario())
    count = 50 if name == "savepoints.read a piece of a savepoint" else 25
    assert script.seen == [list(range(count))]
    assert script.restored == []
    check_trail(world)


def test_a_store_that_fails_for_a_while_is_asked_again_before_the_topic_is() -> None:
    world, script = a_learning_world(updates=ON_DEMAND), Script()

    async def scenario() -> None:
        await save_examples(world, script, 25)
        faults = Away(names=frozenset({"savepoints.read a piece of a savepoint"}))
        async with learning(world, script, faults) as instance:
            await asyncio.sleep(2.5)
            faults.names = frozenset()
            await until(lambda: script.restored == [25])
            assert instance.metrics.examples == 0
            faults.names = frozenset({"training_tail.tail.poll"})
            await asyncio.sleep(3.0)
            faults.names = frozenset()
            await asyncio.sleep(3.0)
            assert script.restored == [25], "what it holds is not restored again"

    run(scenario())


def test_a_process_that_is_lost_while_it_is_restored_is_given_it_once_more() -> None:
    world, script = a_learning_world(updates=ON_DEMAND), Script()

    async def scenario() -> None:
        await save_examples(world, script, 25)
        world.cluster.trim(EXAMPLES, 25)
        instance = world.instance()
        instance.trainer = worker = a_worker(script)
        worker.lost_at |= {"receive", "restore"}
        async with instance:
            await until(lambda: script.restored == [25])

    run(scenario())


def test_one_that_every_process_dies_of_is_given_up() -> None:
    world, script = a_learning_world(updates=ON_DEMAND), Script()

    async def scenario() -> None:
        await save_examples(world, script, 25)
        instance = world.instance()
        instance.trainer = worker = Deadly(partial(ScriptedLearner, script))
        async with instance:
            await until(lambda: instance.metrics.examples == 25)
            assert worker.calls.count("restore") == 5
            ask(world)
            await reached(world, "idle")

    run(scenario())
    assert script.seen == [list(range(25))]


class Deadly(InProcessTrainer):
    """It dies whenever it is to restore something."""

    async def ask(self, method: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        if method.__name__ == "restore":
            self.lost_at.add("restore")
        return await super().ask(method, *arguments, **named)


def test_a_trainer_that_was_left_behind_does_not_put_less_in_the_place_of_more() -> None:
    """Two believe that they train; the one that has read less has not heard that it does not."""
    world, scripts = a_learning_world(updates=ON_DEMAND), [Script(), Script()]

    async def scenario() -> None:
        async with training_alone(world, scripts[0]) as first:
            worker_of(first).delay_s["save"] = 100.0
            send_examples(world, 25)
            await until(lambda: worker_of(first).calls.count("save") == 1)
            async with training_alone(world, scripts[1]):
                send_examples(world, 25)
                await saved_to(world, 50)
                await until(lambda: scripts[0].saved == [25], timeout_s=200.0)
                await asyncio.sleep(5.0)
                assert kept_to(world) == 50

    run(scenario())
    check_whole(world)


def test_a_topic_that_was_made_anew_is_read_from_its_start(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What was saved is of examples that are gone; its offsets are others' by now."""
    world, script = a_learning_world(updates=ON_DEMAND), Script()

    async def scenario() -> None:
        await save_examples(world, script, 25)
        world.cluster.log(EXAMPLES).records.clear()
        instance = world.instance()
        instance.trainer = a_worker(script)
        await instance.open()
        seek = instance.ports.training_tail.seek

        def like_kafka(topic: str, offset: int) -> None:
            """Beyond the end of a log its client begins at its start."""
            end = world.cluster.log(TopicPartition(topic, 0)).end
            seek(topic, 0 if offset > end else offset)

        instance.ports.training_tail.seek = like_kafka  # type: ignore[method-assign]
        async with instance.started():
            send_examples(world, 22)
            await saved_to(world, 22)
            ask(world)
            await reached(world, "idle")

    with caplog.at_level(logging.WARNING):
        run(scenario())
    assert any("begin anew at 0" in sentence for sentence in warnings(caplog))
    assert script.seen == [list(range(22))]


def is_of_savepoints(name: str) -> bool:
    return name.startswith("savepoints.")


async def live(world: World, script: Script, faults: Faults) -> None:
    """Save twice, and whatever fails or crashes, have an update made of all there is."""
    plans = iter([faults, Faults(), Faults()])
    for count in (25, 25):
        send_examples(world, count)
    for plan in plans:
        try:
            async with learning(world, script, plan) as instance:
                ending = instance.task
                assert ending is not None
                await until(lambda: ending.done() or len(script.saved) > 0)  # noqa: B023
                await asyncio.sleep(1.0)
                send_examples(world, 25, hours=1)
                end = world.cluster.log(EXAMPLES).end
                ask(world)
                await until(lambda: ending.done() or update_of(world).examples_to == end)  # noqa: B023
                await until(lambda: ending.done() or update_of(world).state == "idle")  # noqa: B023
                await instance.idle()
                await instance.stop()
                return
        except (CrashError, TransientError):
            continue
    raise AssertionError("it never came to an end")


@pytest.mark.parametrize("after_effect", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("plan", ["fail_at", "crash_at"])
def test_whatever_call_goes_wrong_what_is_kept_is_whole(plan: str, after_effect: bool) -> None:
    calls = DoomAmong(is_of_savepoints)
    world = a_learning_world(updates=ON_DEMAND)
    run(live(world, Script(), calls))
    assert set(calls.names) >= {
        "savepoints.read which savepoint there is",
        "savepoints.write a piece of a savepoint",
        "savepoints.write which savepoint there is",
    }

    for number in range(1, len(calls.names) + 1):
        faults = DoomAmong(is_of_savepoints, **{plan: number, "after_effect": after_effect})
        world, script = a_learning_world(updates=ON_DEMAND), Script()
        run(live(world, script, faults))
        if world.savepoints.savepoint is not None:
            check_whole(world)
        end = world.cluster.log(EXAMPLES).end
        assert script.seen[-1] == list(range(end)), number
        run(read_back(world, script))
        assert script.seen[-1] == list(range(end)), number


async def read_back(world: World, script: Script) -> None:
    """Another instance, which finds what was saved, and the topic only behind that."""
    world.cluster.trim(EXAMPLES, kept_to(world))
    async with learning(world, script):
        number = update_of(world).number
        ask(world)
        await reached(world, "idle", number + 1)
