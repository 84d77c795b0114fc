"""Waiting for tasks, and ending them for certain."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

_ASK_AGAIN_S = 0.5


async def end(tasks: Iterable["asyncio.Task[Any]"]) -> None:
    """Cancel tasks and wait until they have ended; what they raise is not raised here.

    Asks again until they have. On Python 3.11 `asyncio.wait_for`, by which redis-py sends every
    command, forgets a cancellation that comes in the same moment as its result: the task would work
    on, and whoever waits for its end would wait for ever.
    """
    tasks = list(tasks)
    pending = {task for task in tasks if not task.done()}
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=_ASK_AGAIN_S)
    # Looked at, or asyncio complains of an exception that nobody saw.
    await asyncio.gather(*tasks, return_exceptions=True)


async def outlast(
    wanted: "asyncio.Task[Any]",
    running: "Sequence[asyncio.Task[None]]",
) -> None:
    """Wait for one task; raises what ends it, or one of those that run beside it."""
    while True:
        for task in running:
            if task.done():
                task.result()
        if wanted.done():
            wanted.result()
            return
        beside = [task for task in running if not task.done()]
        await asyncio.wait([wanted, *beside], return_when=asyncio.FIRST_COMPLETED)
