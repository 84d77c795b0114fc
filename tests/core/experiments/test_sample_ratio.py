"""Are accounts shared out as the shares promise?"""

import math

import numpy as np
import pytest
from numpy.random import default_rng
from scipy import stats

from sentinel.core.experiments.inference.sample_ratio import (
    CONCENTRATION,
    log_evidence,
    sample_ratio,
)

HALVES = (0.5, 0.5)


def test_the_evidence_is_a_ratio_of_two_likelihoods() -> None:
    counts, shares = [480, 390, 130], [0.5, 0.4, 0.1]
    prior = [CONCENTRATION * share for share in shares]

    mixture = float(np.ravel(stats.dirichlet_multinomial.logpmf(counts, prior, [sum(counts)]))[0])
    plain = stats.multinomial(sum(counts), shares).logpmf(counts)

    assert float(log_evidence(counts, shares)) == pytest.approx(mixture - plain)


def test_it_grows_account_by_account_as_a_product_of_predictions() -> None:
    """What makes it one that may be looked at any time: each factor has the mean 1."""
    seen, total = np.zeros(2), 0.0
    for arm in default_rng(1).integers(0, 2, 60):
        predicted = (CONCENTRATION * 0.5 + seen[arm]) / (CONCENTRATION + seen.sum())
        total += math.log(predicted / 0.5)
        seen[arm] += 1
        assert float(log_evidence(seen, HALVES)) == pytest.approx(total, abs=1e-9)


def test_right_shares_alarm_in_one_of_a_thousand_experiments_at_most() -> None:
    rng, alarms = default_rng(2), 0
    for share in (0.5, 0.1):
        challengers = rng.binomial(100, share, (2_000, 1_000)).cumsum(axis=1)
        total = 100 * np.arange(1, 1_001)
        counts = np.stack([total - challengers, challengers], axis=-1)
        evidence = log_evidence(counts, (1 - share, share))
        alarms += int((evidence >= math.log(1_000)).any(axis=1).sum())
    assert alarms <= 4 + 3 * 2


def test_shares_that_are_off_by_a_point_are_found_and_by_a_twentieth_of_it_are_not() -> None:
    assert sample_ratio([((51_000, 49_000), HALVES)]).is_alarm
    assert sample_ratio([((91_000, 9_000), (0.9, 0.1))]).is_alarm
    assert not sample_ratio([((50_050, 49_950), HALVES)]).is_alarm


def test_steps_of_a_ramp_are_judged_each_by_its_own_shares() -> None:
    steps = [((99_100, 900), (0.99, 0.01)), ((94_800, 5_200), (0.95, 0.05))]

    found = sample_ratio(steps)

    assert not found.is_alarm
    assert found.counts == (193_900, 6_100)
    assert found.shares == pytest.approx((0.97, 0.03))
    together = [(tuple(np.sum([s[0] for s in steps], axis=0)), (0.5, 0.5))]
    assert sample_ratio(together).is_alarm


def test_one_wrong_step_among_right_ones_is_found() -> None:
    right = [((50_000, 50_000), HALVES)] * 5

    assert not sample_ratio(right).is_alarm
    assert sample_ratio([*right, ((51_200, 48_800), HALVES)]).is_alarm


def test_an_alarm_stays_whatever_comes_after_it() -> None:
    first = sample_ratio([((600, 300), HALVES)])
    assert first.is_alarm

    assert sample_ratio([((60_000, 60_000), HALVES)], first).is_alarm


def test_nobody_is_no_evidence() -> None:
    found = sample_ratio([((0, 0), HALVES)])

    assert found.e_value == pytest.approx(1.0)
    assert found.shares == HALVES
