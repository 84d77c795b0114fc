import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sentinel.core.features.kernels.rows_in_hour import HOUR_MS, IN_HOUR_MAX
from sentinel.core.features.spec import EntityParams, FeatureParams
from sentinel.core.features.state import FeatureState
from sentinel.records import Transactions
from sentinel.texts import packed

COUNT = FeatureParams("n", stat="count", entity="account", window="1d")


def state_of(params: EntityParams) -> FeatureState:
    return FeatureState({"account": params}, (COUNT,), amount_decimals=2, entities_max=8)


def folded(
    state: FeatureState, accounts: list[str], times_ms: list[int], begin: int
) -> list[float]:
    n = len(accounts)
    rows = Transactions(
        transaction_id=packed([f"t{begin + i}" for i in range(n)]),
        partition=np.zeros(n, dtype=np.int64),
        offset=np.arange(begin, begin + n),
        event_time_ms=np.array(times_ms, dtype=np.int64),
        amount_minor=np.full(n, 100),
        entities={"account": packed(accounts)},
    )
    state.admit_new(rows)
    found: list[float] = state.fold(rows).in_hour.tolist()
    return found


@given(
    steps=st.lists(
        st.tuples(st.sampled_from("ab"), st.integers(-HOUR_MS // 2, HOUR_MS)),
        min_size=1,
        max_size=40,
    ),
    cut=st.integers(0, 40),
    kind=st.sampled_from([EntityParams(), EntityParams(kind="tiles", tile="1h")]),
)
@settings(deadline=None)
def test_the_rows_before_in_the_same_clock_hour_are_counted_however_batches_are_cut(
    steps: list[tuple[str, int]], cut: int, kind: EntityParams
) -> None:
    """Of events those that are not later; of a tile all that came before."""
    times, now = [], 100 * HOUR_MS
    for _, step in steps:
        now += step
        times.append(now)
    accounts = [account for account, _ in steps]
    expected = [
        float(
            sum(
                accounts[j] == accounts[i]
                and times[j] // HOUR_MS == times[i] // HOUR_MS
                and (kind.kind == "tiles" or times[j] <= times[i])
                for j in range(i)
            )
        )
        for i in range(len(steps))
    ]
    state = state_of(kind)
    found = []
    for begin, end in ((0, cut), (cut, len(steps))):
        if accounts[begin:end]:
            found += folded(state, accounts[begin:end], times[begin:end], begin)
    assert found == expected


@pytest.mark.parametrize("events_max", [3, 2 * IN_HOUR_MAX])
def test_what_a_ring_may_have_forgotten_counts_as_many(events_max: int) -> None:
    state = state_of(EntityParams(events_max=events_max))
    found = folded(state, ["a"] * 100, [HOUR_MS + i for i in range(100)], 0)
    known = min(events_max, IN_HOUR_MAX)
    assert found == [float(min(i, IN_HOUR_MAX)) if i < known else IN_HOUR_MAX for i in range(100)]


def test_a_tile_wider_than_an_hour_is_counted_whole() -> None:
    state = state_of(EntityParams(kind="tiles", tile="1d"))
    assert folded(state, ["a"] * 3, [0, 5 * HOUR_MS, 25 * HOUR_MS], 0) == [0.0, 1.0, 0.0]


def test_nothing_is_known_where_no_state_of_the_account_is_kept() -> None:
    amount = FeatureParams("amount", stat="amount")
    kinds = {"account": EntityParams(kind="tiles")}
    state = FeatureState(kinds, (amount,), amount_decimals=2)
    assert folded(state, ["a", "a"], [0, 1], 0) == [0.0, 0.0]
