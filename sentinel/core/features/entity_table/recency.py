"""When the slots of a table were used last, and which of them may leave memory for others."""

import numpy as np
from numpy.typing import NDArray

from sentinel.core.features.entity_table.memory import zeroed
from sentinel.records import Ints

# Slots looked at when room is made: enough to find old ones, few enough not to hold the loop.
_SAMPLE = 65_536
_SHARE = 8


class Recency:
    """Of slots below a limit: the turn in which each was used last.

    Parameters
    ----------
    slot_count_max
        Slots are numbered below it.
    """

    def __init__(self, slot_count_max: int) -> None:
        self._last_used: Ints = zeroed(slot_count_max, np.int64)  # 0 is a free slot
        self._hand = 0
        self._turn = 1

    def begin_turn(self) -> None:
        """What was used so far may leave, what is used from here on stays."""
        self._turn += 1

    def touch(self, slots: Ints) -> None:
        """These are used in this turn."""
        self._last_used[slots] = self._turn

    def forget(self, slots: Ints) -> None:
        """Nobody has these any more."""
        self._last_used[slots] = 0

    def taken(self, begin: int, end: int) -> Ints:
        """The slots from `begin` to `end` that somebody has, ascending."""
        return begin + np.flatnonzero(self._last_used[begin:end])

    def oldest(self, end: int, waits: NDArray[np.bool_]) -> Ints:
        """The least recently used of a span of the slots below `end`; none if none may leave."""
        for _ in range(0, self._last_used.size, _SAMPLE):
            begin = self._hand if self._hand < end else 0
            span = slice(begin, min(begin + _SAMPLE, end))
            self._hand = span.stop
            used = self._last_used[span]
            old = np.flatnonzero((used > 0) & (used < self._turn) & ~waits[span])
            count = max(used.size // _SHARE, 1)
            if old.size > count:
                old = old[np.argpartition(used[old], count)[:count]]
            if old.size:
                return begin + old
        return np.zeros(0, dtype=np.int64)
