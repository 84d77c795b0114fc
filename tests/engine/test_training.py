"""Updates of the model from trigger to champion, and back, whatever goes wrong on the way."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from sentinel.adapters.memory import Faults, MemoryRecord
from sentinel.codec.stored import decode_stored
from sentinel.core.decision import PolicyParams
from sentinel.core.features.spec import FeatureParams
from sentinel.core.learning.awaiting import Need
from sentinel.core.learning.gate.checks import Check
from sentinel.core.learning.gate.judging import Outcome, Verdict
from sentinel.core.registry import transitions
from sentinel.engine.registry.lifecycle import Answer, Judgement
from sentinel.engine.updates.awaiting import Outlook
from sentinel.errors import ModelError, RecordError, TrainingError, TransientError, WorkerLostError
from sentinel.learner.learner import Learner
from sentinel.model import LightGBMError
from sentinel.records import TopicPartition
from sentinel.serving_model import serving_model
from tests.engine import examples_stream
from tests.engine.clock import run, until
from tests.engine.faults import Away, CrashError, DoomAmong
from tests.engine.learning_world import (
    UPDATES,
    Script,
    a_learning_config,
    a_learning_world,
    a_worker,
    artifact,
    ask,
    candidate,
    change,
    history_of,
    nothing,
    registry_state_of,
    send_examples,
    serve,
    step,
    update_of,
)
from tests.engine.linear_trees import linear
from tests.engine.samples import transactions
from tests.engine.world import InProcessTrainer, MemoryInstance, World
from tests.kept import KeptModels

HOME = TopicPartition("feedback", 0)
ON_DEMAND = replace(UPDATES, triggers=replace(UPDATES.triggers, after_example_count=0))


@asynccontextmanager
async def learning(
    world: World, script: Script, faults: Faults | None = None
) -> AsyncIterator[MemoryInstance]:
    """An instance with a scripted learner."""
    instance = world.instance(faults)
    instance.trainer = a_worker(script)
    async with instance:
        yield instance


@asynccontextmanager
async def training_alone(world: World, script: Script) -> AsyncIterator[MemoryInstance]:
    """Nothing but the training of an instance, which thinks that it has the control plane."""
    instance = world.instance()
    instance.trainer = a_worker(script)
    await instance.open()
    instance.ports.broker.assignment = lambda: frozenset({HOME})  # type: ignore[method-assign]
    instance.task = asyncio.create_task(instance.parts.training.run())
    try:
        yield instance
        assert not instance.task.done()
    finally:
        await instance.__aexit__()


async def reached(world: World, state: str, number: int = 1, *, timeout_s: float = 60.0) -> None:
    """Until an update stands so."""

    def is_reached() -> bool:
        update = update_of(world)
        return (update.state, update.number) == (state, number)

    await until(is_reached, timeout_s=timeout_s)


def worker_of(instance: MemoryInstance) -> InProcessTrainer:
    assert isinstance(instance.trainer, InProcessTrainer)
    return instance.trainer


def audit(world: World, kind: str = "update") -> dict[str, list[dict[str, Any]]]:
    """What was written into the audit, by its name."""
    found: dict[str, list[dict[str, Any]]] = {}
    for entry in world.values("audit"):
        if entry["kind"] == kind:
            found.setdefault(entry["id"], []).append(entry)
    return found


def outcomes(world: World) -> dict[str, str]:
    """How each update ended, as the audit says."""
    return {
        name: entries[0]["after"]["outcome"]
        for name, entries in audit(world).items()
        if name.endswith("finished")
    }


def changes(world: World) -> list[tuple[str, str]]:
    """What was done to the versions that were made here, in order."""
    return [(event.kind, event.version) for event in history_of(world) if event.who == "training"]


def check_trail(world: World) -> None:
    """Everything that was done is in the history, on the bell and in the audit, in the same words.

    And there is one champion, of whose history nothing is missing.
    """
    registry_state, history = registry_state_of(world), history_of(world)
    again = [after for _, after, _ in transitions.replayed_registry(history)]
    assert again[-1] == registry_state
    assert [event.number for event in history] == list(range(1, registry_state.number + 1))
    assert [one for one, stage in registry_state.stages.items() if stage == "production"] == [
        registry_state.champion
    ]
    promoted = [event.version for event in history if event.kind == "promoted"]
    assert len(promoted) == len(set(promoted))
    ours = {event.number: event.kind for event in history if event.who == "training"}
    told = audit(world, "model")
    assert told.keys() == {f"models-{number}-{kind}" for number, kind in ours.items()}
    rung = {value["number"]: value["kind"] for value in world.values("model-updates")}
    assert rung == ours
    for name, entries in {**told, **audit(world)}.items():
        assert all(entry == entries[0] for entry in entries), name
    number = update_of(world).number
    ended = number if update_of(world).state == "idle" else number - 1
    assert set(outcomes(world)) == {f"update-{i}-finished" for i in range(1, ended + 1)}
    begun = {name for name in audit(world) if name.endswith("begun")}
    assert begun == {f"update-{i}-begun" for i in range(1, number + 1)}


def test_an_update_goes_from_its_trigger_to_the_watch_and_to_its_end() -> None:
    world, script = a_learning_world(), Script([candidate(1)])

    async def scenario() -> None:
        async with learning(world, script) as instance:
            world.send(transactions(40))
            send_examples(world, 49)
            await asyncio.sleep(5.0)
            assert update_of(world).number == 0

            send_examples(world, 1, hours=1)
            await reached(world, "watching")
            assert registry_state_of(world).champion == "1.1.0"
            await until(lambda: instance.parts.serving.champion.version == "1.1.0")
            send_examples(world, 5, hours=1.9)
            await asyncio.sleep(5.0)
            assert update_of(world).state == "watching"

            send_examples(world, 5, hours=2.1)
            await reached(world, "idle")
            assert instance.metrics.examples == 60
            assert instance.metrics.updates == {"promote": 1}

    run(scenario())
    update = update_of(world)
    assert (update.trigger, update.reason) == ("continuous", "50 new examples")
    assert (update.version, update.verdict, update.outcome) == ("1.1.0", "promote", "it serves")
    assert (update.champion, update.examples_to) == ("1.0.0", 50)
    assert script.seen == [list(range(50))]
    assert (script.draws, script.parents) == ([1], ["1.0.0"])
    assert changes(world) == [("registered", "1.1.0"), ("staged", "1.1.0"), ("promoted", "1.1.0")]
    assert audit(world).keys() == {f"update-1-{what}" for what in ("begun", "judged", "finished")}
    [begun] = audit(world)["update-1-begun"]
    assert begun["before"] is None
    assert begun["after"] == {
        "trigger": "continuous",
        "reason": "50 new examples",
        "champion": "1.0.0",
    }
    manifests = [json.loads(world.models.manifests[one]) for one in ("1.0.0", "1.1.0")]
    assert [one.get("config_version") for one in manifests] == [None, world.config.version]
    check_trail(world)


def test_what_the_gate_refuses_is_archived_and_the_champion_goes_on() -> None:
    world, script = a_learning_world(), Script([candidate(1, "refuse")])

    async def scenario() -> None:
        async with learning(world, script) as instance:
            send_examples(world, 50)
            await reached(world, "idle")
            await asyncio.sleep(20.0)
            assert instance.parts.serving.champion.version == "1.0.0"

    run(scenario())
    assert registry_state_of(world).stages == {"1.0.0": "production", "1.1.0": "archived"}
    assert changes(world) == [("registered", "1.1.0"), ("refused", "1.1.0")]
    assert outcomes(world) == {"update-1-finished": "retrain: refuse"}
    check_trail(world)


def test_what_the_gate_cannot_judge_yet_stays_in_development() -> None:
    world, script = a_learning_world(), Script([candidate(1, "not_yet"), candidate(2)])

    async def scenario() -> None:
        async with learning(world, script):
            send_examples(world, 50)
            await reached(world, "idle")
            assert registry_state_of(world).stages == {
                "1.0.0": "production",
                "1.1.0": "development",
            }
            send_examples(world, 50, hours=1)
            await reached(world, "watching", 2)

    run(scenario())
    assert registry_state_of(world).stages == {
        "1.0.0": "archived",
        "1.1.0": "development",
        "1.2.0": "production",
    }
    assert script.draws == [1, 2]
    check_trail(world)


def test_an_update_without_a_candidate_ends_with_the_reason() -> None:
    world, script = a_learning_world(), Script([nothing()])

    async def scenario() -> None:
        async with learning(world, script):
            send_examples(world, 50)
            await reached(world, "idle")

    run(scenario())
    assert outcomes(world) == {"update-1-finished": "too few examples"}
    assert changes(world) == []
    check_trail(world)


@pytest.mark.parametrize("by_hand", [False, True], ids=["approved", "promoted by hand"])
def test_a_candidate_that_needs_approval_waits_for_it(by_hand: bool) -> None:
    world = a_learning_world(updates=replace(UPDATES, needs_approval=True))

    async def scenario() -> None:
        async with learning(world, Script([candidate(1)])) as instance:
            send_examples(world, 50)
            await reached(world, "waiting")
            await asyncio.sleep(60.0)
            assert update_of(world).state == "waiting"
            assert instance.parts.serving.champion.version == "1.0.0"

            change(world.models, step(transitions.approved, "1.1.0"))
            if by_hand:
                change(world.models, step(_promoted, "1.1.0"))
            await reached(world, "watching")
            await until(lambda: instance.parts.serving.champion.version == "1.1.0")

    run(scenario())
    promoted = [event.who for event in history_of(world) if event.kind == "promoted"]
    assert promoted == ["ann", "ann" if by_hand else "training"]
    check_trail(world)


def test_a_candidate_that_is_turned_down_while_it_waits_never_serves() -> None:
    world = a_learning_world(updates=replace(UPDATES, needs_approval=True))

    async def scenario() -> None:
        async with learning(world, Script([candidate(1)])):
            send_examples(world, 50)
            await reached(world, "waiting")
            change(world.models, step(transitions.archived, "1.1.0"))
            await reached(world, "idle")

    run(scenario())
    assert outcomes(world) == {"update-1-finished": "somebody has decided otherwise"}
    assert registry_state_of(world).champion == "1.0.0"
    check_trail(world)


def test_the_next_update_takes_the_place_of_one_that_waits() -> None:
    world = a_learning_world(updates=replace(UPDATES, needs_approval=True))

    async def scenario() -> None:
        async with learning(world, Script([candidate(1), candidate(2)])):
            send_examples(world, 50)
            await reached(world, "waiting")
            send_examples(world, 50, hours=1)
            await reached(world, "waiting", 2)

    run(scenario())
    assert outcomes(world) == {"update-1-finished": "the next update took its place"}
    assert update_of(world).version == "1.2.0"
    check_trail(world)


def test_an_update_that_is_asked_for_is_made_once_also_after_a_restart() -> None:
    world, script = a_learning_world(), Script()

    async def scenario() -> None:
        async with learning(world, script):
            send_examples(world, 3)
            world.append("control", b"not a command")
            await asyncio.sleep(5.0)
            ask(world)
            await reached(world, "idle")
            await asyncio.sleep(20.0)
        async with learning(world, script):
            await asyncio.sleep(20.0)
            assert update_of(world).number == 1
            ask(world, "bob")
            await reached(world, "idle", 2)
        async with learning(world, script):
            await asyncio.sleep(20.0)

    run(scenario())
    assert update_of(world).number == 2
    assert (update_of(world).trigger, update_of(world).reason) == ("demand", "asked for by bob")
    assert script.seen == [[0, 1, 2], [0, 1, 2]]
    check_trail(world)


def test_nothing_begins_before_it_is_known_how_much_there_is_to_read() -> None:
    """A broker that has not answered yet may have a lot: an update would not know of it."""
    world, script = a_learning_world(), Script()

    async def scenario() -> None:
        async with training_alone(world, script) as instance:
            training_tail = instance.ports.training_tail
            lag = training_tail.lag
            training_tail.lag = lambda topic: None  # type: ignore[method-assign]
            ask(world)
            await asyncio.sleep(30.0)
            assert update_of(world).number == 0
            send_examples(world, 20)
            training_tail.lag = lag  # type: ignore[method-assign]
            await reached(world, "idle")

    run(scenario())
    assert script.seen == [list(range(20))]


def test_an_update_that_was_asked_for_while_nobody_trained_is_made() -> None:
    world, script = a_learning_world(), Script()
    send_examples(world, 20)
    ask(world)

    async def scenario() -> None:
        async with learning(world, script):
            await reached(world, "idle")

    run(scenario())
    assert script.seen == [list(range(20))]


def test_there_is_one_update_at_a_time() -> None:
    """Examples and demands that come meanwhile count for the next one."""
    world, script = a_learning_world(), Script([candidate(1)])

    async def scenario() -> None:
        async with learning(world, script) as instance:
            worker = worker_of(instance)
            worker.delay_s["update"] = 100.0
            send_examples(world, 50)
            await reached(world, "training")
            send_examples(world, 60, hours=1)
            ask(world)
            world.send(transactions(40))
            await instance.idle()  # scoring goes on
            assert worker.calls.count("update") == 1
            await reached(world, "watching", timeout_s=200.0)
            worker.delay_s.clear()
            await reached(world, "idle", 2)

    run(scenario())
    assert [len(seen) for seen in script.seen] == [50, 110]
    assert outcomes(world)["update-1-finished"] == "the next update took its place"
    check_trail(world)


@pytest.mark.parametrize(
    "error",
    [
        ModelError("1.0.0", "cannot be used"),
        ValueError("no frauds"),
        LightGBMError("no memory"),
        RecordError("not_json", "is damaged"),
        KeyError("amount"),
        AssertionError("a mistake"),
        RuntimeError("anything"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_is_raised_in_the_learner_ends_the_update_and_nothing_else(error: Exception) -> None:
    world, script = a_learning_world(), Script([error, candidate(1)])

    async def scenario() -> None:
        async with learning(world, script) as instance:
            send_examples(world, 50)
            await reached(world, "idle")
            world.send(transactions(40))
            await instance.idle()
            send_examples(world, 50, hours=1)
            await reached(world, "watching", 2)

    run(scenario())
    said: dict[type[Exception], str] = {
        ModelError: "model 1.0.0: cannot be used",
        RecordError: "is damaged",
    }
    why = f"the trainer cannot update: {said.get(type(error), repr(error))}"
    assert outcomes(world) == {"update-1-finished": f"no candidate: {why}"}
    check_trail(world)


def test_an_update_that_ends_its_process_each_time_is_not_made_for_ever() -> None:
    world = a_learning_world()
    script = Script([candidate(1)])
    send_examples(world, 50)

    async def scenario() -> None:
        for number in (1, 2):
            async with learning(world, script) as instance:
                assert isinstance(instance.trainer, InProcessTrainer)
                instance.trainer.delay_s["update"] = 1_000.0
                await reached(world, "training", number)
        async with learning(world, script) as instance:
            world.send(transactions(40))
            await instance.idle()
            await asyncio.sleep(60.0)
            assert update_of(world).number == 2
            send_examples(world, 50, hours=1)
            await reached(world, "watching", 3)

    run(scenario())
    assert outcomes(world) == {
        "update-1-finished": "it was interrupted",
        "update-2-finished": "it was interrupted",
    }
    check_trail(world)


def test_a_champion_that_cannot_be_read_ends_the_update_and_nothing_else() -> None:
    world, script = a_learning_world(), Script([candidate(1)])

    async def scenario() -> None:
        async with learning(world, script) as instance:
            await instance.idle()
            text = world.models.texts.pop("1.0.0")
            send_examples(world, 50)
            await reached(world, "idle")
            world.models.texts["1.0.0"] = text
            send_examples(world, 50, hours=1)
            await reached(world, "watching", 2)

    run(scenario())
    assert outcomes(world) == {
        "update-1-finished": "no candidate: model 1.0.0: its text is missing"
    }
    check_trail(world)


@pytest.mark.parametrize("method", ["take", "update"])
def test_a_lost_process_reads_all_examples_again(method: str) -> None:
    world, script = a_learning_world(), Script([candidate(1)])

    async def scenario() -> None:
        async with learning(world, script) as instance:
            send_examples(world, 30)
            await until(lambda: instance.metrics.examples == 30)
            worker_of(instance).lost_at.add(method)
            send_examples(world, 20, hours=1)
            if method == "update":
                await reached(world, "idle")
                await until(lambda: instance.metrics.examples >= 100)
                assert registry_state_of(world).champion == "1.0.0"
                send_examples(world, 50, hours=2)
                await reached(world, "watching", 2)
            else:
                await reached(world, "watching")
            world.send(transactions(40))
            await instance.idle()

    run(scenario())
    assert script.seen == [list(range(100 if method == "update" else 50))]
    if method == "update":
        assert outcomes(world) == {"update-1-finished": "no candidate: the process died"}
    check_trail(world)


POISONED = {7, 23, 24, 49}


@pytest.mark.parametrize(
    "error",
    [
        ModelError("1.0.0", "cannot be used"),
        ValueError("no number"),
        LightGBMError("no memory"),
        AssertionError("a mistake"),
        KeyError("amount"),
        TypeError("none"),
        ZeroDivisionError("of 0"),
        OSError("anything"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_examples_at_which_the_learner_fails_are_left_out_and_nothing_else(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    world, script = a_learning_world(), Script([candidate(1)])
    script.poison = dict.fromkeys(POISONED, error)
    said = str(error) if isinstance(error, ModelError) else repr(error)
    seen = TrainingError("take", said)

    async def scenario() -> None:
        async with learning(world, script) as instance:
            send_examples(world, 60)
            await reached(world, "watching")
            world.send(transactions(40))
            await instance.idle()
            metrics = instance.metrics
            counts = (metrics.examples, metrics.examples_refused, metrics.examples_stumbled)
            assert counts == (56, 4, 4)
            await instance.stop()

    with caplog.at_level(logging.ERROR, logger="sentinel.engine.updates.training"):
        run(scenario())
    assert [one.getMessage() for one in caplog.records] == [
        f"examples are left out, the first at offset 7: {seen!r}"
    ]
    assert script.seen == [sorted(set(range(60)) - POISONED)]
    check_trail(world)


def test_examples_that_end_the_learner_s_process_are_left_out_at_the_second_time(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """They are read in other batches then: the first come alone, and together with more later."""
    world, script = a_learning_world(), Script([candidate(1)])
    script.poison = {300: WorkerLostError("it needs more than 1 MB of memory")}

    async def scenario() -> None:
        async with learning(world, script) as instance:
            send_examples(world, 250)
            await until(lambda: instance.metrics.examples >= 250)
            await reached(world, "watching")
            send_examples(world, 100)
            await until(lambda: instance.metrics.examples_refused == 100)
            ask(world)
            await until(lambda: len(script.seen) == 2)
            world.send(transactions(40))
            await instance.idle()
            await instance.stop()

    with caplog.at_level(logging.ERROR, logger="sentinel.engine.updates.training"):
        run(scenario())
    [said] = [one.getMessage() for one in caplog.records]
    assert said == "the trainer's process is lost at them: range(250, 350) are left out"
    assert script.seen[-1] == list(range(250))
    check_trail(world)


@pytest.mark.parametrize(
    "name", ["models.note how the update stands", "publish", "training_tail.tail.seek"]
)
def test_a_process_that_is_lost_while_the_world_is_away_reads_all_examples_again(
    name: str,
) -> None:
    world, script = a_learning_world(), Script()

    async def scenario() -> None:
        faults = Away()
        async with learning(world, script, faults) as instance:
            send_examples(world, 50)
            await until(lambda: instance.metrics.examples == 50)
            worker_of(instance).lost_at.add("update")
            await reached(world, "training")
            faults.names = frozenset({name})
            await asyncio.sleep(3.0)
            faults.names = frozenset()
            await until(lambda: update_of(world).state == "idle")
            await until(lambda: instance.metrics.examples >= 100)
            send_examples(world, 50, hours=1)
            await until(lambda: len(script.seen) > 0 and len(script.seen[-1]) == 100)

    run(scenario())
    assert script.seen[-1] == list(range(100))


@pytest.mark.parametrize(
    "name",
    [
        "models.read where the models stand",
        "models.note how the update stands",
        "training_tail.tail.poll",
        "publish",
    ],
)
def test_while_a_part_of_the_world_is_away_the_update_waits(name: str) -> None:
    world, script, faults = a_learning_world(), Script([candidate(1)] * 3), Away()

    async def scenario() -> None:
        async with learning(world, script, faults) as instance:
            await instance.idle()
            faults.names = frozenset({name})
            send_examples(world, 50)
            await asyncio.sleep(30.0)
            assert registry_state_of(world).champion == "1.0.0"
            faults.names = frozenset()
            await until(lambda: registry_state_of(world).champion != "1.0.0")
            await until(lambda: update_of(world).state == "watching")

    run(scenario())
    check_trail(world)


HARMFUL = artifact("0.0.0", 3, intercept=2.0)  # it flags nearly everything


def test_a_champion_that_flags_far_more_goes_back_by_itself_and_never_serves_again() -> None:
    world = a_learning_world()
    script = Script([candidate(one=HARMFUL), candidate(2)])

    async def scenario() -> None:
        async with learning(world, script) as instance:
            world.send(transactions(300))
            await instance.idle()
            send_examples(world, 50)
            await reached(world, "watching")
            await until(lambda: instance.parts.serving.champion.version == "1.1.0")
            world.send(transactions(300, first=300))
            await reached(world, "idle")
            await until(lambda: instance.parts.serving.champion.version == "1.0.0")
            with pytest.raises(ValueError, match="refused, withdrawn or rolled back"):
                change(world.models, step(_promoted, "1.1.0"))
            send_examples(world, 50, hours=1)
            await reached(world, "watching", 2)

    run(scenario())
    assert update_of(world).version == "1.2.0"
    outcome = outcomes(world)["update-1-finished"]
    assert outcome.startswith("rolled back: its share of alerts is ")
    assert ("rolled_back", "1.1.0") in changes(world)
    assert [one for kind, one in changes(world) if kind == "promoted"] == ["1.1.0", "1.2.0"]
    check_trail(world)


def _promoted(registry_state: Any, version: str, **stated: Any) -> Any:
    return transitions.promoted(registry_state, version, **stated, approval_needed=False)


def test_the_learner_itself_makes_a_champion_of_what_has_changed() -> None:
    """Not a scripted one: what it learned of the new frauds decides about transactions."""
    rows = examples_stream.records(examples_stream.stream(24_000, changed_at=12_000))
    champion = examples_stream.champion_of(rows[:9_000])
    features = (
        FeatureParams(name="amount", stat="amount"),
        FeatureParams(name="count_1h", stat="count", entity="account", window="1h"),
        FeatureParams(name="known_frauds", stat="fraud_count", entity="account", window="2d"),
        FeatureParams(name="age_ms", stat="time_since_last", entity="account"),
    )
    params = replace(examples_stream.PARAMS, strategies=("continue",))
    models = KeptModels()
    serve(models, champion)
    config = replace(a_learning_config(updates=ON_DEMAND), features=features)
    serving = serving_model(champion, examples_stream.NAMES)
    world = World(config=config, models=models, serving=serving, artifact=champion)
    log = world.cluster.log(TopicPartition("examples", 0))
    log.records += [MemoryRecord(at, stamp_ms, None, value, ()) for at, stamp_ms, value in rows]

    async def scenario() -> None:
        instance = world.instance()
        instance.trainer = InProcessTrainer(
            partial(Learner, examples_stream.NAMES, PolicyParams(), params)
        )
        async with instance:
            ask(world)
            await reached(world, "watching")
            await until(lambda: instance.version != "1.0.0")
            world.send(transactions(40))
            await instance.idle()
            await instance.stop()

    run(scenario())
    made = update_of(world).version
    assert {one["model_version"] for one in world.values("decisions")} == {made}
    assert registry_state_of(world).champion == made
    [judged] = audit(world)["update-1-judged"]
    assert judged["after"]["outcome"] == "promote"
    assert [one["strategy"] for one in judged["after"]["attempts"]] == ["continue"]
    check_trail(world)


def test_what_may_not_go_back_by_itself_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    watch = replace(UPDATES.watch, is_automatic=False)
    world = a_learning_world(updates=replace(UPDATES, watch=watch))

    async def scenario() -> None:
        async with learning(world, Script([candidate(one=HARMFUL)])) as instance:
            world.send(transactions(300))
            await instance.idle()
            send_examples(world, 50)
            await reached(world, "watching")
            await until(lambda: instance.parts.serving.champion.version == "1.1.0")
            world.send(transactions(300, first=300))
            await instance.idle()
            await asyncio.sleep(60.0)

    with caplog.at_level(logging.WARNING, logger="sentinel.engine.updates.watching"):
        run(scenario())
    assert [record.getMessage()[:32] for record in caplog.records] == [
        "1.1.0 hurts: its share of alerts"
    ]
    assert registry_state_of(world).champion == "1.1.0"
    assert update_of(world).state == "watching"


def test_a_champion_that_does_worse_on_newer_examples_goes_back() -> None:
    world = a_learning_world(updates=ON_DEMAND)
    better = Verdict("promote", ())
    script = Script([candidate(1)], [None, Verdict("not_yet", ()), ValueError("no"), better])

    async def scenario() -> None:
        async with learning(world, script) as instance:
            send_examples(world, 50)
            ask(world)
            await reached(world, "watching")
            for count in range(1, 4):
                send_examples(world, 30, hours=0.1 * count)
                await until(partial(compared_so_often, script, count))
                await asyncio.sleep(2.0)
                assert registry_state_of(world).champion == "1.1.0"
            send_examples(world, 30, hours=0.5)
            await reached(world, "idle")
            await until(lambda: instance.parts.serving.champion.version == "1.0.0")

    run(scenario())
    assert outcomes(world) == {
        "update-1-finished": "rolled back: on newer examples 1.0.0, which served before, is better"
    }
    since_ms = update_of(world).updated_ms + 1
    assert script.compared == [("1.0.0", "1.1.0", since_ms)] * 4
    check_trail(world)


def compared_so_often(script: Script, count: int) -> bool:
    return len(script.compared) == count


def watched_out(world: World, hours: float) -> None:
    """Event time goes on beyond any watch, by fewer examples than make an update due."""
    send_examples(world, 1, hours=hours)


@pytest.mark.parametrize("restart", [False, True], ids=["", "after a restart"])
def test_a_recalibration_that_serves_is_followed_up_once(restart: bool) -> None:
    """It was enough, so nothing else was tried; without the bound the two would take turns."""
    world = a_learning_world()
    script = Script([candidate(i, strategy="recalibrate") for i in (1, 2, 3)])

    async def scenario() -> None:
        async with learning(world, script):
            send_examples(world, 50)
            await reached(world, "watching")
            await asyncio.sleep(20.0)
            assert update_of(world).number == 1, "not before it has proven itself"
            if not restart:
                watched_out(world, 2.0)
                await reached(world, "watching", 2)
        async with learning(world, script):
            if restart:
                watched_out(world, 2.0)
                await reached(world, "watching", 2)
            watched_out(world, 4.0)
            await reached(world, "idle", 2)
            await asyncio.sleep(60.0)
            assert update_of(world).number == 2
            send_examples(world, 50, hours=5)
            await reached(world, "watching", 3)

    run(scenario())
    triggers = [audit(world)[f"update-{i}-begun"][0]["after"]["trigger"] for i in (1, 2, 3)]
    assert triggers == ["continuous", "follow_up", "continuous"]
    assert outcomes(world) == {f"update-{i}-finished": "it serves" for i in (1, 2)}
    check_trail(world)


@pytest.mark.parametrize(
    ("strategy", "why_not"),
    [
        ("retrain", "it serves"),
        ("recalibrate", "rolled back"),
        ("recalibrate", "refuse"),
        ("recalibrate", "switched off"),
    ],
)
def test_nothing_else_is_followed_up(strategy: str, why_not: str) -> None:
    follows_up = why_not != "switched off"
    triggers = replace(UPDATES.triggers, follows_up=follows_up)
    world = a_learning_world(updates=replace(UPDATES, triggers=triggers))
    outcome: Outcome = "refuse" if why_not == "refuse" else "promote"

    async def scenario() -> None:
        async with learning(world, Script([candidate(1, outcome, strategy=strategy)])):
            send_examples(world, 50)
            if outcome == "promote":
                await reached(world, "watching")
            if why_not == "rolled back":
                change(
                    world.models,
                    lambda registry_state, **by: transitions.rolled_back(registry_state, **by),
                )
            watched_out(world, 2.0)
            await reached(world, "idle")
            await asyncio.sleep(60.0)

    run(scenario())
    assert update_of(world).number == 1
    check_trail(world)


def test_a_version_that_a_person_rolls_back_ends_its_watch() -> None:
    world = a_learning_world()

    async def scenario() -> None:
        async with learning(world, Script([candidate(1)])):
            send_examples(world, 50)
            await reached(world, "watching")
            change(
                world.models,
                lambda registry_state, **by: transitions.rolled_back(registry_state, **by),
            )
            await reached(world, "idle")

    run(scenario())
    assert outcomes(world) == {"update-1-finished": "rolled back: tests"}


def test_an_instance_without_the_feedback_partition_does_not_train() -> None:
    world, scripts = a_learning_world(), [Script(), Script()]

    async def scenario() -> None:
        async with learning(world, scripts[0]) as first:
            await until(lambda: HOME in first.ports.broker.assignment())
            async with learning(world, scripts[1]) as second:
                await first.idle()
                await until(lambda: HOME in first.ports.broker.assignment())
                send_examples(world, 50)
                ask(world)
                await reached(world, "idle")
                await asyncio.sleep(30.0)
                assert HOME not in second.ports.broker.assignment()
                assert worker_of(second).calls == []
                assert second.parts.training.update is None

    run(scenario())
    assert len(scripts[0].seen) >= 1
    assert scripts[1].seen == []


@pytest.mark.parametrize("in_order", [True, False], ids=["stopped", "killed"])
@pytest.mark.parametrize("state", ["training", "waiting", "watching", "idle"])
def test_whoever_takes_the_control_plane_over_goes_on(state: str, in_order: bool) -> None:
    needs_approval = state == "waiting"
    world = a_learning_world(updates=replace(ON_DEMAND, needs_approval=needs_approval))
    script = Script([candidate(1)] * 2)

    async def scenario() -> None:
        async with learning(world, script) as second, learning(world, script) as first:
            trainer, other = await at_home(first, second), second
            if trainer is second:
                other = first
            send_examples(world, 50)
            if state == "training":
                worker_of(trainer).delay_s["update"] = 1_000.0
            ask(world)
            await until(
                lambda: update_of(world).state == (state if state != "idle" else "watching")
            )
            if state == "idle":
                send_examples(world, 1, hours=2)
                await until(lambda: update_of(world).state == "idle")
            world.send(transactions(20))
            if in_order:
                await trainer.stop()
            await trainer.__aexit__()
            await until(lambda: HOME in other.ports.broker.assignment(), timeout_s=120.0)
            if needs_approval:
                change(world.models, step(transitions.approved, "1.1.0"))
            if state != "idle":
                await until(lambda: update_of(world).state == "watching")
            send_examples(world, 1, hours=4)
            await until(lambda: update_of(world).state == "idle")
            await other.idle()
            await asyncio.sleep(5.0)
            if other is second:
                return
            await other.stop()

    run(scenario())
    assert registry_state_of(world).champion == "1.1.0"
    assert update_of(world).outcome == "it serves"
    assert update_of(world).number == (2 if state == "training" else 1)
    assert len(script.draws) == 1  # what was interrupted had not been answered
    check_trail(world)


def test_one_that_was_left_behind_in_an_update_changes_nothing_any_more() -> None:
    """The group gave its partitions away while it trained, and it has not heard of it.

    From then on two think that they train, and both obey.
    """
    world, script = a_learning_world(updates=ON_DEMAND), Script([candidate(i) for i in range(1, 9)])

    async def scenario() -> None:
        send_examples(world, 50)
        async with training_alone(world, script) as first:
            worker_of(first).delay_s["update"] = 500.0
            ask(world)
            await reached(world, "training")
            async with training_alone(world, script):
                await reached(world, "watching", 2)
                assert len(script.draws) == 1
                await until(lambda: len(script.draws) == 2, timeout_s=600.0)
                await asyncio.sleep(30.0)
                assert update_of(world).number == 2
                assert registry_state_of(world).stages.keys() == {"1.0.0", "1.1.0"}
                worker_of(first).delay_s.clear()
                for hours in (2, 4, 6):
                    send_examples(world, 1, hours=hours)
                    ask(world)
                    await asyncio.sleep(60.0)
                    assert update_of(world).number >= 3
                send_examples(world, 1, hours=8)
                await until(lambda: update_of(world).state == "idle")
                await asyncio.sleep(5.0)

    run(scenario())
    assert registry_state_of(world).champion == update_of(world).version
    check_trail(world)


async def at_home(*instances: MemoryInstance) -> MemoryInstance:
    """The one that trains, as soon as there are partitions for each."""
    await until(lambda: all(instance.task is not None for instance in instances))
    await asyncio.sleep(5.0)
    [found] = [one for one in instances if HOME in one.ports.broker.assignment()]
    return found


def is_of_learning(name: str) -> bool:
    """Whether a call is one of those that updates and their deployment make, or may make."""
    return name.startswith(("models.", "training_tail.", "model_updates_tail.")) or name in (
        "publish",
        "flush",
    )


async def live(world: World, script: Script, faults: Faults, later: list[Any]) -> list[str]:
    """Live from before an update to its end, however often it takes.

    Returns how the update stood at each restart.
    """
    restarts: list[str] = []
    for plan in [faults, Faults(), Faults()]:
        try:
            async with learning(world, script, plan) as instance:
                ending = instance.task
                assert ending is not None
                while True:
                    await until(lambda: ending.done() or is_settled(world), timeout_s=300.0)  # noqa: B023
                    await instance.idle()
                    if not later:
                        break
                    world.send(later.pop(0))
                    send_examples(world, 5, hours=2)
                await until(lambda: ending.done() or update_of(world).state == "idle")  # noqa: B023
                await instance.idle()
                await until(lambda: instance.version == registry_state_of(world).champion)
                await asyncio.sleep(3.0)
                await instance.idle()
                await instance.stop()
                return restarts
        except (CrashError, TransientError):
            restarts.append(update_of(world).state)
    raise AssertionError("it never came to an end")


def is_settled(world: World) -> bool:
    update = update_of(world)
    return update.state == "watching" or (update.state == "idle" and update.number > 0)


def lived(faults: DoomAmong, outcome: Outcome = "promote") -> tuple[World, list[str]]:
    """A world in which there was an update, under a plan of failure, and the restarts it took."""
    world = a_learning_world(updates=ON_DEMAND)
    faults.situation = lambda: (
        update_of(world).number,
        update_of(world).state,
        registry_state_of(world).number,
    )
    world.send(transactions(20))
    send_examples(world, 50)
    ask(world)
    script = Script([candidate(1, outcome)] * 4)
    return world, run(live(world, script, faults, [transactions(20, first=20)]))


def check_end(world: World) -> None:
    """The version was promoted once, or the old one serves and its update has ended."""
    check_trail(world)
    assert world.unsafe == []
    assert len(world.decisions()) == len(world.records("transactions")) == 40
    update, registry_state = update_of(world), registry_state_of(world)
    assert update.state == "idle"
    assert update.number in (1, 2)
    promoted = [one for kind, one in changes(world) if kind == "promoted"]
    assert len(promoted) <= 1
    assert registry_state.champion == (promoted[0] if promoted else "1.0.0")
    if not promoted:
        assert update.outcome
    for version in registry_state.stages:
        assert version in world.models.texts


# Of all others it makes no difference whether the answer is lost, or the question.
EFFECTS = frozenset(
    {
        "publish",
        "models.keep model 1.1.0",
        "models.change where the models stand",
        "models.note how the update stands",
    }
)


def numbered(calls: DoomAmong, *, after_effect: bool, sweep: bool) -> list[int]:
    """Numbers of calls, from 1: all of them, or of each name the first in each situation."""
    if sweep:
        return list(range(1, len(calls.names) + 1))
    first: dict[object, int] = {}
    for number, (name, situation) in enumerate(zip(calls.names, calls.situations, strict=True), 1):
        if name in EFFECTS or not after_effect:
            first.setdefault((name, situation), number)
    return list(first.values())


@pytest.mark.parametrize("outcome", ["promote", "refuse"])
@pytest.mark.parametrize("after_effect", [False, True], ids=["before", "after"])
def test_whichever_call_fails_the_update_comes_to_its_end(
    sweep: bool, after_effect: bool, outcome: Outcome
) -> None:
    """And if it is none of a call of scoring's, scoring never stops for it."""
    calls = DoomAmong(is_of_learning)
    expected, _ = lived(calls, outcome)
    check_end(expected)
    assert registry_state_of(expected).champion == ("1.1.0" if outcome == "promote" else "1.0.0")
    failed = set()

    numbers = numbered(calls, after_effect=after_effect, sweep=sweep)
    for number in numbers:
        faults = DoomAmong(is_of_learning, fail_at=number, after_effect=after_effect)
        world, restarts = lived(faults, outcome)
        check_end(world)
        failed.add(faults.failed)
        if faults.failed not in ("publish", "flush"):
            assert restarts == []
            assert registry_state_of(world).champion == registry_state_of(expected).champion

    # A poll that is still waiting at the end fails nobody.
    assert failed - {None} == {calls.names[number - 1] for number in numbers}


@pytest.mark.parametrize("after_effect", [False, True], ids=["before", "after"])
def test_at_whichever_call_it_crashes_the_update_comes_to_its_end(
    sweep: bool, after_effect: bool
) -> None:
    """So that it crashes in each state of an update, and on both sides of each step."""
    calls = DoomAmong(is_of_learning)
    lived(calls)
    states, numbers = set(), set()

    for number in numbered(calls, after_effect=after_effect, sweep=sweep):
        faults = DoomAmong(is_of_learning, crash_at=number, after_effect=after_effect)
        world, restarts = lived(faults)
        check_end(world)
        assert len(restarts) == 1 or number > len(calls.names) - 10, "but at its very end"
        states |= set(restarts)
        numbers.add(update_of(world).number)

    assert states == {"idle", "training", "made", "promoting", "watching"}
    assert numbers == {1, 2}  # some were made again


def test_a_champion_that_cannot_score_what_comes_is_rolled_back_for_everybody() -> None:
    world = a_learning_world()
    script = Script([candidate(one=linear("0.0.0", breaks=True))])

    async def scenario() -> None:
        async with learning(world, script) as instance:
            world.send(transactions(100))
            await instance.idle()
            send_examples(world, 50)
            await reached(world, "watching")
            await until(lambda: instance.version != "1.0.0")
            world.send(transactions(10, first=100))
            await instance.idle()
            await reached(world, "idle")
            assert instance.version == "1.0.0"
            await instance.stop()

    run(scenario())
    assert registry_state_of(world).champion == "1.0.0"
    assert outcomes(world) == {"update-1-finished": "rolled back: it cannot score what comes"}
    assert {one["model_version"] for one in world.values("decisions")} == {"1.0.0"}
    check_trail(world)


def outlook_of(world: World) -> Outlook:
    """What the next update waits for, as it is noted."""
    assert world.models.outlook is not None
    return decode_stored(Outlook, world.models.outlook)


LACK = (Need("frauds", 38, 100), Need("old frauds", 3, 100, is_required=False))


def test_while_there_is_too_little_to_judge_by_no_update_is_begun_and_what_is_awaited_is_said() -> (
    None
):
    world, script = a_learning_world(), Script([candidate(1)], needs=LACK)

    async def scenario() -> None:
        async with learning(world, script) as instance:
            send_examples(world, 60)
            await asyncio.sleep(30.0)
            assert update_of(world).number == 0
            found = outlook_of(world)
            assert [one.sentence for one in found.to_judge] == [
                "38 of 100 frauds, no pace to estimate by",
                "3 of 100 old frauds, no pace to estimate by",
            ]
            assert found.to_begin == (), "there are 60 new examples, 50 are enough"
            assert instance.parts.training.outlook == found

            for count in (48, 58, 68):
                script.needs = (replace(LACK[0], count=count), LACK[1])
                send_examples(world, 1)
                await asyncio.sleep(10.0)
            waits = [one.wait_s for one in outlook_of(world).to_judge]
            assert waits[0] == pytest.approx(60.0, rel=0.2), "30 in the 55 seconds since the first"
            assert waits[1] is None

            script.needs = (replace(LACK[0], count=100), LACK[1])
            send_examples(world, 1)
            await reached(world, "watching")

    run(scenario())
    check_trail(world)


def test_what_is_asked_for_is_begun_whatever_is_awaited() -> None:
    world, script = a_learning_world(), Script([nothing()], needs=LACK)

    async def scenario() -> None:
        async with learning(world, script):
            send_examples(world, 5)
            ask(world)
            await reached(world, "idle")

    run(scenario())
    assert outcomes(world) == {"update-1-finished": "too few examples"}


def test_the_next_update_awaits_examples_and_what_comes_first_of_the_rest() -> None:
    world, script = a_learning_world(), Script()

    async def scenario() -> None:
        async with learning(world, script):
            send_examples(world, 4)
            await asyncio.sleep(10.0)
            send_examples(world, 2)
            await asyncio.sleep(10.0)

    run(scenario())
    examples, either = outlook_of(world).to_begin
    assert (either.count, either.needed, either.what) == (6, 50, "new examples")
    assert (examples.count, examples.needed, examples.what) == (6, 10, "new examples")
    assert examples.wait_s == pytest.approx(30.0, rel=0.2)


def test_the_trainer_is_not_asked_again_while_nothing_is_new() -> None:
    world, script = a_learning_world(), Script(needs=LACK)

    async def scenario() -> int:
        async with learning(world, script) as instance:
            send_examples(world, 20)
            await asyncio.sleep(60.0)
            return worker_of(instance).calls.count("needs")

    assert run(scenario()) <= 2


def test_what_the_gate_asked_is_noted_with_the_update_and_the_next_one_knows_its_word() -> None:
    answer = Check("improvement", "failed", 0.4, (None, 0.05), None, "nothing is better")
    refused = replace(candidate(1, "refuse"), verdict=Verdict("refuse", (answer,)))
    world, script = a_learning_world(), Script([refused, nothing()])

    async def scenario() -> None:
        async with learning(world, script):
            send_examples(world, 50)
            await reached(world, "idle")
            judgement = update_of(world).judgement
            assert judgement is not None
            assert (judgement.outcome, judgement.reason) == ("refuse", "retrain: refuse")
            assert judgement.answers == (Answer("improvement", "failed", "nothing is better"),)
            send_examples(world, 50, hours=1)
            await reached(world, "idle", 2)

    run(scenario())
    update = update_of(world)
    assert update.judgement == Judgement("no candidate", "too few examples")
    assert update.former == "update 1 (continuous): refuse: retrain: refuse"
