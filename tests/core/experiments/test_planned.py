"""The planned test look by look, and what its level means."""

import json
import math

import numpy as np
import pytest
from numpy.random import default_rng
from scipy import stats

from sentinel.core.experiments.inference.comparison import ArmComparison
from sentinel.core.experiments.inference.confidence import half_width, interval_at_any_time
from sentinel.core.experiments.inference.multiplicity import boundaries_at, holm, told_apart
from sentinel.core.experiments.inference.planned import (
    LOOK_COUNT_MAX,
    ArmLook,
    PlannedParams,
    PlannedTest,
    predictive_power,
)

KNOWN = [4.877, 3.357, 2.680, 2.290, 2.031]


def seen(estimate: float, variance: float, positives: int = 50) -> ArmComparison:
    accounts = (1_000, 1_000)
    return ArmComparison(
        estimate, (0.1, 0.1 + estimate), variance, variance, accounts, (9e3, 9e3), (positives,) * 2
    )


def looked(z: list[float], alpha: float = 0.05) -> PlannedTest:
    """Equal looks with these statistics."""
    test = PlannedTest(PlannedParams(alpha=alpha))
    for k, one in enumerate(z, start=1):
        variance = 1e-4 / k
        test.look(seen(one * math.sqrt(variance), variance), k / len(z))
    return test


def test_equal_looks_have_the_known_boundaries_and_spend_the_level() -> None:
    test = looked([0.0] * 5)

    assert [look.boundary for look in test.looks] == pytest.approx(KNOWN, abs=5e-4)
    assert test.looks[-1].spent == pytest.approx(0.05)
    assert test.decision is None
    assert test.is_at_end


def test_the_first_look_beyond_its_boundary_decides_and_no_later_one_takes_it_back() -> None:
    test = looked([1.0, 3.4, 0.0, 0.0, 0.0])

    assert test.decision is not None
    assert test.decision.number == 2
    assert test.decision.interval is not None
    assert test.decision.interval[0] > 0


def test_beyond_the_boundary_the_interval_leaves_out_zero_and_nowhere_else() -> None:
    for look in looked([-1.0, -2.5, -2.7, 2.2, -2.04]).looks:
        assert look.interval is not None
        low, high = look.interval
        assert look.is_beyond == (low > 0 or high < 0)


def test_shares_spend_and_informations_correlate() -> None:
    """Of dependent rows information hardly grows any more: outcomes do, and spend the level."""
    test = PlannedTest(PlannedParams())
    for share, information in [(0.25, 5_000.0), (0.5, 8_000.0), (0.75, 9_000.0), (1.0, 9_500.0)]:
        test.look(seen(0.0, 1 / information), share)

    assert test.looks[-1].spent == pytest.approx(0.05)
    by_information = looked([0.0] * 4)
    own, other = test.looks[-1].boundary, by_information.looks[-1].boundary
    assert own is not None
    assert other is not None
    assert own < other, "looks that hang together closely leave more for the last one"


def test_where_nothing_can_be_tested_it_is_said_and_nothing_is_spent() -> None:
    test = PlannedTest(PlannedParams())

    said = [
        test.look(None, 0.1),
        test.look(seen(0.0, 1.0, positives=4), 0.2),
        test.look(seen(0.0, 0.0), 0.3),
        test.look(seen(0.0, 1.0), 0.4),
        test.look(seen(0.0, 1.0), 0.4),
    ]

    assert [look.boundary is None for look in said] == [True, True, True, False, True]
    assert [bool(look.why_not) for look in said] == [True, True, True, False, True]
    assert "4 of the control" in said[1].why_not
    assert said[2].spent == 0
    assert said[3].boundary == pytest.approx(-stats.norm.ppf(said[3].spent / 2))


def test_there_is_no_look_behind_the_end_and_the_hundredth_is_that_of_the_end() -> None:
    test = PlannedTest(PlannedParams())
    for k in range(1, LOOK_COUNT_MAX + 5):
        test.look(seen(0.0, 1 / k), k / 200)
    assert "for the planned end" in test.looks[-1].why_not

    last = test.look(seen(0.0, 1 / 300), 1.7)
    late = test.look(seen(9.0, 1 / 400), 2.0)

    assert last.share == 1
    assert last.boundary is not None
    assert late.boundary is None
    assert test.decision is None
    assert sum(look.boundary is not None for look in test.looks) == LOOK_COUNT_MAX


def test_a_stored_test_goes_on_as_if_it_had_never_been_stored() -> None:
    whole, halved = PlannedTest(PlannedParams()), PlannedTest(PlannedParams())
    for k in range(1, 11):
        one = None if k == 2 else seen(0.01 * k, 1 / (900 * k + 50 * (k % 3)))
        whole.look(one, k / 10)
        halved.look(one, k / 10)
        halved = PlannedTest.from_dict(json.loads(json.dumps(halved.to_dict())))

    assert halved.looks == whole.looks
    assert halved.to_dict() == whole.to_dict()


def test_the_level_holds_and_hardly_any_power_is_lost() -> None:
    """4,000 experiments on random walks, 20 looks; 95 % of one look's power at least."""
    rng, hits = default_rng(1), {0.0: 0, 2.8: 0}
    fixed = dict(hits)
    edges = [look.boundary for look in looked([0.0] * 20).looks]
    for drift in hits:
        steps = rng.normal(drift / 20, math.sqrt(1 / 20), (4_000, 20))
        z = steps.cumsum(axis=1) / np.sqrt(np.arange(1, 21) / 20)
        hits[drift] = int((np.abs(z) >= edges).any(axis=1).sum())
        fixed[drift] = int((np.abs(z[:, -1]) >= 1.96).sum())
    assert abs(hits[0.0] / 4_000 - 0.05) < 3 * math.sqrt(0.05 * 0.95 / 4_000)
    assert hits[2.8] / fixed[2.8] > 0.95


def test_predictive_power_is_what_simulated_ends_show() -> None:
    rng = default_rng(2)
    for z, share in [(0.0, 0.5), (1.0, 0.7), (-2.0, 0.3)]:
        drift = rng.normal(z / math.sqrt(share), 1 / math.sqrt(share), 200_000)
        rest = rng.normal(drift * (1 - share), math.sqrt(1 - share))
        shown = np.mean(np.abs(z * math.sqrt(share) + rest) >= stats.norm.ppf(0.975))
        assert predictive_power(z, share, 0.05) == pytest.approx(shown, abs=0.005)
    assert predictive_power(2.0, 1.0, 0.05) == 1
    assert predictive_power(1.9, 1.0, 0.05) == 0


def test_it_is_futile_to_go_on_from_half_of_the_plan_on_where_nothing_will_be_found() -> None:
    test = looked([0.0, 0.0, 0.0, 0.0, 0.0])
    assert test.futile is not None
    assert test.futile.share == pytest.approx(0.6)

    worse = looked([-1.5, -2.2, -2.5, -2.2, -2.0])
    assert worse.futile is None, "that it is worse may yet be found"


def test_futility_costs_equal_arms_no_error_and_better_ones_little_power() -> None:
    rng = default_rng(3)
    steps = rng.normal(2.8 / 20, math.sqrt(1 / 20), (4_000, 20))
    shares = np.arange(1, 21) / 20
    z = steps.cumsum(axis=1) / np.sqrt(shares)
    edges = np.array([look.boundary for look in looked([0.0] * 20).looks])
    beyond = np.abs(z) >= edges
    stops = np.zeros_like(beyond)
    for k in range(9, 19):
        power = np.array([predictive_power(one, shares[k], 0.05) for one in z[:, k]])
        stops[:, k] = power < 0.05
    first = [np.where(a.any(axis=1), a.argmax(axis=1), 99) for a in (beyond, stops)]
    lost = np.mean((first[0] < 99) & (first[1] < first[0]))
    assert lost < 0.02


@pytest.mark.parametrize(
    "bad", [{"alpha": 0.0}, {"alpha": 1.0}, {"positives_min": 0}, {"futility_power": 1.0}]
)
def test_a_test_that_cannot_be_is_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(bad))):
        PlannedParams(**bad)  # type: ignore[arg-type]


# --- several challengers ------------------------------------------------------------------------


def test_holm_is_what_the_book_says() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []
    assert holm([0.9, 0.8]) == pytest.approx([1.0, 1.0])


def looks_of(z: list[float], alpha: float) -> tuple[ArmLook, ...]:
    return looked(z, alpha).looks


def test_one_challenger_alone_is_told_apart_where_its_test_decides() -> None:
    test = looked([0.0, 3.0, 2.7, 0.0, 0.0])
    assert test.decision is not None

    assert told_apart([test.looks]) == [test.decision.number]


def test_a_level_that_one_challenger_no_longer_needs_goes_to_the_other() -> None:
    edges = boundaries_at(looks_of([0.0] * 5, 0.025), 0.025)
    clear, close = [0.0, 0.0, 3.5, 0.0, 0.0], [0.0, 0.0, 2.7, 0.0, 0.0]
    assert close[2] < edges[2]

    together = told_apart([looks_of(clear, 0.025), looks_of(close, 0.025)])
    alone = told_apart([looks_of([0.0] * 5, 0.025), looks_of(close, 0.025)])

    assert together == [3, 3]
    assert alone == [None, None]


def test_of_two_equal_challengers_any_is_told_apart_as_rarely_as_the_level_says() -> None:
    rng, count = default_rng(4), 3_000
    information = np.arange(1, 6)
    walks = [rng.normal(0, 1, (count, 5)).cumsum(axis=1) for _ in range(3)]
    z = [(arm - walks[2]) / np.sqrt(2 * information) for arm in walks[:2]]  # one control for both
    edges = np.array(boundaries_at(looks_of([0.0] * 5, 0.025), 0.025))
    close = np.flatnonzero(((np.abs(z[0]) >= edges) | (np.abs(z[1]) >= edges)).any(axis=1))
    for i in close[:20]:
        found = told_apart([looks_of(list(arm[i]), 0.025) for arm in z])
        assert any(one is not None for one in found)
    assert len(close) / count < 0.05 + 3 * math.sqrt(0.05 * 0.95 / count)


# --- the interval at any time -------------------------------------------------------------------


def test_the_interval_is_the_published_one() -> None:
    """As gbstats writes it: n rows of both arms, s2 = n times the variance of the difference."""
    n, planned, variance, alpha = 4_000.0, 20_000.0, 0.003, 0.05
    rho = math.sqrt((-2 * math.log(alpha) + math.log(-2 * math.log(alpha) + 1)) / planned)
    s2 = n * variance
    expected = math.sqrt(s2) * math.sqrt(
        2 * (n * rho**2 + 1) / (n * rho) ** 2 * math.log(math.sqrt(n * rho**2 + 1) / alpha)
    )

    assert half_width(variance, n / planned, alpha) == pytest.approx(expected)


def test_it_is_about_a_third_wider_than_one_fixed_look_at_the_planned_end() -> None:
    assert half_width(1.0, 1.0) / 1.96 == pytest.approx(1.5, abs=0.2)
    assert half_width(1.0, 1.0) < half_width(1.0, 0.2)


def test_random_walks_leave_it_at_any_of_a_thousand_looks_in_five_of_a_hundred_at_most() -> None:
    rng = default_rng(5)
    walks = rng.normal(0, math.sqrt(1 / 1_000), (1_000, 1_000)).cumsum(axis=1)
    shares = np.arange(1, 1_001) / 1_000
    widths = np.array([half_width(1 / s, s) for s in shares])
    missed = (np.abs(walks / shares) > widths).any(axis=1).mean()

    assert 0.005 < missed < 0.05 + 3 * math.sqrt(0.05 * 0.95 / 1_000)


def test_nothing_is_said_before_five_positives_in_each_arm() -> None:
    assert interval_at_any_time(None, 0.5) is None
    assert interval_at_any_time(seen(0.1, 0.01, positives=4), 0.5) is None
    assert interval_at_any_time(seen(0.1, 0.0), 0.5) is None
    found = interval_at_any_time(seen(0.1, 0.01), 0.5)
    assert found is not None
    assert sum(found) / 2 == pytest.approx(0.1)
