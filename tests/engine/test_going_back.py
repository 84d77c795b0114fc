"""A store that comes back from an older snapshot, under running instances and between them."""

import asyncio
import logging
from functools import partial

import pytest

from sentinel.codec.models.artifacts import decode_artifact
from sentinel.core.registry import transitions
from sentinel.engine.registry.remembered import RegistryMemory
from sentinel.errors import FencedError
from sentinel.ports import Savepoint
from tests.engine.clock import run, until
from tests.engine.faults import Away
from tests.engine.learning_world import (
    Script,
    a_learning_world,
    a_worker,
    artifact,
    ask,
    candidate,
    change,
    put,
    registry_state_of,
    send_examples,
    serve,
    step,
    update_of,
)
from tests.engine.samples import transactions
from tests.engine.test_deployment import a_world, ring, serves, versions_by_partition
from tests.engine.test_feedback import kept, play, random_votes, vote, world_through
from tests.engine.test_savepoints import ON_DEMAND, kept_to, save_examples, saved_to
from tests.engine.test_training import (
    audit,
    learning,
    reached,
)
from tests.engine.world import MemoryInstance, World
from tests.kept import KeptModels

NEW = artifact("1.1.0", 1)
OTHER = artifact("1.2.0", 2)
LOGGER = "sentinel.engine.registry.remembered"
PROMOTED = partial(transitions.promoted, approval_needed=False)


def keep_copies(world: World) -> None:
    """As the model directories of the machines do with what has served."""
    models = world.models
    world.copies = {
        version: decode_artifact(version, models.texts[version], models.manifests[version])
        for version in registry_state_of(world).stages
        if version in models.texts
    }


def put_back(world: World) -> list[dict[str, object]]:
    """What the audit has of states of the registry that were put back."""
    return [x for x in world.values("audit") if x["after"].get("change") == "put_back"]


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one.getMessage() for one in caplog.records if one.name == LOGGER]


async def go_back(world: World, snapshot: KeptModels, instance: MemoryInstance) -> None:
    """The registry is what it was; everybody looks, and goes on scoring."""
    world.models.restore(snapshot)
    ring(world)
    count = instance.metrics.decisions
    world.send(transactions(50, first=count))
    await asyncio.sleep(20.0)
    assert instance.metrics.decisions == count + 50


@pytest.mark.parametrize("lost", ["all", "the artifact, too", "the promotion"])
def test_a_registry_that_goes_back_is_put_back_and_what_serves_goes_on(
    lost: str, caplog: pytest.LogCaptureFixture
) -> None:
    world = a_world()
    snapshots = {"all": KeptModels(), "the artifact, too": world.models.snapshot()}

    async def scenario() -> None:
        async with world.instance() as instance, world.instance() as another:
            await instance.idle()
            put(world.models, NEW)
            change(world.models, step(transitions.registered, "1.1.0"))
            snapshots["the promotion"] = world.models.snapshot()
            change(world.models, step(transitions.staged, "1.1.0"))
            change(
                world.models,
                step(PROMOTED, "1.1.0"),
            )
            ring(world)
            await serves(instance, "1.1.0")
            await serves(another, "1.1.0")
            keep_copies(world)
            expected = world.models.snapshot()
            await go_back(world, snapshots[lost], instance)

            assert world.models == expected, "nothing of it is lost"
            for one in (instance, another):
                assert one.metrics.deployments == 1, "nothing else has served meanwhile"
                assert (one.version, one.parts.deployment.trouble) == ("1.1.0", "")

    with caplog.at_level(logging.WARNING, logger=LOGGER):
        run(scenario())
    assert {one for versions in versions_by_partition(world) for one in versions} == {"1.1.0"}
    number = {"all": 0, "the artifact, too": 3, "the promotion": 4}[lost]
    assert said(caplog) == [
        f"the model registry came back as of change {number}: change 6 is put back"
    ], "one of the two has done it"
    [entry] = put_back(world)
    assert entry["before"] == {"number": number, "champion": "1.0.0" if number else None}
    assert entry["after"] == {
        "change": "put_back",
        "number": 6,
        "champion": "1.1.0",
        "why": "the store came back with an earlier state of the registry",
    }


def test_what_cannot_be_put_back_goes_on_serving_and_is_said_until_it_is(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = a_world()
    before = world.models.snapshot()

    async def scenario() -> None:
        async with world.instance() as instance:
            serve(world.models, NEW)
            await serves(instance, "1.1.0")
            expected = world.models.snapshot()
            world.copies["1.1.0"] = OTHER  # of the same name, and not the same
            await go_back(world, before, instance)

            assert instance.version == "1.1.0"
            assert world.models == before
            assert instance.health().status == "degraded"
            assert instance.health().reasons == (
                "the model registry came back as of change 3 (champion 1.0.0), and change 6 "
                "(champion 1.1.0) holds here: it has lost model 1.1.0, of which there is no copy "
                "here; promote or roll back what is to serve",
            )
            put(world.models, NEW)  # somebody brings it
            await until(lambda: world.models == expected)
            await asyncio.sleep(6.0)
            assert instance.health().status == "ok"

    with caplog.at_level(logging.WARNING, logger=LOGGER):
        run(scenario())
    assert len(said(caplog)) == 2, "once that it is so, once that it is put right"


def test_a_registry_that_was_changed_since_is_followed_when_a_person_says_what_serves() -> None:
    world = a_world()
    before = world.models.snapshot()

    async def scenario() -> None:
        async with world.instance() as instance:
            serve(world.models, NEW)
            await serves(instance, "1.1.0")
            keep_copies(world)
            world.models.restore(before)
            put(world.models, OTHER)
            for one in (transitions.registered, transitions.staged):
                change(world.models, step(one, "1.2.0"))
                ring(world)
                await asyncio.sleep(20.0)
                assert instance.version == "1.1.0"
                assert "it was changed since" in instance.health().reasons[0]
            change(
                world.models,
                step(PROMOTED, "1.2.0"),
            )
            ring(world)
            await serves(instance, "1.2.0")
            assert instance.health().status == "ok"

    run(scenario())
    assert put_back(world) == []


def test_a_restart_that_the_same_loss_brought_about_remembers_and_adopts_nothing() -> None:
    """What fences one off may be the same loss; an empty registry would get a first model."""
    world, memory = a_world(), RegistryMemory()

    async def scenario() -> None:
        async with world.instance(memory=memory) as instance:
            serve(world.models, NEW)
            await serves(instance, "1.1.0")
            keep_copies(world)
        expected = world.models.snapshot()
        for snapshot in (KeptModels(), expected):
            world.models.restore(snapshot)
            async with world.instance(memory=memory) as instance:
                await serves(instance, "1.1.0")
                assert world.models == expected

        world.models.restore(KeptModels())
        world.copies = {}
        async with world.instance(memory=memory) as instance:
            await instance.idle()
            assert world.models == KeptModels(), "nor is an older one put in its place"
            assert "has lost model" in instance.parts.deployment.trouble

    run(scenario())
    assert len(put_back(world)) == 1


@pytest.mark.parametrize("name", ["publish", "models.change where the models stand"])
def test_putting_back_is_done_again_until_it_is_done_and_told(name: str) -> None:
    world = a_world()
    before = world.models.snapshot()

    async def scenario() -> None:
        faults = Away()
        async with world.instance(faults) as instance:
            serve(world.models, NEW)
            await serves(instance, "1.1.0")
            keep_copies(world)
            expected = world.models.snapshot()
            world.models.restore(before)
            faults.names = frozenset({name})
            ring(world)
            await asyncio.sleep(20.0)
            faults.names = frozenset()
            await until(lambda: world.models == expected and len(put_back(world)) == 1)

    run(scenario())


def test_the_trainer_takes_no_step_on_a_registry_that_went_back() -> None:
    """It would build on a champion of before, and what was lost could not be put back any more."""
    world, script = a_learning_world(), Script([candidate(1)])

    async def scenario() -> None:
        async with learning(world, script) as instance:
            await instance.idle()
            before = world.models.snapshot()
            serve(world.models, OTHER)
            ring(world)
            await serves(instance, "1.2.0")
            expected = world.models.snapshot()
            world.models.restore(before)
            ring(world)
            await until(lambda: instance.parts.deployment.trouble != "")
            send_examples(world, 50)
            await asyncio.sleep(30.0)
            assert world.models.registry_state == before.registry_state
            assert world.models.history == before.history
            put(world.models, OTHER)
            await until(lambda: world.models.history[: len(expected.history)] == expected.history)
            await until(lambda: update_of(world).state != "training")

    run(scenario())
    assert set(script.parents) <= {"1.2.0"}


@pytest.mark.parametrize("is_restarted", [False, True])
def test_an_update_that_went_back_is_not_made_again_under_its_number(is_restarted: bool) -> None:
    """Its number is its name in the audit and the draw of what is replayed."""
    world, memory = a_learning_world(), RegistryMemory()
    script = Script([candidate(1)] * 3)

    async def scenario() -> None:
        snapshots = [world.models.snapshot()]
        instance = world.instance(memory=memory)
        instance.trainer = a_worker(script)
        async with instance:
            send_examples(world, 50)
            await reached(world, "watching")
            snapshots.append(world.models.snapshot())
            send_examples(world, 10, hours=2)
            await reached(world, "idle")
            keep_copies(world)
            for number, snapshot in enumerate(snapshots, 2):
                world.models.restore(snapshot)
                if is_restarted:
                    await instance.__aexit__(None, None, None)
                    instance = world.instance(memory=memory)
                    instance.trainer = a_worker(script)
                    await instance.__aenter__()
                send_examples(world, 60, hours=3 * number)
                await reached(world, "watching", number)
                keep_copies(world)
                send_examples(world, 10, hours=3 * number + 2)
                await reached(world, "idle", number)

    run(scenario())
    for name, entries in audit(world).items():
        assert all(entry == entries[0] for entry in entries), name
    assert script.draws == [1, 2, 3]


@pytest.mark.parametrize("next_vote", [False, True], ids=["a quiet minute", "the next vote"])
@pytest.mark.parametrize("counted", [0, 12])
def test_votes_that_the_store_has_lost_under_an_instance_are_counted_again(
    counted: int, next_vote: bool
) -> None:
    world, expected = World(), World()
    votes, last = random_votes(3), [vote(0, "eve", "fraud")]
    play(expected, votes[:counted])
    play(expected, votes[counted:])
    play(expected, last)
    play(world, votes[:counted])

    async def scenario() -> None:
        snapshot = world.cases.snapshot()
        async with world.instance() as instance:
            await instance.idle()
            world.send_feedback(votes[counted:])
            await instance.idle()
            assert world.cases.cases != snapshot.cases
            world.cases.restore(snapshot)
            if next_vote:
                world.send_feedback(last)
            await asyncio.sleep(130.0)
            assert instance.task is not None
            await instance.task

    with pytest.raises(FencedError):
        run(scenario())
    run(world_through(world, None))
    if not next_vote:
        play(world, last)
    assert kept(world) == kept(expected)


def test_a_store_of_cases_that_is_away_in_a_quiet_hour_ends_nothing() -> None:
    world, away = World(), Away()

    async def scenario() -> None:
        async with world.instance(away) as instance:
            world.send_feedback([vote(0, "ann", "fraud")])
            await instance.idle()
            away.names = frozenset({"cases.read how far feedback was counted"})
            await asyncio.sleep(3_600.0)
            away.names = frozenset()
            await instance.stop()

    run(scenario())


def test_who_counts_no_more_does_not_mind_what_others_count() -> None:
    """A feedback partition that went to another one comes back with more counted, or less."""
    world = World()

    async def scenario() -> None:
        async with world.instance() as instance:
            world.send_feedback([vote(0, "ann", "fraud")])
            await instance.idle()
            instance.ports.broker.assignment = frozenset  # type: ignore[method-assign]
            world.cases.restore(World().cases)
            await asyncio.sleep(300.0)
            assert instance.task is not None
            assert not instance.task.done()

    run(scenario())


def test_a_savepoint_that_went_back_is_gone_on_from() -> None:
    """It has all that it names, and what came since is read again."""
    world, script = a_learning_world(updates=ON_DEMAND), Script()

    async def scenario() -> None:
        await save_examples(world, script, 25)
        snapshot = world.savepoints.snapshot()
        async with learning(world, script):
            send_examples(world, 25, hours=1)
            await saved_to(world, 50)
            world.savepoints.restore(snapshot)
            assert kept_to(world) == 25
            send_examples(world, 25, hours=2)
            await saved_to(world, 75)
        world.savepoints.restore(snapshot)
        async with learning(world, script):
            await until(lambda: len(script.restored) == 2)
            ask(world)
            await reached(world, "idle")

    run(scenario())
    assert script.restored == [25, 25]
    assert script.seen == [list(range(75))]


def test_a_savepoint_that_was_lost_while_it_was_written_is_not_named() -> None:
    world, script = a_learning_world(updates=ON_DEMAND), Script()

    async def scenario() -> None:
        await save_examples(world, script, 25)
        snapshot = world.savepoints.snapshot()
        instance = world.instance()
        instance.trainer = a_worker(script)
        await instance.open()
        keep = instance.ports.savepoints.keep

        async def late(before: Savepoint | None, after: Savepoint) -> None:
            world.savepoints.restore(snapshot)
            await keep(before, after)

        instance.ports.savepoints.keep = late  # type: ignore[method-assign]
        async with instance.started():
            send_examples(world, 25, hours=1)
            await until(lambda: len(script.saved) == 2)
            await asyncio.sleep(10.0)
            assert world.savepoints == snapshot

    run(scenario())
