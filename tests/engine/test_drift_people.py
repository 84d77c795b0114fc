"""What a person says of an alarm, while the watch goes on."""

from sentinel.core.drift.telling import DriftView
from sentinel.operations.drift.acting import acknowledge
from tests.engine.clock import run, until
from tests.engine.test_drift import (
    BROKEN_FROM,
    a_world,
    alarms,
    counting,
    kept,
    live,
    told,
)
from tests.engine.world import MemoryInstance

_BATCH_COUNT = 60


def seen(instance: MemoryInstance) -> DriftView:
    """What whoever looks at the instance is shown; nothing, where it does not watch."""
    return instance.parts.drift.view() or DriftView()


def test_an_alarm_that_somebody_has_seen_closes_by_itself_and_says_who_it_was() -> None:
    world = a_world()
    sent = live(mended_from=BROKEN_FROM + 600)

    async def scenario() -> None:
        await told(world)
        async with world.instance() as instance:
            assert instance.parts.drift.view() is None
            await counting(instance)
            is_acknowledged = False
            for begin in range(0, len(sent), _BATCH_COUNT):
                world.send(sent[begin : begin + _BATCH_COUNT])
                await instance.idle()
                if begin == BROKEN_FROM + 480:
                    await until(lambda: seen(instance).open_count > 0)
                    assert "distance up" in seen(instance).first
                    store = kept(world)
                    (alarm,) = [one for one in await store.alarms(10) if one.column == "distance"]
                    await acknowledge(store, alarm.id, who="ann", note="they mend it", at_ms=1)
                    is_acknowledged = True
            assert is_acknowledged
            await until(lambda: seen(instance).open_count == 0 and instance.metrics.summaries > 0)
            assert seen(instance).first_since_ms is not None
            await instance.stop()

    run(scenario())

    closed = [one for one in alarms(world) if one.column == "distance"][-1]
    assert (closed.status, closed.acknowledged_by, closed.note) == ("closed", "ann", "they mend it")


def test_a_reference_that_somebody_forgets_is_compared_with_no_longer() -> None:
    """At once, and what was open is over: nobody goes on judging it."""
    world = a_world()
    sent = live()[: BROKEN_FROM + 480]

    async def scenario() -> int:
        await told(world)
        async with world.instance() as instance:
            await counting(instance)
            for begin in range(0, len(sent), _BATCH_COUNT):
                world.send(sent[begin : begin + _BATCH_COUNT])
                await instance.idle()
            await until(lambda: seen(instance).open_count > 0)
            watch = instance.parts.drift.watch
            assert watch is not None
            assert not watch.is_gathering
            await kept(world).forget_reference("v1")
            await until(lambda: seen(instance).is_reference_missing)
            await until(lambda: seen(instance).open_count == 0)
            another = instance.parts.drift.watch
            assert another is not None
            await instance.stop()
            return another.reference.row_count

    assert run(scenario()) == 0
    closed = [one for one in alarms(world) if one.column == "distance"][-1]
    assert (closed.status, closed.is_superseded) == ("closed", True)
