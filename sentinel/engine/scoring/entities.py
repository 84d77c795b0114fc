"""Bringing the entities of a batch into memory: asked for ahead, admitted when its turn comes."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from sentinel.core.features.entity_table.table import EntityTable, TableFullError
from sentinel.core.features.state import FeatureState
from sentinel.engine.params import EngineParams
from sentinel.engine.partitions.input_partition import InputPartition
from sentinel.engine.store.watch import StoreWatch
from sentinel.errors import FencedError, TransientError
from sentinel.metrics import Metrics
from sentinel.ports import StateStore
from sentinel.records import Transactions
from sentinel.texts import Texts, joined

log = logging.getLogger(__name__)

# A store that has just failed is left alone for so long, lest every batch wait for its timeout.
_ASK_AGAIN_S = 0.25

Parts = list[dict[int, bytes]]
Found = dict[str, tuple[Texts, Parts]]  # by entity kind: keys, and what the store has of each


@dataclass(frozen=True, slots=True)
class StoreAnswer:
    """What the store said of entities that a batch will need, before its turn has come."""

    missing: Found = field(default_factory=dict)
    stale: Found = field(default_factory=dict)
    departures: dict[str, int] = field(default_factory=dict)  # of each kind, when it was asked


class EntityLoader:
    """Admits what is missing, from the store if it answers, else empty until it does.

    Parameters
    ----------
    partitions
        The input partitions that this instance folds; kept up to date by the caller.
    clock_s
        Monotonic seconds.
    """

    def __init__(
        self,
        state: FeatureState,
        store: StateStore,
        metrics: Metrics,
        params: EngineParams,
        *,
        partitions: Mapping[int, InputPartition],
        watch: StoreWatch,
        clock_s: Callable[[], float],
    ) -> None:
        self._state = state
        self._store = store
        self._partitions = partitions
        self._watch = watch
        self._metrics = metrics
        self._params = params
        self._clock_s = clock_s
        self._away_since_s: dict[str, float] = {}  # by entity kind: one may fail, another not
        self._failed_s: dict[str, float] = {}

    @property
    def away_since_s(self) -> float | None:
        """Since when the store does not answer; None while it does."""
        return min(self._away_since_s.values(), default=None)

    async def ask(self, rows: Transactions) -> StoreAnswer:
        """What the store knows of entities that are missing, or that others may have changed.

        Changes nothing, since batches before this one may still be worked on.
        """
        departures = self._departures()
        missing, stale = await asyncio.gather(
            self._ask_all(self._state.lacking(rows)), self._ask_all(self._stale(rows))
        )
        return StoreAnswer(missing, stale, departures)

    def _departures(self) -> dict[str, int]:
        return {entity: table.departure_count for entity, table in self._state.tables.items()}

    async def _ask_all(self, wanted: Mapping[str, Texts]) -> Found:
        """What the store knows of each kind; a kind that could not be asked for is left out.

        An owner that wakes up after its partition went to another would read what that one has
        written since, and decide what it has in hand from the state behind it. So the store answers
        none but the owners. Raises FencedError.
        """
        found = await asyncio.gather(*(self._ask(entity, keys) for entity, keys in wanted.items()))
        return {
            entity: (keys, parts)
            for (entity, keys), parts in zip(wanted.items(), found, strict=True)
            if parts is not None
        }

    def _stale(self, rows: Transactions) -> dict[str, Texts]:
        """Entities of these rows that other instances fold, too, and that were loaded long ago."""
        before_ms = self._now_ms() - round(self._params.refresh_s * 1000.0)
        found = {
            entity: table.stale(rows.entities[entity], before_ms)
            for entity, table in self._state.tables.items()
            if table.plan.shared and len(self._partitions) < table.partition_count
        }
        return {entity: keys for entity, keys in found.items() if len(keys)}

    def _now_ms(self) -> int:
        return round(self._clock_s() * 1000.0)

    async def load(
        self,
        rows: Transactions,
        more: Transactions | None = None,
        answer: StoreAnswer = StoreAnswer(),
    ) -> list[int]:
        """Admit every entity of the rows, and of `more` rows as if they stood behind.

        What `answer` holds was asked for before; the rest is asked for now. Returns the rows that
        use an entity not yet loaded. Raises TableFullError when every row in memory waits to be
        written; it can be tried again then.
        """
        if more is not None:
            entities = {
                kind: joined([keys, more.entities[kind]]) for kind, keys in rows.entities.items()
            }
            numbers = np.concatenate([rows.partition, more.partition])
            rows = replace(rows, entities=entities, partition=numbers)  # no more is looked at here
        missing = self._state.missing(rows)
        departures = self._departures()
        # An entity may have come, changed and left since the store was asked: its answer is old.
        known = [e for e in answer.missing if answer.departures[e] == departures[e]]
        for entity in missing.keys() & known:
            self._admit(entity, *answer.missing[entity])
            if more is None:
                del missing[entity]  # since nothing has left, what is missing now was so then
        if missing and known:
            missing = self._state.missing(rows)
        found = await self._ask_all(missing)
        for entity, keys in missing.items():
            self._admit(entity, *found.get(entity, (keys, None)))
        for table in self._state.tables.values():
            self._make_parts(table, rows)
        for entity, (keys, parts) in answer.stale.items():
            self._refresh(entity, keys, parts)
        return self._incomplete(rows)

    def _refresh(self, entity: str, keys: Texts, parts: Parts) -> None:
        """Put what other instances have folded meanwhile in the place of what they had before."""
        table = self._state.tables[entity]
        own = frozenset(self._partitions)
        for key, blobs in zip(keys.strings(), parts, strict=True):
            try:
                self._metrics.state_unreadable += table.refresh(key, blobs, own)
            except TableFullError:
                return  # there is room for no more: they stay as they were
        table.note_loaded(keys, self._now_ms())

    def _make_parts(self, table: EntityTable, rows: Transactions) -> None:
        """Give each entity the part of its row's partition: a fold has no room to make."""
        slots = table.find(rows.entities[table.plan.entity])
        table.part_slots(slots, rows.partition)

    async def settle(self) -> None:
        """Join what was folded while the store was away with what it knew."""
        for entity, table in self._state.tables.items():
            if not table.unloaded:
                continue
            keys = Texts.of(list(table.unloaded)[:10_000])
            _, parts = (await self._ask_all({entity: keys})).get(entity, (keys, []))
            for key, blobs in zip(keys.strings(), parts, strict=False):
                self._metrics.state_unreadable += table.settle(key, blobs)

    async def _ask(self, entity: str, keys: Texts) -> Parts | None:
        """What the store has of each key; None when it does not answer."""
        if self._clock_s() - self._failed_s.get(entity, -_ASK_AGAIN_S) < _ASK_AGAIN_S:
            return None
        fences = {p.at: p.fence for p in self._partitions.values()}
        try:
            if entity == "account":
                owned = await self._store.load_owned(entity, keys, fences)
                found = [{} if data is None else {-1: data} for data in owned]
            else:
                found = await self._store.load_shared(entity, keys, fences)
            if self._watch.may_evict and not all(found):
                await self._watch.check()  # what the store does not know it may have dropped
        except FencedError:
            raise
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
        self._failed_s[entity] = now_s
        since_s = self._away_since_s.setdefault(entity, now_s)
        if now_s - since_s > self._params.outage_s_max:
            raise error

    def _admit(self, entity: str, keys: Texts, parts: Parts | None) -> None:
        """Admit all at once, or one by one where others may have to leave for them."""
        if self._state.tables[entity].has_room(len(keys)):
            self._admit_some(entity, keys, parts)
            return
        for i in range(len(keys)):
            self._admit_some(entity, keys[i : i + 1], None if parts is None else [parts[i]])

    def _admit_some(self, entity: str, keys: Texts, parts: Parts | None) -> None:
        table = self._state.tables[entity]
        self._metrics.state_unreadable += self._state.admit(entity, keys, parts)
        if table.plan.shared and parts is not None:
            table.note_loaded(keys, self._now_ms())
        if self._watch.is_doubtful and parts is not None:
            table.doubt(keys.take(np.array([not one for one in parts]).nonzero()[0]))

    def doubtful(self, rows: Transactions) -> list[int]:
        """The rows with an entity of which the store may have dropped what it knew."""
        if not self._watch.is_doubtful:
            return []
        tables = self._state.tables.values()
        found = [table.are_doubtful(rows.entities[table.plan.entity]) for table in tables]
        return np.flatnonzero(np.any(found, axis=0)).tolist() if found else []

    def _incomplete(self, rows: Transactions) -> list[int]:
        tables = self._state.tables.items()
        waiting = {entity: table.unloaded for entity, table in tables if table.unloaded}
        if not waiting:
            return []
        found: set[int] = set()
        for entity, unloaded in waiting.items():
            found.update(i for i, key in enumerate(rows.entities[entity]) if key in unloaded)
        return sorted(found)
