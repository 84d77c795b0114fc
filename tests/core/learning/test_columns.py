"""Examples with what the gate asks of them."""

import numpy as np
import pytest

from sentinel.core.decision import APPROVE, BLOCK, REVIEW
from sentinel.core.learning.training_data.columns import (
    SEGMENT_NAMES,
    STRATUM_COUNT,
    amount_segments,
    joined,
    newest,
    no_columns,
    strata,
)
from tests.core.learning.wide import columns


@pytest.mark.parametrize(
    ("amount_minor", "name"),
    [
        (0, "amount below 1,000 minor units"),
        (999, "amount below 1,000 minor units"),
        (1_000, "amount 1,000 to 9,999 minor units"),
        (9_999, "amount 1,000 to 9,999 minor units"),
        (9_999_999, "amount 1,000,000 to 9,999,999 minor units"),
        (10_000_000, "amount from 10,000,000 minor units"),
        (10**12, "amount from 10,000,000 minor units"),
    ],
)
def test_a_segment_is_a_decade_of_the_amount(amount_minor: int, name: str) -> None:
    assert SEGMENT_NAMES[amount_segments(np.array([amount_minor]))[0]] == name


def test_a_stratum_is_a_segment_and_whether_it_was_flagged() -> None:
    amounts = np.array([0, 0, 0, 10**9, 10**9])
    action = np.array([APPROVE, REVIEW, BLOCK, APPROVE, BLOCK])

    assert strata(amounts, action).tolist() == [0, 1, 1, 10, 11]
    assert STRATUM_COUNT == 12


def test_the_newest_of_a_transaction_counts_in_every_column() -> None:
    first, second = columns(3, first=0), columns(3, first=2)
    second.amount_minor[0] = 77
    second.examples.version[:] += 100

    found = newest(joined([second, first]))

    assert len(found) == 5
    [at] = np.flatnonzero(found.examples.version == 102)
    assert found.amount_minor[at] == 77
    assert found.examples.id_hash[at] == first.examples.id_hash[2]


def test_without_an_account_a_transaction_is_alone() -> None:
    rows = columns(4)
    rows.account[:] = [5, 5, 0, 0]

    assert rows.group[0] == rows.group[1] == 5
    assert rows.group[2] == rows.examples.id_hash[2] != rows.group[3]


def test_nothing_has_no_rows() -> None:
    assert len(newest(no_columns(2))) == len(joined([no_columns(2), no_columns(2)])) == 0
