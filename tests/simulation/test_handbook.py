"""The generator against the published file, and against the Handbook's algorithm written out."""

import random
import tracemalloc
from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import pytest

from sentinel.records import Ints
from sentinel.simulation.handbook import Day, SimulationParams, days, published_days

PUBLISHED = Path(__file__).parents[3] / "shared" / "data" / "handbook_transactions.parquet"
SMALL = SimulationParams(customer_count=50, terminal_count=100, radius=20.0, day_count=20)
BUSY = SimulationParams(customer_count=600, terminal_count=40, radius=15.0, day_count=31)

needs_the_published_file = pytest.mark.skipif(
    not PUBLISHED.exists(), reason="the Handbook's transactions are not beside the repository"
)


class Row(NamedTuple):
    transaction_id: int
    event_time_ms: int
    customer_id: int
    terminal_id: int
    amount_minor: int
    is_fraud: bool
    scenario: int


def rows(simulated: Iterable[Day]) -> list[Row]:
    return [
        Row(*values)
        for day in simulated
        for values in zip(*(getattr(day, name).tolist() for name in Row._fields), strict=True)
    ]


def columns(simulated: Iterable[Day]) -> dict[str, Ints]:
    run = list(simulated)
    return {name: np.concatenate([getattr(day, name) for day in run]) for name in Row._fields}


def published_columns() -> dict[str, Ints]:
    table = pl.read_parquet(PUBLISHED)
    amount = table["TX_AMOUNT"].to_numpy()
    amount_minor = np.rint(amount * 100).astype(np.int64)
    assert np.abs(amount - amount_minor / 100).max() < 1e-9
    return {
        "transaction_id": table["TRANSACTION_ID"].to_numpy(),
        "event_time_ms": table["TX_DATETIME"].dt.epoch("ms").to_numpy(),
        "customer_id": table["CUSTOMER_ID"].to_numpy(),
        "terminal_id": table["TERMINAL_ID"].to_numpy(),
        "amount_minor": amount_minor,
        "is_fraud": table["TX_FRAUD"].to_numpy(),
        "scenario": table["TX_FRAUD_SCENARIO"].to_numpy(),
    }


def without_tie_order(table: dict[str, Ints]) -> dict[str, Ints]:
    """The rows in an order that depends on their values alone; identifiers differ within a tie."""
    values = {name: column for name, column in table.items() if name != "transaction_id"}
    order = np.lexsort(tuple(reversed(values.values())))
    return {name: column[order] for name, column in values.items()}


def assert_equal_columns(left: dict[str, Ints], right: dict[str, Ints]) -> None:
    assert left.keys() == right.keys()
    for name in left:
        np.testing.assert_array_equal(left[name], right[name], err_msg=name)


def handbook_by_the_letter(params: SimulationParams, *, published_ties: bool) -> list[Row]:
    """Chapter 3 of the Handbook, line by line, without pandas and without global random state."""
    assert params.day_count is not None
    draw = np.random.RandomState(0)
    customers = []
    for customer_id in range(params.customer_count):
        x, y = draw.uniform(0, 100), draw.uniform(0, 100)
        mean_amount = draw.uniform(5, 100)
        customers.append((customer_id, x, y, mean_amount, draw.uniform(0, 4)))
    draw = np.random.RandomState(1)
    terminals = [(draw.uniform(0, 100), draw.uniform(0, 100)) for _ in range(params.terminal_count)]

    table: list[dict[str, Any]] = []
    for customer_id, x, y, mean_amount, mean_nb_tx_per_day in customers:
        distance = np.sqrt(np.sum(np.square(np.array((x, y)) - np.array(terminals)), axis=1))
        available = list(np.where(distance < params.radius)[0])
        choose, draw = random.Random(customer_id), np.random.RandomState(customer_id)
        for day in range(params.day_count):
            for _ in range(draw.poisson(mean_nb_tx_per_day)):
                time = int(draw.normal(86400 / 2, 20000))
                if 0 < time < 86400:
                    amount = draw.normal(mean_amount, mean_amount / 2)
                    if amount < 0:
                        amount = draw.uniform(0, mean_amount * 2)
                    if available:
                        row = {"time": time + day * 86400, "day": day, "customer": customer_id}
                        row |= {"terminal": choose.choice(available), "scenario": 0}
                        table.append(row | {"amount": np.round(amount, decimals=2)})

    times = np.array([row["time"] for row in table]).astype("datetime64[s]")
    table = [table[i] for i in np.argsort(times, kind="quicksort" if published_ties else "stable")]
    add_frauds(table, params)
    start_ms = int(datetime.fromisoformat(params.start).replace(tzinfo=UTC).timestamp() * 1000)
    return [
        Row(
            position,
            start_ms + row["time"] * 1000,
            row["customer"],
            row["terminal"],
            round(row["amount"] * 100),
            row["scenario"] > 0,
            row["scenario"],
        )
        for position, row in enumerate(table)
    ]


def add_frauds(table: list[dict[str, Any]], params: SimulationParams) -> None:
    for row in table:
        if row["amount"] > 220:
            row["scenario"] = 1
    last_day = max(row["day"] for row in table)
    for day in range(last_day):
        draw = np.random.RandomState(day)
        compromised = draw.choice(params.terminal_count, size=2, replace=False)
        for row in table:
            if day <= row["day"] < day + 28 and row["terminal"] in compromised:
                row["scenario"] = 2
    for day in range(last_day):
        draw = np.random.RandomState(day)
        compromised = draw.choice(params.customer_count, size=3, replace=False)
        theirs = [
            row for row in table if day <= row["day"] < day + 14 and row["customer"] in compromised
        ]
        for row in random.Random(day).sample(theirs, k=int(len(theirs) / 3)):
            row["amount"] *= 5
            row["scenario"] = 3


@pytest.fixture(scope="module")
def published_run() -> dict[str, Ints]:
    return columns(published_days(SimulationParams()))


@pytest.mark.parametrize("params", [SMALL, BUSY], ids=["small", "busy"])
def test_a_small_world_is_the_handbooks_algorithm_written_out(params: SimulationParams) -> None:
    simulated = rows(days(params))

    assert simulated == handbook_by_the_letter(params, published_ties=False)
    assert {row.scenario for row in simulated} >= {0, 2, 3}


def test_equal_times_may_be_had_in_the_order_of_the_handbooks_unstable_sort() -> None:
    simulated = rows(published_days(BUSY))

    assert simulated == handbook_by_the_letter(BUSY, published_ties=True)
    assert simulated != rows(days(BUSY))


@pytest.mark.slow
def test_the_default_world_has_as_many_transactions_and_frauds_as_the_published_data(
    published_run: dict[str, Ints],
) -> None:
    assert len(published_run["transaction_id"]) == 1_754_155
    assert published_run["is_fraud"].sum() == 14_681
    assert np.bincount(published_run["scenario"])[1:].tolist() == [973, 9_077, 4_631]


@pytest.mark.slow
@needs_the_published_file
def test_the_default_world_is_the_published_file_in_every_cell(
    published_run: dict[str, Ints],
) -> None:
    assert_equal_columns(published_run, published_columns())


@pytest.mark.slow
def test_the_stream_differs_from_the_published_order_only_within_equal_times(
    published_run: dict[str, Ints],
) -> None:
    streamed = columns(days(SimulationParams()))

    assert_equal_columns(without_tie_order(streamed), without_tie_order(published_run))


@needs_the_published_file
def test_an_endless_stream_begins_with_the_published_transactions() -> None:
    streamed = columns(islice(days(SimulationParams(day_count=None)), 5))

    begin = {name: part[: len(streamed["scenario"])] for name, part in published_columns().items()}
    np.testing.assert_array_equal(streamed["transaction_id"], begin["transaction_id"])
    assert_equal_columns(without_tie_order(streamed), without_tie_order(begin))


def test_a_stream_taken_day_by_day_is_the_start_of_a_longer_one() -> None:
    endless = SimulationParams(customer_count=50, terminal_count=100, radius=20.0, day_count=None)

    day_by_day = rows(islice(days(endless), 20))

    assert day_by_day == rows(list(islice(days(endless), 40))[:20])


def test_a_bounded_run_equals_an_endless_one_until_the_look_ahead_meets_its_end() -> None:
    endless = SimulationParams(customer_count=50, terminal_count=100, radius=20.0, day_count=None)

    settled = 20 - 14 + 1  # a card compromised on a later day is sampled from fewer days

    assert rows(islice(days(SMALL), settled)) == rows(islice(days(endless), settled))


def test_two_runs_with_one_seed_are_equal_and_with_another_seed_are_not() -> None:
    other = SimulationParams(
        customer_count=50, terminal_count=100, radius=20.0, day_count=20, seed=1
    )

    assert rows(days(SMALL)) == rows(days(SMALL))
    assert rows(days(SMALL)) != rows(days(other))


def test_two_streams_side_by_side_do_not_disturb_each_other() -> None:
    pairs = list(zip(days(SMALL), days(SMALL), strict=True))

    assert rows(left for left, _ in pairs) == rows(right for _, right in pairs) == rows(days(SMALL))


def test_global_random_state_is_left_alone() -> None:
    random.seed(5)
    numpy_state = np.random.get_state(legacy=False)  # noqa: NPY002 - to see that it stays
    python_state = random.getstate()

    list(days(SMALL))

    assert random.getstate() == python_state
    after = np.random.get_state(legacy=False)  # noqa: NPY002
    np.testing.assert_equal(after, numpy_state)


def test_every_day_is_ordered_by_time_and_lies_within_its_date() -> None:
    next_id = 0
    start_ms = int(datetime(2018, 4, 1, tzinfo=UTC).timestamp() * 1000)
    for index, day in enumerate(days(SMALL)):
        midnight_ms = start_ms + index * 86_400_000

        assert day.index == index
        assert np.all(np.diff(day.event_time_ms) >= 0)
        assert np.all(day.event_time_ms > midnight_ms)
        assert np.all(day.event_time_ms < midnight_ms + 86_400_000)
        assert day.transaction_id.tolist() == list(range(next_id, next_id + len(day)))
        next_id += len(day)
    assert index == 19


def test_a_day_without_transactions_is_an_empty_day() -> None:
    lonely = SimulationParams(customer_count=3, terminal_count=2, radius=1e-6, day_count=16)

    assert [len(day) for day in days(lonely)] == [0] * 16


def test_memory_does_not_grow_with_the_days_of_an_endless_stream() -> None:
    stream = days(
        SimulationParams(customer_count=20, terminal_count=50, radius=30.0, day_count=None)
    )
    tracemalloc.start()
    try:
        sum(len(day) for day in islice(stream, 50))
        before, _ = tracemalloc.get_traced_memory()
        sum(len(day) for day in islice(stream, 250))
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert after - before < 50_000  # keeping the rows would take 400 kB


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"customer_count": 2}, "customer_count"),
        ({"terminal_count": 1}, "terminal_count"),
        ({"radius": 0.0}, "radius"),
        ({"radius": float("nan")}, "radius"),
        ({"day_count": 0}, "day_count"),
        ({"seed": -1}, "seed"),
        ({"seed": 4_001}, "seed"),
        ({"start": "yesterday"}, "yesterday"),
    ],
)
def test_a_world_that_cannot_be_is_refused_by_name(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SimulationParams(**wrong)


def test_the_published_order_of_an_endless_stream_is_refused() -> None:
    with pytest.raises(ValueError, match="day_count"):
        published_days(SimulationParams(day_count=None))
