"""Tasks end when they are told to, even if the first word is lost on them."""

import asyncio

from sentinel.engine.tasks import end
from tests.engine.clock import run


def test_a_task_that_loses_a_cancellation_ends_all_the_same() -> None:
    """As `asyncio.wait_for` does on Python 3.11, when its result comes in the same moment."""
    lost = 0

    async def works_on() -> None:
        nonlocal lost
        while True:
            try:
                await asyncio.sleep(10.0)
            except asyncio.CancelledError:
                lost += 1
                if lost == 3:
                    raise

    async def scenario() -> None:
        tasks = [asyncio.create_task(works_on()), asyncio.create_task(asyncio.sleep(60.0))]
        await asyncio.sleep(1.0)
        await end(tasks)
        assert all(task.cancelled() for task in tasks)

    run(scenario())
    assert lost == 3


def test_what_an_ended_task_raised_is_not_raised_again() -> None:
    async def fails() -> None:
        raise ValueError

    async def scenario() -> None:
        task = asyncio.create_task(fails())
        await asyncio.sleep(0)
        await end([task])
        await end([])

    run(scenario())
