"""Simulated chargebacks: how many, of what, and how late."""

import numpy as np
import pytest

from sentinel.simulation.chargebacks import DAY_MS, ChargebackParams, chargebacks, delays_ms

PARAMS = ChargebackParams(genuine_share=0.01)


def test_shares_and_delays_are_the_stated_ones() -> None:
    is_fraud = np.random.default_rng(1).random(400_000) < 0.1

    found = chargebacks(is_fraud, np.random.default_rng(2), PARAMS)

    claimed = np.zeros(is_fraud.size, dtype=np.bool_)
    claimed[found.row] = True
    assert claimed.sum() == found.row.size, "nobody claims twice"
    assert np.mean(claimed[is_fraud]) == pytest.approx(0.8, abs=0.01)
    assert np.mean(claimed[~is_fraud]) == pytest.approx(0.01, abs=0.001)
    days = found.delay_ms / DAY_MS
    assert days.min() >= 1.0
    assert days.max() == 60.0
    # exp(0.6 z) of the quantiles of a normal variable: 1.2816 and 2.3263 (any table)
    for share, times in ((0.5, 1.0), (0.9, np.exp(0.6 * 1.2816)), (0.99, np.exp(0.6 * 2.3263))):
        assert np.quantile(days, share) == pytest.approx(12.0 * times, rel=0.05)


def test_frauds_wait_as_long_as_false_claims() -> None:
    is_fraud = np.random.default_rng(1).random(400_000) < 0.02

    found = chargebacks(is_fraud, np.random.default_rng(2), PARAMS)

    true, false = (np.median(found.delay_ms[is_fraud[found.row] == x]) for x in (True, False))
    assert true == pytest.approx(false, rel=0.05)


def test_the_same_seed_gives_the_same_chargebacks() -> None:
    is_fraud = np.arange(5_000) % 7 == 0

    first, second, other = (
        chargebacks(is_fraud, np.random.default_rng(s), PARAMS) for s in (3, 3, 4)
    )

    assert np.array_equal(first.row, second.row)
    assert np.array_equal(first.delay_ms, second.delay_ms)
    assert not np.array_equal(first.row, other.row)


def test_what_is_too_quick_or_too_slow_comes_at_the_ends() -> None:
    found = delays_ms(np.array([-30.0, 0.0, 30.0]), PARAMS)

    assert found.tolist() == [DAY_MS, 12 * DAY_MS, 60 * DAY_MS]


@pytest.mark.parametrize(
    "wrong",
    [
        {"fraud_share": 1.1},
        {"genuine_share": -0.1},
        {"delay_days_min": 0.0},
        {"delay_median_days": 61.0},
        {"delay_spread": -0.1},
    ],
)
def test_what_cannot_be_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"must|expected"):
        ChargebackParams(**wrong)
