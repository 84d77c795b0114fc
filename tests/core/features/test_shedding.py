"""A table that is to hold less lets go of what is stored, and says the same afterwards."""

from pathlib import Path

import numpy as np
import pytest

from sentinel.core.features.entity_table.memory import give_back, zeroed_rows
from sentinel.core.features.entity_table.slots import Slots
from sentinel.core.features.spec import EntityParams, FeatureParams
from sentinel.core.features.state import FeatureState
from tests.core.features.streams import Item, rows_of

ENTITIES = {"account": EntityParams(), "terminal": EntityParams(kind="tiles", tile="1d")}
FEATURES = [
    FeatureParams("n", "count", "account", window="30d"),
    FeatureParams("m", "sum", "terminal", window="30d"),
]


def new_state(entities_max: int) -> FeatureState:
    return FeatureState(
        ENTITIES, FEATURES, amount_decimals=2, partition_count=2, entities_max=entities_max
    )


def payment(offset: int, number: int) -> Item:
    return Item(
        f"t{offset}", number % 2, offset, 10**12 + offset, 100, f"a{number}", f"s{number % 7}", None
    )


def fold(state: FeatureState, *items: Item) -> np.ndarray:
    rows, labels = rows_of(items)
    state.admit_new(rows)
    return state.fold(rows, labels).features


def stored(state: FeatureState) -> dict[tuple[str, str], dict[int, bytes]]:
    """All that waits, written as the store has it."""
    found: dict[tuple[str, str], dict[int, bytes]] = {}
    for partition in (0, 1):
        cuts = state.cut(partition, count_max=10**6)
        for entity, cut in cuts.items():
            part = -1 if entity == "account" else partition
            for name, data in zip(cut.names.strings(), cut.blobs, strict=True):
                found.setdefault((entity, name), {})[part] = data
        state.confirm(cuts)
    return found


def test_what_was_shed_is_read_again_bit_for_bit() -> None:
    whole, pressed = new_state(1_000), new_state(1_000)
    first = [payment(i, i % 400) for i in range(800)]
    for state in (whole, pressed):
        fold(state, *first)
    known = stored(pressed)
    stored(whole)

    for table in pressed.tables.values():
        table.set_limit(4 if table.plan.shared else 100)
        assert table.shed(50) > 0
        while table.shed(50):
            pass
    assert {name: len(table) for name, table in pressed.tables.items()} == {
        "account": 100,
        "terminal": 4,
    }

    later = [payment(1_000 + i, (7 * i) % 400) for i in range(40)]
    rows, labels = rows_of(later)
    for table in pressed.tables.values():
        table.set_limit(1_000)
    for entity, keys in pressed.missing(rows).items():
        blobs = [known[entity, key] for key in keys.strings()]
        assert pressed.admit(entity, keys, blobs) == 0
    found = pressed.fold(rows, labels).features
    assert found.tobytes() == fold(whole, *later).tobytes()


def test_what_waits_to_be_written_stays_until_it_is() -> None:
    state = new_state(64)
    fold(state, *(payment(i, i) for i in range(40)))
    table = state.tables["account"]
    table.set_limit(8)

    assert table.shed(100) == 0
    assert len(table) == 40

    stored(state)
    assert table.shed(100) == 32
    assert len(table) == 8
    assert table.eviction_count == 32
    assert table.shed(100) == 0, "no more than asked"


def test_the_limit_holds_for_what_comes_and_room_that_was_taken_back_is_used_again() -> None:
    state = new_state(64)
    fold(state, *(payment(i, i) for i in range(40)))
    stored(state)
    table = state.tables["account"]
    table.set_limit(10)
    table.shed(100)

    fold(state, *(payment(100 + i, 50 + i) for i in range(10)))
    assert len(table) == 10
    stored(state)

    table.set_limit(64)
    fold(state, *(payment(200 + i, 100 + i) for i in range(50)))
    assert len(table) == 60


def test_slots_beyond_the_limit_are_kept_back_and_given_out_again_later() -> None:
    slots = Slots(8)
    slots.take(6)
    slots.give_back(np.array([1, 5]))

    slots.set_limit(4)
    assert (slots.free_count, slots.taken_count) == (1, 4)
    assert slots.take(1).tolist() == [1]
    slots.give_back(np.array([4, 2]))
    assert (slots.free_count, slots.taken_count) == (1, 3)

    slots.set_limit(8)
    assert sorted(slots.take(5).tolist()) == [2, 4, 5, 6, 7]
    assert slots.free_count == 0


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux")
def test_memory_of_rows_that_left_goes_back_to_the_machine() -> None:
    """60 MB of rows: the tail of them, and every second one of what is left."""
    row_count, word_count = 10_000, 768
    rows = zeroed_rows(row_count, word_count)
    rows[:] = 1
    before = resident_mb()

    give_back(rows, np.arange(row_count // 2, row_count))

    assert before - resident_mb() > 25
    assert not rows[row_count // 2 :].any()
    assert rows[: row_count // 2].all()

    give_back(rows, np.arange(0, row_count // 2, 2))
    assert not rows[0 : row_count // 2 : 2].any()
    assert rows[1 : row_count // 2 : 2].all(), "a neighbour keeps what is on its page"
    give_back(np.ones((3, 2), dtype=np.int64), np.arange(2))


def resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20
