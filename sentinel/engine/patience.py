"""Trying again: said once, after waits that double, and said again when it is over."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from sentinel.errors import RecordError, TransientError

log = logging.getLogger(__name__)


_LASTING_S = 5.0  # of waits: what is over before is no state of health


class Patience:
    """How long to wait for something that fails and may come back.

    Parameters
    ----------
    what
        What does not work meanwhile, as the beginning of a sentence.
    wait_s, wait_s_max
        The first wait, and the longest.

    Attributes
    ----------
    trouble
        What does not work, and why, once that has lasted some seconds; empty while it works.
    """

    def __init__(
        self,
        what: str,
        *,
        wait_s: float = 1.0,
        wait_s_max: float = 10.0,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        assert 0 < wait_s <= wait_s_max
        self._what = what
        self._first_s = self._next_s = wait_s
        self._wait_s_max = wait_s_max
        self._clock_s = clock_s
        self._since_s: float | None = None
        self._waited_s = 0.0
        self.trouble = ""

    def wait_s(self, error: Exception) -> float:
        """How long to wait before the next try; says why, if it is the first one that failed."""
        if self._since_s is None:
            self._since_s = self._clock_s()
            log.warning("%s: %s", self._what, error)
        if self._waited_s >= _LASTING_S:
            self.trouble = f"{self._what}: {error}"
        wait_s, self._next_s = self._next_s, min(2 * self._next_s, self._wait_s_max)
        self._waited_s += wait_s
        return wait_s

    async def failed(self, error: Exception) -> None:
        """Wait before the next try."""
        await asyncio.sleep(self.wait_s(error))

    def over(self) -> None:
        """It works, or works again."""
        if self._since_s is not None:
            log.info("%s: that is over after %.0f s", self._what, self._clock_s() - self._since_s)
        self._since_s, self._next_s = None, self._first_s
        self._waited_s, self.trouble = 0.0, ""

    def around(
        self, step: Callable[[], Awaitable[None]], let_go: Callable[[], None]
    ) -> Callable[[], Awaitable[None]]:
        """The step, after whose failure all is let go of; the next one comes after a wait."""

        async def patient_step() -> None:
            try:
                await step()
                self.over()
            except (TransientError, RecordError) as error:
                let_go()
                await self.failed(error)

        return patient_step
