"""What the benchmark of forgetting shows, on a small stream."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.changing_stream import stream
from benchmarks.forgetting import (
    BASE,
    DEFAULT,
    FULL_NAME,
    SLIDING_NAME,
    STATIC_NAME,
    STRATEGIES,
    compared,
    many_updates,
    over_seeds,
    with_replay,
)
from sentinel.core.learning.params import FitParams

SMALL = replace(
    with_replay(DEFAULT, 1.0, calibration_fraud_count_min=5),
    fit=FitParams(tree_count=10),
    tree_count_per_update=5,
    tree_count_max=20,
)


def test_what_never_learns_keeps_the_old_and_what_is_new_needs_an_update() -> None:
    chosen = [one for one in STRATEGIES if one.name in (STATIC_NAME, FULL_NAME, SLIDING_NAME)]
    at = stream((1, 2, 3), 3, base_row_count=4_000, batch_row_count=4_000)

    rows = compared(at, chosen)

    assert rows[STATIC_NAME]["old/static"] == rows[SLIDING_NAME]["next/sliding"] == 1.0
    assert rows[FULL_NAME]["time/full"] == 1.0
    assert rows[STATIC_NAME]["time/full"] < 0.05
    assert rows[STATIC_NAME]["next/sliding"] < 1.0
    assert rows[SLIDING_NAME]["trees"] == BASE.fit.tree_count
    assert all(0 < row["AP next"] < 1 and 0 <= row["ECE"] < 0.1 for row in rows.values())


def test_the_table_has_the_mean_and_its_standard_error() -> None:
    [row] = over_seeds([{"one": {"AP": value}} for value in (1.0, 2.0, 3.0)])

    assert row["strategy"] == "one"
    assert row["AP"] == pytest.approx((2.0, 1.0 / np.sqrt(3)))


def test_updates_never_have_more_trees_than_the_cap() -> None:
    rows = many_updates(6, 2_500, SMALL, seed=4)

    assert [row["updates"] for row in rows] == [0, 1, 3, 6]
    assert max(row["most trees so far"] for row in rows) == 20
    assert rows[-1]["retrained so far"] >= 1
    assert rows[0]["trees"] == 10
    assert rows[1]["trees"] == 15
