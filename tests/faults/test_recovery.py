"""A recovery is split at the right moments."""

import pytest

from tests.faults.recovery import Parts, parts_of, spread, table


def test_the_parts_lie_one_behind_the_other_and_sum_to_the_whole() -> None:
    found = parts_of(100.0, [106.0, 130.0, 131.5, 132.0], 140.0, 5_000)

    assert found == Parts(6.0, 24.0, 1.5, 0.5, 32.0, 40.0, 5_000)
    assert found.start_s + found.join_s + found.replay_s + found.first_s == found.total_s


def test_moments_out_of_order_are_no_recovery() -> None:
    with pytest.raises(AssertionError):
        parts_of(100.0, [106.0, 105.0, 131.0, 132.0], 140.0, 0)


def test_median_and_spread_are_told_with_the_session_timeout() -> None:
    found = [Parts(x, 2.0, 3.0, 4.0, 9.0 + x, 20.0, 10) for x in (1.0, 2.0, 6.0)]

    assert spread(found)["start_s"] == {"median": 2.0, "min": 1.0, "max": 6.0}
    text = table(found, 10_000.0, 30.0, 20.0)
    assert (
        "3 strikes at 10,000 transactions/s, session time-out 30 s, rebalance time-out 20" in text
    )
    assert "start_s           2.00      1.00      6.00" in text
    assert spread([]) == {}
