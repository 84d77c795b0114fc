"""A transaction that comes again is known as one, as a plain list of the last ones knows it."""

from collections import defaultdict, deque
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sentinel.core.features.kernels.events import MARK_FRAUD, REPEATED
from sentinel.core.features.recent import RecentIds
from sentinel.core.features.spec import EntityParams, FeatureParams
from sentinel.core.features.state import FeatureState, Labels
from sentinel.records import Transactions
from sentinel.texts import Texts

START_MS = 1_700_000_000_000
HOUR_MS = 3_600_000
FEATURES = [
    FeatureParams("account_n", "count", "account", window="2h"),
    FeatureParams("account_sum", "sum", "account", window="2h"),
    FeatureParams("terminal_n", "count", "terminal", window="2h"),
    FeatureParams("terminal_frauds", "fraud_count", "terminal", window="2h"),
]
Kind = Literal["events", "tiles"]
Store = dict[tuple[str, str], dict[int, bytes]]


class Made(NamedTuple):
    name: int
    account: int
    terminal: int
    time_ms: int


def new_state(
    recent_ids: RecentIds | None, *, kind: Kind = "events", log: int = 7, partitions: int = 1
) -> FeatureState:
    entities = {
        "account": EntityParams(kind=kind, events_max=8, tile="1h", grace="1h"),
        "terminal": EntityParams(kind="tiles", tile="1h", grace="1h"),
    }
    return FeatureState(
        entities,
        FEATURES,
        amount_decimals=0,
        log=log,
        partition_count=partitions,
        recent_ids=recent_ids,
        entities_max=16,
    )


def rows_of(made: Sequence[Made], first_offset: int, partition: int = 0) -> Transactions:
    count = len(made)
    return Transactions(
        transaction_id=Texts.of(f"T{one.name}" for one in made),
        partition=np.full(count, partition),
        offset=np.arange(first_offset, first_offset + count),
        event_time_ms=np.array([one.time_ms for one in made], dtype=np.int64),
        amount_minor=np.full(count, 5),
        entities={
            "account": Texts.of(f"A{one.account}" for one in made),
            "terminal": Texts.of(f"S{one.terminal}" for one in made),
        },
    )


def repeated(stream: Sequence[Made], params: RecentIds) -> list[int]:
    """Which come again, by the last ones of each account that were counted."""
    known: dict[int, deque[Made]] = defaultdict(lambda: deque(maxlen=params.count_max))
    found = []
    for one in stream:
        is_known = any(
            before.name == one.name and abs(before.time_ms - one.time_ms) <= params.window_ms
            for before in known[one.account]
        )
        found.append(int(is_known))
        if not is_known:
            known[one.account].append(one)
    return found


def fold(state: FeatureState, rows: Transactions) -> tuple[list[int], list[list[float]]]:
    state.admit_new(rows)
    folded = state.fold(rows)
    return (folded.mark == REPEATED).astype(int).tolist(), folded.features.tolist()


def save(state: FeatureState, store: Store) -> None:
    """Write all that waits to be written."""
    cuts = state.cut(0, count_max=10**6)
    for entity, cut in cuts.items():
        part = 0 if entity == "terminal" else -1
        for name, blob in zip(cut.names.strings(), cut.blobs, strict=True):
            store.setdefault((entity, name), {})[part] = blob
    state.confirm(cuts)


def admit(state: FeatureState, store: Store) -> None:
    for (entity, name), blobs in store.items():
        assert state.admit(entity, [name], [blobs]) == 0


drawn = st.lists(
    st.tuples(
        st.integers(0, 4),
        st.integers(0, 2),
        st.integers(0, 1),
        st.sampled_from([0, 1, HOUR_MS // 3, HOUR_MS, -HOUR_MS // 3]),
    ),
    min_size=1,
    max_size=40,
)


def stream_of(steps: Sequence[tuple[int, int, int, int]]) -> list[Made]:
    time_ms, made = START_MS, []
    for name, account, terminal, gap in steps:
        time_ms += gap
        made.append(Made(name, account, terminal, time_ms))
    return made


@pytest.mark.parametrize("kind", ["events", "tiles"])
@settings(max_examples=100, deadline=None)
@given(steps=drawn, cuts=st.lists(st.integers(0, 40), max_size=4), count_max=st.integers(1, 5))
def test_what_comes_again_is_found_and_counted_nowhere(
    kind: Kind, steps: list[tuple[int, int, int, int]], cuts: list[int], count_max: int
) -> None:
    stream, params = stream_of(steps), RecentIds(HOUR_MS, count_max)
    expected = repeated(stream, params)
    state, plain = new_state(params, kind=kind), new_state(None, kind=kind)
    found, features, store = [], [], Store()
    ends = sorted({min(cut, len(stream)) for cut in cuts} | {len(stream)})

    for begin, end in zip([0, *ends], ends, strict=False):
        flags, values = fold(state, rows_of(stream[begin:end], begin))
        found += flags
        features += values
        save(state, store)  # and all is read again, as by the next owner
        state = new_state(params, kind=kind)
        admit(state, store)

    assert found == expected
    once = [i for i, flag in enumerate(expected) if not flag]
    for i in once:
        assert features[i] == fold(plain, rows_of([stream[i]], i))[1][0]


@settings(max_examples=150, deadline=None)
@given(steps=drawn, saves=st.lists(st.integers(1, 40), min_size=1, max_size=5), data=st.data())
def test_after_a_crash_nothing_is_counted_that_was_not_before(
    steps: list[tuple[int, int, int, int]], saves: list[int], data: st.DataObject
) -> None:
    """Each entity is as it was at some save since the one that the replay begins at."""
    stream, params = stream_of(steps), RecentIds(HOUR_MS, 64)
    at = sorted({min(end, len(stream)) for end in saves})
    whole, store, versions = new_state(params), Store(), []
    for begin, end in zip([0, *at], at, strict=False):
        fold(whole, rows_of(stream[begin:end], begin))
        save(whole, store)
        versions.append({key: dict(blobs) for key, blobs in store.items()})

    first = data.draw(st.integers(0, len(versions) - 1))
    later = st.integers(first, len(versions) - 1)
    kept = {key: versions[data.draw(later)].get(key) for key in sorted(store)}
    state = new_state(params)
    admit(state, {key: blobs for key, blobs in kept.items() if blobs is not None})
    rows = rows_of(stream[at[first] : at[-1]], at[first])
    flags, _ = fold(state, rows)
    after: Store = {key: blobs for key, blobs in kept.items() if blobs is not None}
    save(state, after)

    assert flags == repeated(stream, params)[at[first] : at[-1]]
    assert after == store


def test_what_the_store_said_late_is_joined_with_what_was_seen_meanwhile() -> None:
    params = RecentIds(HOUR_MS, 4)
    before, store = new_state(params), Store()
    fold(before, rows_of(stream_of([(1, 0, 0, 0), (2, 0, 0, 1)]), 0))
    save(before, store)
    state = new_state(params)
    rows = rows_of(stream_of([(3, 0, 0, 5)]), 2)
    state.admit("account", ["A0"], None)
    state.admit("terminal", ["S0"], [{}])
    state.fold(rows)

    state.tables["account"].settle("A0", store["account", "A0"])
    flags, _ = fold(state, rows_of(stream_of([(1, 0, 0, 6), (3, 0, 0, 0), (4, 0, 0, 0)]), 3))

    assert flags == [1, 1, 0]


@pytest.mark.parametrize(("log", "partition"), [(8, 0), (7, 1)])
def test_identifiers_go_with_their_account_into_another_log(log: int, partition: int) -> None:
    params = RecentIds(HOUR_MS, 4)
    before, store = new_state(params, partitions=2), Store()
    fold(before, rows_of(stream_of([(1, 0, 0, 0), (2, 0, 0, 1)]), 900))
    save(before, store)

    state = new_state(params, log=log, partitions=2)
    admit(state, store)
    made = stream_of([(2, 0, 0, 2), (3, 0, 0, 0), (3, 0, 0, 0)])
    flags, _ = fold(state, rows_of(made, 0, partition))

    assert flags == [1, 0, 1]


def test_a_state_without_room_leaves_them_out_and_one_with_less_keeps_the_newest() -> None:
    made = stream_of([(1, 0, 0, 0), (2, 0, 0, 1), (3, 0, 0, 1)])
    before, store = new_state(RecentIds(HOUR_MS, 4)), Store()
    fold(before, rows_of(made, 0))
    save(before, store)

    fewer, none = new_state(RecentIds(HOUR_MS, 2)), new_state(None)
    admit(fewer, store)
    admit(none, store)
    again = stream_of([(name, 0, 0, 3) for name in (3, 2, 1)])

    assert before.fingerprint == fewer.fingerprint == none.fingerprint
    assert fold(fewer, rows_of(again, 3))[0] == [1, 1, 0]
    assert fold(none, rows_of(again, 3))[0] == [0, 0, 0]


def test_a_label_is_no_repetition_of_its_transaction() -> None:
    state = new_state(RecentIds(HOUR_MS, 4))
    made = stream_of([(1, 0, 0, 0)])
    fold(state, rows_of(made, 0))

    folded = state.fold(rows_of(made, 0), Labels(np.array([MARK_FRAUD]), np.array([1])))
    flags, features = fold(state, rows_of(stream_of([(2, 0, 0, 5)]), 1))

    assert folded.mark.tolist() == [MARK_FRAUD]
    assert (flags, features[0][3]) == ([0], 1.0)


def test_identifiers_need_a_state_of_the_account() -> None:
    entities = {"account": EntityParams(kind="tiles"), "terminal": EntityParams(kind="tiles")}

    with pytest.raises(ValueError, match="needs a feature of the account"):
        FeatureState(entities, FEATURES[2:], amount_decimals=0, recent_ids=RecentIds(HOUR_MS, 4))
