"""How what runs until it is told to stop comes to its end, and by when.

Told to stop, what is owned is handed over in order. What the world outside holds up for longer is
broken off: the next start replays it. What nobody can break off, such as a kernel that is being
compiled, is left behind.
"""

import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Collection, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from sentinel.engine.tasks import end

log = logging.getLogger(__name__)

T = TypeVar("T")

AT_ONCE = 130  # the exit code of a second signal
CLOSE_S_MAX = 1.0  # to say goodbye and close connections, once all is handed over
_MARGIN_S = 3.0  # what is broken off closes what it has, mostly within one; then it ends at once
_THREAD_NAME = "abandonable"


@contextmanager
def signals(stop: asyncio.Event, limit_s: float, leave: Callable[[], None]) -> Iterator[None]:
    """The first signal stops in order, the second at once, as does `limit_s` after the first.

    `leave` is called before an end at once. That is no SystemExit: asyncio would cancel the
    clients' own tasks, and then wait for what only these could bring. Replay makes any end
    harmless.
    """
    loop = asyncio.get_running_loop()

    def at_once() -> None:
        leave()
        os._exit(AT_ONCE)

    def too_late() -> None:
        log.error("the end took longer than %.0f s and was cut short; nothing is lost", limit_s)
        at_once()

    timer = threading.Timer(limit_s, too_late)  # not the loop's: it may be what hangs
    timer.daemon = True

    def on_signal() -> None:
        if stop.is_set():
            at_once()
        stop.set()
        timer.start()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal)
    try:
        yield
    finally:
        timer.cancel()


def limit_s(shutdown_s_max: float, *children_s: float) -> float:
    """After which an end is cut short: the handing over, the goodbyes, and each kind of child."""
    return shutdown_s_max + CLOSE_S_MAX + _MARGIN_S + sum(children_s)


async def unless_stopped(work: Coroutine[Any, Any, T], stop: asyncio.Event) -> T | None:
    """What comes of some work that owns nothing yet; None when told to stop before its end."""
    working = asyncio.create_task(work)
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        await end([stopping, working])


async def until_done(
    working: "asyncio.Task[Any]",
    beside: Collection["asyncio.Task[None]"],
    stop: asyncio.Event,
    grace_s: Callable[[], float],
) -> None:
    """Wait for the work to end; what any task beside it raises ends it, too.

    Once told to stop it may take so long, as asked at that moment, and is broken off then.
    """
    clock_s = asyncio.get_running_loop().time
    stopping = asyncio.create_task(stop.wait())
    pending: set[asyncio.Task[Any]] = {working, stopping, *beside}
    until_s: float | None = None
    try:
        while working in pending:
            wait_s = None if until_s is None else max(until_s - clock_s(), 0.0)
            done, pending = await asyncio.wait(
                pending, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                task.result()
            if stopping in done:
                until_s = clock_s() + grace_s()
            if not done:
                if wait_s:
                    log.warning("the end takes too long and is broken off; the next start goes on")
                return
    finally:
        await end([stopping, working, *beside])


async def abandonable(work: Callable[[], T]) -> T:
    """Run it in a thread that nobody waits for once this is cancelled; end by `leave_abandoned`."""
    executor = ThreadPoolExecutor(1, thread_name_prefix=_THREAD_NAME)
    try:
        return await asyncio.get_running_loop().run_in_executor(executor, work)
    finally:
        executor.shutdown(wait=False)


def leave_abandoned(code: int = 0) -> None:
    """End this process if a thread was left behind, which Python would wait for otherwise."""
    if not any(thread.name.startswith(_THREAD_NAME) for thread in threading.enumerate()):
        return
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)
