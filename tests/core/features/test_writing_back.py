"""What waits to be written: nothing is forgotten, and nothing is written that is not whole."""

import pytest

from sentinel.core.features.entity_table.table import TableFullError
from sentinel.core.features.spec import EntityParams, FeatureParams
from sentinel.core.features.state import FeatureState
from tests.core.features.streams import Item, rows_of

ENTITIES = {"account": EntityParams(), "terminal": EntityParams(kind="tiles", tile="1d")}
FEATURES = [
    FeatureParams("n", "count", "account", window="1d"),
    FeatureParams("frauds", "fraud_count", "account", window="1d"),
]
SHARED_FEATURES = [*FEATURES, FeatureParams("m", "fraud_count", "terminal", window="1d")]
HOUR_MS = 3_600_000


def new_state(
    features: list[FeatureParams] | None = None, *, entities_max: int = 16
) -> FeatureState:
    return FeatureState(
        ENTITIES,
        features or FEATURES,
        amount_decimals=2,
        partition_count=4,
        entities_max=entities_max,
    )


def payment(offset: int, account: str, *, partition: int = 0, terminal: str = "s0") -> Item:
    name = f"t{partition}-{offset}"
    return Item(name, partition, offset, 10**12 + offset, 100, account, terminal, None)


def label(of: Item, offset: int, *, is_fraud: bool = True) -> Item:
    change = 1 if is_fraud else -1
    return Item(
        of.transaction_id, of.partition, offset, of.ms, 0, of.account, of.terminal, None,
        mark=2 if is_fraud else 1, fraud_change=change,
    )  # fmt: skip


def fold(state: FeatureState, *items: Item) -> None:
    rows, labels = rows_of(items)
    state.admit_new(rows)
    state.fold(rows, labels)


def test_the_oldest_are_written_first_and_no_more_than_asked() -> None:
    state = new_state()
    fold(state, *(payment(i, f"a{i % 5}") for i in range(10)))
    assert state.tables["account"].dirty_count(0) == 5
    assert state.replay_from(0, 10) == 0

    cuts = state.cut(0, count_max=3)

    assert cuts["account"].names == ["a0", "a1", "a2"]
    assert state.replay_from(0, 10) == 3
    assert state.cut(0, count_max=3)["account"].names == ["a3", "a4"]
    assert state.replay_from(0, 10) == 10
    assert state.cut(0, count_max=3)["account"].names == []


def test_changes_younger_than_asked_wait_while_there_is_room() -> None:
    state = new_state(SHARED_FEATURES)
    for i in range(3):
        fold(state, payment(2 * i, f"a{i}"), payment(2 * i + 1, f"a{i}"))

    cuts = state.cut(0, count_max=9, before=3, shared_before=1)

    assert cuts["account"].names == ["a0", "a1"]
    assert cuts["terminal"].names == ["s0"]
    assert state.replay_from(0, 6) == 4
    assert state.cut(0, count_max=9, before=4)["account"].names == []
    fold(state, label(payment(4, "a2"), 0))
    assert state.cut(0, count_max=0, before=0)["account"].names == ["a2"], "labels never wait"


def test_nothing_waits_when_what_waits_takes_half_of_the_room() -> None:
    state = new_state(entities_max=8)
    fold(state, *(payment(i, f"a{i}") for i in range(4)))
    assert state.cut(0, count_max=9, before=0)["account"].names == []

    fold(state, payment(4, "a4"))

    assert len(state.cut(0, count_max=9, before=0)["account"].names) == 5


def test_what_a_label_changed_goes_with_the_next_cut_whatever_its_size() -> None:
    state = new_state()
    payments = [payment(i, f"a{i}") for i in range(6)]
    fold(state, *payments)

    fold(state, label(payments[5], 0))

    assert state.cut(0, count_max=1)["account"].names == ["a5", "a0"]


def test_a_part_written_early_for_its_label_does_not_hide_older_ones() -> None:
    """a1 is written for its label and changes again, before a2 is written at all."""
    state = new_state()
    fold(state, payment(0, "a0"), payment(1, "a1"))
    fold(state, payment(2, "a2"))
    fold(state, label(payment(1, "a1"), 0))
    assert state.cut(0, count_max=1)["account"].names == ["a1", "a0"]

    fold(state, payment(3, "a1"))

    assert state.replay_from(0, 4) == 2
    assert state.cut(0, count_max=9)["account"].names == ["a2", "a1"]


def test_a_save_that_failed_is_replayed_from_where_it_began() -> None:
    state = new_state()
    fold(state, payment(0, "a0"), payment(1, "a1"))
    cuts = state.cut(0, count_max=9)
    fold(state, payment(2, "a1"), payment(3, "a2"))
    assert state.replay_from(0, 4) == 2

    state.restore(cuts, 0)

    assert state.replay_from(0, 4) == 0
    assert sorted(state.cut(0, count_max=1)["account"].names.strings()) == ["a0", "a1", "a2"]
    assert state.replay_from(0, 4) == 4


def test_a_late_or_repeated_record_leaves_the_count_but_is_not_replayed() -> None:
    state = new_state()
    fold(state, payment(1, "a0"))
    before = state.cut(0, count_max=9)["account"].blobs

    fold(state, payment(1, "a0"), payment(0, "a0"))

    assert state.replay_from(0, 2) == 2
    late = Item("late", 0, 2, 10**12 - 48 * HOUR_MS, 1, "a0", "s0", None)
    rows, labels = rows_of([late])
    state.admit_new(rows)
    assert state.fold(rows, labels).late.tolist() == [1]
    after = state.cut(0, count_max=9)["account"].blobs
    assert len(after[0]) == len(before[0])  # no event more, but it has come further
    assert state.replay_from(0, 3) == 3


def test_partitions_are_written_apart() -> None:
    state = new_state(SHARED_FEATURES)
    fold(state, payment(0, "a0", partition=0), payment(0, "a1", partition=1))
    fold(state, payment(1, "a0", partition=0), payment(7, "a3", partition=3))

    cuts = state.cut(1, count_max=9)

    assert cuts["account"].names == ["a1"]
    assert cuts["terminal"].names == ["s0"]
    assert [state.replay_from(p, 9) for p in range(4)] == [0, 9, 9, 7]


def test_what_the_store_was_not_asked_about_is_never_written_over() -> None:
    """Neither for its records nor for its labels, until it is joined with what was stored."""
    before = new_state(SHARED_FEATURES)
    first = payment(0, "a0")
    fold(before, first)
    stored = before.cut(0, count_max=9)
    state = new_state(SHARED_FEATURES)
    state.admit("account", ["a0"], None)
    state.admit("terminal", ["s0"], None)
    second = payment(1, "a0")
    fold(state, second, payment(2, "a1"))
    fold(state, label(second, 0))

    cuts = state.cut(0, count_max=9)
    assert cuts["account"].names == ["a1"]
    assert cuts["terminal"].names == []
    assert state.replay_from(0, 3) == 1
    assert list(state.tables["account"].unloaded) == ["a0"]

    for entity, cut in stored.items():
        part = 0 if state.tables[entity].plan.shared else -1
        assert state.tables[entity].settle(cut.names.strings()[0], {part: cut.blobs[0]}) == 0
    joined = state.cut(0, count_max=9)
    never = new_state(SHARED_FEATURES)
    fold(never, first, second, payment(2, "a1"), label(second, 0))
    expected = never.cut(0, count_max=9)
    assert joined["account"].names == ["a0"]
    assert joined["account"].blobs == expected["account"].blobs[:1]
    assert joined["terminal"].blobs == expected["terminal"].blobs


def test_events_of_one_instant_keep_the_order_of_their_arrival_across_an_outage() -> None:
    params = {"account": EntityParams(events_max=2), "terminal": EntityParams()}
    features = [FeatureParams("s", "sum", "account", window="1d")]
    same_time = [Item(f"t{i}", 0, i, 10**12, 10**i, "a0", None, None) for i in range(3)]
    stored = FeatureState(params, features, amount_decimals=0)
    fold(stored, *same_time[:2])
    cut = stored.cut(0, count_max=9)["account"]
    state = FeatureState(params, features, amount_decimals=0)
    state.admit("account", ["a0"], None)
    fold(state, same_time[2])

    state.tables["account"].settle("a0", {-1: cut.blobs[0]})

    fold(stored, same_time[2])
    assert state.cut(0, count_max=9)["account"].blobs == stored.cut(0, count_max=9)["account"].blobs


def test_an_entity_that_is_here_already_is_not_taken_in_twice() -> None:
    state = new_state()
    fold(state, payment(0, "a0"))
    blob = state.cut(0, count_max=9)["account"].blobs[0]

    assert state.admit("account", ["a0", "a0"], [{-1: blob}, {-1: b"?"}]) == 0

    assert len(state.tables["account"]) == 1
    rows, labels = rows_of([payment(1, "a0")])
    assert state.fold(rows, labels).features[0, 0] == 1.0


# Leaving memory


def test_an_entity_leaves_memory_only_when_it_is_stored() -> None:
    state = new_state(entities_max=4)
    fold(state, *(payment(i, f"a{i}") for i in range(4)))
    with pytest.raises(TableFullError):
        fold(state, payment(4, "a4"))
    cuts = state.cut(0, count_max=9)
    with pytest.raises(TableFullError):  # a cut under way may still fail
        fold(state, payment(4, "a4"))
    state.confirm(cuts)

    fold(state, payment(4, "a4"))

    table = state.tables["account"]
    assert table.eviction_count == 1
    assert len(table) == 4
    assert not table.has_room(1)


def test_the_least_recently_used_leaves_even_when_older_ones_wait() -> None:
    state = new_state(entities_max=8)
    for i in range(8):
        fold(state, payment(i, f"a{i}"))
    state.confirm(state.cut(0, count_max=9))
    fold(state, payment(8, "a0"))
    fold(state, label(payment(1, "a1"), 0))
    fold(state, payment(9, "a2"))

    fold(state, payment(10, "b"))

    rows, _ = rows_of([payment(11, f"a{i}") for i in range(8)])
    assert state.missing(rows) == {"account": ["a3"]}


def test_a_batch_that_finds_no_room_counts_nothing() -> None:
    """Parts run out before entities do: then it is `fold` that must make room, and may not."""
    state = FeatureState(
        ENTITIES, SHARED_FEATURES, amount_decimals=2, partition_count=8, entities_max=8
    )
    table = state.tables["terminal"]
    for partition in range(8):
        for i in range(4):
            fold(state, payment(i, f"a{partition}", partition=partition, terminal=f"s{i}"))
    assert len(table) == 4
    assert not table.has_room(1)
    rows, labels = rows_of([payment(4, "a0", terminal="s4")])
    state.admit_new(rows)
    with pytest.raises(TableFullError):
        state.fold(rows, labels)

    for partition in range(8):
        state.confirm(state.cut(partition, count_max=99))
    folded = state.fold(rows, labels)

    assert folded.features[0, 0] == 4.0  # its account had not counted the first attempt
    assert table.eviction_count == 1


def test_an_account_that_was_never_folded_is_forgotten_with_any_partition() -> None:
    state = new_state()
    state.admit("account", ["a0"], [{}])

    state.release(3)

    assert len(state.tables["account"]) == 0


def test_a_row_in_two_cuts_stays_in_memory_until_both_are_stored() -> None:
    state = new_state(entities_max=16)
    fold(state, payment(0, "a0"))
    first = state.cut(0, count_max=9)
    fold(state, payment(1, "a0"))
    second = state.cut(0, count_max=9)

    state.confirm(first)

    table = state.tables["account"]
    assert table.dirty_rows.parts(1).tolist() == [0]
    state.confirm(second)
    assert table.dirty_rows.parts(1).tolist() == []
