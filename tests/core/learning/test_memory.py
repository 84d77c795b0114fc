"""What is remembered: the same whatever the batches, within its bounds, with honest chances."""

from dataclasses import fields
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sentinel.core.features.hashing import hash64, rehashed, uniform
from sentinel.core.learning.training_data.examples import Examples
from sentinel.core.learning.training_data.memory import Memory, MemoryParams, empty_memory
from sentinel.records import Floats, Ints
from tests.core.learning.histories import Row, columns, histories

SALT = int.from_bytes(b"remember", "big")
BYTES_OF_A_ROW = 2 * 8 + 7 * 8 + 4

bounds = st.builds(
    MemoryParams,
    row_count_max=st.integers(3, 16),
    byte_count_max=st.integers(3 * 8 + 3 * BYTES_OF_A_ROW, 3 * 8 + 20 * BYTES_OF_A_ROW),
    fraud_count_max=st.integers(0, 5),
    fraud_age_max_s=st.integers(0, 10),
    stratum_count=st.just(3),
    floor_share=st.sampled_from([0.0, 0.4, 1.0]),
)


def remembered(batches: list[list[Row]], params: MemoryParams) -> Memory:
    memory = empty_memory(params, feature_count=2)
    for batch in batches:
        memory = memory.with_examples(columns(batch))
    return memory


def cut(rows: list[Row], random: Any) -> list[list[Row]]:
    """The rows in batches of any size, some of them empty."""
    at = sorted(random.choices(range(len(rows) + 1), k=random.randrange(8)))
    ends = [0, *at, len(rows)]
    return [rows[begin:end] for begin, end in pairwise(ends)]


def shuffled(rows: list[Row], random: Any) -> list[Row]:
    """Any order in which the versions of each transaction keep theirs."""
    names = [row.name for row in rows]
    random.shuffle(names)
    left = {name: [row for row in rows if row.name == name] for name in names}
    return [left[name].pop(0) for name in names]


def bits(memory: Memory) -> list[bytes]:
    rows = [getattr(memory.rows, column.name) for column in fields(Examples)]
    own = [memory.is_live, memory.is_recent_fraud, memory.sampling_weight]
    last = np.array([memory.threshold, memory.newest_ms])
    return [column.tobytes() for column in [*rows, *own, memory.stratum_threshold, last]]


@settings(deadline=None)
@given(histories(), bounds, st.randoms(use_true_random=False))
def test_the_memory_knows_neither_batches_nor_order(
    rows: list[Row], params: MemoryParams, random: Any
) -> None:
    at_once = remembered([rows], params)

    assert bits(remembered([[row] for row in rows], params)) == bits(at_once)
    assert bits(remembered(cut(shuffled(rows, random), random), params)) == bits(at_once)


@settings(deadline=None)
@given(histories(), bounds, st.randoms(use_true_random=False))
def test_a_span_that_a_crash_repeats_changes_nothing(
    rows: list[Row], params: MemoryParams, random: Any
) -> None:
    begin, end = sorted(random.choices(range(len(rows) + 1), k=2))

    again = remembered(cut(rows[:end] + rows[begin:], random), params)

    assert bits(again) == bits(remembered([rows], params))


@settings(deadline=None)
@given(histories(), bounds, st.randoms(use_true_random=False))
def test_the_bounds_are_kept_after_every_batch(
    rows: list[Row], params: MemoryParams, random: Any
) -> None:
    memory = empty_memory(params, feature_count=2)
    for batch in cut(rows, random):
        memory = memory.with_examples(columns(batch))

        assert len(memory) <= params.row_count_max
        assert memory.byte_count <= params.byte_count_max
        assert memory.is_recent_fraud.sum() <= params.fraud_count_max


def slowly(rows: list[Row], params: MemoryParams) -> dict[tuple[str, int], float]:
    """Of each remembered (transaction, stratum) the chance, straight from the definition."""
    by_bytes = (params.byte_count_max - 8 * params.stratum_count) // BYTES_OF_A_ROW
    row_count = min(params.row_count_max, by_bytes)
    fraud_count = min(params.fraud_count_max, row_count // 2)
    place_count = row_count - fraud_count
    floor_count = int(params.floor_share * place_count) // params.stratum_count
    names = sorted({row.name for row in rows}, key=lambda name: int(hash64([name])[0]))
    key: dict[tuple[str, int], float] = {}
    weight: dict[tuple[str, int], float] = {}
    for name in names:
        u = float(uniform(rehashed(hash64([name]), SALT))[0])
        for row in rows:
            if row.name == name and row.weight > 0:
                unit = (name, row.stratum)
                weight[unit] = max(weight.get(unit, 0.0), row.weight)
                key[unit] = u / weight[unit]
    ranked = sorted(key, key=lambda unit: (key[unit], names.index(unit[0]), unit[1]))
    in_stratum = [[unit for unit in ranked if unit[1] == stratum] for stratum in range(3)]
    floors = {unit for some in in_stratum for unit in some[:floor_count]}
    others = [unit for unit in ranked if unit not in floors]
    left = place_count - len(floors)
    threshold = min((key[unit] for unit in others[left:]), default=np.inf)
    limit = [
        max(threshold, min((key[u] for u in some[floor_count:]), default=np.inf))
        for some in in_stratum
    ]
    newest_ms = max(row.time_ms for row in rows)
    frauds = {
        (row.name, row.stratum): row.time_ms
        for row in rows
        if row.is_fraud and row.weight > 0
        if row.time_ms >= newest_ms - params.fraud_age_max_s * 1000
    }
    by_age = sorted(frauds, key=lambda unit: (-frauds[unit], names.index(unit[0]), unit[1]))
    chance = {unit: min(1.0, weight[unit] * limit[unit[1]]) for unit in floors | set(others[:left])}
    return chance | dict.fromkeys(by_age[:fraud_count], 1.0)


@settings(deadline=None)
@given(histories(), bounds, st.randoms(use_true_random=False))
def test_what_is_remembered_is_what_the_definition_says(
    rows: list[Row], params: MemoryParams, random: Any
) -> None:
    memory = remembered(cut(rows, random), params)

    expected = slowly(rows, params)
    name_of = {int(hash64([row.name])[0]): row.name for row in rows}
    names = [name_of[h] for h in memory.rows.id_hash.tolist()]
    units = list(zip(names, memory.rows.stratum.tolist(), strict=True))
    assert dict(zip(units, memory.inclusion_probability().tolist(), strict=True)) == expected
    last = {row.name: row for row in rows}
    for i, (name, stratum) in enumerate(units):
        counts = last[name].stratum == stratum and last[name].weight > 0
        assert memory.is_live[i] == counts
        assert memory.rows.version[i] == last[name].version
        if counts:
            assert memory.rows.features[i, 0] == last[name].version + 0.5
            assert memory.rows.weight[i] == last[name].weight
            assert memory.rows.is_fraud[i] == last[name].is_fraud


def small(**changes: Any) -> MemoryParams:
    values = {"row_count_max": 4, "fraud_count_max": 0, "stratum_count": 2, "floor_share": 0.0}
    return MemoryParams(**{**values, **changes})


def test_a_later_example_takes_the_place_of_the_earlier_one() -> None:
    silent = Row("T1", 1, 0, stratum=0, weight=10.0)
    fraud = Row("T1", 2, 0, stratum=0, is_fraud=True, posterior=0.97)

    memory = remembered([[silent], [fraud], [silent]], small())

    assert memory.rows.is_fraud.tolist() == [True]
    assert memory.rows.weight.tolist() == [1.0]
    assert memory.sampling_weight.tolist() == [10.0], "it was ten times as likely to be there"


def test_what_was_withdrawn_or_moved_is_not_learnt_from_but_keeps_its_place() -> None:
    rows = [Row(f"T{i}", i, 0, stratum=0) for i in range(100)]
    full = remembered([rows], small())
    name_of = {int(hash64([row.name])[0]): row.name for row in rows}
    moved, withdrawn = (name_of[h] for h in full.rows.id_hash[:2].tolist())
    changes = [Row(moved, 200, 0, stratum=1, weight=1e-9), Row(withdrawn, 201, 0, 0, weight=0.0)]

    memory = full.with_examples(columns(changes))

    assert memory.rows.id_hash.tolist() == full.rows.id_hash.tolist()
    assert memory.is_live.tolist() == [False, False, True, True]


def test_a_rare_stratum_keeps_its_floor() -> None:
    common = [Row(f"T{i}", i, 0, stratum=0, weight=50.0) for i in range(5_000)]
    rare = [Row(f"R{i}", i, 0, stratum=1) for i in range(30)]
    params = small(row_count_max=100, floor_share=0.2)

    memory = remembered([rare, common], params)
    without = remembered([rare, common], small(row_count_max=100))

    assert len(memory) == len(without) == 100
    assert np.count_nonzero(memory.rows.stratum == 1) == 10
    assert np.count_nonzero(without.rows.stratum == 1) == 0


def test_what_a_stratum_leaves_of_its_floor_others_take() -> None:
    common = [Row(f"T{i}", i, 0, stratum=0) for i in range(500)]

    memory = remembered([common, [Row("R", 0, 0, stratum=1)]], small(row_count_max=100))

    assert len(memory) == 100


def test_recent_frauds_are_all_there_and_old_ones_only_by_chance() -> None:
    genuine = [Row(f"G{i}", i, 100_000, stratum=0) for i in range(10_000)]
    recent = [Row(f"F{i}", i, 95_000, stratum=0, is_fraud=True) for i in range(40)]
    old = [Row(f"O{i}", i, 10_000, stratum=0, is_fraud=True) for i in range(40)]
    params = small(row_count_max=200, fraud_count_max=60, fraud_age_max_s=20)

    early = remembered([old], params)
    memory = early.with_examples(columns(genuine)).with_examples(columns(recent))

    assert early.is_recent_fraud.sum() == 40
    assert np.isin(columns(recent).id_hash, memory.rows.id_hash).all()
    assert np.isin(columns(old).id_hash, memory.rows.id_hash).sum() < 10
    assert set(memory.inclusion_probability()[memory.is_recent_fraud]) == {1.0}


def test_the_newest_frauds_have_the_places_of_frauds() -> None:
    frauds = [Row(f"F{i}", i, i * 1000, stratum=0, is_fraud=True) for i in range(100)]

    memory = remembered([frauds], small(row_count_max=20, fraud_count_max=5))

    kept = memory.rows.event_time_ms[memory.is_recent_fraud]
    assert sorted(kept.tolist()) == [95_000, 96_000, 97_000, 98_000, 99_000]


def test_one_that_only_its_fraud_keeps_has_forgotten_its_weight_whoever_came_first() -> None:
    """It had no place with its larger weight; in one batch that weight is still known."""
    crowd = [Row(f"G{i}", i, 0, stratum=0, weight=1e6) for i in range(50)]
    silent = Row("T1", 100, 0, stratum=0, weight=10.0)
    fraud = Row("T1", 101, 0, stratum=0, is_fraud=True)
    params = small(row_count_max=4, fraud_count_max=2)

    one_by_one = remembered([crowd, [silent], [fraud]], params)

    assert bits(one_by_one) == bits(remembered([[*crowd, silent, fraud]], params))
    assert one_by_one.sampling_weight[one_by_one.is_recent_fraud].tolist() == [0.0]


ROUND_COUNT = 1_500
POPULATION = 120
WEIGHT = np.tile([1.0, 1.0, 10.0, 3.0], POPULATION // 4)
STRATUM = np.repeat([0, 0, 0, 0, 0, 1], POPULATION // 6)


def population(number: int, stratum: Ints, weight: Floats, *, version: int = 0) -> Examples:
    """As many transactions as there are weights, none of them in another round."""
    zeros = np.zeros(weight.size)
    return Examples(
        features=zeros[:, None],
        id_hash=hash64([f"{number}:{i}" for i in range(weight.size)]),
        version=np.full(weight.size, version),
        event_time_ms=np.zeros(weight.size, dtype=np.int64),
        stratum=stratum,
        is_fraud=np.zeros(weight.size, dtype=np.bool_),
        posterior=zeros,
        weight=weight,
        is_presumed=np.ones(weight.size, dtype=np.bool_),
    )


def is_unbiased(estimates: list[float], truth: float) -> bool:
    error = float(np.std(estimates) / np.sqrt(len(estimates)))
    return abs(float(np.mean(estimates)) - truth) < 4 * error < 0.4 * truth


@pytest.mark.parametrize("floor_share", [0.0, 0.5, 1.0])
def test_rows_by_their_chance_are_on_average_as_many_as_there_were(floor_share: float) -> None:
    """In each stratum and of each weight; a threshold one place off would be wrong by a tenth."""
    params = small(row_count_max=12, floor_share=floor_share)
    kinds = [(s, w) for s in (0, 1) for w in (1.0, 3.0, 10.0)]
    estimates: dict[tuple[int, float], list[float]] = {kind: [] for kind in kinds}
    for number in range(ROUND_COUNT):
        memory = empty_memory(params, feature_count=1)
        memory = memory.with_examples(population(number, STRATUM, WEIGHT))
        one_each = 1.0 / memory.inclusion_probability()
        for kind in kinds:
            is_of_it = (memory.rows.stratum == kind[0]) & (memory.rows.weight == kind[1])
            estimates[kind].append(float(one_each[is_of_it].sum()))

    for kind in kinds:
        truth = list(zip(STRATUM.tolist(), WEIGHT.tolist(), strict=True)).count(kind)
        assert is_unbiased(estimates[kind], truth), (kind, np.mean(estimates[kind]), truth)


def test_a_weight_stands_for_as_much_after_the_transaction_was_superseded() -> None:
    """The silent, of weight 10, turn out to be of weight 1: those who were there still are."""
    params = small(row_count_max=40, floor_share=0.5)
    estimates = []
    for number in range(ROUND_COUNT):
        before = population(number, STRATUM, WEIGHT)
        after = population(number, STRATUM, np.ones(POPULATION), version=1)
        memory = empty_memory(params, feature_count=1).with_examples(before)
        memory = memory.with_examples(after.take(np.arange(0, POPULATION, 3)))
        weight = memory.rows.weight / memory.inclusion_probability()
        estimates.append(float(weight[memory.is_live].sum()))

    expected = WEIGHT.copy()
    expected[::3] = 1.0
    assert is_unbiased(estimates, float(expected.sum()))


def test_what_is_remembered_does_not_hang_on_what_was_sampled_before() -> None:
    """The presumed genuine are a share by the same hash: their numbers are all below it."""
    id_hash = hash64([f"T{i}" for i in range(50_000)])
    presumed = uniform(id_hash) < 0.1
    drawn = uniform(rehashed(id_hash, SALT))

    assert np.mean(drawn[presumed]) == pytest.approx(0.5, abs=4 * 0.29 / np.sqrt(5_000))


def test_which_ones_are_remembered_never_changes() -> None:
    """A memory that is built again after an upgrade must be the same."""
    rows = [Row(f"T{i}", i, 0, stratum=0) for i in range(1_000)]

    memory = remembered([rows], small())

    assert sorted(memory.rows.version.tolist()) == [56, 312, 378, 490]


def test_a_memory_without_a_row_for_each_stratum_is_refused() -> None:
    with pytest.raises(ValueError, match="too small for a row of each stratum"):
        empty_memory(MemoryParams(byte_count_max=1_000), feature_count=2)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"row_count_max": 0}, "row_count_max and byte_count_max must be at least 1"),
        ({"fraud_count_max": -1}, "expected fraud_count_max >= 0"),
        ({"fraud_age_max_s": float("nan")}, "fraud_age_max_s in 0..1e10"),
        ({"stratum_count": 0}, r"stratum_count must be in 1\.\.65536"),
        ({"floor_share": 1.1}, r"floor_share must be in \[0, 1\]"),
    ],
)
def test_a_memory_that_cannot_be_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MemoryParams(**values)
