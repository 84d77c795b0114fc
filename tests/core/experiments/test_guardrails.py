"""Guardrails: what they stop, how soon, and how rarely wrongly."""

import json
import math
from collections.abc import Iterator
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.random import Generator, default_rng
from numpy.typing import NDArray

from sentinel.core.experiments.guardrails.counts import (
    GuardrailCounts,
    SeenAccounts,
    loss_classes,
)
from sentinel.core.experiments.guardrails.evidence import EXCESS, LimitEvidence, gain
from sentinel.core.experiments.guardrails.guardrails import Guardrails, Trip
from sentinel.core.experiments.guardrails.params import GuardrailParams
from sentinel.records import Ints

SHARES = {"control": 0.5, "b": 0.5}


def of_both(
    guardrails: Guardrails, period: int, b: GuardrailCounts, control: GuardrailCounts
) -> list[Trip]:
    return guardrails.add(period, SHARES, {"control": control, "b": b}, control="control")


def slow_log_e(periods: list[list[tuple[int, int]]], chance: float) -> float:
    """The mixture written out: every excess, every period in which it may have begun."""

    def behind(t: int) -> float:
        return math.log(2) / math.log(t + 2)

    odds, total = chance / (1 - chance), 0.0
    for excess in np.exp(EXCESS):
        tilted = odds * excess / (1 + odds * excess)
        for begin in range(len(periods)):
            ratio = 1.0
            for hits, count in (one for period in periods[begin:] for one in period):
                ratio *= (tilted / chance) ** hits
                ratio *= ((1 - tilted) / (1 - chance)) ** (count - hits)
            total += (behind(begin) - behind(begin + 1)) * ratio / EXCESS.size
    return math.log(total + behind(len(periods)))


counts_of_period = st.lists(
    st.integers(0, 6).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), max_size=3
)


@given(st.lists(counts_of_period, max_size=6), st.floats(0.01, 0.9))
def test_the_evidence_is_the_mixture_written_out(
    periods: list[list[tuple[int, int]]], chance: float
) -> None:
    evidence = LimitEvidence.fresh()
    log_odds = math.log(chance / (1 - chance))

    for period, counts in enumerate(periods):
        for hits, count in counts or [(0, 0)]:
            evidence = evidence.after(period, gain(hits, count, log_odds))

    assert evidence.log_e == pytest.approx(slow_log_e(periods, chance), abs=1e-9)


@pytest.mark.parametrize("chance", [0.02, 0.3, 0.5])
def test_at_the_limit_the_evidence_is_one_on_average_and_below_it_less(chance: float) -> None:
    """Over all outcomes of eight draws, each with its probability."""

    def mean(true: float) -> float:
        total = 0.0
        for outcome in product((0, 1), repeat=8):
            evidence = LimitEvidence.fresh()
            for period, hit in enumerate(outcome):
                log_odds = math.log(chance / (1 - chance))
                evidence = evidence.after(period // 2, gain(hit, 1, log_odds))
            hits = sum(outcome)
            total += true**hits * (1 - true) ** (8 - hits) * math.exp(evidence.log_e)
        return total

    assert mean(chance) == pytest.approx(1.0, abs=1e-12)
    assert mean(chance / 2) < 1.0


def test_periods_that_were_left_out_had_no_counts_and_late_counts_belong_to_the_last() -> None:
    with_all = LimitEvidence.fresh()
    for period in range(5):
        count = 3 if period in (0, 4) else 0
        with_all = with_all.after(period, gain(count, count, 0.0))
    with_some = LimitEvidence.fresh().after(0, gain(3, 3, 0.0)).after(4, gain(3, 3, 0.0))

    assert with_some.log_e == pytest.approx(with_all.log_e)
    late = with_all.after(2, gain(1, 1, 0.0))
    assert late.log_e == with_all.after(4, gain(1, 1, 0.0)).log_e


def clustered_days(rng: Generator) -> Iterator[tuple[Ints, NDArray[np.bool_]]]:
    """Accounts of a day's alerts, and whether in arm b: few accounts have most of them."""
    n = 400
    in_b = rng.random(n) < 0.5
    rate = np.minimum(rng.gamma(0.1, 0.05 / 0.1, n), 1.0)
    for _ in range(40):
        rows = rng.integers(0, n, 500)
        alerted = rows[rng.random(500) < rate[rows]]
        yield alerted, in_b[alerted]


def false_stop(rng: Generator, by_account: bool) -> bool:
    params = GuardrailParams(alpha=0.05, alert_ratio_max=1.0, alert_ratio_min=1.0)
    guardrails, seen = Guardrails(params, ["b"]), SeenAccounts(100_000)
    for day, (accounts, in_b) in enumerate(clustered_days(rng)):
        counted = in_b[seen.are_new(accounts)] if by_account else in_b
        n_b = int(counted.sum())
        of_both(guardrails, day, GuardrailCounts(n_b), GuardrailCounts(counted.size - n_b))
    return bool(guardrails.trips)


def test_equal_arms_with_busy_accounts_are_stopped_as_rarely_as_stated_and_rows_would_not() -> None:
    rng = default_rng(4)
    run_count = 120
    by_account = sum(false_stop(rng, by_account=True) for _ in range(run_count))
    by_row = sum(false_stop(rng, by_account=False) for _ in range(run_count))

    # Two guardrails at 5 %, and three standard errors.
    assert by_account / run_count <= 0.1 + 3 * math.sqrt(0.1 * 0.9 / run_count)
    assert by_row / run_count > 0.3


@pytest.mark.parametrize(
    ("counts", "control", "name"),
    [
        (GuardrailCounts(alerted=60), GuardrailCounts(alerted=10), "alerts"),
        (GuardrailCounts(alerted=5), GuardrailCounts(alerted=60), "few_alerts"),
        (GuardrailCounts(blocked=60), GuardrailCounts(blocked=10), "blocks"),
        (GuardrailCounts(lost=(0, 0, 0, 60)), GuardrailCounts(lost=(0, 0, 0, 10)), "losses"),
        (GuardrailCounts(batches=100, failed=20), GuardrailCounts(batches=100), "failures"),
        (GuardrailCounts(batches=100, slow=60), GuardrailCounts(batches=100), "latency"),
    ],
)
def test_each_guardrail_stops_what_it_is_for_and_says_why_in_one_sentence(
    counts: GuardrailCounts, control: GuardrailCounts, name: str
) -> None:
    guardrails = Guardrails(GuardrailParams(), ["b"])

    (trip,) = of_both(guardrails, 7, counts, control)

    assert (trip.arm, trip.guardrail, trip.period, trip.since_period) == ("b", name, 7, 7)
    assert "at most 1.00% of experiments" in trip.why
    assert trip.log_e >= math.log(100)
    assert of_both(guardrails, 8, counts, control) == []  # it is said once
    assert guardrails.trips == [trip]


def test_an_arm_at_its_limits_is_not_stopped() -> None:
    guardrails = Guardrails(GuardrailParams(), ["b"])
    of_b = GuardrailCounts(15, 15, (3, 3, 3, 3), batches=100, failed=1, slow=5)
    of_control = GuardrailCounts(10, 10, (3, 3, 3, 3), batches=100)

    for period in range(500):
        of_both(guardrails, period, of_b, of_control)

    assert guardrails.trips == []


def test_large_losses_stop_an_arm_before_many_small_ones_do() -> None:
    def periods(lost: tuple[int, ...], of_control: tuple[int, ...]) -> int:
        guardrails = Guardrails(GuardrailParams(), ["b"])
        for period in range(1_000):
            b, control = GuardrailCounts(lost=lost), GuardrailCounts(lost=of_control)
            if of_both(guardrails, period, b, control):
                return period
        return 1_000

    assert periods((0, 0, 0, 3), (0, 0, 0, 1)) < periods((3, 0, 0, 0), (1, 0, 0, 0))


def test_an_arm_that_breaks_after_a_week_of_minutes_is_stopped_within_the_hour() -> None:
    rng = default_rng(5)
    guardrails = Guardrails(GuardrailParams(), ["b"])
    week = 7 * 1_440
    for minute in range(week + 60):
        n_b = int(rng.binomial(6, 0.5 if minute < week else 0.0))
        trips = of_both(guardrails, minute, GuardrailCounts(n_b), GuardrailCounts(6 - n_b))
        if trips:
            break

    (trip,) = trips
    assert trip.guardrail == "few_alerts"
    assert week <= trip.period < week + 15
    assert week - 5 <= trip.since_period <= week
    assert "0 are its own" in trip.why


@pytest.mark.parametrize("burst", [1, 10])
def test_pauses_of_ten_batches_stop_an_arm_as_rarely_as_stated_if_they_count_as_one(
    burst: int,
) -> None:
    """At the limit of 5 %, all of it in pauses."""
    rng, stopped, run_count = default_rng(7), 0, 150
    params = GuardrailParams(alpha=0.05, slow_burst=burst)
    for _ in range(run_count):
        guardrails = Guardrails(params, ["b"])
        for period in range(100):
            slow = 10 * int(rng.binomial(10, 0.05))
            counts = {"b": GuardrailCounts(batches=100, slow=slow)}
            if guardrails.add(period, SHARES, counts, control="control"):
                stopped += 1
                break

    if burst == 10:
        assert stopped / run_count <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / run_count)
    else:
        assert stopped / run_count > 0.3


def test_a_small_arm_is_compared_by_its_share() -> None:
    """Of a canary one account in a hundred is expected."""
    shares = {"control": 0.99, "b": 0.01}
    guardrails = Guardrails(GuardrailParams(), ["b"])

    counts = {"control": GuardrailCounts(990), "b": GuardrailCounts(10)}
    assert guardrails.add(0, shares, counts, control="control") == []
    counts = {"control": GuardrailCounts(99), "b": GuardrailCounts(12)}
    (trip,) = guardrails.add(1, shares, counts, control="control")
    assert trip.guardrail == "alerts"


def test_without_a_share_only_failures_and_latency_say_something() -> None:
    guardrails = Guardrails(GuardrailParams(), ["b"])
    counts = {"b": GuardrailCounts(alerted=500, batches=100, failed=50)}

    trips = guardrails.add(0, {"control": 1.0, "b": 0.0}, counts, control="control")
    assert [trip.guardrail for trip in trips] == ["failures"]
    trips = guardrails.add(1, {"b": 1.0}, counts, control="control")
    assert trips == []


def test_zero_switches_a_guardrail_off() -> None:
    params = GuardrailParams(
        alert_ratio_max=0, alert_ratio_min=0, block_ratio_max=0, failure_share_max=0,
        loss_ratio_max=0, slow_share_max=0,
    )  # fmt: skip
    guardrails = Guardrails(params, ["b"])

    counts = GuardrailCounts(500, 500, (0, 0, 0, 500), batches=100, failed=100, slow=100)
    assert of_both(guardrails, 0, counts, GuardrailCounts()) == []


def test_its_state_comes_back_bit_for_bit_through_json() -> None:
    rng = default_rng(6)
    guardrails = Guardrails(GuardrailParams(), ["b", "c"])
    for minute in range(50):
        n = int(rng.binomial(8, 0.7))
        of_both(guardrails, minute, GuardrailCounts(n, batches=9, slow=1), GuardrailCounts(8 - n))
    state = json.loads(json.dumps(guardrails.state()))
    again = Guardrails.of_state(GuardrailParams(), ["b", "c"], state)

    assert again.state() == guardrails.state()
    assert again.trips == guardrails.trips
    more = GuardrailCounts(3), GuardrailCounts(1)
    assert of_both(again, 50, *more) == of_both(guardrails, 50, *more)
    assert again.log_e("b", "alerts") == guardrails.log_e("b", "alerts")


def test_a_state_of_arms_that_are_gone_is_left_out_and_one_of_something_else_refused() -> None:
    guardrails = Guardrails(GuardrailParams(), ["b"])
    of_both(guardrails, 0, GuardrailCounts(5), GuardrailCounts(5))
    state = guardrails.state()

    assert Guardrails.of_state(GuardrailParams(), ["c"], state).state()["gathered"] == []
    for broken in ({}, {"gathered": [{"arm": "b"}], "trips": []}, {"gathered": 3, "trips": []}):
        with pytest.raises(ValueError, match="stored"):
            Guardrails.of_state(GuardrailParams(), ["b"], broken)
    state["gathered"][0]["log_begun"] = [0.0]
    with pytest.raises(ValueError, match="shape"):
        Guardrails.of_state(GuardrailParams(), ["b"], state)


def test_accounts_are_new_once_and_none_is_when_there_are_too_many() -> None:
    seen = SeenAccounts(3)

    assert seen.are_new(np.array([5, 6, 5])).tolist() == [True, True, False]
    assert seen.are_new(np.array([6, 7, 8])).tolist() == [False, True, False]
    assert len(seen) == 3
    assert SeenAccounts(3, seen.state()).are_new(np.array([5, 9])).tolist() == [False, False]


def test_losses_count_by_their_size() -> None:
    amounts = np.array([0, 1, 125, 126, 250, 251, 500, 501, 10**15, -700])

    assert loss_classes(amounts, 1_000) == (3, 2, 2, 3)
    assert loss_classes(np.empty(0, dtype=np.int64), 1_000) == (0, 0, 0, 0)


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"alpha": 0.0}, "alpha"),
        ({"alert_ratio_max": 0.9}, "alert_ratio_max"),
        ({"alert_ratio_min": 1.5}, "alert_ratio_min"),
        ({"block_ratio_max": 1000}, "block_ratio_max"),
        ({"loss_ratio_max": math.nan}, "loss_ratio_max"),
        ({"failure_share_max": 1.0}, "failure_share_max"),
        ({"slow_share_max": -0.1}, "slow_share_max"),
        ({"slow_burst": 0}, "slow_burst"),
        ({"loss_typical_minor": 0}, "loss_typical_minor"),
        ({"accounts_max": 5}, "accounts_max"),
    ],
)
def test_limits_that_make_no_sense_are_refused(params: dict[str, float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        GuardrailParams(**params)  # type: ignore[arg-type]
