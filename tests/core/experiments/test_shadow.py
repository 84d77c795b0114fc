"""The paired test of two models on the same transactions."""

import math
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.random import Generator, default_rng
from scipy.integrate import quad
from scipy.stats import beta

from sentinel.core.experiments.inference.spending import boundaries
from sentinel.core.experiments.shadow.betting import log_evidence, log_evidence_of_steps
from sentinel.core.experiments.shadow.capacity import alerts_at_capacity
from sentinel.core.experiments.shadow.comparison import (
    PairedComparison,
    SignedSum,
    compare,
    signed_sum,
)
from sentinel.core.experiments.shadow.pairs import PairColumns
from sentinel.core.features.hashing import hash64

DAY_MS = 86_400_000
MATURITY_MS = 30 * DAY_MS


@dataclass(frozen=True)
class Pair:
    """A row of `PairColumns`, as a test says it."""

    account: str
    event_time_ms: int
    is_challengers: bool
    amount_minor: int = 1_000
    propensity: float = 1.0
    is_seen: bool = True
    is_fraud: bool = True


def columns_of(pairs: list[Pair]) -> PairColumns:
    rows = sorted(pairs, key=lambda one: one.event_time_ms)
    return PairColumns(
        account=hash64([row.account for row in rows]),
        event_time_ms=np.array([row.event_time_ms for row in rows], dtype=np.int64),
        side=np.array([1.0 if row.is_challengers else -1.0 for row in rows]),
        value=np.array([row.amount_minor for row in rows], dtype=np.float64),
        weight=np.array([1 / row.propensity if row.is_seen else 0.0 for row in rows]),
        is_fraud=np.array([row.is_fraud for row in rows], dtype=np.bool_),
        is_blind=np.array([row.propensity == 0 for row in rows], dtype=np.bool_),
    )


def pair(day: float, account: str = "a", is_challengers: bool = True, **others: Any) -> Pair:
    return Pair(account, round(day * DAY_MS), is_challengers, **others)


def compared(pairs: list[Pair], day: float = 1_000.0) -> PairedComparison:
    return compare(columns_of(pairs), round(day * DAY_MS), maturity_ms=MATURITY_MS)


# Evidence


@given(st.integers(0, 40), st.integers(0, 40))
def test_the_evidence_of_counts_is_the_mixture_integrated_by_a_library(b: int, c: int) -> None:
    def integrand(q: float) -> float:
        return float((2 * q) ** b * (2 * (1 - q)) ** c * beta.pdf(q, 10, 10) / 0.5)

    expected, _ = quad(integrand, 0.5, 1.0, epsabs=0, epsrel=1e-10, limit=200)

    assert log_evidence(b, c) == pytest.approx(math.log(expected), abs=1e-6)


def test_the_evidence_of_many_counts_is_finite_or_as_good_as_nil() -> None:
    assert log_evidence(0, 0) == pytest.approx(0.0, abs=1e-12)
    assert math.isfinite(log_evidence(10**6, 0))
    assert -1_000 < log_evidence(0, 10**6) < -600
    assert log_evidence(5_300, 4_700) > math.log(100)


@given(st.lists(st.sampled_from([1.0, -1.0]), max_size=60))
def test_steps_that_weigh_the_same_are_counts(steps: list[float]) -> None:
    values = np.array(steps)
    b, c = int((values > 0).sum()), int((values < 0).sum())

    assert log_evidence_of_steps(values, 1.0) == log_evidence(b, c)
    by_stakes = log_evidence_of_steps(values, 1.0 + 1e-12)  # the other way to compute it
    assert by_stakes == pytest.approx(log_evidence(b, c), abs=0.02 + 0.002 * len(steps))


@pytest.mark.parametrize("seen", [1.0, 0.25])
def test_while_the_challenger_is_no_better_the_evidence_is_one_on_average(seen: float) -> None:
    """Over all outcomes of six steps; of the champion's only the share is seen, and weighs more."""
    outcomes = {1.0: 0.4, -1.0 / seen: 0.4 * seen, 0.0: 0.2 + 0.4 * (1 - seen)}

    mean = sum(
        math.prod(outcomes[x] for x in steps)
        * math.exp(log_evidence_of_steps(np.array(steps), 1 / seen))
        for steps in product(outcomes, repeat=6)
    )

    assert mean == pytest.approx(1.0, abs=1e-9)


def ever_enough(rng: Generator, count: int, chance: float, alpha: float = 0.05) -> bool:
    b = np.cumsum(rng.random(count) < chance)
    c = np.arange(1, count + 1) - b
    looks = range(0, count, 5)
    return any(log_evidence(int(b[i]), int(c[i])) >= -math.log(alpha) for i in looks)


def test_equal_models_are_told_apart_as_rarely_as_stated_however_often_one_looks() -> None:
    rng = default_rng(8)

    wrong = np.mean([ever_enough(rng, 1_000, 0.5) for _ in range(300)])
    right = np.mean([ever_enough(rng, 1_000, 0.6) for _ in range(50)])

    assert wrong <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 300)
    assert right > 0.95


# Pairs


def test_a_pair_counts_when_its_transaction_is_old_enough_and_not_when_its_label_has_come() -> None:
    pairs = [pair(day, f"a{day}", is_challengers=day % 2 == 0) for day in range(40)]

    found = compared(pairs, day=39)

    assert (found.better_count, found.worse_count) == (5, 5)  # days 0 to 9
    assert found.immature_count == 30


def test_of_an_account_the_first_fraud_decides_and_all_its_money_counts_as_one() -> None:
    pairs = [pair(day, "a") for day in range(5)]
    pairs += [pair(9, "a", is_challengers=False, amount_minor=500)]
    pairs += [pair(7, "b", is_challengers=False, amount_minor=200)]

    found = compared(pairs)

    assert (found.better_count, found.worse_count) == (5, 2)
    assert found.accounts == (1, 1)
    assert found.log_e_better == log_evidence(1, 1)
    assert (found.money.total, found.money.account_count) == (4_500 - 200, 2)
    assert found.money.squares == 4_500**2 + 200**2
    assert found.money.z == pytest.approx(4_300 / math.hypot(4_500, 200))


def test_one_large_loss_more_is_taken_for_granted_before_money_decides() -> None:
    pairs = columns_of([pair(i, f"a{i}") for i in range(20)])
    plain = compare(pairs, 99 * DAY_MS, maturity_ms=0).money
    careful = compare(pairs, 99 * DAY_MS, maturity_ms=0, large_minor=8_000).money

    assert plain.z == pytest.approx(math.sqrt(20))
    assert careful.z == pytest.approx((20 - 8) / math.sqrt(20 + 64))
    assert careful.information == pytest.approx(20e6 + 64e6)
    assert replace(careful, total=-20_000.0).z == pytest.approx(-careful.z)
    assert replace(careful, total=7_000.0).z == 0.0


@pytest.mark.parametrize(("chance", "loss"), [(0.8, 4), (0.95, 19), (0.98, 49)])
def test_many_small_gains_against_few_large_losses_are_rarely_promoted(
    chance: float, loss: int
) -> None:
    """Both models find as much money; sixty accounts, looked at twenty times."""
    rng, run_count = default_rng(14), 600
    shares = [(k + 1) / 20 for k in range(20)]
    edges = boundaries(shares, shares)
    promoted = naive = 0
    for _ in range(run_count):
        sums = np.cumsum(signs := np.where(rng.random(60) < chance, 1.0, -float(loss)))[2::3]
        squares = np.cumsum(signs**2)[2::3]
        looks = list(zip(sums.tolist(), squares.tolist(), edges, strict=True))
        promoted += any(SignedSum(s, q, 1, loss).z >= edge for s, q, edge in looks)
        naive += any(SignedSum(s, q, 1).z >= edge for s, q, edge in looks)

    assert promoted / run_count <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / run_count)
    assert naive > promoted


def test_without_pairs_nothing_is_said() -> None:
    found = compared([])

    assert found == PairedComparison(0, 0, (0, 0), 0.0, 0.0, signed_sum(*[np.empty(0)] * 2), 0, 0)  # type: ignore[arg-type]
    assert found.money.z == 0.0


def test_pairs_that_are_no_known_frauds_say_nothing() -> None:
    found = compared([pair(0, is_fraud=False), pair(1, "b", is_fraud=False)])

    assert (found.better_count, found.accounts, found.money.squares) == (0, (0, 0), 0)


def test_what_was_explored_weighs_as_many_as_it_stands_for() -> None:
    pairs = [pair(0, "a", is_challengers=False, propensity=0.1)]
    pairs += [pair(0, f"x{i}", is_challengers=False, propensity=0.1, is_seen=False) for i in (1, 2)]
    pairs += [pair(1, "b")]

    found = compared(pairs)

    assert (found.better_count, found.worse_count) == (1, 10)
    assert found.money.total == 1_000 - 10_000
    assert found.log_e_worse > found.log_e_better


def test_behind_an_unseen_block_of_an_account_nothing_is_counted_for_either() -> None:
    """Else equal models would differ: the champion's finds would be left out where unseen."""
    blocked = pair(0, is_challengers=False, propensity=0.1, is_seen=False)

    assert compared([blocked, pair(1)]).accounts == (0, 0)
    assert compared([pair(0), replace(blocked, event_time_ms=DAY_MS)]).accounts == (1, 0)


def test_what_is_blocked_in_any_case_counts_against_the_challenger_only_where_it_is_to_win() -> (
    None
):
    blind = [
        pair(i, f"x{i}", is_challengers=False, propensity=0.0, is_seen=False, is_fraud=False)
        for i in range(30)
    ]
    found = compared([*blind, *(pair(40 + i, f"y{i}") for i in range(30))])

    assert found.blind_count == 30
    assert found.log_e_better == log_evidence(30, 30)
    assert found.log_e_worse == log_evidence(0, 30)
    assert found.money.total == 0
    assert (found.better_count, found.worse_count) == (30, 0)


def test_equal_models_of_which_the_champion_blocks_are_told_apart_as_rarely_as_stated() -> None:
    """An account has several frauds, found by either; the champion's are explored by 20 %."""
    rng = default_rng(9)

    def is_wrong() -> bool:
        pairs = []
        for account in range(150):
            for _ in range(rng.integers(1, 4)):
                is_challengers = bool(rng.random() < 0.5)
                explored = {"propensity": 0.2, "is_seen": bool(rng.random() < 0.2)}
                others = {} if is_challengers else explored
                day = account + rng.random()
                pairs.append(pair(day, f"a{account}", is_challengers, **others))
        ordered = columns_of(pairs)
        looks = (
            compare(ordered, day * DAY_MS, maturity_ms=0, weight_max=5.0)
            for day in range(10, 151, 10)
        )
        return any(look.log_e_better >= math.log(20) for look in looks)

    wrong = np.mean([is_wrong() for _ in range(150)])

    assert wrong <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 150)


def test_labels_by_their_arrival_would_favour_the_champion() -> None:
    """Two frauds a day each; the champion's are known at once, the others after thirty days."""
    pairs = []
    for day in range(40):
        for i in range(4):
            is_challengers = i < 2
            known = day + 30 <= 40 or not is_challengers
            pairs.append(pair(day, f"a{day}-{i}", is_challengers, is_fraud=known))

    naive = compare(columns_of(pairs), 40 * DAY_MS, maturity_ms=0)
    found = compare(columns_of(pairs), 40 * DAY_MS, maturity_ms=MATURITY_MS)

    assert (naive.better_count, naive.worse_count) == (22, 80)
    assert (found.better_count, found.worse_count) == (22, 22)


# Capacity


@given(
    st.lists(st.sampled_from([0.1, 0.2, 0.2, 0.7, 1.0]), min_size=1, max_size=30),
    st.integers(0, 40),
)
def test_at_capacity_just_so_many_alert_and_none_with_a_lower_score(
    scores: list[float], alert_count: int
) -> None:
    values = np.array(scores)
    hashes = hash64([f"t{i}" for i in range(len(scores))])

    found = alerts_at_capacity(values, hashes, alert_count)

    assert found.sum() == min(alert_count, len(scores))
    if 0 < found.sum() < len(scores):
        assert values[found].min() >= values[~found].max()
    order = default_rng(1).permutation(len(scores))
    assert np.array_equal(
        alerts_at_capacity(values[order], hashes[order], alert_count), found[order]
    )
