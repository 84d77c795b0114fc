"""All entity state of one instance, and the one way from transactions to a feature matrix.

Scoring, replay and training from history all go through `FeatureState.fold`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from sentinel.core.features import recent
from sentinel.core.features.entity_table.dirty_rows import Cut
from sentinel.core.features.entity_table.keys import distinct
from sentinel.core.features.entity_table.table import ABSENT, MISSING, NEWEST, EntityTable
from sentinel.core.features.hashing import hash64
from sentinel.core.features.hidden import HIDDEN, read_features
from sentinel.core.features.kernels import events, tiles
from sentinel.core.features.plan import L_LABEL, EntityPlan, entity_plans
from sentinel.core.features.recent import RecentIds
from sentinel.core.features.spec import (
    DERIVED_STATS,
    ENTITY_STATS,
    EntityParams,
    FeatureParams,
)
from sentinel.core.features.stateless import column, quotient
from sentinel.records import Floats, Ints, Transactions
from sentinel.texts import Texts


@dataclass(frozen=True, slots=True)
class Labels:
    """What rows of a batch say about earlier transactions.

    Attributes
    ----------
    mark
        int64 (n,): 0 for a transaction, events.UNCOUNTED for one that is only read, else
        events.MARK_GENUINE, MARK_FRAUD or MARK_WITHDRAWN.
    fraud_change
        int64 (n,): by how much the count of known frauds changes, -1, 0 or 1.
    applied
        By entity kind, bool (n,): which labels its state includes already.
    """

    mark: Ints
    fraud_change: Ints
    applied: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Folded:
    """What came of folding a batch.

    Attributes
    ----------
    features, usual
        float64 (n, n_features) and (n, 2): the features, and what is usual of the account.
    in_hour
        float64 (n,): how many rows its account has had before it in the clock hour, or in the tile
        if that is wider; at most rows_in_hour.IN_HOUR_MAX.
    late
        int64 (n,): 1 for what was older than the grace of an entity, so that it did not count it.
    mark
        int64 (n,): events.UNCOUNTED or events.REPEATED for what no entity counted.
    """

    features: Floats
    usual: Floats
    in_hour: Floats
    late: Ints
    mark: Ints


def joined(pieces: Sequence[Folded]) -> Folded:
    """What came of folding consecutive pieces of a batch."""
    if len(pieces) == 1:
        return pieces[0]
    return Folded(
        features=np.concatenate([piece.features for piece in pieces]),
        usual=np.concatenate([piece.usual for piece in pieces]),
        in_hour=np.concatenate([piece.in_hour for piece in pieces]),
        late=np.concatenate([piece.late for piece in pieces]),
        mark=np.concatenate([piece.mark for piece in pieces]),
    )


def layout_of(entities: Mapping[str, EntityParams], features: Sequence[FeatureParams]) -> str:
    """Names the layout of everything stored; another layout means another key space."""
    return _fingerprint(_plans(entities, features))


def row_bytes(
    entities: Mapping[str, EntityParams],
    features: Sequence[FeatureParams],
    recent_ids: RecentIds | None = None,
) -> dict[str, int]:
    """What an entity of each kind takes in memory, without its name."""
    return {plan.entity: 8 * plan.word_count for plan in _plans(entities, features, recent_ids)}


def _fingerprint(plans: Sequence[EntityPlan]) -> str:
    return "-".join(plan.fingerprint[:6] for plan in plans)


def _plans(
    entities: Mapping[str, EntityParams],
    features: Sequence[FeatureParams],
    recent_ids: RecentIds | None = None,
) -> tuple[EntityPlan, ...]:
    read = read_features(entities, features)
    room = 0 if recent_ids is None else recent_ids.count_max
    plans = tuple(entity_plans(entities, read, recent_max=room))
    if room and not any(plan.entity == "account" for plan in plans):
        raise ValueError(
            'duplicates = "ignore" needs a feature of the account, whose state keeps identifiers'
        )
    return plans


class FeatureState:
    """Entity tables and the plan that reads them.

    Parameters
    ----------
    entities
        Kind of state of each entity, "account" among them.
    features
        The columns of the matrix, in order.
    amount_decimals
        Minor units are 10**-amount_decimals of the major unit.
    partition_count
        Partitions of the input topic.
    log
        Names the log of each input partition: 48 bits, int64 (partition_count,) or one for all.
    recent_ids
        Which transactions are remembered, so that they are not counted again; None: none are.
    entities_max
        Overrides how many entities are held, for histories that must fit whole.
    past_ms
        By input partition, or one for all: what happened up to this event time is read and not
        counted, as the state began with it. None: everything is counted.
    """

    def __init__(
        self,
        entities: Mapping[str, EntityParams],
        features: Sequence[FeatureParams],
        *,
        amount_decimals: int,
        partition_count: int = 1,
        log: int | Ints = 0,
        recent_ids: RecentIds | None = None,
        entities_max: int | None = None,
        past_ms: int | Ints | None = None,
    ) -> None:
        self.features = tuple(features)
        self._entities = dict(entities)
        self._scale = float(10**amount_decimals)
        derived = [(i, f) for i, f in enumerate(features) if f.stat in DERIVED_STATS]
        other_stats = ENTITY_STATS | DERIVED_STATS
        self._stateless = [(i, f) for i, f in enumerate(features) if f.stat not in other_stats]
        place = {feature.name: i for i, feature in enumerate(features)}
        self._quotients = [(i, place[f.of[0]], place[f.of[1]], f.empty) for i, f in derived]
        assert all(i > max(above, below) for i, above, below, _ in self._quotients)
        self._recent_ids = recent_ids
        self.plans = _plans(entities, features, recent_ids)
        self._keeps_keys = any(p.is_events and p.layout[L_LABEL] >= 0 for p in self.plans)
        self._empty = np.array([f.empty for f in (*features, *HIDDEN)])
        logs = np.zeros(partition_count, dtype=np.int64)
        logs[:] = log
        self._past_ms: Ints | None = None
        if past_ms is not None:
            self._past_ms = np.zeros(partition_count, dtype=np.int64)
            self._past_ms[:] = past_ms
        self.tables = {
            plan.entity: EntityTable(
                plan,
                logs=logs,
                entities_max=entities_max or plan.params.entities_max,
            )
            for plan in self.plans
        }

    @property
    def fingerprint(self) -> str:
        """The layout of everything stored."""
        return _fingerprint(self.plans)

    def lacking(self, rows: Transactions) -> dict[str, Texts]:
        """Keys of each entity kind that are not in memory; changes nothing."""
        found = {name: table.lacking(rows.entities[name]) for name, table in self.tables.items()}
        return {name: keys for name, keys in found.items() if len(keys)}

    def missing(self, rows: Transactions) -> dict[str, Texts]:
        """Keys of each entity kind that must be admitted before `fold`; the others stay for it."""
        found = {}
        for entity, table in self.tables.items():
            keys = rows.entities[entity]
            table.begin_turn()
            absent = np.flatnonzero(table.find(keys) == MISSING)
            if absent.size:
                lacking = keys.take(absent)
                found[entity] = lacking.take(distinct(lacking))
        return found

    def admit(
        self,
        entity: str,
        keys: Sequence[str | None],
        blobs: Sequence[Mapping[int, bytes]] | None,
    ) -> int:
        """Take entities in with their stored parts; None when the store could not be asked.

        Returns how many blobs were not readable. Raises TableFullError, having changed nothing.
        """
        return self.tables[entity].admit(keys, blobs)

    def admit_new(self, rows: Transactions) -> None:
        """Take in whatever is missing as never seen before: for histories read from their start."""
        for entity, keys in self.missing(rows).items():
            self.admit(entity, keys, [{}] * len(keys))

    def fold(self, rows: Transactions, labels: Labels | None = None) -> Folded:
        """Features of each row from what was known before it, then count each row in, in order.

        Every entity must have been admitted. A row whose offset the state already includes is
        read but not counted again. Features of an entity that a row does not name are `empty`.
        Raises TableFullError, having counted nothing.
        """
        n = len(rows)
        width = len(self.features)
        out = np.tile(self._empty, (n, 1))
        late = np.zeros(n, dtype=np.int64)
        if labels is None:
            labels = Labels(self._marks(rows), np.zeros(n, dtype=np.int64))
        # All room is made before the first row is counted: a batch is folded whole or not at all.
        places = [self._places(plan, rows, labels) for plan in self.plans]
        needs_ids = self._keeps_keys or self._recent_ids is not None
        ids = hash64(rows.transaction_id) if needs_ids else late
        keys = ids << events.MARK_BITS
        if self._recent_ids is not None:
            mark = self._marks_of_repeated(self._recent_ids, rows, ids, labels.mark, places)
            labels = replace(labels, mark=mark)
        hashes = self._hashes(rows)
        for i, feature in self._stateless:
            out[:, i] = column(feature, rows, self._scale)
        for plan, (slots, parts) in zip(self.plans, places, strict=True):
            self._fold_entity(plan, slots, parts, rows, labels, keys, hashes, late, out)
        for i, above, below, empty in self._quotients:
            out[:, i] = quotient(out[:, above], out[:, below], empty)
        in_hour, usual = out[:, width], out[:, width + 1 :]
        return Folded(np.ascontiguousarray(out[:, :width]), usual, in_hour, late, labels.mark)

    def _marks(self, rows: Transactions) -> Ints:
        """What is counted, of transactions."""
        mark = np.zeros(len(rows), dtype=np.int64)
        if self._past_ms is not None:
            mark[rows.event_time_ms <= self._past_ms[rows.partition]] = events.UNCOUNTED
        return mark

    def _marks_of_repeated(
        self,
        params: RecentIds,
        rows: Transactions,
        ids: Ints,
        marks: Ints,
        places: Sequence[tuple[Ints, Ints]],
    ) -> Ints:
        """The marks, and those of rows that repeat a transaction of their account."""
        number = [plan.entity for plan in self.plans].index("account")
        slots, layout = places[number][0], self.plans[number].layout
        where = (self.tables["account"].rows.parts, slots, layout)
        columns = (ids, rows.partition, rows.offset, rows.event_time_ms, marks)
        found = np.zeros(len(rows), dtype=np.int64)
        recent.note(*where, params.window_ms, *columns, found)
        return np.where(found > 0, events.REPEATED, marks)

    def _places(self, plan: EntityPlan, rows: Transactions, labels: Labels) -> tuple[Ints, Ints]:
        table = self.tables[plan.entity]
        slots = table.find(rows.entities[plan.entity])
        assert not np.any(slots == MISSING), f"{plan.entity}: fold before admit"
        if (applied := labels.applied.get(plan.entity)) is not None:
            slots = np.where(applied, ABSENT, slots)
        return slots, table.part_slots(slots, rows.partition)

    def _hashes(self, rows: Transactions) -> dict[str, Ints]:
        fields = {field for plan in self.plans for field in plan.hashed_fields}
        texts = {field: rows.entities.get(field, rows.categorical.get(field)) for field in fields}
        return {field: hash64(text) for field, text in texts.items() if text is not None}

    def _fold_entity(
        self,
        plan: EntityPlan,
        slots: Ints,
        parts: Ints,
        rows: Transactions,
        labels: Labels,
        keys: Ints,
        hashes: Mapping[str, Ints],
        late: Ints,
        out: Floats,
    ) -> None:
        table = self.tables[plan.entity]
        columns = np.zeros((len(rows), len(plan.hashed_fields)), dtype=np.int64)
        for j, name in enumerate(plan.hashed_fields):
            columns[:, j] = hashes[name]
        fresh = np.zeros(len(rows), dtype=np.int64)
        where = (table.rows.totals, table.rows.parts, slots, parts, plan.shared)
        what = (plan.layout, plan.windows, plan.ops, plan.constants)
        columns_of = (rows.partition, rows.offset, rows.event_time_ms, rows.amount_minor)
        head = (*where, *what, *columns_of)
        tail = (self._scale, table.dirty_rows.dirty_from, fresh, late, out)
        if plan.is_events:
            count = events.read_and_fold(*head, keys, columns, labels.mark, *tail)
        else:
            marks = (labels.mark, labels.fraud_change)
            count = tiles.read_and_fold(*head, columns, *marks, *tail)
        table.dirty_rows.note_dirty(fresh[:count])
        marked = labels.mark > 0
        if marked.any():
            here = marked & (slots != ABSENT)
            table.dirty_rows.note_labelled(parts[here], rows.offset[here])

    def warm(self) -> None:
        """Compile or load the kernels, by folding two rows into a throw-away state."""
        small = FeatureState(
            self._entities,
            self.features,
            amount_decimals=0,
            recent_ids=self._recent_ids,
            entities_max=2,
        )
        zero = np.zeros(2, dtype=np.int64)
        fields = {f.field for f in self.features if f.field}
        rows = Transactions(
            transaction_id=Texts.of(["1", "2"]),
            partition=zero,
            offset=np.arange(2),
            event_time_ms=zero + 1,
            amount_minor=zero,
            entities={name: Texts.of(["a", "a"]) for name in {*self._entities, *small.tables}},
            numeric={name: np.zeros(2) for name in fields},
            categorical={name: Texts.of(["a", "a"]) for name in fields},
        )
        small.admit_new(rows)
        small.fold(rows)
        cuts = small.cut(0, count_max=2)
        small.release(0)
        for entity, cut in cuts.items():
            small.admit(entity, cut.names, [{0: blob} for blob in cut.blobs])

    def dirty_count(self, partition: int) -> int:
        """About how many rows wait to be written for a partition."""
        return sum(table.dirty_count(partition) for table in self.tables.values())

    def cut(
        self, partition: int, *, count_max: int, before: int = NEWEST, shared_before: int = NEWEST
    ) -> dict[str, Cut]:
        """Pack what waits to be written for a partition, about `count_max` rows, oldest first.

        Rows that turned dirty at the offset `before` or later can wait; of entities that other
        instances read, too, at the offset `shared_before`.
        """
        total = max(self.dirty_count(partition), 1)
        return {
            entity: table.cut(
                partition,
                count_max=-(-count_max * table.dirty_count(partition) // total),
                before=shared_before if table.plan.shared else before,
            )
            for entity, table in self.tables.items()
        }

    def replay_from(self, partition: int, next_offset: int) -> int:
        """The oldest offset of a partition that some stored blob may lack."""
        oldest = [table.oldest_dirty(partition) for table in self.tables.values()]
        return min([offset for offset in oldest if offset is not None], default=next_offset)

    def confirm(self, cuts: Mapping[str, Cut]) -> None:
        """What was cut is stored."""
        for entity, cut in cuts.items():
            self.tables[entity].confirm(cut)

    def restore(self, cuts: Mapping[str, Cut], partition: int) -> None:
        """What was cut is not stored: it waits again."""
        for entity, cut in cuts.items():
            self.tables[entity].restore(cut, partition)

    def release(self, partition: int) -> None:
        """Forget all that a partition touched."""
        for table in self.tables.values():
            table.release(partition)
