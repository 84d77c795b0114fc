"""The listener beside a run: it answers before there is an instance, and between two."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from sentinel.app.monitoring.announcing import announce_listener, forget_listener
from sentinel.app.monitoring.pages import pages
from sentinel.app.status import Status
from sentinel.engine.tasks import end


@asynccontextmanager
async def listening(status: Status, directory: Path) -> AsyncIterator[set["asyncio.Task[None]"]]:
    """Listen until the end; gives the task that does, if the configuration wants one."""
    if not status.config.http.bind:
        yield set()
        return
    from sentinel.adapters.http.listener import Listener  # takes a tenth of a second

    def announce(address: str) -> None:
        announce_listener(address, directory)

    listener = Listener(status.config.http, pages(status), announce)
    status.listener_trouble = lambda: listener.trouble
    task = asyncio.create_task(listener.run(), name="listener")
    try:
        yield {task}
    finally:
        await end([task])
        forget_listener(directory)
