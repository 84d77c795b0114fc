"""How worker processes begin and end."""

import asyncio
import ctypes
import multiprocessing
import os
import resource
import signal
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor

PR_SET_PDEATHSIG = 1  # from linux/prctl.h


def executor(
    worker_count: int,
    *,
    niceness: int,
    memory_bytes_max: int = 0,
    prepare: Callable[[], None] | None = None,
) -> ProcessPoolExecutor:
    """Worker processes that start on their first request; `prepare` is called in each before it."""
    return ProcessPoolExecutor(
        worker_count,
        mp_context=multiprocessing.get_context("spawn"),  # fork is unsafe where threads run
        initializer=begin,
        initargs=(os.getpid(), niceness, memory_bytes_max, prepare),
    )


async def stop(pool: ProcessPoolExecutor) -> None:
    """End the workers at once, busy or not."""
    # The executor has no public way to end a busy worker before Python 3.14.
    processes = list((pool._processes or {}).values())
    for process in processes:
        process.kill()
    # Joins the executor's thread and collects the processes; they are dead, so it is short. Once: a
    # second call finds no thread to wait for.
    await asyncio.to_thread(pool.shutdown, wait=True, cancel_futures=True)


def begin(
    parent: int, niceness: int, memory_bytes_max: int, prepare: Callable[[], None] | None
) -> None:
    """Die with the parent, leave Ctrl-C to it, and stay out of the way of scoring."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(niceness)
    if memory_bytes_max:
        resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes_max, memory_bytes_max))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before that call
            os._exit(1)
    if prepare is not None:
        prepare()
