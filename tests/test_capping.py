"""Of an account at most so many rows count."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.operations.drift.capping import kept_rows, share_max


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


def test_the_share_is_that_of_an_average_account_or_of_five_rows() -> None:
    assert share_max((1_000, 100_000), (500, 900)) == pytest.approx(5 / 1_000)
    assert share_max((1_000, 100_000), (50, 900)) == pytest.approx(1 / 50)
    assert share_max((0, 0), (0, 0)) == 5
