"""How the world fails: the process dies at a call, or calls of some names go wrong."""

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sentinel.adapters.memory import Faults
from sentinel.errors import TransientError


class CrashError(Exception):
    """The process is gone: no call of it reaches the world any more."""


@dataclass(slots=True)
class Doom(Faults):
    """Ends the process at adapter call number `crash_at`, before or after its effect."""

    crash_at: int | None = None
    is_dead: bool = False

    def _fails(self, number: int) -> bool:
        if self.is_dead:
            raise CrashError
        self.is_dead = number == self.crash_at
        return self.is_dead or Faults._fails(self, number)

    def _fail(self, name: str, number: int) -> None:
        if self.is_dead:
            raise CrashError
        Faults._fail(self, name, number)


class DoomAt(Doom):
    """Ends the process at the call number `countdown` of a name, before its effect."""

    def __init__(self, name: str, countdown: int = 1, *, is_armed: bool = True) -> None:
        super().__init__()
        self._name = name
        self._countdown = countdown
        self.is_armed = is_armed

    @contextmanager
    def call(self, name: str) -> Iterator[None]:
        if self.is_armed and name == self._name:
            self._countdown -= 1
            if self._countdown == 0:
                self.crash_at = self.call_count + 1
        with super().call(name):
            yield


class Part(Faults):
    """One part of a world, whose calls have names of their own in the plan for all of it."""

    def __init__(self, whole: Faults, prefix: str) -> None:
        super().__init__()
        self._whole = whole
        self._prefix = prefix

    @contextmanager
    def call(self, name: str) -> Iterator[None]:
        with self._whole.call(self._prefix + name):
            yield


class DoomAmong(Doom):
    """Counts, and fails or ends the process at, calls of some names only; all end with it.

    Attributes
    ----------
    situation
        Tells at each of these calls how things stand, which `situations` remembers.
    """

    def __init__(self, names: Callable[[str], bool], **plan: Any) -> None:
        super().__init__(**plan)
        self._is_counted = names
        self.names: list[str] = []
        self.situation: Callable[[], Hashable] = lambda: None
        self.situations: list[Hashable] = []

    @contextmanager
    def call(self, name: str) -> Iterator[None]:
        if self._is_counted(name):
            self.names.append(name)
            self.situations.append(self.situation())
            with super().call(name):
                yield
        elif self.is_dead:
            raise CrashError
        else:
            yield


TAIL = frozenset({"tail.poll", "tail.seek"})
CASES = frozenset(
    {
        "cases.read how far feedback was counted",
        "cases.read cases",
        "cases.read annotators",
        "cases.save cases",
    }
)
EXPLAINER = frozenset({"contributions"})
STORE = frozenset(
    {
        *("claim", "load_owned", "load_shared", "save", "partition_state"),
        *("facts", "owner", "note_owner", "history"),
    }
)
BROKER = frozenset(
    {
        *("ensure_topics", "look", "subscribe", "poll", "seek", "committed", "commit"),
        *("start_offset", "end_offset", "publish", "flush"),
    }
)


@dataclass(slots=True)
class Away(Faults):
    """Calls of the names that it holds fail, as long as it holds them."""

    names: frozenset[str] = frozenset()

    @contextmanager
    def call(self, name: str) -> Iterator[None]:
        if name in self.names:
            raise TransientError(f"{name}: the store is away")
        with Faults.call(self, name):
            yield


class Gone(Faults):
    """One part of the world goes away at the call number `begin` to it, and stays away."""

    def __init__(self, names: frozenset[str], begin: int) -> None:
        super().__init__()
        self._names = names
        self._countdown = begin

    @contextmanager
    def call(self, name: str) -> Iterator[None]:
        if name in self._names:
            self._countdown -= 1
            if self._countdown <= 0:
                self.failed = name
                raise TransientError(f"{name}: it is away for good")
        with super().call(name):
            yield


class Noted(Faults):
    """Notes the names of the calls."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    @contextmanager
    def call(self, name: str) -> Iterator[None]:
        self.names.append(name)
        with super().call(name):
            yield
