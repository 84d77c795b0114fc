"""How long to wait before another try, and when to give up."""

import asyncio
import logging
import random

from sentinel.engine.params import EngineParams
from sentinel.errors import FencedError, RefusedError, TransientError

log = logging.getLogger(__name__)


def failures_in_a_row(before: int, error: TransientError, *, has_committed: bool) -> int:
    """How many there are with this one, which begins a new row if it came behind some progress.

    What else was committed while a topic took nothing is none.
    """
    is_progress = has_committed and not isinstance(error, RefusedError)
    return 1 if is_progress else before + 1


async def back_off(
    error: TransientError, failures: int, params: EngineParams, stop: asyncio.Event
) -> None:
    """Wait after so many failures in a row, at most until stopped; too many raise the last one."""
    if stop.is_set():
        log.warning("%s; it stops, and the next start goes on from the last commit", error)
        return
    if failures > params.restart_count_max:
        raise error
    # Jitter keeps many instances from coming back in step.
    wait_s = min(2.0**failures * 0.1, params.backoff_s_max) * random.uniform(0.5, 1)  # noqa: S311
    level = logging.INFO if isinstance(error, FencedError) else logging.WARNING
    log.log(level, "%s; starting again in %.1f s", error, wait_s)
    try:
        async with asyncio.timeout(wait_s):
            await stop.wait()
    except TimeoutError:
        return
