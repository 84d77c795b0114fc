"""Size and duration: against simulation, and against formulas where there are any."""

import math
from collections import defaultdict
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.random import default_rng
from scipy.stats import norm

from sentinel.core.experiments.inference.spending import boundaries
from sentinel.core.experiments.planning.designs import (
    DAYS_MAX,
    DesignPlan,
    PlanParams,
    clustering_after,
    plans,
)
from sentinel.core.experiments.planning.history import (
    AccountDays,
    HistoryRates,
    account_days,
    history_rates,
    joined_days,
)
from sentinel.core.experiments.planning.power import drift_needed, power_of

DAY_MS = 86_400_000


def history(
    seed: int, *, n: int = 40_000, account_count: int = 2_000, day_count: int = 40, **others: Any
) -> AccountDays:
    """Accounts that differ in how busy they are and in how often they are defrauded."""
    rng = default_rng(seed)
    fraud_rate, spread = others.get("fraud_rate", 0.02), others.get("spread", 0.3)
    busy = rng.gamma(0.8, 1.0, account_count)
    account = rng.choice(account_count, n, p=busy / busy.sum())
    rate = np.minimum(rng.gamma(spread, fraud_rate / spread, account_count), 1.0)
    is_fraud = rng.random(n) < rate[account]
    is_alert = np.where(is_fraud, rng.random(n) < 0.6, rng.random(n) < 0.01)
    return account_days(
        account.astype(np.int64),
        rng.integers(0, day_count * DAY_MS, n),
        rng.lognormal(8, 1, n).astype(np.int64),
        is_fraud,
        is_alert.astype(np.bool_),
    )


def alone(n: int = 20_000, **others: Any) -> AccountDays:
    """Each transaction is of an account of its own, and all frauds are as large."""
    rng = default_rng(3)
    is_fraud = rng.random(n) < 0.05
    amounts = np.full(n, others.get("amount", 500), dtype=np.int64)
    return account_days(
        np.arange(n, dtype=np.int64),
        rng.integers(0, 20 * DAY_MS, n),
        amounts,
        is_fraud,
        is_fraud & (rng.random(n) < 0.5),
    )


def planned(rates: HistoryRates, **params: Any) -> dict[tuple[str, str, float], DesignPlan]:
    return {
        (one.design, one.metric, one.setting): one for one in plans(rates, PlanParams(**params))
    }


# Power


@pytest.mark.parametrize("looks", [1, 5, 20])
@pytest.mark.parametrize("drift", [0.0, 1.5, 2.8])
def test_the_power_is_that_of_random_walks(looks: int, drift: float) -> None:
    shares = np.arange(1, looks + 1) / looks
    edges = boundaries(shares.tolist(), shares.tolist())
    steps = default_rng(1).standard_normal((20_000, looks)) / math.sqrt(looks) + drift / looks
    z = np.cumsum(steps, axis=1) / np.sqrt(shares)
    upper = np.where((z >= edges).any(axis=1), np.argmax(z >= edges, axis=1), looks)
    lower = np.where((-z >= edges).any(axis=1), np.argmax(-z >= edges, axis=1), looks)
    rate = (upper < lower).mean()

    found = power_of(drift, tuple(edges))

    assert found == pytest.approx(rate, abs=4 * math.sqrt(max(rate * (1 - rate), 1e-4) / 20_000))


def test_five_looks_cost_as_much_as_is_published() -> None:
    """gsDesign prints 1.025 for sfLDOF, five looks, alpha 0.025 one-sided, power 0.8."""
    fixed = norm.ppf(0.975) + norm.ppf(0.8)

    assert drift_needed(1, 0.05, 0.8) == pytest.approx(fixed)
    assert (drift_needed(5, 0.05, 0.8) / fixed) ** 2 == pytest.approx(1.025, abs=2e-3)
    assert 1.03 < (drift_needed(100, 0.05, 0.8) / fixed) ** 2 < 1.07


# What a history says


def test_the_figures_of_a_history_are_those_of_its_rows() -> None:
    rng = default_rng(2)
    n = 3_000
    account, day = rng.integers(0, 150, n), rng.integers(0, 16, n)
    amount = rng.integers(-900, 2_000, n)
    is_fraud = rng.random(n) < 0.1
    is_alert = rng.random(n) < 0.3
    rates = history_rates(account_days(account, day * DAY_MS + 5, amount, is_fraud, is_alert))

    missed = is_fraud & ~is_alert
    money = np.abs(amount) * missed
    assert rates.transaction_count == n
    assert rates.account_count == len(set(account))
    assert rates.fraud_count == is_fraud.sum()
    assert rates.days == 16
    assert rates.recall == pytest.approx((is_fraud & is_alert).sum() / is_fraud.sum())
    assert rates.alert_rate == pytest.approx(is_alert.mean())
    assert rates.missed.mean == pytest.approx(missed.mean())
    assert rates.missed.variance == pytest.approx(missed.var())
    assert rates.missed_money.mean == pytest.approx(money.mean())
    assert rates.missed_money.variance == pytest.approx(money.var())
    sums: dict[int, float] = defaultdict(float)
    for a, fraud in zip(account.tolist(), is_fraud.tolist(), strict=True):
        sums[a] += fraud
    assert rates.fraud_spread == pytest.approx(sum(x * x for x in sums.values()) / is_fraud.sum())
    for window in rates.windows:
        rows = account[day < math.ceil(window.days)]
        counts = np.bincount(rows)
        assert window.account_count == (counts > 0).sum()
        assert window.rows_per_account == pytest.approx((counts**2).sum() / counts.sum())


def test_how_alike_an_accounts_rows_are_is_found_again() -> None:
    """Rates of accounts are drawn with a known spread: the intraclass correlation is its share."""
    rng = default_rng(4)
    account_count, each = 4_000, 30
    rate = rng.beta(0.5, 4.5, account_count)  # mean 0.1, correlation 1 / (1 + 5)
    account = np.repeat(np.arange(account_count), each)
    is_fraud = rng.random(account.size) < rate[account]
    never = np.zeros(account.size, dtype=np.bool_)
    found = history_rates(
        account_days(account, np.zeros(account.size, dtype=np.int64), account, is_fraud, never)
    )

    assert found.missed.correlation == pytest.approx(1 / 6, abs=0.01)
    assert history_rates(alone()).missed.correlation == 0.0


@given(st.lists(st.integers(1, 500), max_size=4))
def test_parts_of_a_history_add_up_to_it(cuts: list[int]) -> None:
    rng = default_rng(5)
    n = 500
    accounts = rng.integers(-(2**60), 2**60, 20)[rng.integers(0, 20, n)]
    times, amounts = rng.integers(0, 5 * DAY_MS, n), rng.integers(0, 1_000, n)
    is_fraud, is_alert = rng.random((2, n)) < 0.2

    def days_of(a: int, b: int) -> AccountDays:
        return account_days(accounts[a:b], times[a:b], amounts[a:b], is_fraud[a:b], is_alert[a:b])

    parts = [days_of(a, b) for a, b in pairwise([0, *sorted(cuts), n])]
    joined, whole = joined_days(parts), days_of(0, n)

    assert np.array_equal(joined.account, whole.account)
    assert np.array_equal(joined.day, whole.day)
    assert np.array_equal(joined.frauds, whole.frauds)
    assert np.allclose(joined.missed_squares, whole.missed_squares)


def test_a_history_without_alerts_is_thinned_as_if_there_had_been_some() -> None:
    rows = history(6)
    none = replace(
        rows,
        alerts=np.zeros_like(rows.alerts),
        caught=np.zeros_like(rows.caught),
        missed_money=rows.fraud_money,
        missed_squares=rows.fraud_squares,
    )
    with_alerts, without = history_rates(rows), history_rates(none)
    thinned = without.with_recall(with_alerts.recall)

    assert thinned.missed.mean == pytest.approx(with_alerts.missed.mean)
    assert thinned.missed.correlation == pytest.approx(with_alerts.missed.correlation, rel=0.25)
    assert thinned.missed_money.mean == pytest.approx(with_alerts.missed_money.mean, rel=0.15)


# Plans


def test_of_independent_transactions_a_split_takes_as_many_as_the_textbook_says() -> None:
    rates = history_rates(alone())
    found = planned(rates, looks=1, effect=0.2, shares=(0.5, 0.1))

    p = rates.missed.mean
    z = norm.ppf(0.975) + norm.ppf(0.8)
    for share in (0.5, 0.1):
        both = p * (1 - p) * (1 - 0.2 * share)  # a fifth less in the one arm
        n = z**2 * both * (1 / share + 1 / (1 - share)) / (0.2 * p) ** 2
        one = found["split", "fraud_missed", share]
        assert one.transactions == pytest.approx(n, rel=1e-6)
        assert one.design_effect == 1.0
        assert one.days == pytest.approx(n / rates.transactions_a_day, rel=1e-6)


def test_a_paired_plan_finds_what_it_promises_as_often() -> None:
    """Simulated: frauds that one alone finds, with the difference that the plan is for."""
    rates = history_rates(alone())
    found = planned(rates, looks=1, effect=0.2, overlaps=(0.6,))["paired", "fraud_missed", 0.6]
    assert found.labels is not None
    gain = 0.2 * (1 - rates.recall)
    differing = 2 * rates.recall * 0.4 + gain
    better = (1 + gain / differing) / 2
    rng = default_rng(7)
    counts = rng.poisson(found.labels, 4_000)
    b = rng.binomial(counts, better)
    z = (2 * b - counts) / np.sqrt(counts)

    assert (z >= norm.ppf(0.975)).mean() == pytest.approx(0.8, abs=0.02)


def test_a_split_plan_of_clustered_accounts_finds_what_it_promises_as_often() -> None:
    """Simulated at the planned size, accounts drawn from the same population."""
    rng = default_rng(8)
    rows = history(8, n=60_000, account_count=3_000, fraud_rate=0.05, spread=0.5)
    rates = history_rates(rows)
    days = 30.0
    effect = planned(rates, looks=1, days=(days,))["split", "fraud_missed", 0.5].least_effects[0]
    assert effect is not None
    kept = rows.before(int(rows.day.min()) + days)
    _, at = np.unique(kept.account, return_inverse=True)
    n = np.bincount(at, weights=kept.transactions)
    y = np.bincount(at, weights=kept.frauds - kept.caught)

    z = []
    for _ in range(800):
        again = rng.integers(0, n.size, n.size)  # accounts of another month
        of_n, of_y = n[again], y[again].copy()
        is_b = rng.random(n.size) < 0.5
        of_y[is_b] = rng.binomial(of_y[is_b].astype(int), 1 - effect)
        r = of_y.sum() / of_n.sum()
        residuals = of_y - r * of_n
        variance = (residuals**2).mean() * (
            is_b.sum() / of_n[is_b].sum() ** 2 + (~is_b).sum() / of_n[~is_b].sum() ** 2
        )
        difference = of_y[~is_b].sum() / of_n[~is_b].sum() - of_y[is_b].sum() / of_n[is_b].sum()
        z.append(difference / math.sqrt(variance))

    assert (np.array(z) >= norm.ppf(0.975)).mean() == pytest.approx(0.8, abs=0.06)


def test_in_the_planned_days_just_the_planned_effect_is_found() -> None:
    rates = history_rates(history(9))
    first = planned(rates, effect=0.5)
    for key, one in first.items():
        if one.days is None:
            continue
        again = planned(rates, effect=0.5, days=(one.days,))[key]
        assert again.least_effects[0] == pytest.approx(0.5, rel=1e-6)


def test_what_costs_more_takes_longer() -> None:
    rates = history_rates(history(10))

    def days(design: str = "paired", setting: float = 0.6, **params: Any) -> float:
        asked = {"effect": 0.4, "looks": 5} | params
        found = planned(rates, **asked)[design, "fraud_missed", setting].days
        return DAYS_MAX if found is None else found

    assert days() < days(effect=0.3)
    assert days() < days(power=0.9)
    assert days() < days(alpha=0.01)
    assert days() < days(looks=50)
    assert days(setting=0.8) < days(setting=0.6)
    assert days() < days("split", 0.5) < days("split", 0.1)
    assert planned(rates, effect=0.4)["paired", "fraud_loss", 0.6].days > days()  # type: ignore[operator]


def test_more_time_of_the_same_accounts_finds_only_so_much_and_then_never_is_said() -> None:
    rates = history_rates(history(11, account_count=100, spread=0.1))
    one = planned(rates, effect=0.01)["split", "fraud_missed", 0.5]

    assert one.days is one.transactions is one.labels is one.accounts is one.design_effect is None
    least = planned(rates, days=(100.0, 1_000.0))["split", "fraud_missed", 0.5].least_effects
    assert least == (None, None) or all(effect is None or effect > 0.05 for effect in least)


def test_beyond_the_history_accounts_go_on_in_a_line() -> None:
    rates = history_rates(history(12, day_count=40))
    whole, twice = clustering_after(rates, 40.0), clustering_after(rates, 80.0)
    last, middle = rates.windows[-1], rates.windows[3]

    assert whole == last
    assert twice.account_count == pytest.approx(3 * last.account_count - 2 * middle.account_count)
    assert twice.rows_per_account > last.rows_per_account
    assert clustering_after(rates, 0.01).rows_per_account >= 1.0


def test_of_a_history_of_one_day_a_plan_can_be_made() -> None:
    rates = history_rates(history(13, day_count=1))

    assert planned(rates, effect=0.5)["paired", "fraud_missed", 0.8].days is not None


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"effect": 0.0}, "effect"),
        ({"effect": 2.0}, "effect"),
        ({"power": 0.4}, "power"),
        ({"alpha": 0.5}, "alpha"),
        ({"looks": 0}, "looks"),
        ({"looks": 101}, "looks"),
        ({"shares": (1.0,)}, "share"),
        ({"overlaps": (1.0,)}, "overlap"),
        ({"days": (0.0,)}, "days"),
        ({"days": (math.nan,)}, "days"),
        ({"shares": (), "overlaps": ()}, "no design"),
    ],
)
def test_a_plan_of_what_makes_no_sense_is_refused(params: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        PlanParams(**params)
