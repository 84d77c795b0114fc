"""Differences and their variances, against textbook formulas, plain loops and simulation."""

import numpy as np
import pytest
from numpy.random import Generator, default_rng

from sentinel.core.experiments.inference.comparison import ArmComparison, compare, compared
from sentinel.core.experiments.outcomes.cells import Cell, MetricSums
from sentinel.core.experiments.outcomes.columns import Column, arm_sums
from sentinel.core.experiments.outcomes.sums import ArmSums, Outcome
from sentinel.records import Floats, Ints


def an_arm(rng: Generator, count: int, rate: float = 0.05) -> tuple[Ints, Ints, Ints]:
    """y, n, x of accounts that differ in activity and in risk."""
    n = 1 + rng.poisson(rng.gamma(0.8, 10, count))
    own = rng.beta(rate * 9, (1 - rate) * 9, count)
    return rng.binomial(n, own), n, rng.binomial(30, own)


def of_one_step(*arms: tuple[Column, Column, Column]) -> MetricSums:
    names = ("control", "challenger")
    return MetricSums(
        {Cell(0, name): arm_sums(*arm) for name, arm in zip(names, arms, strict=True)}
    )


def found(sums: MetricSums, **options: bool) -> ArmComparison:
    one = compare(sums, "control", "challenger", **options)
    assert one is not None
    return one


def test_a_ratio_and_its_variance_are_those_of_the_delta_method() -> None:
    rng = default_rng(1)
    arms = an_arm(rng, 900), an_arm(rng, 300, rate=0.08)

    one = found(of_one_step(*arms))

    rates, variances = [], []
    for y, n, _ in arms:
        rate, k = y.sum() / n.sum(), len(n)
        rates.append(rate)
        parts = np.cov(y, n)  # the textbook: three moments over the squared mean
        spread = parts[0, 0] - 2 * rate * parts[0, 1] + rate**2 * parts[1, 1]
        variances.append(spread / k / n.mean() ** 2)
    assert one.rates == pytest.approx(rates)
    assert one.estimate == pytest.approx(rates[1] - rates[0])
    assert one.separate == pytest.approx(sum(variances))
    assert one.accounts == (900, 300)
    assert one.largest == max(one.pooled, one.separate)


def test_the_pooled_variance_has_one_rate_and_one_spread_for_both_arms() -> None:
    rng = default_rng(2)
    arms = an_arm(rng, 500), an_arm(rng, 80)

    one = found(of_one_step(*arms))

    y, n = (np.concatenate([arm[i] for arm in arms]) for i in (0, 1))
    residuals = [yi - y.sum() / n.sum() * ni for yi, ni in zip(y, n, strict=True)]
    spread = sum(e * e for e in residuals) / (len(y) - 1)
    expected = spread * sum(len(arm[1]) / arm[1].sum() ** 2 for arm in arms)
    assert one.pooled == pytest.approx(expected)


def test_of_shares_of_accounts_the_pooled_variance_is_the_usual_one() -> None:
    y = [np.repeat([0, 1], [970, 30]), np.repeat([0, 1], [455, 45])]

    one = found(of_one_step(*((some, np.ones_like(some), 0 * some) for some in y)))

    rate = 75 / 1_500
    usual = rate * (1 - rate) * (1 / 1_000 + 1 / 500)
    assert one.pooled == pytest.approx(usual, rel=1e-3)
    assert one.positives == (30, 45)


def test_steps_are_weighed_by_mantel_and_haenszel_so_that_shares_that_change_mean_nothing() -> None:
    """The rate rises threefold while the challenger gets nine times the accounts: no difference."""
    sums = MetricSums()
    for step, (rate, sizes) in enumerate([(0.02, (9_000, 1_000)), (0.06, (5_000, 5_000))]):
        for name, size in zip(("control", "challenger"), sizes, strict=True):
            y = np.repeat([1, 0], [round(size * rate), size - round(size * rate)])
            sums.cells[Cell(step, name)] = arm_sums(y, np.ones_like(y))

    one = found(sums)

    naive = sums.arm("challenger").rate - sums.arm("control").rate
    assert naive > 0.015
    assert one.estimate == pytest.approx(0.0)
    weights = np.array([9_000 * 1_000 / 10_000, 2_500.0])
    assert one.rates[0] == pytest.approx(np.average([0.02, 0.06], weights=weights))


def a_ramp(rng: Generator, account_count: int, shares: tuple[float, ...]) -> MetricSums:
    sums = MetricSums()
    assigned, own = rng.random(account_count), rng.beta(0.5, 4.5, account_count)
    n = 1 + rng.poisson(5, (account_count, len(shares)))
    y = rng.binomial(n, own[:, None])
    for a in range(account_count):
        sums.replace(
            {},
            {
                Cell(s, "challenger" if assigned[a] < share else "control"): Outcome(
                    int(y[a, s]), int(n[a, s])
                )
                for s, share in enumerate(shares)
                if n[a, s] > 1
            },
        )
    return sums


def test_a_ramp_has_the_variance_that_many_ramps_show() -> None:
    """Accounts that stay, or move to the challenger, in later steps make the steps dependent."""
    rng = default_rng(3)
    ramps = [a_ramp(rng, 400, (0.1, 0.3, 0.5)) for _ in range(300)]

    all_of = [found(ramp) for ramp in ramps]

    shown = np.var([one.estimate for one in all_of])
    apart = [found(MetricSums(ramp.cells)).pooled for ramp in ramps]
    error = np.sqrt(2 / 300)  # of a variance from 300
    for variances in ([one.pooled for one in all_of], [one.separate for one in all_of]):
        assert np.mean(variances) == pytest.approx(shown, rel=4 * error)
    assert np.mean(apart) < 0.85 * np.mean([one.pooled for one in all_of])


def test_the_variance_of_a_ramp_is_that_of_what_each_account_adds() -> None:
    rng = default_rng(4)
    shares = (0.2, 0.5)
    sums, rows = MetricSums(), []
    for account in range(200):
        assigned, outcomes = rng.random(), {}
        for step, share in enumerate(shares):
            arm = "challenger" if assigned < share else "control"
            n = 1 + int(rng.poisson(4))
            outcomes[Cell(step, arm)] = Outcome(int(rng.binomial(n, 0.2)), n)
            rows.append((account, step, arm, outcomes[Cell(step, arm)]))
        sums.replace({}, outcomes)

    one = found(sums)

    total = {(s, a): [0.0, 0.0] for s in (0, 1) for a in ("control", "challenger")}
    for _, step, arm, outcome in rows:
        total[step, arm][0] += outcome.y
        total[step, arm][1] += outcome.n
    weights = [
        total[s, "control"][1] * total[s, "challenger"][1]
        / (total[s, "control"][1] + total[s, "challenger"][1])
        for s in (0, 1)
    ]  # fmt: skip
    added = dict.fromkeys(range(200), 0.0)
    for account, step, arm, outcome in rows:
        sum_y, sum_n = total[step, arm]
        sign = 1 if arm == "challenger" else -1
        share = weights[step] / sum(weights)
        added[account] += sign * share * (outcome.y - sum_y / sum_n * outcome.n) / sum_n
    assert one.separate == pytest.approx(sum(v * v for v in added.values()), rel=0.02)


def test_a_covariate_takes_out_what_it_explains() -> None:
    rng = default_rng(5)
    x = rng.normal(100, 20, 2_000)
    y = 0.7 * x + rng.normal(0, 0.7141 * 20, 2_000)
    arm = rng.random(2_000) < 0.3
    y[arm] += 2
    one = np.ones(2_000)
    arms = [(y[arm == side], one[arm == side], x[arm == side]) for side in (False, True)]
    sums = MetricSums(
        {
            Cell(0, name): arm_sums(*some)
            for name, some in zip(("control", "challenger"), arms, strict=True)
        }
    )

    plain, adjusted = found(sums), found(sums, with_covariate=True)

    slope = np.polyfit(x, y, 1)[0]
    left = [some_y - slope * (some_x - x.mean()) for some_y, _, some_x in arms]
    assert adjusted.estimate == pytest.approx(left[1].mean() - left[0].mean())
    spread = np.var(y - slope * (x - x.mean()), ddof=1)
    assert adjusted.pooled == pytest.approx(spread * (1 / len(left[0]) + 1 / len(left[1])))
    assert adjusted.separate == pytest.approx(sum(np.var(s, ddof=1) / len(s) for s in left))
    assert adjusted.pooled / plain.pooled == pytest.approx(0.51, abs=0.04)  # 1 - .7^2


def test_a_covariate_that_says_nothing_changes_nothing() -> None:
    rng = default_rng(6)
    arms = an_arm(rng, 300), an_arm(rng, 300)
    constant = of_one_step(*((y, n, np.full_like(n, 7)) for y, n, _ in arms))

    assert found(constant, with_covariate=True) == found(constant)


@pytest.mark.parametrize("value", [0, 1, 0.1])
def test_nothing_is_known_of_a_constant(value: float) -> None:
    y = np.full(50, value)
    one = found(of_one_step((y, np.ones(50), y), (y, np.ones(50), y)))

    assert not one.is_known
    assert one.estimate == 0


def test_without_outcomes_of_both_arms_there_is_no_comparison() -> None:
    rng = default_rng(7)

    assert compare(MetricSums(), "control", "challenger") is None
    alone = MetricSums({Cell(0, "control"): arm_sums(*an_arm(rng, 50))})
    assert compare(alone, "control", "challenger") is None
    apart = MetricSums(
        {
            Cell(0, "control"): arm_sums(*an_arm(rng, 50)),
            Cell(1, "challenger"): arm_sums(*an_arm(rng, 50)),
        }
    )
    assert compare(apart, "control", "challenger") is None


def test_a_step_of_one_arm_alone_counts_for_nothing() -> None:
    rng = default_rng(8)
    both = of_one_step(an_arm(rng, 200), an_arm(rng, 200))
    more = MetricSums({**both.cells, Cell(1, "control"): arm_sums(*an_arm(rng, 500))})

    assert found(more).estimate == pytest.approx(found(both).estimate)
    assert found(more).separate == pytest.approx(found(both).separate)


def test_an_account_alone_in_its_arm_says_nothing_and_does_not_spoil_the_other_steps() -> None:
    rng = default_rng(9)
    alone = of_one_step(an_arm(rng, 50), an_arm(rng, 1))
    assert compare(alone, "control", "challenger") is None

    later = of_one_step(an_arm(rng, 50), an_arm(rng, 50))
    both = MetricSums(alone.cells | {Cell(1, cell.arm): sums for cell, sums in later.cells.items()})
    assert found(both).is_known
    assert found(both).separate == pytest.approx(found(later).separate)


def test_many_experiments_at_once_are_the_same_as_one_by_one() -> None:
    rng = default_rng(10)
    sums = [of_one_step(an_arm(rng, 60), an_arm(rng, 40)) for _ in range(5)]
    grams: Floats = np.stack([one.grams(("control", "challenger")) for one in sums])

    together = compared(grams[None], with_covariate=True)

    assert together.estimate.shape == (1, 5)
    for i, one in enumerate(sums):
        alone = found(one, with_covariate=True)
        assert together.pooled[0, i] == pytest.approx(alone.pooled)
        assert together.separate[0, i] == pytest.approx(alone.separate)


def test_outcomes_far_from_zero_keep_their_variance() -> None:
    """Money in minor units: 10^9 a transaction, give or take 10^5."""
    rng = default_rng(11)
    y = [1_000_000_000 + rng.integers(-100_000, 100_000, 500) for _ in range(2)]
    sums = of_one_step(*((some, np.ones_like(some), 0 * some) for some in y))

    expected = sum(np.var(some, ddof=1) / 500 for some in y)
    assert found(sums).separate == pytest.approx(expected, rel=0.01)
    assert isinstance(sums.cells[Cell(0, "control")].yy, int)
    assert sums.cells[Cell(0, "control")].yy == sum(v * v for v in y[0].tolist())
    assert ArmSums() == ArmSums() + ArmSums()
