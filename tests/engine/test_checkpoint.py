"""A cut that could not be completed has taken nothing with it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from sentinel.engine.scoring.checkpoint import EVERYTHING, Checkpoints
from sentinel.engine.store.owner import check_log
from sentinel.errors import TransientError
from sentinel.ports import TopicLog
from tests.engine.clock import run
from tests.engine.faults import Away
from tests.engine.samples import a_config, transactions
from tests.engine.world import MemoryInstance, World

SENT = transactions(300, account_count=40)
Scene = Callable[[MemoryInstance, Checkpoints, Away], Awaitable[None]]


def world_of(scene: Scene) -> World:
    """A world in which all is decided and not stored, and then this happens between turns."""
    world, away = World(config=a_config(2, snapshot_after_s=600.0)), Away()
    world.send(SENT)

    async def scenario() -> None:
        async with world.instance(away) as instance:
            await instance.idle()
            async with instance.parts.pipeline._turn:
                await instance.parts.pipeline._finish()
                await scene(instance, instance.parts.checkpoints, away)
            await instance.stop()

    run(scenario())
    return world


async def nothing(instance: MemoryInstance, checkpoints: Checkpoints, away: Away) -> None:
    assert checkpoints.is_behind, "else no cut has anything to take"


@pytest.mark.parametrize("call", ["flush", "commit", "save"])
def test_what_a_failed_cut_has_taken_goes_with_the_next_one(call: str) -> None:
    """A rebalance may be told first of a commit that failed, and the next cut comes meanwhile."""

    async def fail_once(instance: MemoryInstance, checkpoints: Checkpoints, away: Away) -> None:
        earlier = checkpoints.cut(row_count_max=EVERYTHING)
        for at in earlier.positions:
            checkpoints.forget(at)  # else there is nothing to commit
        away.names = frozenset({call})
        try:
            await checkpoints.complete(earlier)
        except TransientError:
            assert call != "save", "what the store does not take waits, and is no failure"
        away.names = frozenset()
        assert checkpoints.is_behind
        await checkpoints.complete(checkpoints.cut(row_count_max=EVERYTHING))

    assert world_of(fail_once).blobs() == world_of(nothing).blobs()


def test_a_cut_that_is_saved_before_an_earlier_one_does_not_promise_its_rows() -> None:
    """Killed between the two, a replay must begin where the rows of the earlier one do."""
    promised: dict[int, tuple[int, int]] = {}

    async def overtaken(instance: MemoryInstance, checkpoints: Checkpoints, away: Away) -> None:
        oldest = {
            number: instance.parts.state.replay_from(number, partition.next_offset)
            for number, partition in instance.parts.partitions.items()
        }
        earlier = checkpoints.cut(row_count_max=EVERYTHING)
        later = checkpoints.cut(row_count_max=EVERYTHING)
        for one in later.snapshots:
            number = one.partition.at.partition
            promised[number] = (one.state.replay_from, oldest[number])
        await checkpoints.complete(later)
        await checkpoints.complete(earlier)

    found = world_of(overtaken)

    assert promised
    assert all(replay_from == first for replay_from, first in promised.values())
    assert any(first < 100 for _, first in promised.values())
    assert found.blobs() == world_of(nothing).blobs()


def test_a_cut_that_is_cancelled_gives_back_what_it_has_taken() -> None:
    async def cancelled(instance: MemoryInstance, checkpoints: Checkpoints, away: Away) -> None:
        async def until_told() -> None:
            await asyncio.Event().wait()

        hanging = replace(checkpoints.cut(row_count_max=EVERYTHING), settles=(until_told,))
        completing = asyncio.create_task(checkpoints.complete(hanging))
        await asyncio.sleep(0)
        completing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await completing
        assert checkpoints.is_behind
        await checkpoints.complete(checkpoints.cut(row_count_max=EVERYTHING))

    assert world_of(cancelled).blobs() == world_of(nothing).blobs()


def test_who_hears_second_of_a_topic_made_anew_waits_until_all_is_stored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The error of the one that has nothing to store would end the other while it writes."""

    async def another(*asked: Any) -> TopicLog | None:
        task = asyncio.current_task()
        if task is not None and task.get_name() == "hears":
            raise TransientError("the topic was made anew")
        return await check_log(*asked)  # of the instance, which goes on

    async def made_anew(instance: MemoryInstance, checkpoints: Checkpoints, away: Away) -> None:
        await checkpoints.check_log()
        save = checkpoints._store.save

        async def slowly(at: Any, fence: Any, blobs: Any, state: Any) -> Any:
            await asyncio.sleep(float(len(blobs)))
            return await save(at, fence, blobs, state)

        with monkeypatch.context() as patch:
            patch.setattr("sentinel.engine.scoring.checkpoint.check_log", another)
            patch.setattr(checkpoints._store, "save", slowly)
            both = {asyncio.create_task(checkpoints.check_log(), name="hears") for _ in range(2)}
            _, running = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            for one in running:
                one.cancel()
            await asyncio.gather(*both, return_exceptions=True)
        assert not checkpoints.is_behind

    assert world_of(made_anew).blobs() == world_of(nothing).blobs()
