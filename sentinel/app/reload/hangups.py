"""A hangup signal: the file and the environment are read once more, and what may change does.

Nothing changes where the file is refused, such as one that is half written.
"""

import asyncio
import logging
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sentinel.app.reload.settings import LiveSettings, Reread
from sentinel.core.applied import settings_entry
from sentinel.errors import ConfigError
from sentinel.operations.operating.telling import changes_text
from sentinel.records import AuditEntry

log = logging.getLogger(__name__)

_STREAMS = (0, 1, 2)


@contextmanager
def hangups(asked: asyncio.Event, stop: Callable[[], None]) -> Iterator[None]:
    """Sets `asked` on each SIGHUP; where a terminal that was there has gone, stops."""
    loop = asyncio.get_running_loop()
    terminals = [number for number in _STREAMS if _is_terminal(number)]

    def on_hangup() -> None:
        if all(_is_terminal(number) for number in terminals):
            asked.set()
        else:
            stop()

    loop.add_signal_handler(signal.SIGHUP, on_hangup)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGHUP)


def _is_terminal(number: int) -> bool:
    try:
        return os.isatty(number)
    except OSError:
        return False


async def reload_when_asked(settings: LiveSettings, asked: asyncio.Event) -> None:
    """Read the file once more as often as it is asked for, until cancelled."""
    while True:
        await asked.wait()
        asked.clear()
        await reread(settings)


async def reread(settings: LiveSettings) -> Reread | None:
    """Take up what the file says now; None where it is refused, and nothing changes."""
    try:
        found = await asyncio.to_thread(settings.read)
        done = settings.take_file(found)
    except ConfigError as error:
        settings.trouble = f"the configuration was read again and is refused: {error}"
        log.error("nothing changes: %s", settings.trouble)
        return None
    settings.trouble = ""
    log.info("the configuration was read again: %s", changes_text(done.changed))
    if done.changed:
        settings.memory.add(_entry(done))
    if done.restart:
        log.warning("needs a restart: %s", ", ".join(done.restart))
    if done.held:
        log.warning(
            "applied by %s, and over the file until `sentinel config reset`: %s",
            settings.applied.who, ", ".join(done.held),
        )  # fmt: skip
    return done


def _entry(done: Reread) -> AuditEntry:
    """What the audit keeps: of this instance alone, whose operator has sent the signal."""
    name, at_ms = f"{socket.gethostname()}-{os.getpid()}", time.time_ns() // 1_000_000
    return settings_entry(
        f"config-{name}-{at_ms}",
        done.changed,
        who=f"SIGHUP to {name}",
        why="the file was read again",
        at_ms=at_ms,
        what="read again",
    )
