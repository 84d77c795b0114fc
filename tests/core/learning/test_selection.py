"""Which examples train and which calibrate."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sentinel.core.learning.training_data.examples import Examples, joined, newest
from sentinel.core.learning.training_data.memory import Memory, MemoryParams, empty_memory
from sentinel.core.learning.training_data.replay import ReplayParams
from sentinel.core.learning.training_data.selection import (
    Selection,
    SelectionParams,
    Unfit,
    select,
    unseen,
)
from tests.core.learning.histories import Row, columns, histories

PARAMS = SelectionParams(
    replay=ReplayParams(replay_share=1.0),
    calibration_share=0.25,
    row_count_min=1,
    fraud_count_min=1,
    calibration_fraud_count_min=1,
    replay_ratio_max=1e6,
    genuine_per_fraud=1e6,
)


def remembered(rows: list[Row]) -> Memory:
    params = MemoryParams(row_count_max=500, fraud_count_max=100, stratum_count=3)
    return empty_memory(params, feature_count=2).with_examples(columns(rows))


def stream(count: int, *, first: int = 0, every: int = 4) -> list[Row]:
    """One transaction a second, each `every`th a fraud."""
    return [
        Row(f"T{i}", i, i * 1000, i % 3, i % every == 0, posterior=float(i % every == 0))
        for i in range(first, first + count)
    ]


def selected(found: Selection | Unfit) -> Selection:
    assert isinstance(found, Selection), found
    return found


@settings(deadline=None, max_examples=200)
@given(histories(), st.integers(0, 60), st.booleans(), st.floats(0.05, 0.95))
def test_what_calibrates_is_newer_than_all_that_trains(
    rows: list[Row], cut: int, is_remembered: bool, share: float
) -> None:
    """Whatever the memory holds, and each transaction is in one place, by its newest version."""
    memory = remembered(rows if is_remembered or cut == 0 else rows[:cut])
    new = columns(rows[cut:] or rows)
    params = replace(PARAMS, calibration_share=share)

    found = select(memory, new, params, draw=1)

    if isinstance(found, Unfit):
        return
    training = found.training.rows
    assert training.event_time_ms.max() < found.until_ms
    assert found.held_out.event_time_ms.min() == found.until_ms
    assert np.all(np.diff(found.held_out.event_time_ms) >= 0)
    assert np.all(np.isin(found.held_out.version, newest(new).version))
    last = {row.name: row for row in rows}
    at = joined([training, found.held_out])
    assert len(np.unique(found.held_out.id_hash)) == len(found.held_out)
    assert set(at.version.tolist()) <= {row.version for row in last.values() if row.weight > 0}
    assert np.all(found.training.weight > 0)


def test_a_quarter_is_held_out_and_the_memory_does_not_bring_it_back() -> None:
    rows = stream(100)

    found = selected(select(remembered(rows), columns(rows[60:]), PARAMS, draw=1))

    assert found.held_out.version.tolist() == list(range(90, 100))
    assert sorted(found.training.rows.version.tolist()) == list(range(90))
    replayed = found.training.rows.version[found.training.is_replayed]
    assert sorted(replayed.tolist()) == list(range(60))


def test_only_the_newest_of_a_window_count() -> None:
    rows = stream(100)
    params = replace(PARAMS, window_row_count=40, row_count_min=1, replay_ratio_max=0.0)

    found = selected(select(remembered(rows), columns(rows), params, draw=1))

    assert sorted(found.training.rows.version.tolist()) == list(range(60, 90))
    assert not found.training.is_replayed.any()


def test_what_a_newer_version_withdraws_is_not_replayed() -> None:
    """Though the memory has not heard of it."""
    rows = stream(40)
    withdrawn = Row("T7", 999, 7_000, 1, weight=0.0)

    found = selected(
        select(remembered(rows[:20]), columns([*rows[20:], withdrawn]), PARAMS, draw=1)
    )

    assert sorted(found.training.rows.version.tolist()) == [v for v in range(35) if v != 7]


@pytest.mark.parametrize("ratio", [0.01, 0.5, 1.0, 3.0])
def test_what_is_replayed_weighs_so_many_times_the_new_at_most(ratio: float) -> None:
    rows = stream(100)
    params = replace(PARAMS, replay_ratio_max=ratio)

    found = selected(select(remembered(rows[:80]), columns(rows[80:]), params, draw=1))

    at = found.training.is_replayed
    weight = found.training.weight
    assert at.sum() == 80
    assert weight[at].sum() == pytest.approx(ratio * weight[~at].sum())
    assert np.ptp(weight[at]) == pytest.approx(0.0)
    assert np.array_equal(weight[~at], np.ones(15))


def test_what_weighs_less_anyway_is_left_as_it_is() -> None:
    rows = stream(100)

    found = selected(select(remembered(rows[:10]), columns(rows[10:]), PARAMS, draw=1))

    assert np.array_equal(found.training.weight, np.ones(len(found.training.rows)))


def test_of_the_genuine_a_share_is_kept_and_the_share_is_told() -> None:
    rows = stream(4_000, every=40)
    params = replace(PARAMS, genuine_per_fraud=10.0)

    found = selected(select(remembered(rows[:1]), columns(rows[1:]), params, draw=1))

    fraud_count = int(found.training.rows.is_fraud.sum())
    assert fraud_count == 75
    assert found.kept_share == pytest.approx(10 / 39, rel=0.01)
    assert len(found.training.rows) - fraud_count == pytest.approx(750, rel=0.1)
    assert len(found.held_out) == 1_000


@pytest.mark.parametrize(
    ("rows", "changes", "reason"),
    [
        ([], {}, "there are no examples"),
        (stream(8), {"row_count_min": 100}, "6 examples to train on, at least 100 are needed"),
        (stream(8), {"fraud_count_min": 3}, "2 frauds and 4 genuine to train on, at least 3"),
        (stream(8, every=1), {}, "6 frauds and 0 genuine to train on"),
        (stream(8, every=100), {}, "1 frauds and 5 genuine|0 frauds and 2 genuine to calibrate on"),
        (stream(8), {"calibration_fraud_count_min": 1}, "0 frauds and 2 genuine to calibrate on"),
        ([Row(f"T{i}", i, 5, 0, i < 3) for i in range(9)], {}, "no examples|0 examples to train"),
    ],
)
def test_too_little_is_a_value_that_says_what_is_missing(
    rows: list[Row], changes: dict[str, Any], reason: str
) -> None:
    none = empty_memory(MemoryParams(stratum_count=3), feature_count=2)

    found = select(none, columns(rows), replace(PARAMS, **changes), draw=1)

    assert isinstance(found, Unfit)
    assert any(part in found.reason for part in reason.split("|"))


def test_unseen_is_what_happened_since() -> None:
    rows = stream(50)

    found = unseen(columns(rows), 30_000, replace(PARAMS, window_row_count=15))

    assert isinstance(found, Examples)
    assert found.version.tolist() == list(range(35, 50))
    nothing = unseen(columns(rows), 50_000, PARAMS)
    assert nothing == Unfit("0 examples to calibrate on, at least 1 are needed")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"row_count_min": 0}, "must be at least 1"),
        ({"fraud_count_min": 0}, "must be at least 1"),
        ({"calibration_fraud_count_min": 0}, "must be at least 1"),
        ({"window_row_count": 10}, "window_row_count must be at least row_count_min"),
        ({"replay_ratio_max": -1.0}, "replay_ratio_max"),
        ({"replay_ratio_max": float("nan")}, "replay_ratio_max"),
        ({"genuine_per_fraud": 0.0}, "genuine_per_fraud"),
        ({"calibration_share": 0.0}, "calibration_share"),
        ({"calibration_share": 1.0}, "calibration_share"),
    ],
)
def test_a_selection_that_cannot_work_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SelectionParams(**values)
