"""Memory near its limit: caches shrink before the kernel kills, and grow again later.

The only large cache is entity state: what the store has, it gives back when it is asked, so that
the same is decided with less in memory, at the price of asking more often. What waits to be
written stays. While the store is away nothing leaves: it could not be had again.
"""

import asyncio
from collections.abc import Callable, Collection

from sentinel.core.features.entity_table.table import EntityTable
from sentinel.metrics import Metrics
from sentinel.ports.machine import Machine, MachineLook

LOOK_S = 1.0
_NEAR_SHARE = 0.9  # of the limit: from here on caches shrink
_WANTED_SHARE = 0.85  # by so much that it would be this
_ROOMY_SHARE = 0.75  # below it they grow again, slowly
_GROW_S = 10.0
_GROW_PART = 16  # by a 16th of what there may be at most
_KEPT_SHARE_MIN = 0.5  # at one look no more than half goes
_FLOOR_BATCHES = 8  # so many entities a batch's rows may name, and those prepared ahead
_SHED_COUNT = 8_192  # a few milliseconds


class Relief:
    """Judges readings of the machine, and sheds between two turns of the pipeline.

    Parameters
    ----------
    tables, maxima
        The caches, and how many entities each may hold at most.
    is_store_away
        Whether what leaves could not be read again now.
    """

    def __init__(
        self,
        machine: Machine,
        tables: Collection[EntityTable],
        metrics: Metrics,
        *,
        batch_count_max: int,
        is_store_away: Callable[[], bool],
        clock_s: Callable[[], float],
    ) -> None:
        self._machine = machine
        self._tables = {table.plan.entity: table for table in tables}
        self._maxima = {table.plan.entity: table.limit for table in tables}
        self._metrics = metrics
        self._floor = _FLOOR_BATCHES * batch_count_max
        self._is_store_away = is_store_away
        self._clock_s = clock_s
        self._is_due = False
        self._grown_s = 0.0
        self._look = MachineLook()

    async def run(self, on_look: Callable[[MachineLook], None]) -> None:
        """Look every second, until cancelled; `on_look` is told, too."""
        while True:
            self.judge(await self._machine.look())
            on_look(self._look)
            await asyncio.sleep(LOOK_S)

    def judge(self, look: MachineLook) -> None:
        """Decide how many entities may be in memory; `shed` carries it out."""
        self._look = look
        if look.limit_bytes is None or look.used_bytes is None:
            return
        if look.used_bytes >= _NEAR_SHARE * look.limit_bytes:
            if not self._is_store_away():
                self._shrink(look.used_bytes - _WANTED_SHARE * look.limit_bytes)
        elif look.used_bytes < _ROOMY_SHARE * look.limit_bytes:
            self._grow()
        # What had to be written first leaves later.
        self._is_due = any(self._limited()) and not self._is_store_away()

    def _shrink(self, excess_bytes: float) -> None:
        """All tables by the same share, down to what some batches need."""
        held = sum(table.used_bytes for table in self._tables.values())
        kept = max(1.0 - excess_bytes / max(held, 1), _KEPT_SHARE_MIN)
        for table in self._tables.values():
            now = min(table.limit, len(table))
            table.set_limit(min(max(round(kept * now), self._floor), table.limit))
        self._grown_s = self._clock_s()

    def _grow(self) -> None:
        if self._clock_s() - self._grown_s < _GROW_S:
            return
        self._grown_s = self._clock_s()
        for entity in self._limited():
            table, most = self._tables[entity], self._maxima[entity]
            table.set_limit(min(table.limit + -(-most // _GROW_PART), most))

    def _limited(self) -> list[str]:
        """The tables that may hold less than they were meant to."""
        return [name for name, table in self._tables.items() if table.limit < self._maxima[name]]

    async def shed(self) -> None:
        """Between two turns: let those leave that are too many, if there are any."""
        if not self._is_due:
            return
        self._is_due = False
        for table in self._tables.values():
            while count := table.shed(_SHED_COUNT):
                self._metrics.entities_shed += count
                await asyncio.sleep(0)

    @property
    def trouble(self) -> str:
        """That memory is near its limit, and what was made of it; empty if all is well."""
        used, limit = self._look.used_bytes, self._look.limit_bytes
        limited = self._limited()
        if used is None or limit is None or (used < _NEAR_SHARE * limit and not limited):
            return ""
        told = f"memory is near its limit: {used / 2**20:,.0f} of {limit / 2**20:,.0f} MB"
        if limited:
            parts = [f"{self._tables[n].limit:,} of {self._maxima[n]:,} {n}s" for n in limited]
            return f"{told}; at most {', '.join(parts)} are kept in it, the others are read again"
        if self._is_store_away():
            return f"{told}; nothing can leave it while the state store is away"
        return f"{told}; what takes it is no cache of entities"
