"""Which rows of an array are taken: those given back are taken again before fresh ones."""

from sentinel.core.features.entity_table.dirty_rows import ints
from sentinel.records import Ints


class Slots:
    """Numbers below a limit, taken and given back.

    Attributes
    ----------
    limit
        No number from here on is taken any more; those that are taken stay until given back.
    used_count
        Numbers that were ever taken: all in use lie below it.
    """

    def __init__(self, count_max: int) -> None:
        self._free: list[int] = []
        self._withheld: list[int] = []  # given back, and not below the limit
        self.limit = count_max
        self.used_count = 0

    @property
    def free_count(self) -> int:
        """How many can still be taken."""
        return len(self._free) + max(self.limit - self.used_count, 0)

    @property
    def taken_count(self) -> int:
        """How many somebody has."""
        return self.used_count - len(self._free) - len(self._withheld)

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
        self._free += slots[slots < self.limit].tolist()
        self._withheld += slots[slots >= self.limit].tolist()

    def set_limit(self, limit: int) -> None:
        """Take none from here on, or all that are below."""
        given_back = ints([*self._free, *self._withheld])
        self.limit = limit
        self._free, self._withheld = [], []
        self.give_back(given_back)
