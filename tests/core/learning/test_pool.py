"""Rows that several sets hold are kept once, and come back to the bit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sentinel.core.learning.training_data import pool as pools
from sentinel.core.learning.training_data.pool import pooled
from sentinel.records import Floats

# Few different values, so that many rows are the same; any bits among them.
VALUES = st.sampled_from([0.0, -0.0, 1.0, 2.0**60, np.nan, -np.nan, np.inf])
SETS = st.integers(1, 3).flatmap(
    lambda width: st.lists(
        st.integers(0, 8).flatmap(
            lambda count: arrays(np.float64, (count, width), elements=VALUES)
        ),
        min_size=1,
        max_size=4,
    )
)


@given(SETS)
def test_every_set_comes_back_to_the_bit_and_no_row_is_there_twice(sets: list[Floats]) -> None:
    pool, places = pooled(sets)

    for rows, at in zip(sets, places, strict=True):
        assert pool[at].tobytes() == rows.tobytes()
    different = {row.tobytes() for rows in sets for row in rows}
    assert {row.tobytes() for row in pool} == different
    assert len(pool) == len(different)


def test_different_rows_of_one_hash_stay_different(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "_hashed", lambda bits: np.zeros(bits.shape[1], dtype=np.uint64))
    sets = [np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[1.0, 2.0]])]

    pool, places = pooled(sets)

    for rows, at in zip(sets, places, strict=True):
        assert pool[at].tobytes() == rows.tobytes()


def test_many_different_rows_have_different_hashes() -> None:
    rows = np.random.default_rng(3).integers(0, 40, (50_000, 4)).astype(np.float64)

    pool, _ = pooled([rows, rows[::-1].copy()])

    assert len(pool) == len(np.unique(rows, axis=0))
