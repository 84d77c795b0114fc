"""Edges that random streams seldom meet: full rings, the oldest tile, labels that come again."""

from dataclasses import replace

import numpy as np

from sentinel.core.features.spec import EntityParams, FeatureParams
from sentinel.core.features.state import FeatureState
from tests.core.features.streams import Item, rows_of

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
START_MS = 500 * DAY_MS
FEATURES = [
    FeatureParams("sum", "sum", "terminal", window="1d"),
    FeatureParams("frauds", "fraud_count", "terminal", window="1d"),
    FeatureParams("share", "fraud_share", "terminal", window="1d", empty=0.5),
    FeatureParams("first", "first_seen", "terminal", field="category"),
]


def new_state(terminal: EntityParams) -> FeatureState:
    entities = {"account": EntityParams(kind="tiles"), "terminal": terminal}
    return FeatureState(entities, FEATURES, amount_decimals=0, partition_count=2, entities_max=8)


def item(
    ms: int, amount: int = 0, *, offset: int = 0, partition: int = 0, terminal: str | None = "s"
) -> Item:
    name = f"t{partition}-{offset}"
    return Item(name, partition, offset, START_MS + ms, amount, "a", terminal, None)


def fold(state: FeatureState, *items: Item) -> list[list[float]]:
    rows, labels = rows_of(items)
    state.admit_new(rows)
    features: list[list[float]] = state.fold(rows, labels).features[:, :3].tolist()
    return features


def test_of_equal_times_a_full_ring_keeps_what_arrived_last() -> None:
    state = new_state(EntityParams(events_max=2))

    features = fold(state, *(item(0, 10**i, offset=i) for i in range(5)))

    assert [row[0] for row in features] == [0, 1, 11, 110, 1_100]


def test_a_full_ring_has_no_place_for_what_is_older_than_all_in_it() -> None:
    state = new_state(EntityParams(events_max=2))
    fold(state, item(10, 1), item(20, 2, offset=1), item(5, 4, offset=2))

    assert fold(state, item(30, offset=3)) == [[3, 0, 0]]


def test_the_oldest_tile_still_counts_and_the_one_before_is_gone() -> None:
    """Another partition is ahead by far more than the grace: its newest moves the ring."""
    ahead_ms = (24 + 1 + 2 - 1) * HOUR_MS  # window, grace and the two of the ends: 27 tiles
    for behind_ms, amount in ((0, 7.0), (-1, 0.0)):
        state = new_state(EntityParams(kind="tiles", tile="1h", grace="1h"))
        fold(state, item(ahead_ms, 1, partition=1), item(behind_ms, 7))

        assert fold(state, item(behind_ms, offset=1))[0][0] == amount


def test_what_has_no_such_entity_has_nothing_to_say_of_it() -> None:
    state = new_state(EntityParams())

    rows, labels = rows_of([item(0, 5, terminal=None), item(1, 5, offset=1, terminal=None)])
    state.admit_new(rows)
    features = state.fold(rows, labels).features

    assert str(features.tolist()) == str([[float("nan"), float("nan"), 0.5, float("nan")]] * 2)
    assert state.missing(rows) == {}


def test_a_label_that_the_state_includes_is_not_applied_again() -> None:
    """After a restart labels are read again; whoever reads them knows which are in the state."""
    for params in (EntityParams(), EntityParams(kind="tiles")):
        state = new_state(params)
        paid = item(0, 5)
        fold(state, paid, item(0, 5, offset=1))
        label = Item(paid.transaction_id, 0, 0, paid.ms, 0, "a", "s", None, mark=2, fraud_change=1)
        rows, labels = rows_of([label])
        seen = []
        for applied in ({}, {"account": True, "terminal": True}):
            known = {entity: np.array([value]) for entity, value in applied.items()}
            state.fold(rows, replace(labels, applied=known))
            seen.append(fold(state, item(1, offset=0))[0][1])  # counted before: it is only read

        assert seen == [1, 1]


def test_a_label_that_is_withdrawn_leaves_the_state_as_if_there_had_been_none() -> None:
    """To the bit: two labels that came and went, against two that never said anything."""
    for params in (EntityParams(), EntityParams(kind="tiles")):
        stored = []
        for first, second in (((2, 1), (3, -1)), ((1, 0), (3, 0)), ((3, 0), (3, 0))):
            state = new_state(params)
            paid = item(0, 5)
            fold(state, paid, item(1, 5, offset=1))
            for offset, (mark, change) in enumerate((first, second)):
                name = paid.transaction_id
                fold(state, Item(name, 0, offset, paid.ms, 0, "a", "s", None, mark, change))
            stored.append(state.cut(0, count_max=9)["terminal"].blobs)

        assert stored[0] == stored[1] == stored[2]


def test_a_label_of_what_was_never_counted_cannot_be_taken_from_others() -> None:
    """It was given when its tile was empty; by now there are others in it."""
    state = new_state(EntityParams(kind="tiles"))
    never = item(0, 5, offset=9)
    state.admit_new(rows_of([never])[0])
    for offset, (mark, change) in enumerate(((2, 1), (3, -1))):
        label = Item(never.transaction_id, 0, offset, never.ms, 0, "a", "s", None, mark, change)
        fold(state, label)
        fold(state, item(offset, 5, offset=offset))

    assert fold(state, item(3, offset=3))[0][1:] == [0, 0]


def test_a_label_of_a_record_that_is_gone_changes_nothing() -> None:
    for params in (EntityParams(events_max=2), EntityParams(kind="tiles", tile="1h", grace="0s")):
        state = new_state(params)
        fold(state, *(item(i * 30 * HOUR_MS, 1, offset=i) for i in range(4)))
        gone, never = item(0), item(1, offset=77)

        for of in (gone, never):
            fold(state, Item(of.transaction_id, 0, 0, of.ms, 0, "a", "s", None, 2, 1))

        assert fold(state, item(90 * HOUR_MS, offset=4))[0][1:] == [0, 0]
