"""Whether the clock of this machine is right, by when the broker says that records came.

Nothing that is decided depends on this clock: event times are held against the records' own. But
latency is measured by it, and what is done when (updates, audit, reports) is told by it.
"""

from collections.abc import Callable

from sentinel.records import Floats

_WINDOW_S = 60.0
_STALE_S = 300.0  # after so long without records nothing is known any more


class RecordClock:
    """Compares times of records with the clock, minute by minute.

    A record cannot come before it was sent: if all records of a minute are ahead, the clock is
    behind. If all are behind by much, though none waits to be read, the clock is ahead; or else
    whoever sends them is late.

    Parameters
    ----------
    lag
        Records that wait; None where nobody knows.
    clock_ms
        The clock that is judged.
    skew_s_max
        A smaller difference is none; 0 turns this off.
    """

    def __init__(
        self,
        *,
        lag: Callable[[], int | None],
        clock_ms: Callable[[], int],
        clock_s: Callable[[], float],
        skew_s_max: float,
    ) -> None:
        self._lag = lag
        self._clock_ms = clock_ms
        self._clock_s = clock_s
        self._skew_s_max = skew_s_max
        self._begun_s: float | None = None
        self._oldest_s = self._newest_s = 0.0  # ages of this minute's records, the extremes
        self._was_current = True  # whether there was nothing more to read, all the time
        self._trouble = ""
        self._judged_s = 0.0

    def note(self, stamps_ms: Floats) -> None:
        """Records were decided that came at these times."""
        if not stamps_ms.size or not self._skew_s_max:
            return
        now_s, now_ms = self._clock_s(), self._clock_ms()
        oldest_s = (now_ms - float(stamps_ms.min())) / 1000.0
        newest_s = (now_ms - float(stamps_ms.max())) / 1000.0
        is_current = self._lag() == 0
        if self._begun_s is None:
            self._begun_s = now_s
            self._oldest_s, self._newest_s, self._was_current = oldest_s, newest_s, is_current
            return
        self._oldest_s = max(self._oldest_s, oldest_s)
        self._newest_s = min(self._newest_s, newest_s)
        self._was_current &= is_current
        if now_s - self._begun_s >= _WINDOW_S:
            self._trouble, self._judged_s = self._judged(), now_s
            self._begun_s = None

    def _judged(self) -> str:
        if self._oldest_s < -self._skew_s_max:
            return (
                f"records come from {-self._oldest_s:,.0f} s ahead: the clock of this machine is "
                "behind, or those of all who send are ahead"
            )
        if self._was_current and self._newest_s > self._skew_s_max:
            return (
                f"records are {self._newest_s:,.0f} s old when they come: the clock of this "
                "machine is ahead, or whoever sends them is late"
            )
        return ""

    @property
    def trouble(self) -> str:
        """By how much the clock differs; empty if it does not, or nothing has come for long."""
        return self._trouble if self._clock_s() - self._judged_s < _STALE_S else ""
