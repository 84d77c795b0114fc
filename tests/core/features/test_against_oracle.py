"""Features against a slow, obvious version of them, on random streams."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sentinel.core.features.kernels.events import MARK_FRAUD, MARK_GENUINE, MARK_WITHDRAWN
from sentinel.core.features.spec import EntityParams, FeatureParams
from sentinel.core.features.state import FeatureState, Labels
from sentinel.records import Floats, Transactions
from sentinel.texts import Texts
from tests.core.features.oracle import Oracle, Payment

F = FeatureParams
# Entities, gap to the payment before, amount, categorical and numeric fields.
Drawn = tuple[dict[str, str | None], int, int, dict[str, str | None], dict[str, float]]
DAY_MS = 86_400_000
START_MS = 1_522_540_800_000

ENTITIES = {
    "account": EntityParams(kind="events", events_max=4, grace="2h"),
    "terminal": EntityParams(kind="events", events_max=6, grace="2h"),
    "merchant": EntityParams(kind="tiles", tile="1h", grace="2h"),
}
WINDOWED = ["count", "sum", "mean", "std", "max", "ratio", "z_score", "fraud_count", "fraud_share"]


def features_of(entity: str) -> list[FeatureParams]:
    """Every statistic of an entity, with several windows, delays and fields."""
    found = [
        F(f"{entity} {stat} {window} {delay}", stat, entity, window=window, delay=delay)
        for stat in WINDOWED
        for window, delay in (("1h", ""), ("3h", ""), ("2h", "1h"))
    ]
    found += [
        F(f"{entity} {stat} current", stat, entity, window="2h", include_current=True)
        for stat in ("count", "sum", "mean", "std", "max")
    ]
    found += [F(f"{entity} {stat}", stat, entity) for stat in ("ratio", "z_score", "first_seen")]
    found += [
        F(f"{entity} {stat} 1h ago", stat, entity, delay="1h") for stat in ("ratio", "z_score")
    ]
    found += [
        F(f"{entity} since", "time_since_last", entity),
        F(f"{entity} share or 0", "fraud_share", entity, window="1h", empty=0.0),
        F(f"{entity} dc", "decayed_count", entity, half_life="1h"),
        F(f"{entity} ds", "decayed_sum", entity, half_life="30m", include_current=True),
        F(f"{entity} countries", "distinct", entity, window="3h", field="country"),
        F(
            f"{entity} countries now",
            "distinct",
            entity,
            window="1h",
            field="country",
            include_current=True,
        ),
        F(f"{entity} new country", "first_seen", entity, field="country"),
        F(f"{entity} new country 1h", "first_seen", entity, field="country", window="1h"),
        F(f"{entity} max to mean", "quotient", of=(f"{entity} max 3h ", f"{entity} mean 2h 1h")),
        F(f"{entity} by count", "quotient", of=(f"{entity} ds", f"{entity} count 1h "), empty=-1.0),
    ]
    if ENTITIES[entity].kind == "events":
        found.append(F(f"{entity} least fraud", "fraud_min", entity, window="3h"))
        found.append(F(f"{entity} least 1h ago", "fraud_min", entity, window="2h", delay="1h"))
    return found


STATELESS = [
    F("amount", "amount"),
    F("channel", "category", field="channel", values=("pos", "online")),
    F("risk", "value", field="risk", empty=-1.0),
    *(F(stat, stat, utc_offset_h=5.5) for stat in ("hour", "weekday", "night", "weekend")),
]
FEATURES = [*STATELESS, *(f for entity in ENTITIES for f in features_of(entity))]

names = st.sampled_from(["a", "b", "c"])
payments = st.builds(
    lambda account, terminal, merchant, gap, amount, country, channel, risk: (
        {"account": account, "terminal": terminal, "merchant": merchant},
        gap,
        amount,
        {"country": country, "channel": channel},
        {"risk": risk},
    ),
    names,
    st.none() | names,
    st.none() | names,
    # Mostly forward, sometimes equal, sometimes back: within the grace and beyond it.
    st.sampled_from(
        [0, 0, 1, 1_000, 60_000, 1_200_000, 3_600_000, 7_200_000, -1, -3_600_000, -7_200_000]
    )
    | st.integers(-4 * 3_600_000, 5 * 3_600_000),
    st.sampled_from([0, 1, 999, 10**12, -1, -(10**12)]) | st.integers(-50_000, 50_000),
    st.none() | st.sampled_from(["GB", "FR", "ES", "IT", ""]),
    st.none() | st.sampled_from(["pos", "online", "fax"]),
    st.just(float("nan")) | st.floats(-10, 10),
)


def stream(
    drawn: Sequence[Drawn],
) -> list[Payment]:
    """Payments with times from the drawn gaps."""
    time_ms, made = START_MS, []
    for i, (keys, gap, amount, texts, numbers) in enumerate(drawn):
        time_ms += gap
        made.append(Payment(f"t{i}", time_ms, amount, keys, texts, numbers))
    return made


def rows_of(payments: Sequence[Payment], first_offset: int = 0, partition: int = 0) -> Transactions:
    n = len(payments)
    return Transactions(
        transaction_id=Texts.of(p.name for p in payments),
        partition=np.full(n, partition, dtype=np.int64),
        offset=np.arange(first_offset, first_offset + n),
        event_time_ms=np.array([p.time_ms for p in payments], dtype=np.int64),
        amount_minor=np.array([p.amount for p in payments], dtype=np.int64),
        entities={name: Texts.of(p.keys[name] for p in payments) for name in ENTITIES},
        numeric={"risk": np.array([p.numbers["risk"] for p in payments], dtype=np.float64)},
        categorical={
            name: Texts.of(p.texts[name] or None for p in payments)
            for name in ("country", "channel")
        },
    )


def new_state(**changes: int) -> FeatureState:
    arguments: dict[str, Any] = {"partition_count": 2, "log": 7, "entities_max": 64, **changes}
    return FeatureState(ENTITIES, FEATURES, amount_decimals=2, **arguments)


def fold(state: FeatureState, rows: Transactions) -> Floats:
    state.admit_new(rows)
    return state.fold(rows).features


def explain(actual: Floats, expected: Floats) -> str:
    wrong = ~np.isclose(actual, expected, rtol=1e-9, atol=1e-9, equal_nan=True)
    return "; ".join(
        f"row {i} {FEATURES[j].name}: {actual[i, j]} is not {expected[i, j]}"
        for i, j in np.argwhere(wrong)[:5]
    )


common = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)


@common
@given(st.lists(payments, max_size=60))
def test_features_equal_the_oracle(
    drawn: list[Drawn],
) -> None:
    made = stream(drawn)
    oracle = Oracle(ENTITIES, FEATURES, 2)

    actual = fold(new_state(), rows_of(made))

    expected = np.array([oracle.row(payment) for payment in made]).reshape(actual.shape)
    assert not explain(actual, expected), explain(actual, expected)


@common
@given(st.lists(payments, max_size=60), st.data())
def test_labels_equal_the_oracle(
    drawn: list[Drawn],
    data: st.DataObject,
) -> None:
    made = stream(drawn)
    oracle, state = Oracle(ENTITIES, FEATURES, 2), new_state()
    frauds: set[str] = set()
    label_offset = 0

    for i, payment in enumerate(made):
        actual = fold(state, rows_of([payment], i))
        expected = np.array([oracle.row(payment)])
        assert not explain(actual, expected), explain(actual, expected)
        if data.draw(st.booleans()):
            target = made[data.draw(st.integers(0, i))]
            word = data.draw(st.sampled_from([MARK_FRAUD, MARK_GENUINE, MARK_WITHDRAWN]))
            is_fraud = word == MARK_FRAUD
            if any(oracle.is_late(entity, target) for entity in ENTITIES):
                continue  # was it counted? the oracle asks by name, the tile cannot
            change = int(is_fraud) - int(target.name in frauds)
            (frauds.add if is_fraud else frauds.discard)(target.name)
            rows = rows_of([target], label_offset)
            state.fold(rows, Labels(np.array([word]), np.array([change])))
            oracle.label(target, is_fraud=is_fraud)
            label_offset += 1


@common
@given(st.lists(payments, min_size=1, max_size=60), st.lists(st.integers(0, 60), max_size=8))
def test_batches_of_any_size_give_the_same_bits(
    drawn: list[Drawn],
    cuts: list[int],
) -> None:
    made = stream(drawn)
    whole = fold(new_state(), rows_of(made))
    state = new_state()

    bounds = sorted({0, *(min(cut, len(made)) for cut in cuts), len(made)})
    pieces = [fold(state, rows_of(made[a:b], a)) for a, b in pairwise(bounds)]

    np.testing.assert_array_equal(np.concatenate(pieces), whole)


@common
@given(
    st.lists(st.tuples(payments, st.integers(0, 1)), min_size=1, max_size=60),
    st.integers(0, 60),
    st.integers(0, 60),
    st.integers(1, 5),
)
def test_a_restart_in_the_middle_changes_no_bit(
    drawn: list[tuple[Drawn, int]],
    first: int,
    second: int,
    count_max: int,
) -> None:
    """What was cut is stored, the rest is folded again from the offset to replay from."""
    made = stream([payment for payment, _ in drawn])
    # The account decides the partition, as it does in a topic.
    partition = {"a": 0, "b": 1, "c": 1}
    for payment in made:
        payment.keys = {**payment.keys, "account": payment.keys["account"]}
    numbers = np.array([partition[p.keys["account"] or ""] for p in made], dtype=np.int64)
    cut_at, crash_at = sorted((min(first, len(made)), min(second, len(made))))

    def part(begin: int, end: int) -> Transactions:
        rows = rows_of(made[begin:end], begin)
        rows.partition[:] = numbers[begin:end]
        return rows

    never = new_state()
    expected = fold(never, part(0, len(made)))
    state, store = new_state(), Store()
    fold(state, part(0, cut_at))
    replay_from = store.save(state, cut_at, count_max)
    fold(state, part(cut_at, crash_at))  # and this is lost

    again = new_state()
    begin = min(replay_from)
    for i in range(begin, len(made)):
        rows = part(i, i + 1)
        if i < cut_at and i < replay_from[int(rows.partition[0])]:
            continue
        store.admit(again, rows)
        actual = again.fold(rows).features
        if i >= cut_at:
            np.testing.assert_array_equal(actual[0], expected[i])
    store.save(again, len(made), 10**6)
    whole = Store()
    whole.save(never, len(made), 10**6)
    for key in whole.blobs:
        assert store.blobs[key] == whole.blobs[key], key


class Store:
    """Blobs by entity, key and part."""

    def __init__(self) -> None:
        self.blobs: dict[tuple[str, str], dict[int, bytes]] = {}

    def save(self, state: FeatureState, next_offset: int, count_max: int) -> list[int]:
        """Cut both partitions; returns where each is to be replayed from."""
        positions = []
        for partition in (0, 1):
            cuts = state.cut(partition, count_max=count_max)
            for entity, cut in cuts.items():
                shared = state.tables[entity].plan.shared
                for name, data in zip(cut.names.strings(), cut.blobs, strict=True):
                    parts = self.blobs.setdefault((entity, name), {})
                    parts[partition if shared else -1] = data
            state.confirm(cuts)
            positions.append(state.replay_from(partition, next_offset))
        return positions

    def admit(self, state: FeatureState, rows: Transactions) -> None:
        for entity, keys in state.missing(rows).items():
            blobs = [self.blobs.get((entity, key), {}) for key in keys.strings()]
            assert state.admit(entity, keys, blobs) == 0


@common
@given(st.lists(payments, min_size=1, max_size=60), st.integers(1, 3))
def test_a_save_that_failed_loses_nothing(
    drawn: list[Drawn],
    count_max: int,
) -> None:
    made = stream(drawn)
    failing, plain = new_state(), new_state()
    for i, payment in enumerate(made):
        fold(failing, rows_of([payment], i))
        fold(plain, rows_of([payment], i))
        failing.restore(failing.cut(0, count_max=count_max), 0)
    assert failing.replay_from(0, len(made)) == plain.replay_from(0, len(made))

    failed, whole = Store(), Store()
    failed.save(failing, len(made), 10**6)
    whole.save(plain, len(made), 10**6)
    assert failed.blobs == whole.blobs


@common
@given(st.lists(payments, min_size=1, max_size=60), st.integers(0, 60), st.integers(0, 60))
def test_an_absent_store_changes_nothing_once_it_is_back(
    drawn: list[Drawn],
    first: int,
    second: int,
) -> None:
    """Entities met while the store was away start empty, and are joined with their past later."""
    made = stream(drawn)
    cut_at, back_at = sorted((min(first, len(made)), min(second, len(made))))
    never = new_state()
    fold(never, rows_of(made))
    before, store = new_state(), Store()
    fold(before, rows_of(made[:cut_at]))
    store.save(before, cut_at, 10**6)

    state = new_state()
    for i in range(cut_at, len(made)):
        rows = rows_of([made[i]], i)
        if i < back_at:
            for entity, keys in state.missing(rows).items():
                state.admit(entity, keys, None)
        else:
            store.admit(state, rows)
        state.fold(rows)
    for entity, table in state.tables.items():
        for key in list(table.unloaded):
            assert table.settle(key, store.blobs.get((entity, key), {})) == 0

    late = any(oracle_late(made, i) for i in range(len(made)))
    store.save(state, len(made), 10**6)
    whole = Store()
    whole.save(never, len(made), 10**6)
    # A late record is judged by the entity's newest, which an empty entity does not know.
    assert late or store.blobs == whole.blobs


def oracle_late(made: list[Payment], i: int) -> bool:
    oracle = Oracle(ENTITIES, FEATURES, 2)
    for payment in made[:i]:
        for entity, key in payment.keys.items():
            if key is not None:
                oracle.count_in(entity, key, payment)
    return any(oracle.is_late(entity, made[i]) for entity in ENTITIES)


def test_a_cache_of_a_few_entities_gives_the_features_of_one_that_holds_all() -> None:
    rng = np.random.default_rng(5)
    made = [
        Payment(
            f"t{i}",
            START_MS + 60_000 * i,
            int(rng.integers(1, 10_000)),
            {
                "account": f"a{rng.integers(40)}",
                "terminal": f"t{rng.integers(30)}",
                "merchant": "m",
            },
            {"country": "GB", "channel": None},
            {"risk": 0.5},
        )
        for i in range(2_000)
    ]
    expected = fold(new_state(), rows_of(made))
    small, store = new_state(entities_max=16), Store()

    for begin in range(0, len(made), 8):
        rows = rows_of(made[begin : begin + 8], begin)
        store.save(small, begin, 10**6)
        store.admit(small, rows)
        np.testing.assert_array_equal(small.fold(rows).features, expected[begin : begin + 8])
    assert small.tables["account"].eviction_count > 0


@pytest.mark.parametrize("entity", list(ENTITIES))
@settings(max_examples=200, deadline=None, derandomize=True)
@given(data=st.binary(max_size=600), cut=st.integers(0, 600), position=st.integers(0, 80))
def test_damaged_bytes_are_never_state(entity: str, data: bytes, cut: int, position: int) -> None:
    state, store = new_state(), Store()
    payment = Payment(
        "t",
        START_MS,
        5,
        dict.fromkeys(ENTITIES, "x"),
        {"country": "GB", "channel": None},
        {"risk": 0.0},
    )
    fold(state, rows_of([payment]))
    store.save(state, 1, 10)
    good = next(iter(store.blobs[entity, "x"].values()))
    word = np.frombuffer(good, dtype="<i8").copy()
    word[position % word.size] ^= 1 << (position % 63)

    for bad in (data, good[:cut], word.tobytes()):
        table = new_state().tables[entity]
        unreadable = table.admit(["y"], [{-1 if entity == "account" else 0: bad}])
        assert unreadable in (0, 1)
        if bad != good and len(bad) != len(good):
            assert unreadable == 1
