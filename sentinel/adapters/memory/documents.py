"""The document store in memory."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Self, TypeVar

from sentinel.adapters.memory.faults import Faults
from sentinel.documents import Change

D = TypeVar("D", bound="MemoryDatabase")


@dataclass
class MemoryDatabase:
    """What a Redis server would keep; it outlives the stores that are opened on it.

    Attributes
    ----------
    clock_s
        The server's: a document expires by it.
    documents, until_s
        By name, and until when those are there that are not for good.
    indexes
        By name: score by member.
    """

    clock_s: Callable[[], float] = lambda: 0.0
    documents: dict[str, bytes] = field(default_factory=dict)
    until_s: dict[str, float] = field(default_factory=dict)
    indexes: dict[str, dict[bytes, int]] = field(default_factory=dict)
    lists: dict[str, list[bytes]] = field(default_factory=dict)

    def snapshot(self: D) -> D:
        """A copy of it as it is now."""
        copy = type(self)(self.clock_s)
        copy.restore(self)
        return copy

    def restore(self, snapshot: "MemoryDatabase") -> None:
        """Be again as it was: what was written since is lost."""
        self.documents, self.until_s = dict(snapshot.documents), dict(snapshot.until_s)
        self.indexes = {name: dict(members) for name, members in snapshot.indexes.items()}
        self.lists = {name: list(entries) for name, entries in snapshot.lists.items()}

    def find(self, name: str) -> bytes | None:
        """A document, unless it has expired."""
        if self.until_s.get(name, float("inf")) <= self.clock_s():
            self.documents.pop(name, None)
            self.until_s.pop(name, None)
        return self.documents.get(name)

    def newest(self, index: str) -> list[bytes]:
        """Members of an index as a sorted set orders them, the highest first."""
        members = self.indexes.get(index, {})
        return sorted(members, key=lambda member: (members[member], member), reverse=True)


class MemoryDocuments:
    """`documents.Documents` on a `MemoryDatabase` that several of them may share.

    Parameters
    ----------
    faults
        Which calls fail, and how; none by default. A call has the name of what is being done.
    """

    def __init__(self, kept: MemoryDatabase, *, faults: Faults | None = None) -> None:
        self._kept = kept
        self._faults = faults or Faults()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def get(self, names: Sequence[str], *, doing: str) -> list[bytes | None]:
        if not names:
            return []
        with self._faults.call(doing):
            return [self._kept.find(name) for name in names]

    async def newest(self, index: str, begin: int, count: int, *, doing: str) -> list[bytes]:
        with self._faults.call(doing):
            return self._kept.newest(index)[begin : begin + count]

    async def entries(self, name: str, begin: int, count: int, *, doing: str) -> list[bytes]:
        with self._faults.call(doing):
            return self._kept.lists.get(name, [])[begin : begin + count]

    async def change(self, change: Change, *, doing: str) -> bool:
        with self._faults.call(doing):
            find = self._kept.find
            holds = all(find(name) == wanted for name, wanted in change.expected.items())
            if holds and all(find(name) is not None for name in change.present):
                self._make(change)
                return True
        return False

    async def clear(self, *, doing: str) -> int:
        with self._faults.call(doing):
            kept = (self._kept.documents, self._kept.indexes, self._kept.lists, self._kept.until_s)
            count = sum(len(one) for one in kept[:3])
            for one in kept:
                one.clear()
        return count

    def _make(self, change: Change) -> None:
        kept = self._kept
        for name in change.indexes:
            members = kept.indexes.setdefault(name, {})
            for member in change.unindexed.get(name, ()):
                members.pop(member, None)
            members |= change.indexed.get(name, {})
            for member in kept.newest(name)[change.newest.get(name, len(members)) :]:
                del members[member]
        for name, entries in change.appended.items():
            kept.lists.setdefault(name, []).extend(entries)
        for name in change.removed:
            kept.documents.pop(name, None)
            kept.until_s.pop(name, None)
        kept.documents |= {name: bytes(value) for name, value in change.puts.items()}
        for name in (*change.puts, *change.kept_otherwise):
            kept.until_s.pop(name, None)
            lifetime_s = change.lifetimes.get(name)
            if lifetime_s is not None and name in kept.documents:
                kept.until_s[name] = kept.clock_s() + lifetime_s
