"""Ending tasks for certain."""

import asyncio
from collections.abc import Iterable
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
