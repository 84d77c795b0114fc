"""What is told to stop ends in order while that goes fast, and is broken off when it does not."""

import asyncio
import threading

import pytest

from sentinel.app.ending import abandonable, limit_s, unless_stopped, until_done


async def test_work_that_owns_nothing_is_left_when_told_to_stop() -> None:
    """Also what runs in a thread and cannot be told anything."""
    stop, begun, release = asyncio.Event(), threading.Event(), threading.Event()

    def compiles() -> bool:
        begun.set()
        return release.wait(60)

    working = asyncio.create_task(unless_stopped(abandonable(compiles), stop))
    await asyncio.to_thread(begun.wait, 60)
    stop.set()

    assert await working is None
    release.set()


async def test_work_that_is_done_before_gives_what_it_found() -> None:
    assert await unless_stopped(abandonable(lambda: 7), asyncio.Event()) == 7


async def test_what_work_raises_is_raised() -> None:
    def fails() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await unless_stopped(abandonable(fails), asyncio.Event())


async def test_an_end_that_takes_longer_than_it_may_is_broken_off() -> None:
    stop, closed = asyncio.Event(), []

    async def hangs() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            closed.append(True)

    working = asyncio.create_task(hangs())
    stop.set()
    await until_done(working, (), stop, lambda: 0.0)

    assert working.cancelled()
    assert closed == [True]


async def test_an_end_in_order_is_awaited() -> None:
    stop = asyncio.Event()
    ended = []

    async def hands_over() -> None:
        await stop.wait()
        await asyncio.sleep(0)
        ended.append(True)

    working = asyncio.create_task(hands_over())
    asyncio.get_running_loop().call_soon(stop.set)
    await until_done(working, (), stop, lambda: 60.0)

    assert ended == [True]


async def test_what_a_task_beside_raises_ends_the_work() -> None:
    async def fails() -> None:
        raise ValueError("the server died")

    working = asyncio.create_task(asyncio.Event().wait())
    beside = asyncio.create_task(fails())
    with pytest.raises(ValueError, match="the server died"):
        await until_done(working, [beside], asyncio.Event(), lambda: 60.0)
    assert working.cancelled()


def test_children_have_time_of_their_own() -> None:
    assert limit_s(5.0, 5.0, 2.0) == limit_s(5.0) + 7.0
