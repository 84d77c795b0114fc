"""Documents, indexes and lists that a store keeps by name, and one change of several of them.

Whatever is kept beside entity state is kept so: cases, the registry, updates, savepoints, reports.
What is kept, and under which names, its owner in `stores/` says; how, an adapter.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

SCORE_MAX = 2**53  # of an index: servers keep scores as float64
LIFETIME_S_MIN = 0.001


@dataclass(frozen=True, slots=True)
class Change:
    """What is to become of documents, indexes and lists, and on which conditions.

    A name belongs to one document, one index or one list for good.

    Attributes
    ----------
    expected
        Documents as they must be, to the byte; None where there must be none.
    present
        Documents that must be there, whatever they hold.
    puts
        Documents as they are to be: each takes the place of what was there.
    lifetimes
        Seconds until a document is forgotten, None for never: of those that are put, where never is
        the default, and of others. Of one that is not there nothing comes.
    removed
        Documents that go.
    indexed, unindexed
        By index: members with their scores, by which they are ordered, and members that leave,
        which do so first. A member that is there already moves.
    newest
        By index: how many members of the highest scores are kept.
    appended
        By list: entries for its end.
    """

    expected: Mapping[str, bytes | None] = field(default_factory=dict)
    present: Collection[str] = ()
    puts: Mapping[str, bytes] = field(default_factory=dict)
    lifetimes: Mapping[str, float | None] = field(default_factory=dict)
    removed: Collection[str] = ()
    indexed: Mapping[str, Mapping[bytes, int]] = field(default_factory=dict)
    unindexed: Mapping[str, Collection[bytes]] = field(default_factory=dict)
    newest: Mapping[str, int] = field(default_factory=dict)
    appended: Mapping[str, Sequence[bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        assert not any(name in self.puts or name in self.lifetimes for name in self.removed)
        lifetimes_s = {one for one in set(self.lifetimes.values()) if one is not None}
        assert all(one >= LIFETIME_S_MIN for one in lifetimes_s)
        assert min(self.newest.values(), default=1) > 0
        for members in self.indexed.values():
            assert max(map(abs, members.values()), default=0) <= SCORE_MAX

    @property
    def indexes(self) -> list[str]:
        """Every index that it touches, each once."""
        return list(dict.fromkeys([*self.indexed, *self.unindexed, *self.newest]))

    @property
    def kept_otherwise(self) -> dict[str, float | None]:
        """The lifetimes of documents that are not put."""
        if self.lifetimes.keys() <= self.puts.keys():
            return {}
        return {name: life for name, life in self.lifetimes.items() if name not in self.puts}


class Documents(Protocol):
    """A space of names. Every method raises TransientError when the store is out of reach.

    `doing` is what a person is told could not be done.
    """

    async def get(self, names: Sequence[str], *, doing: str) -> list[bytes | None]:
        """The documents of these names at one instant, None where there is none."""
        ...

    async def newest(self, index: str, begin: int, count: int, *, doing: str) -> list[bytes]:
        """Members of an index from place `begin` on: highest score first, then highest bytes."""
        ...

    async def entries(self, name: str, begin: int, count: int, *, doing: str) -> list[bytes]:
        """Entries of a list from place `begin` on, the oldest first."""
        ...

    async def change(self, change: Change, *, doing: str) -> bool:
        """Make all of a change, or nothing; False when its conditions do not hold.

        Nothing is changed, either, when the store refuses any part of it. When the answer is lost,
        TransientError, it may have been made.
        """
        ...

    async def clear(self, *, doing: str) -> int:
        """Forget everything; returns how many documents, indexes and lists there were."""
        ...
