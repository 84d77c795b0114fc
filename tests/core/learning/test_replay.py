"""What an update is trained on: the new, a share of the old, and what each row weighs."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sentinel.core.features.hashing import hash64
from sentinel.core.learning.training_data.examples import Examples, newest, no_examples
from sentinel.core.learning.training_data.memory import Memory, MemoryParams, empty_memory
from sentinel.core.learning.training_data.replay import (
    ReplayParams,
    TrainingSet,
    is_replayed,
    training_set,
)
from tests.core.learning.histories import Row, columns, histories

PARAMS = MemoryParams(row_count_max=12, fraud_count_max=3, stratum_count=3, floor_share=0.5)
NEVER_CLIPPED = 1e12


def remembered(rows: list[Row], params: MemoryParams = PARAMS) -> Memory:
    return empty_memory(params, feature_count=2).with_examples(columns(rows))


def by_version(found: TrainingSet) -> dict[int, float]:
    return dict(zip(found.rows.version.tolist(), found.weight.tolist(), strict=True))


@settings(deadline=None)
@given(histories(), st.integers(0, 60), st.floats(0, 1), st.floats(1, 50), st.booleans())
def test_each_row_weighs_what_looking_at_it_alone_gives(
    rows: list[Row], cut: int, share: float, clip: float, is_remembered: bool
) -> None:
    """Whether or not the memory has seen the new examples already."""
    old, new = rows[:cut], rows[cut:]
    memory = remembered(rows if is_remembered else old)
    params = ReplayParams(replay_share=share, inverse_probability_max=clip)

    found = training_set(memory, columns(new), params, draw=3)

    expected = {}
    last_of_new = {row.name: row for row in new}
    for row in last_of_new.values():
        if row.weight > 0:
            sure = row.posterior if row.is_fraud else 1 - row.posterior
            expected[row.version] = row.weight * sure
    new_hashes = {int(hash64([name])[0]) for name in last_of_new}
    drawn = is_replayed(memory, share, draw=3)
    chance = memory.inclusion_probability()
    replayed = set()
    for i in np.flatnonzero(drawn).tolist():
        if int(memory.rows.id_hash[i]) in new_hashes:
            continue
        row = rows[int(memory.rows.version[i])]
        here = float(chance[i]) * (1.0 if memory.is_recent_fraud[i] else share)
        sure = row.posterior if row.is_fraud else 1 - row.posterior
        expected[row.version] = min(1 / here, clip) * row.weight * sure
        replayed.add(row.version)
    assert by_version(found) == pytest.approx(expected)
    assert set(found.rows.version[found.is_replayed].tolist()) == replayed
    assert found.labels.tolist() == [rows[v].is_fraud for v in found.rows.version.tolist()]
    assert np.all(np.diff(found.rows.event_time_ms) >= 0)


@settings(deadline=None)
@given(histories())
def test_the_newest_example_of_each_transaction_counts(rows: list[Row]) -> None:
    found = newest(columns(rows[::-1]))

    assert sorted(found.version.tolist()) == sorted(
        {row.name: row.version for row in rows}.values()
    )


def test_all_new_examples_are_there_once_and_a_share_of_the_memory() -> None:
    rows = [Row(f"T{i}", i, i, stratum=0) for i in range(3_000)]
    memory = remembered(rows, MemoryParams(row_count_max=4_000, fraud_count_max=0))

    found = training_set(memory, columns(rows[2_000:]), ReplayParams(replay_share=0.3), draw=0)

    assert found.rows.version[~found.is_replayed].tolist() == list(range(2_000, 3_000))
    assert np.all(found.rows.version[found.is_replayed] < 2_000)
    assert found.is_replayed.sum() == pytest.approx(600, abs=4 * np.sqrt(2_000 * 0.3 * 0.7))


def test_recent_frauds_are_in_every_update_as_themselves() -> None:
    frauds = [Row(f"F{i}", i, i, stratum=0, is_fraud=True, posterior=0.9) for i in range(50)]
    memory = remembered(frauds, MemoryParams(row_count_max=200, fraud_count_max=50))

    found = training_set(memory, no_examples(2), ReplayParams(replay_share=0.0), draw=0)

    assert len(found.rows) == 50
    assert set(found.weight) == {0.9}


def test_another_draw_replays_others_independently_of_the_first() -> None:
    rows = [Row(f"T{i}", i, i, stratum=0) for i in range(40_000)]
    memory = remembered(rows, MemoryParams(row_count_max=20_000, fraud_count_max=0))

    draws = [is_replayed(memory, 0.25, draw=draw) for draw in range(4)]

    count = len(memory)
    for i, first in enumerate(draws):
        assert first.mean() == pytest.approx(0.25, abs=4 * np.sqrt(0.25 * 0.75 / count))
        for other in draws[:i]:
            both = np.mean(first & other)
            assert both == pytest.approx(1 / 16, abs=4 * np.sqrt(15 / 256 / count))
    assert is_replayed(memory, 0.25, draw=0).tolist() == draws[0].tolist()


def test_a_ghost_is_never_replayed() -> None:
    rows = [Row("T1", 0, 0, stratum=0), Row("T1", 1, 0, stratum=1), Row("T2", 2, 0, stratum=0)]

    found = training_set(remembered(rows), no_examples(2), ReplayParams(replay_share=1.0), draw=0)

    assert sorted(found.rows.version.tolist()) == [1, 2]


def test_an_example_that_withdraws_is_not_trained_on_nor_what_it_withdrew() -> None:
    memory = remembered([Row("T1", 0, 0, stratum=0)])
    withdrawal = columns([Row("T1", 1, 0, stratum=0, weight=0.0)])

    found = training_set(memory, withdrawal, ReplayParams(replay_share=1.0), draw=0)

    assert len(found.rows) == 0


def many(number: int) -> Examples:
    """Genuine rows of weights 1 and 10, frauds, and a rare stratum; none is in another round."""
    rows = [Row(f"{number}:{i}", i, i, stratum=0, weight=10.0) for i in range(300)]
    rows += [Row(f"{number}:{i}", i, i, stratum=1) for i in range(300, 500)]
    rows += [Row(f"{number}:{i}", i, i, 2, is_fraud=True, posterior=0.9) for i in range(500, 520)]
    return columns(rows)


def test_the_weights_add_up_to_the_population_in_each_stratum() -> None:
    """Whatever was forgotten: 520 rows stand for 3,218, of which the memory holds 60."""
    params = MemoryParams(row_count_max=60, fraud_count_max=6, stratum_count=3)
    replay = ReplayParams(replay_share=0.5, inverse_probability_max=NEVER_CLIPPED)
    sums = []
    for number in range(300):
        memory = empty_memory(params, feature_count=2).with_examples(many(number))
        found = training_set(memory, no_examples(2), replay, draw=number)
        sums.append(np.bincount(found.rows.stratum, weights=found.weight, minlength=3))

    error = np.std(sums, axis=0) / np.sqrt(len(sums))
    truth = np.array([3_000.0, 200.0, 18.0])
    assert np.all(np.abs(np.mean(sums, axis=0) - truth) < 4 * error)
    assert np.all(error < 0.05 * truth)


def test_clipping_only_takes_weight_away() -> None:
    memory = remembered([Row(f"T{i}", i, i, stratum=0) for i in range(1_000)])
    none = no_examples(2)

    full = training_set(memory, none, ReplayParams(1.0, NEVER_CLIPPED), draw=0)
    clipped = training_set(memory, none, ReplayParams(1.0, 20.0), draw=0)

    assert full.weight.min() > 20
    assert set(clipped.weight) == {20.0}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"replay_share": 1.5}, r"replay_share must be in \[0, 1\]"),
        ({"inverse_probability_max": 0.5}, "inverse_probability_max must be at least 1"),
        ({"inverse_probability_max": float("nan")}, "inverse_probability_max must be at least 1"),
    ],
)
def test_a_replay_that_cannot_be_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ReplayParams(**values)
