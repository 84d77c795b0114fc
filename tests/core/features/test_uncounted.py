"""What happened no later than the history that the state began with is read, and not counted."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sentinel.core.features.kernels.events import UNCOUNTED
from sentinel.core.features.spec import EntityParams
from sentinel.core.features.state import FeatureState
from tests.core.features.streams import Item, entities, every_feature, rows_of, streams

DAY_MS = 86_400_000


def new_state(kinds: dict[str, EntityParams], past_ms: int | None = None) -> FeatureState:
    return FeatureState(
        *(kinds, every_feature()),
        amount_decimals=2, partition_count=2, entities_max=16, past_ms=past_ms,
    )  # fmt: skip


def stored(state: FeatureState) -> list[dict[str, bytes]]:
    """What a cut would write, by entity and partition."""
    found = []
    for number in range(2):
        for cut in state.cut(number, count_max=1_000).values():
            blobs = zip(cut.names, cut.blobs, strict=True)
            found.append({name or "": bytes(blob) for name, blob in blobs})
    return found


@given(
    kinds=entities(),
    items=streams(partition_count=2),
    share=st.floats(0.0, 1.0),
)
def test_the_state_is_that_of_the_later_rows_alone(
    kinds: dict[str, EntityParams], items: list[Item], share: float
) -> None:
    items = [item for item in items if not item.mark]
    if not items:
        return
    past_ms = sorted(item.ms for item in items)[int(share * (len(items) - 1))]
    rows, _ = rows_of(items)
    state, other = new_state(kinds, past_ms), new_state(kinds)
    later = np.flatnonzero(rows.event_time_ms > past_ms)

    state.admit_new(rows)
    folded = state.fold(rows)
    other.admit_new(rows)
    alone = other.fold(rows_of([items[i] for i in later.tolist()])[0])

    assert (folded.mark == UNCOUNTED).tolist() == [item.ms <= past_ms for item in items]
    assert np.array_equal(folded.features[later], alone.features, equal_nan=True)
    assert folded.late[later].tolist() == alone.late.tolist()
    assert not folded.late[folded.mark == UNCOUNTED].any()
    assert stored(state) == stored(other)


@given(kinds=entities(), items=streams(partition_count=2))
def test_what_is_only_read_sees_all_that_was_counted_before_it(
    kinds: dict[str, EntityParams], items: list[Item]
) -> None:
    """As the first row of another stream would."""
    items = [item for item in items if not item.mark]
    if not items:
        return
    *before, last = items
    state = new_state(kinds)
    rows, _ = rows_of(items)
    state.admit_new(rows)
    if before:
        state.fold(rows_of(before)[0])
    state._past_ms = np.full(2, last.ms, dtype=np.int64)
    only = rows_of([last])[0]

    read = state.fold(only).features
    state._past_ms = None
    counted = state.fold(only).features

    assert np.array_equal(read, counted, equal_nan=True)


def test_each_partition_has_a_past_of_its_own() -> None:
    kinds = {"account": EntityParams(), "terminal": EntityParams(kind="tiles")}
    state = FeatureState(
        *(kinds, every_feature()),
        amount_decimals=2, partition_count=2, past_ms=np.array([5 * DAY_MS, 0]), entities_max=8,
    )  # fmt: skip
    rows, _ = rows_of(
        [
            Item("x", 0, 0, 5 * DAY_MS, 1, "a0", None, None),
            Item("y", 1, 0, 5 * DAY_MS, 1, "a1", None, None),
            Item("z", 0, 1, 5 * DAY_MS + 1, 1, "a0", None, None),
        ]
    )
    state.admit_new(rows)

    assert state.fold(rows).mark.tolist() == [UNCOUNTED, 0, 0]
