"""The archive at work, with the loop and the signals that it needs."""

import asyncio

import uvloop

from sentinel.app.archiving import ArchivingStatus, archive
from sentinel.app.ending import limit_s, signals, until_done
from sentinel.config import Config
from sentinel.engine.archive.archiver import Counts


def archive_until_stopped(config: Config, *, exit_when_idle_s: float | None) -> Counts:
    """Archive until a signal comes, or nothing has for so long; what was done."""
    seen = ArchivingStatus()

    async def main() -> None:
        stop = asyncio.Event()

        def watch(status: ArchivingStatus) -> None:
            nonlocal seen
            seen = status
            if exit_when_idle_s is not None and status.idle_s >= exit_when_idle_s:
                stop.set()

        may_take_s = config.engine.shutdown_s_max
        with signals(stop, limit_s(may_take_s), lambda: None):
            working = asyncio.create_task(archive(config, stop, watch))
            await until_done(working, (), stop, lambda: may_take_s)

    uvloop.run(main())
    return seen.counts
