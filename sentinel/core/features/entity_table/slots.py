"""Which rows of an array are taken: those given back are taken again before fresh ones."""

from sentinel.core.features.entity_table.dirty_rows import ints
from sentinel.records import Ints


class Slots:
    """Numbers below a limit, taken and given back.

    Attributes
    ----------
    used_count
        Numbers that were ever taken: all in use lie below it.
    """

    def __init__(self, count_max: int) -> None:
        self._count_max = count_max
        self._free: list[int] = []
        self.used_count = 0

    @property
    def free_count(self) -> int:
        """How many can still be taken."""
        return len(self._free) + self._count_max - self.used_count

    def take(self, count: int) -> Ints:
        """So many numbers that nobody has; there are as many."""
        assert count <= self.free_count
        kept = max(len(self._free) - count, 0)
        reused = self._free[kept:]
        del self._free[kept:]
        fresh = range(self.used_count, self.used_count + count - len(reused))
        self.used_count += len(fresh)
        return ints([*reused, *fresh])

    def give_back(self, slots: Ints) -> None:
        """Nobody has these any more."""
        self._free += slots.tolist()
