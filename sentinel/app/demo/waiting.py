"""The demo's clock waits for whatever the system has yet to do, and charges the wait.

Played at full speed, half a year would be over before a label of its first weeks is weighed. So
the clock stands still until everything that follows from what was sent has followed: decisions,
votes and labels, the archive, the trainer, a new model in its place. It does not stand still for
nothing: each second of such a wait costs `PACE` seconds of event time, in which the stream goes on.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable

from sentinel.app.demo.hearing import Hearing
from sentinel.app.demo.sending import EventClock
from sentinel.errors import TransientError

PACE = 600.0  # event time by real time while something is waited for: ten minutes a second
_TICK_S = 0.02
_CHARGE_S = 0.25  # less at once would be many records of one transaction each
_WAIT_S_MAX = 600.0

Met = Callable[[], bool]


class WaitingClock:
    """Waits, listens meanwhile, and has the stream go on at `PACE`.

    Attributes
    ----------
    spent_s
        Real seconds, by what was waited for.
    """

    def __init__(self, clock: EventClock, hearing: Hearing) -> None:
        self._clock = clock
        self._hearing = hearing
        self._now_s = asyncio.get_running_loop().time
        self.spent_s: defaultdict[str, float] = defaultdict(float)

    async def until(self, what: str, met: Met, *, patience_s: float | None = None) -> None:
        """Until it is so, or for so long; without a limit TransientError when it never is."""
        begun_s = charged_s = self._now_s()
        while not met():
            await self._hearing.listen(_TICK_S)
            now_s = self._now_s()
            if patience_s is not None and now_s - begun_s > patience_s:
                break
            if now_s - begun_s > _WAIT_S_MAX:
                raise TransientError(f"the demo has waited {_WAIT_S_MAX:.0f} s for {what}")
            if now_s - charged_s >= _CHARGE_S:
                await self._charge(now_s - charged_s)
                charged_s = now_s
        now_s = self._now_s()
        await self._charge(now_s - charged_s)
        self.spent_s[what] += now_s - begun_s

    async def _charge(self, seconds: float) -> None:
        await self._clock.advance(self._clock.now_ms + round(seconds * PACE * 1000))
