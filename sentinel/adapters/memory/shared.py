"""What the stores in memory have in common: how they are opened."""

from typing import Generic, Self, TypeVar

from sentinel.adapters.memory.faults import Faults

K = TypeVar("K")


class OnShared(Generic[K]):
    """A store on what a server would keep, which several stores may share and which outlives them.

    Parameters
    ----------
    faults
        Which calls fail, and how; none by default.
    """

    def __init__(self, kept: K, *, faults: Faults | None = None) -> None:
        self._kept = kept
        self._faults = faults or Faults()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass
