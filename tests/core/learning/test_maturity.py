"""How long labels take, and when silence means "genuine"."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.core.features.hashing import hash64
from sentinel.core.learning.maturity import (
    MaturityParams,
    delay_distribution,
    horizon_ms,
    is_sampled,
)
from sentinel.records import Ints

DAY_MS = 86_400_000
pairs = st.lists(
    st.tuples(st.integers(0, 12), st.integers(0, 12)).map(lambda p: (min(p), max(p))),
    min_size=1,
    max_size=40,
)


def slowly(delays: list[int], ages: list[int]) -> list[float]:
    """By the definition: the product over later delays of the chance to have come before them."""
    found = []
    for time in sorted(set(delays)):
        share = 1.0
        for later in sorted({d for d in delays if d > time}):
            events = sum(d == later for d in delays)
            at_risk = sum(d <= later <= a for d, a in zip(delays, ages, strict=True))
            share *= 1 - events / at_risk
        found.append(share)
    return found


@given(pairs)
def test_the_distribution_is_that_of_its_definition(rows: list[tuple[int, int]]) -> None:
    delays, ages = (list(column) for column in zip(*rows, strict=True))

    times, share = delay_distribution(np.array(delays), np.array(ages))

    assert times.tolist() == sorted(set(delays))
    assert share.tolist() == pytest.approx(slowly(delays, ages))


def test_old_transactions_alone_give_the_plain_distribution() -> None:
    delays = np.array([1, 2, 2, 5])

    times, share = delay_distribution(delays, np.full(4, 100))

    assert times.tolist() == [1, 2, 5]
    assert share.tolist() == pytest.approx([0.25, 0.75, 1.0])


def simulated(rng: np.random.Generator) -> tuple[Ints, Ints, float]:
    """Frauds of the last 90 days whose labels take 20 days on average; those that have come."""
    age = rng.uniform(0, 90, 40_000)
    delay = rng.exponential(20.0, age.size)
    came = delay <= age
    truth = 20.0 * np.log(1 / (0.05 + 0.95 * np.exp(-90 / 20)))  # 95 % of those within 90 days
    return (delay[came] * DAY_MS).astype(np.int64), (age[came] * DAY_MS).astype(np.int64), truth


def test_what_has_not_come_yet_is_allowed_for() -> None:
    delay, age, truth = simulated(np.random.default_rng(4))

    times, share = delay_distribution(delay, age)

    corrected = times[np.searchsorted(share, 0.95)] / DAY_MS
    plain = np.quantile(delay, 0.95) / DAY_MS
    assert corrected == pytest.approx(truth, rel=0.05)
    assert plain < 0.9 * truth, "the delays that were seen look too short"


def test_the_horizon_covers_what_was_asked_within_its_limits() -> None:
    delay, age, truth = simulated(np.random.default_rng(5))
    params = MaturityParams(coverage=0.95)

    assert horizon_ms(delay, age, params) / DAY_MS == pytest.approx(truth, rel=0.05)
    assert horizon_ms(delay // 1000, age, params) == 14 * DAY_MS
    longest = MaturityParams(coverage=0.95, horizon_max_s=20 * 86_400.0)
    assert horizon_ms(delay, age, longest) == 20 * DAY_MS
    assert horizon_ms(delay[:50], age[:50], params) == 120 * DAY_MS, "too few to say"


def test_the_same_transactions_are_sampled_each_time_and_as_many_as_asked() -> None:
    hashes = hash64([f"T{number}" for number in range(50_000)])

    tenth, half = is_sampled(hashes, 0.1), is_sampled(hashes, 0.5)

    assert tenth.mean() == pytest.approx(0.1, abs=0.005)
    assert half.mean() == pytest.approx(0.5, abs=0.01)
    assert not np.any(tenth & ~half), "a larger share holds the smaller one"
    assert is_sampled(hashes, 1.0).all()
