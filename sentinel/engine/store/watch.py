"""Whether the store still holds what it was given: it may have had to drop some of it."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypedDict

from sentinel.errors import ConfigError, StateLostError
from sentinel.ports import PartitionState, StateStore, StoreFacts

log = logging.getLogger(__name__)

# A store that drops entries again so soon after they were read from the log anew will go on so:
# whatever is decided meanwhile is flagged.
_REBUILD_AGAIN_MS = 600_000


@dataclass(frozen=True, slots=True)
class Evictions:
    """How many entries the store had dropped in a run of its server."""

    run: str = ""
    count: int = 0

    def since(self, before: "Evictions") -> int:
        """How many more than before; another run has begun to count anew."""
        return self.count - before.count if self.run == before.run else self.count


class StoreStamp(TypedDict):
    """The words of a PartitionState that are the store's."""

    store_run: str
    evicted_count: int
    rebuilt_ms: int


class StoreWatch:
    """Compares what the store says of itself with what it said before.

    Attributes
    ----------
    is_doubtful
        Whether an entity that the store does not know may be one that it has dropped.
    """

    def __init__(
        self, store: StateStore, *, clock_ms: Callable[[], int] = lambda: time.time_ns() // 10**6
    ) -> None:
        self._store = store
        self._clock_ms = clock_ms
        self._facts: StoreFacts | None = None
        self._whole = Evictions()  # as of when all that was saved was there
        self._rebuilt_ms = 0
        self._lost_count = 0

    @property
    def is_doubtful(self) -> bool:
        return self._lost_count > 0

    @property
    def may_evict(self) -> bool:
        """Whether the store may drop entries at any time, as far as it tells."""
        return self._facts is not None and bool(self._facts.may_evict)

    @property
    def trouble(self) -> str:
        """What is wrong with the store, or may become so; empty if nothing is."""
        if self._lost_count:
            return f"redis has dropped {self._lost_count:,} keys for want of memory"
        return self._facts.may_evict if self._facts is not None else ""

    async def begin(self) -> None:
        """Before anything is loaded. Raises ConfigError when the store cannot be used."""
        self._facts = await self._store.facts()
        if self._facts is None:
            log.warning("the store does not tell how it is (the ACL rule +info lets it): "
                        "whether it drops entries cannot be seen")  # fmt: skip
            return
        if self._facts.unfit:
            raise ConfigError(f"redis.url: {self._facts.unfit}")
        for risk in (self._facts.may_evict, self._facts.may_forget):
            if risk:
                log.warning("%s", risk)
        self._whole = _evictions(self._facts)

    def lost_since(self, stored: PartitionState) -> int:
        """How many entries were dropped since a partition was saved, and are to be read anew.

        None again at once: then its decisions are flagged instead.
        """
        now = self._whole
        if self._facts is None or not (
            lost := now.since(Evictions(stored.store_run, stored.evicted_count))
        ):
            self._rebuilt_ms = max(self._rebuilt_ms, stored.rebuilt_ms)
            return 0
        if self._clock_ms() - stored.rebuilt_ms < _REBUILD_AGAIN_MS:
            log.warning("the store has dropped %d keys again: what may lack state is flagged", lost)
            self._lost_count, self._rebuilt_ms = lost, stored.rebuilt_ms
            self._whole = Evictions(stored.store_run, stored.evicted_count)
            return 0
        log.warning("the store has dropped %d keys: the log is read again from its beginning", lost)
        self._rebuilt_ms = self._clock_ms()
        return lost

    def doubt(self, lost_count: int) -> None:
        """Not all that was dropped can be read again: the log begins later."""
        self._lost_count = max(self._lost_count, lost_count)

    def stamp(self) -> StoreStamp:
        """What a partition that is saved now notes in its state."""
        return StoreStamp(
            store_run=self._whole.run,
            evicted_count=self._whole.count,
            rebuilt_ms=self._rebuilt_ms,
        )

    async def check(self) -> None:
        """Raises StateLostError when entries were dropped, unless that is known and flagged."""
        facts = await self._store.facts()
        if facts is None:
            return
        self._facts = facts
        if (lost := _evictions(facts).since(self._whole)) <= self._lost_count:
            return
        if self._lost_count == 0 and self._clock_ms() - self._rebuilt_ms >= _REBUILD_AGAIN_MS:
            raise StateLostError(
                f"redis has dropped {lost:,} keys for want of memory: what it lacks is read from "
                "the log again; give it more memory, and set maxmemory-policy to noeviction"
            )
        self._lost_count = lost


def _evictions(facts: StoreFacts) -> Evictions:
    return Evictions(facts.run, facts.evicted_count)
