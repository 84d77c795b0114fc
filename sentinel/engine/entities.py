"""Bringing the entities of a batch into memory, one round trip for each kind."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

import numpy as np

from sentinel.core.features.state import FeatureState
from sentinel.core.features.table import EntityTable, TableFullError
from sentinel.engine.params import EngineParams
from sentinel.engine.partitions import InputPartition
from sentinel.errors import FencedError, TransientError
from sentinel.metrics import Metrics
from sentinel.ports import StateStore
from sentinel.records import Transactions

log = logging.getLogger(__name__)


class EntityLoader:
    """Admits what is missing, from the store if it answers, else empty until it does.

    Parameters
    ----------
    clock_s
        Monotonic seconds.

    Attributes
    ----------
    make_room
        Awaited when every row in memory waits to be written.
    """

    def __init__(
        self,
        state: FeatureState,
        store: StateStore,
        metrics: Metrics,
        params: EngineParams,
        *,
        partitions: Mapping[int, InputPartition],
        clock_s: Callable[[], float],
    ) -> None:
        self._state = state
        self._store = store
        self._partitions = partitions
        self._metrics = metrics
        self._params = params
        self.make_room: Callable[[], Awaitable[None]] = _no_room
        self._clock_s = clock_s
        self._away_since_s: dict[str, float] = {}  # by entity kind: one may fail, another not

    @property
    def away_since_s(self) -> float | None:
        """Since when the store does not answer; None while it does."""
        return min(self._away_since_s.values(), default=None)

    async def load(self, rows: Transactions, more: Transactions | None = None) -> list[int]:
        """Admit every entity of the rows, and of `more` rows as if they stood behind.

        Returns the rows that use an entity not yet loaded.
        """
        if more is not None:
            entities = {kind: [*keys, *more.entities[kind]] for kind, keys in rows.entities.items()}
            numbers = np.concatenate([rows.partition, more.partition])
            rows = replace(rows, entities=entities, partition=numbers)  # no more is looked at here
        missing = self._state.missing(rows)
        found = await self._ask_for_all(missing)
        for entity, keys in missing.items():
            await self._admit(entity, keys, found.get(entity))
        for table in self._state.tables.values():
            await self._make_parts(table, rows)
        return self._incomplete(rows)

    async def _make_parts(self, table: EntityTable, rows: Transactions) -> None:
        """Give each entity the part of its row's partition: a fold has no room to make."""
        slots = table.find(rows.entities[table.plan.entity])
        try:
            table.part_slots(slots, rows.partition)
        except TableFullError:
            await self.make_room()
            try:
                table.part_slots(slots, rows.partition)
            except TableFullError as error:
                raise _full(table.plan.entity) from error

    async def settle(self) -> None:
        """Join what was folded while the store was away with what it knew."""
        for entity, table in self._state.tables.items():
            if keys := list(table.unloaded)[:10_000]:
                blobs = (await self._ask_for_all({entity: keys})).get(entity, [])
                for key, parts in zip(keys, blobs, strict=False):
                    self._metrics.state_unreadable += table.settle(key, parts)

    async def _ask_for_all(
        self, missing: Mapping[str, list[str]]
    ) -> dict[str, list[dict[int, bytes]]]:
        """What the store knows of each kind; a kind that could not be asked for is left out.

        An owner that wakes up after its partition went to another would read what that one has
        written since, and decide what it has in hand from the state behind it. So whoever has read
        asks whether it still is the owner. Raises FencedError.
        """
        asked = {entity: await self._ask(entity, keys) for entity, keys in missing.items()}
        found = {entity: blobs for entity, blobs in asked.items() if blobs is not None}
        if not found:
            return {}
        try:
            await self._store.check({p.at: p.epoch for p in self._partitions.values()})
        except FencedError:
            raise
        except TransientError as error:
            for entity in found:
                self._note_away(entity, error)
            return {}
        return found

    async def _ask(self, entity: str, keys: list[str]) -> list[dict[int, bytes]] | None:
        try:
            if entity == "account":
                owned = await self._store.load_owned(entity, keys)
                found = [{} if data is None else {-1: data} for data in owned]
            else:
                found = await self._store.load_shared(entity, keys)
        except TransientError as error:
            self._note_away(entity, error)
            return None
        self._away_since_s.pop(entity, None)
        return found

    def _note_away(self, entity: str, error: TransientError) -> None:
        """Score on from memory for a while; after `outage_s_max` stop rather than guess."""
        now_s = self._clock_s()
        if not self._away_since_s:
            log.warning("the state store is away, scoring from memory: %s", error)
        since_s = self._away_since_s.setdefault(entity, now_s)
        if now_s - since_s > self._params.outage_s_max:
            raise error

    async def _admit(
        self, entity: str, keys: list[str], blobs: list[dict[int, bytes]] | None
    ) -> None:
        if self._state.tables[entity].has_room(len(keys)):
            self._metrics.state_unreadable += self._state.admit(entity, keys, blobs)
            return
        for i, key in enumerate(keys):
            found_blobs = None if blobs is None else [blobs[i]]
            try:
                found = self._state.admit(entity, [key], found_blobs)
            except TableFullError:
                await self.make_room()
                found = self._admit_now(entity, key, found_blobs)
            self._metrics.state_unreadable += found

    def _admit_now(self, entity: str, key: str, blobs: list[dict[int, bytes]] | None) -> int:
        """Admit after room was made. Raises TransientError when there is none all the same."""
        try:
            return self._state.admit(entity, [key], blobs)
        except TableFullError as error:
            raise _full(entity) from error

    def _incomplete(self, rows: Transactions) -> list[int]:
        tables = self._state.tables.items()
        waiting = {entity: table.unloaded for entity, table in tables if table.unloaded}
        if not waiting:
            return []
        return [
            i
            for i in range(len(rows.entities["account"]))
            if any(rows.entities[entity][i] in keys for entity, keys in waiting.items())
        ]


async def _no_room() -> None:
    raise TransientError("every entity in memory waits to be written, and nothing can write")


def _full(entity: str) -> TransientError:
    return TransientError(
        f"{entity}: every row in memory is in use or waits to be written; "
        "is the store away, or entities_max below a few batches?"
    )
