"""Partitions that share entities: sums over parts, hand-overs, crashes and released partitions."""

from dataclasses import dataclass, field

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sentinel.core.features.spec import EntityParams, FeatureParams
from sentinel.core.features.state import FeatureState
from tests.core.features.oracle import Oracle, Payment
from tests.core.features.streams import (
    Item,
    every_feature,
    features_of,
    fold_all,
    long_stream,
    rows_of,
    same_bits,
    streams,
)

PARTITION_COUNT = 3
EVERYTHING = 1 << 40
ENTITIES = {
    "account": EntityParams(kind="events", events_max=8, grace="1h"),
    "terminal": EntityParams(kind="tiles", tile="7h", grace="1d"),
}
RINGS = {**ENTITIES, "terminal": EntityParams(kind="events", events_max=8, grace="1h")}


def new_state(
    entities: dict[str, EntityParams], features: list[FeatureParams] | None = None
) -> FeatureState:
    return FeatureState(
        entities,
        features or every_feature(),
        amount_decimals=2,
        partition_count=PARTITION_COUNT,
        log=7,
        entities_max=64,
    )


def payment_of(item: Item) -> Payment:
    return Payment(
        item.transaction_id,
        item.ms,
        item.amount,
        {"account": item.account, "terminal": item.terminal},
        {"category": item.category},
    )


@settings(max_examples=30, deadline=None)
@given(
    items=streams(partition_count=PARTITION_COUNT, account_count=6),
    kind=st.sampled_from(("events", "tiles")),
    batch_count=st.integers(1, 60),
)
def test_a_shared_entity_knows_what_all_partitions_saw(
    items: list[Item], kind: str, batch_count: int
) -> None:
    # With all this grace nothing is late, whichever partition is ahead.
    params = EntityParams(kind=kind, events_max=7, tile="7h", grace="50w")  # type: ignore[arg-type]
    entities, features = {"account": params, "terminal": params}, features_of("terminal")
    oracle = Oracle(entities, features, 2)
    expected = []
    for item in items:
        if item.mark == 0:
            expected.append(oracle.row(payment_of(item)))
        elif item.fraud_change:
            oracle.label(payment_of(item), is_fraud=item.fraud_change > 0)

    found, _ = fold_all(new_state(entities, features), items, [batch_count])

    np.testing.assert_allclose(found, np.array(expected).reshape(found.shape), rtol=1e-9, atol=1e-9)


@settings(max_examples=30, deadline=None)
@given(
    items=streams(partition_count=PARTITION_COUNT, account_count=6),
    batch_counts=st.lists(st.integers(1, 20), min_size=1, max_size=5),
    entities=st.sampled_from((ENTITIES, RINGS)),
)
def test_labels_and_partitions_in_batches_of_any_size_give_the_same_bits(
    items: list[Item], batch_counts: list[int], entities: dict[str, EntityParams]
) -> None:
    whole, late = fold_all(new_state(entities), items)

    pieces, late_in_pieces = fold_all(new_state(entities), items, batch_counts)

    assert same_bits(whole, pieces)
    assert late == late_in_pieces


def test_a_thousand_rows_at_once_are_a_thousand_one_by_one() -> None:
    items = long_stream(9, 1_000, partition_count=PARTITION_COUNT, account_count=3)

    whole, _ = fold_all(new_state(RINGS), items)
    single, _ = fold_all(new_state(RINGS), items, [1])

    assert same_bits(whole, single)


@dataclass
class Stored:
    """What survives: blobs, and for each partition where to start reading again."""

    blobs: dict[tuple[str, str], dict[int, bytes]] = field(default_factory=dict)
    replay_from: dict[int, int] = field(default_factory=dict)
    labels_from: dict[int, int] = field(default_factory=dict)

    def admit(self, state: FeatureState, items: list[Item]) -> None:
        for entity, keys in state.missing(rows_of(items)[0]).items():
            found = [self.blobs.get((entity, key), {}) for key in keys.strings()]
            assert state.admit(entity, keys, found) == 0

    def save(self, state: FeatureState, partition: int, *, count_max: int) -> None:
        cuts = state.cut(partition, count_max=count_max)
        for entity, cut in cuts.items():
            part = partition if state.tables[entity].plan.shared else -1
            for key, blob in zip(cut.names.strings(), cut.blobs, strict=True):
                self.blobs.setdefault((entity, key), {})[part] = blob
        state.confirm(cuts)


class Cluster:
    """Instances that read the partitions of one log, as an engine would have them do it."""

    def __init__(self, items: list[Item], entities: dict[str, EntityParams]) -> None:
        self._log = {p: [i for i in items if i.partition == p] for p in range(PARTITION_COUNT)}
        self._entities = entities
        self.stored = Stored()
        self.states = [new_state(entities), new_state(entities)]
        self.owner = [0, 0, 1]
        self._position = [0] * PARTITION_COUNT

    def read(self, partition: int, count: int) -> None:
        """The owner folds the next rows of a partition."""
        position = self._position[partition]
        items = self._log[partition][position : position + count]
        self._position[partition] += len(items)
        self._fold(self.states[self.owner[partition]], partition, items)

    def _fold(self, state: FeatureState, partition: int, items: list[Item]) -> None:
        # What was applied before comes again only as far as the stored positions say.
        replayed = [
            item
            for item in items
            if item.offset
            >= (self.stored.labels_from if item.mark else self.stored.replay_from).get(partition, 0)
        ]
        if replayed:
            self.stored.admit(state, replayed)
            state.fold(*rows_of(replayed))

    def save(self, partition: int, count_max: int) -> None:
        """A checkpoint of one partition: the blobs of a cut, then the positions of that instant."""
        state = self.states[self.owner[partition]]
        done = self._log[partition][: self._position[partition]]
        next_offset = max((i.offset + 1 for i in done if not i.mark), default=0)
        self.stored.save(state, partition, count_max=count_max)
        self.stored.replay_from[partition] = state.replay_from(partition, next_offset)
        self.stored.labels_from[partition] = max((i.offset + 1 for i in done if i.mark), default=0)

    def fail_to_save(self, partition: int, count_max: int) -> None:
        state = self.states[self.owner[partition]]
        state.restore(state.cut(partition, count_max=count_max), partition)

    def move(self, partition: int) -> None:
        """A planned hand-over: all of the partition is stored, and of no other."""
        self.save(partition, EVERYTHING)
        self.states[self.owner[partition]].release(partition)
        self.owner[partition] = 1 - self.owner[partition]
        self._take_over(partition)

    def crash(self, number: int) -> None:
        """An instance loses its memory, and reads its partitions again."""
        self.states[number] = new_state(self._entities)
        for partition in range(PARTITION_COUNT):
            if self.owner[partition] == number:
                self._take_over(partition)

    def _take_over(self, partition: int) -> None:
        state = self.states[self.owner[partition]]
        state.release(partition)  # what it read of the other's parts is out of date
        self._fold(state, partition, self._log[partition][: self._position[partition]])

    def finish(self) -> Stored:
        for partition in range(PARTITION_COUNT):
            self.read(partition, EVERYTHING)
            self.save(partition, EVERYTHING)
        return self.stored


actions = st.lists(
    st.tuples(
        st.sampled_from(("read", "read", "save", "fail_to_save", "move", "crash")),
        st.integers(0, PARTITION_COUNT - 1),
        st.integers(1, 12),
    ),
    max_size=40,
)


@settings(max_examples=75, deadline=None)
@given(
    items=streams(partition_count=PARTITION_COUNT, account_count=6, count_max=90),
    actions=actions,
    entities=st.sampled_from((ENTITIES, RINGS)),
)
def test_hand_overs_crashes_and_failing_saves_lose_and_double_nothing(
    items: list[Item], actions: list[tuple[str, int, int]], entities: dict[str, EntityParams]
) -> None:
    cluster = Cluster(items, entities)

    for action, partition, count in actions:
        if action == "crash":
            cluster.crash(partition % 2)
        elif action == "move":
            cluster.move(partition)
        else:
            getattr(cluster, action)(partition, count)

    assert cluster.finish().blobs == Cluster(items, entities).finish().blobs


def test_a_released_partition_takes_nothing_from_the_others() -> None:
    """Two partitions add to one terminal; the store knows of neither when one is given up."""
    state = new_state(ENTITIES)
    items = [
        Item("t0", 0, 0, 10**12, 100, "a0", "s0", None),
        Item("t1", 1, 0, 10**12, 200, "a1", "s0", None),
    ]
    state.admit_new(rows_of(items)[0])
    state.fold(*rows_of(items))

    state.release(0)

    assert state.replay_from(1, 1) == 0
    assert state.missing(rows_of(items)[0]) == {"account": ["a0"], "terminal": ["s0"]}
    cuts = state.cut(1, count_max=10)
    assert cuts["terminal"].names == ["s0"]
    state.restore(cuts, 1)
    state.admit_new(rows_of(items)[0])
    rows, labels = rows_of([Item("t2", 1, 1, 10**12 + 1, 5, "a1", "s0", None)])
    names = [feature.name for feature in state.features]
    count = names.index("terminal count {'window': '1d'}")
    assert state.fold(rows, labels).features[0, count] == 1.0
    assert len(state.tables["terminal"]) == 1


def test_the_store_may_be_away_while_a_released_entity_is_wanted_again() -> None:
    items = [
        Item(f"t{i}", i % 2, i // 2, 10**12 + i, 100, f"a{i % 2}", "s0", None) for i in range(8)
    ]
    stored, state = Stored(), new_state(ENTITIES)
    for item in items[:4]:
        stored.admit(state, [item])
        state.fold(*rows_of([item]))
    stored.save(state, 0, count_max=EVERYTHING)
    state.release(0)  # and taken back at once; partition 1 has stored nothing

    for item in items[4:]:
        for entity, keys in state.missing(rows_of([item])[0]).items():
            state.admit(entity, keys, None)
        state.fold(*rows_of([item]))
    state.release(2)
    for entity, table in state.tables.items():
        for key in list(table.unloaded):
            assert table.settle(key, stored.blobs.get((entity, key), {})) == 0
            assert table.settle(key, {}) == 0

    for partition in (0, 1):
        stored.save(state, partition, count_max=EVERYTHING)
    expected = Cluster(items, ENTITIES).finish()
    assert stored.blobs == expected.blobs


def test_what_a_partition_that_is_no_more_had_seen_still_counts() -> None:
    items = [Item(f"t{i}", i, 0, 10**12 + i, 100, f"a{i}", "s0", None) for i in range(3)]
    stored = Cluster(items, ENTITIES).finish().blobs["terminal", "s0"]
    fewer = FeatureState(ENTITIES, every_feature(), amount_decimals=2, partition_count=2, log=7)

    assert fewer.admit("terminal", ["s0"], [stored]) == 0

    new = Item("t3", 1, 1, 10**12 + 3, 5, "a1", "s0", None)
    fewer.admit_new(rows_of([new])[0])
    names = [feature.name for feature in fewer.features]
    count = names.index("terminal count {'window': '1d'}")
    assert fewer.fold(*rows_of([new])).features[0, count] == 3.0


def count_of(state: FeatureState, item: Item) -> float:
    """How many payments its terminal had within a day before the item, which is folded."""
    names = [feature.name for feature in state.features]
    return float(
        state.fold(*rows_of([item])).features[0, names.index("terminal count {'window': '1d'}")]
    )


def test_a_released_entity_is_read_again_but_for_what_waits_to_be_written() -> None:
    """Partition 1 is ours and ahead of the store, 2 belongs to others and is ahead of us."""

    def item(offset: int, partition: int) -> Item:
        name = f"t{partition}-{offset}"
        return Item(name, partition, offset, 10**12 + offset, 100, f"a{partition}", "s0", None)

    others, state, stored = new_state(ENTITIES), new_state(ENTITIES), Stored()
    stored.admit(others, [item(0, 2)])
    others.fold(*rows_of([item(0, 2)]))
    stored.save(others, 2, count_max=EVERYTHING)
    stored.admit(state, [item(0, 1)])
    state.fold(*rows_of([item(0, 1)]))
    stored.save(state, 1, count_max=EVERYTHING)
    state.fold(*rows_of([item(1, 1)]))
    others.fold(*rows_of([item(1, 2)]))
    stored.save(others, 2, count_max=EVERYTHING)

    state.release(0)
    stored.admit(state, [item(2, 1)])

    assert count_of(state, item(2, 1)) == 4.0
    stored.save(state, 1, count_max=EVERYTHING)
    again = new_state(ENTITIES)
    stored.admit(again, [item(3, 1)])
    assert count_of(again, item(3, 1)) == 5.0


def test_a_batch_that_was_looked_up_is_looked_up_again_after_a_release() -> None:
    state = new_state(ENTITIES)
    rows, labels = rows_of([Item("t0", 0, 0, 10**12, 100, "a0", "s0", None)])
    state.admit_new(rows)
    state.fold(rows, labels)

    state.release(0)

    assert state.missing(rows) == {"account": ["a0"], "terminal": ["s0"]}
