"""A reference counts the stream as the stream is counted: so many rows an account and hour."""

from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sentinel.core.drift.counts.columns import MISSING, UNSEEN
from sentinel.core.drift.counts.noting import MILLION
from sentinel.core.drift.counts.reference import first_rows, reference_of
from sentinel.core.features.kernels.rows_in_hour import HOUR_MS
from tests.core.drift.samples import NAMES, accounts, features


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(-2, 2), st.integers(-3, 3)), max_size=60), st.integers(1, 4))
def test_the_first_rows_of_an_account_in_an_hour_are_those_that_came_first(
    rows: list[tuple[int, int]], most: int
) -> None:
    hashes = np.array([account for account, _ in rows], dtype=np.int64)
    times = np.array([half * HOUR_MS // 2 for _, half in rows], dtype=np.int64)
    seen: Counter[tuple[int, int]] = Counter()
    expected = []
    for account, half in rows:
        seen[account, half // 2] += 1
        expected.append(seen[account, half // 2] <= most)
    assert first_rows(hashes, times, most).tolist() == expected


def test_a_reference_counts_all_rows_under_the_cap_and_scores_of_those_that_have_one() -> None:
    rng, n = np.random.default_rng(1), 5_000
    values, hashes = features(rng, n), accounts(rng, n) % 40
    times = np.arange(n) * 10_000 + 7 * HOUR_MS
    probability = np.where(np.arange(n) < 3_000, np.nan, rng.random(n))
    amounts, is_alert = rng.integers(0, 999, n), rng.random(n) < 0.3

    found = reference_of(
        NAMES, values, times, hashes, probability, amounts, is_alert, rows_per_account_max=3
    )

    at = first_rows(hashes, times, 3)
    scored = at & (np.arange(n) >= 3_000)
    assert found.row_count == at.sum() < n
    assert found.scores.row_count == scored.sum()
    assert found.score_sums[:, 0].sum() == scored.sum()
    assert found.score_sums[:, 1].sum() == np.rint(MILLION * probability[scored]).sum()
    assert found.score_sums[:, 2].sum() == amounts[scored].sum()
    assert found.score_sums[:, 4].sum() == (scored & is_alert).sum()
    assert [column.kind for column in found.features] == ["numeric", "values"]
    cells = found.counts.cells.sum(axis=1)
    assert cells.sum(axis=1).tolist() == [at.sum()] * 2
    assert cells[0, MISSING] == np.isnan(values[at, 0]).sum()
    assert cells[1, :3].tolist() == [(values[at, 1] == i).sum() for i in range(3)]
    assert cells[1, UNSEEN] == 0
    numeric = cells[0, :MISSING]
    assert numeric.min() > 0.7 * numeric.max(), "cells of about equal share"
    assert (found.first_ms, found.last_ms, found.origin) == (times[0], times[-1], "history")


def test_one_row_without_any_value_is_a_reference() -> None:
    none = np.full((1, 2), np.nan)
    one = np.ones(1, dtype=np.int64)
    found = reference_of(
        NAMES, none, one, one, np.full(1, np.nan), one, one > 0, rows_per_account_max=5
    )
    assert found.row_count == 1
    assert found.scores.row_count == 0
    assert found.counts.cells[:, :, MISSING].sum() == 2
