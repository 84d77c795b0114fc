"""What other instances have folded meanwhile takes the place of what they had folded before."""

import numpy as np
import pytest

from sentinel.core.features.entity_table.table import EntityTable
from sentinel.core.features.spec import EntityParams, FeatureParams
from sentinel.core.features.state import FeatureState
from sentinel.texts import Texts
from tests.core.features.streams import Item, rows_of

FEATURES = [
    FeatureParams("n", "count", "account", window="30d"),
    FeatureParams("seen", "count", "terminal", window="30d"),
    FeatureParams("sum", "sum", "terminal", window="30d"),
]
KINDS = [EntityParams(kind="tiles", tile="1d"), EntityParams(kind="events", events_max=16)]
NOTHING = frozenset[int]()


def new_state(terminal: EntityParams) -> FeatureState:
    return FeatureState(
        {"account": EntityParams(), "terminal": terminal},
        FEATURES,
        amount_decimals=0,
        partition_count=3,
        entities_max=16,
    )


def payment(partition: int, offset: int, terminal: str = "shop") -> Item:
    name = f"t{partition}-{offset}"
    return Item(name, partition, offset, 10**12 + offset, 7, f"a{partition}", terminal, None)


def fold(state: FeatureState, *items: Item) -> list[float]:
    """The features of the last of the items."""
    rows, labels = rows_of(items)
    state.admit_new(rows)
    return [float(x) for x in state.fold(rows, labels).features[-1]]


def stored(state: FeatureState, partition: int) -> dict[int, bytes]:
    """The blob that the owner of a partition would have written for the shop."""
    cut = state.tables["terminal"].cut(partition, count_max=99)
    return {partition: cut.blobs[cut.names.strings().index("shop")]}


@pytest.mark.parametrize("terminal", KINDS, ids=lambda params: str(params.kind))
def test_a_refreshed_total_is_that_of_one_instance_that_saw_all(terminal: EntityParams) -> None:
    ours, theirs, whole = new_state(terminal), new_state(terminal), new_state(terminal)
    own, foreign = [payment(0, i) for i in range(3)], [payment(1, i) for i in range(4)]
    fold(ours, *own)
    fold(theirs, *foreign)
    table = ours.tables["terminal"]
    for _ in range(2):  # what was there before is replaced, not added to
        assert table.refresh("shop", stored_again(theirs), frozenset({0})) == 0

    fold(theirs, payment(1, 4))
    table.refresh("shop", stored(theirs, 1), frozenset({0}))

    fold(whole, *own, *foreign, payment(1, 4))
    assert fold(ours, payment(0, 9)) == fold(whole, payment(0, 9)) == [3.0, 8.0, 56.0]


def stored_again(state: FeatureState) -> dict[int, bytes]:
    """The same blob, without counting it as written."""
    table = state.tables["terminal"]
    cut = table.cut(1, count_max=99)
    table.restore(cut, 1)
    return {1: cut.blobs[0]}


def test_what_this_instance_folds_is_not_read_back() -> None:
    state = new_state(KINDS[0])
    fold(state, payment(0, 0))
    old = stored(state, 0)
    fold(state, payment(0, 1))

    state.tables["terminal"].refresh("shop", old, frozenset({0}))

    assert fold(state, payment(0, 2)) == [2.0, 2.0, 14.0]


def test_what_is_not_in_memory_or_not_whole_is_left_as_it_is() -> None:
    state, other = new_state(KINDS[0]), new_state(KINDS[0])
    fold(other, payment(1, 0))
    blobs = stored(other, 1)
    table = state.tables["terminal"]

    assert table.refresh("shop", blobs, NOTHING) == 0
    assert len(table) == 0

    table.admit(["shop"], None)
    assert table.refresh("shop", blobs, NOTHING) == 0
    assert table.settle("shop", blobs) == 0
    assert fold(state, payment(0, 0)) == [0.0, 1.0, 7.0]


def test_entities_are_stale_until_they_are_noted_as_loaded() -> None:
    table: EntityTable = new_state(KINDS[0]).tables["terminal"]
    keys = Texts.of(["a", "b", None, "a"])
    assert table.stale(keys, 1_000) == []  # what is not in memory is missing, not stale

    table.admit(["a", "b"], [{}, {}])
    table.note_loaded(["b"], 5_000)

    assert table.stale(keys, 1_000) == ["a"]
    assert table.stale(keys, 5_001) == ["a", "b"]
    assert np.array_equal(table.find(keys) >= 0, [True, True, False, True])
