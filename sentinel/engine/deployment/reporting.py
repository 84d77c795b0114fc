"""An instance tells what it serves: the registry knows only what is meant to serve.

What it says expires soon after it was said last, so whoever has died says nothing any more. What
was so before is kept with its times, for whoever asks what served at a time.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace

from sentinel.errors import TransientError
from sentinel.ports import ReportStore
from sentinel.stored.versions import ServingReport

log = logging.getLogger(__name__)

_LOOK_S = 1.0
_REPEAT_S = 10.0
TTL_S = 45.0  # three repetitions may get lost


class Reporting:
    """Says what serves whenever that changes, and now and then.

    Parameters
    ----------
    now
        What serves; its times are not looked at.
    clock_ms
        Epoch milliseconds.
    """

    def __init__(
        self, store: ReportStore, now: Callable[[], ServingReport], *, clock_ms: Callable[[], int]
    ) -> None:
        self._store = store
        self._now = now
        self._clock_ms = clock_ms
        self._last: ServingReport | None = None
        self._is_failing = False

    async def run(self) -> None:
        """Report until cancelled. A store that is away is told later."""
        while True:
            try:
                await self.look()
                self._is_failing = False
            except TransientError as error:
                if not self._is_failing:
                    log.warning("it cannot be told what serves: %s", error)
                self._is_failing = True
            await asyncio.sleep(_REPEAT_S if self._is_failing else _LOOK_S)

    async def look(self) -> None:
        """Say what serves, if that is something else than before, or was said some time ago."""
        now_ms, last, found = self._clock_ms(), self._last, self._now()
        since_ms = now_ms
        if last is not None and last.is_same(found):
            if now_ms - last.until_ms < _REPEAT_S * 1000:
                return
            since_ms = last.since_ms
        elif last is not None:
            await self._store.end(replace(last, until_ms=now_ms))
            self._last = None  # what has ended is ended once, though the next word may get lost
        report = replace(found, since_ms=since_ms, until_ms=now_ms)
        await self._store.report(report, ttl_s=TTL_S)
        self._last = report

    async def stop(self) -> None:
        """Nothing serves here any more."""
        if self._last is None:
            return
        try:
            await self._store.end(replace(self._last, until_ms=self._clock_ms()))
        except TransientError as error:
            log.info("it cannot be told that nothing serves here any more: %s", error)
