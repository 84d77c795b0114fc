"""Of an account at most so many rows count."""

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sentinel.operations.drift.capping import kept_rows, row_counts_max


@given(accounts=st.lists(st.integers(0, 5), max_size=60), most=st.integers(1, 9))
def test_of_each_account_as_many_rows_as_there_are_and_may_be(
    accounts: list[int], most: int
) -> None:
    hashes = np.array(accounts, dtype=np.int64)

    kept = kept_rows(hashes, most)

    expected = {account: min(count, most) for account, count in Counter(accounts).items()}
    assert Counter(hashes[kept].tolist()) == expected


def test_rows_are_kept_evenly_over_the_file() -> None:
    kept = np.flatnonzero(kept_rows(np.zeros(1_000, dtype=np.int64), 10))

    assert np.diff(kept).tolist() == [100] * 9


def test_as_many_rows_count_as_accounts_have_on_average_or_five() -> None:
    assert row_counts_max((2_000, 3_000), (100, 150)) == (20, 20)
    assert row_counts_max((60_000, 2_000), (100, 100)) == (600, 20)  # a month, and a day
    assert row_counts_max((6_000, 200), (100, 100)) == (150, 5)
    assert row_counts_max((0, 0), (0, 0)) == (1, 1)
