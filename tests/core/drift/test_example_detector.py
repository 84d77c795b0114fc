"""The detector of matured examples against a slow, obvious version, and what it promises."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.random import Generator, default_rng
from scipy.special import expit

from sentinel.core.drift.counts.counting import size_groups
from sentinel.core.drift.detectors.base_rates import BaseRate, base_calibration, base_rate
from sentinel.core.drift.detectors.bernoulli import RATIOS, UNKNOWN, Outcomes
from sentinel.core.drift.detectors.examples import (
    ExampleEvent,
    ExampleParams,
    ExampleState,
    after_examples,
)
from sentinel.core.drift.storing import state_of, state_values
from sentinel.records import Floats, Ints

PARAMS = ExampleParams()
ERROR = BaseRate("error", "up", 0.05)


def drawn(rng: Generator, n: int, rate: float) -> Outcomes:
    return (rng.random((n, 1)) < rate).astype(np.int8)


def clustered(
    rng: Generator, account_count: int, rate: float, likeness: float
) -> tuple[Outcomes, Ints]:
    """20 examples of each account, whose own rate is drawn from a Beta distribution."""
    spread = 1 / likeness - 1
    own = rng.beta(rate * spread, (1 - rate) * spread, size=account_count)
    outcomes = (rng.random((account_count, 20)) < own[:, None]).astype(np.int8)
    return outcomes.reshape(-1, 1), np.repeat(rng.integers(2**62, size=account_count), 20)


def run(
    bases: list[BaseRate],
    outcomes: Outcomes,
    accounts: Ints | None = None,
    params: ExampleParams = PARAMS,
    state: ExampleState | None = None,
) -> tuple[ExampleState, tuple[ExampleEvent, ...]]:
    n = len(outcomes)
    groups = size_groups(np.arange(n) if accounts is None else accounts)
    begun = state or ExampleState.fresh(bases)
    return after_examples(begun, bases, outcomes, groups, np.arange(n) * 1000, params)


def slow_means(base: float, outcomes: list[int], power: float) -> list[float]:
    """Shiryaev and Roberts' statistic, mixed over the ratios, after each example."""
    m, found = [0.0] * RATIOS.shape[1], []
    for outcome in outcomes:
        for k, ratio in enumerate(RATIOS[0].tolist()):
            odds = base / (1 - base) * ratio
            moved = odds / (1 + odds)
            e = moved / base if outcome else (1 - moved) / (1 - base)
            m[k] = (m[k] + 1) * e**power
        found.append(sum(m) / len(m))
    return found


@given(st.lists(st.integers(0, 1), min_size=1, max_size=60), st.floats(0.01, 0.6))
@settings(max_examples=40, deadline=None)
def test_it_alarms_at_the_first_example_at_which_the_mean_is_above_the_run_length(
    outcomes: list[int], rate: float
) -> None:
    params = ExampleParams(run_length_examples=200.0)
    slow = slow_means(rate, outcomes, 1.0)
    first = next((i + 1 for i, mean in enumerate(slow) if mean >= 200.0), None)

    _, events = run(
        [BaseRate("error", "up", rate)], np.array(outcomes, dtype=np.int8)[:, None], params=params
    )

    assert (events[0].example if events else None) == first


def test_examples_of_one_account_count_to_the_power_of_one_over_their_design_effect() -> None:
    outcomes = np.ones((30, 1), dtype=np.int8)
    base, patient = BaseRate("error", "up", 0.05, likeness=1.0), ExampleParams(1e30)

    alone, _ = run([base], outcomes, params=patient)
    alike, _ = run([base], outcomes, np.zeros(30, dtype=np.int64), params=patient)

    # Thirty examples of one account are one example, again and again.
    assert alone.evidence.max() > 30
    assert alike.evidence.max() < 6


def test_the_run_length_is_the_stated_one_or_longer() -> None:
    rng, params = default_rng(1), ExampleParams(run_length_examples=300.0)
    lengths = []
    for _ in range(150):
        _, events = run([ERROR], drawn(rng, 3_000, 0.05), params=params)
        lengths.append(events[0].example if events else 3_000)

    assert 300 < np.mean(lengths) < 1_500


def test_alike_examples_alarm_no_more_often_and_would_without_their_design_effect() -> None:
    rng, counts = default_rng(2), [0, 0]
    outcomes, accounts = clustered(rng, 5_000, 0.05, 0.1)
    for which, likeness in enumerate((0.1, 0.0)):
        base = BaseRate("error", "up", 0.05, likeness=likeness)
        _, events = run([base], outcomes, accounts)
        counts[which] = sum(event.kind == "alarm" for event in events)

    assert counts[0] <= 3
    assert counts[1] >= 10


def test_an_error_rate_that_rises_is_found_with_its_beginning_and_is_over_when_it_falls() -> None:
    rng = default_rng(8)
    spans = ((5_000, 0.05), (4_000, 0.12), (10_000, 0.05))

    _, events = run([ERROR], np.concatenate([drawn(rng, n, p) for n, p in spans]))

    assert [event.kind for event in events] == ["alarm", "over"]
    alarm, over = events
    assert (alarm.name, alarm.side) == ("error", "up")
    assert alarm.expected == pytest.approx(0.05)
    assert 5_000 < alarm.example < 5_800
    assert abs(alarm.since / 1000 - 5_000) < 200
    assert alarm.rate == pytest.approx(0.12, abs=0.04)
    assert 9_000 < over.example < 12_000


def test_only_the_direction_that_is_worse_alarms() -> None:
    rng = default_rng(4)
    outcomes = drawn(rng, 4_000, 0.2)
    bases = [
        BaseRate("up", "up", 0.5),
        BaseRate("down", "down", 0.5),
        BaseRate("both", "both", 0.5),
    ]

    found = [[e.side for e in run([base], outcomes)[1]] for base in bases]

    assert found == [[], ["down"], ["down"]]


def test_what_an_example_does_not_have_tells_nothing_and_the_others_are_named() -> None:
    rng = default_rng(5)
    outcomes = np.concatenate([drawn(rng, 3_000, 0.05), drawn(rng, 3_000, 0.3)], axis=1)
    outcomes[::2, 1] = UNKNOWN
    never = np.full((3_000, 1), UNKNOWN, dtype=np.int8)
    bases = [ERROR, BaseRate("missed", "up", 0.1), BaseRate("alert", "down", 0.6)]

    _, events = run(bases, np.concatenate([outcomes, never], axis=1))

    assert {event.name for event in events} == {"missed"}


def test_the_base_rate_is_taken_to_the_cautious_side() -> None:
    outcomes, patient = drawn(default_rng(6), 4_000, 0.065), ExampleParams(1e30)

    sure, unsure = (
        run([BaseRate("error", "up", 0.05, error)], outcomes, params=patient)[0].evidence.max()
        for error in (0.0, 0.015)
    )

    assert unsure < sure


@given(st.integers(1, 2_999), st.integers(0, 4))
@settings(max_examples=10, deadline=None)
def test_a_stored_state_goes_on_as_if_nothing_had_been_however_examples_are_cut(
    cut: int, seed: int
) -> None:
    rng, params = default_rng(seed), ExampleParams(horizon_examples=100.0)
    outcomes = np.concatenate([drawn(rng, 1_500, 0.05), drawn(rng, 1_500, 0.2)])
    groups, times = rng.integers(1024, size=3_000), np.arange(3_000)
    bases = [BaseRate("error", "up", 0.05, likeness=0.2)]
    fresh = ExampleState.fresh(bases)
    whole, events = after_examples(fresh, bases, outcomes, groups, times, params)

    state, before = after_examples(fresh, bases, outcomes[:cut], groups[:cut], times[:cut], params)
    state = state_of(fresh, state_values(state))
    state, after = after_examples(state, bases, outcomes[cut:], groups[cut:], times[cut:], params)

    assert before + after == events
    for name, value in state_values(whole).items():
        assert np.array_equal(state_values(state)[name], value, equal_nan=True)


# What each example's own probability says


def scored(
    rng: Generator, n: int, *, shift: float = 0.0, odds: float = 1.0
) -> tuple[Outcomes, Floats]:
    """Outcomes of calibrated probabilities, but for `odds`; customers may `shift`."""
    logits = rng.normal(-3.0 + shift, 1.5, size=n)
    outcomes = rng.random(n) < expit(logits + math.log(odds))
    return outcomes.astype(np.int8)[:, None], expit(logits)


def run_scored(
    bases: list[BaseRate], parts: list[tuple[Outcomes, Floats]]
) -> tuple[ExampleEvent, ...]:
    outcomes = np.concatenate([part[0] for part in parts])
    n = len(outcomes)
    return after_examples(
        ExampleState.fresh(bases),
        bases,
        np.repeat(outcomes, len(bases), axis=1),
        np.arange(n) % 1024,
        np.arange(n),
        PARAMS,
        probabilities=np.concatenate([part[1] for part in parts]),
    )[1]


def test_other_customers_are_no_change_of_what_probabilities_promise() -> None:
    """The share of frauds alarms, what probabilities say of it does not."""
    rng = default_rng(11)
    outcomes, probabilities = scored(rng, 20_000)
    bases = [
        base_rate("share", "both", outcomes[:, 0], np.arange(20_000)),
        base_calibration("calibration", "both", outcomes[:, 0], probabilities, np.arange(20_000)),
    ]

    events = run_scored(bases, [scored(rng, 5_000), scored(rng, 8_000, shift=0.8)])

    assert {event.name for event in events} == {"share"}


def test_more_fraud_of_the_same_customers_is_found_though_no_estimate_sees_it() -> None:
    rng = default_rng(12)
    outcomes, probabilities = scored(rng, 20_000)
    base = base_calibration("calibration", "up", outcomes[:, 0], probabilities, np.arange(20_000))

    events = run_scored(
        [base],
        [scored(rng, 5_000), scored(rng, 6_000, odds=1.75), scored(rng, 12_000)],
    )

    assert [event.kind for event in events] == ["alarm", "over"]
    assert 5_000 < events[0].example < 7_000
    assert events[0].rate > 1.2 * events[0].expected


def test_odds_that_were_off_before_are_the_base() -> None:
    rng = default_rng(13)
    outcomes, probabilities = scored(rng, 50_000, odds=2.0)

    base = base_calibration("calibration", "up", outcomes[:, 0], probabilities, np.arange(50_000))

    assert base.rate / (1 - base.rate) == pytest.approx(2.0, rel=0.1)
    # Of a rate of r and odds r / (1 - r): error of their logarithm, over the examples' information.
    odds_error = base.error / (base.rate * (1 - base.rate))
    q = expit(np.log(probabilities / (1 - probabilities)) + math.log(2.0))
    assert odds_error == pytest.approx(1 / math.sqrt((q * (1 - q)).sum()), rel=0.1)
    assert base_calibration(
        "none", "up", outcomes[:0, 0], probabilities[:0], np.arange(0)
    ).rate == (pytest.approx(0.5))


# The base rate


def slow_likeness(outcomes: Floats, accounts: Ints) -> float:
    """By analysis of variance, sum by sum."""
    names = sorted(set(accounts.tolist()))
    parts = [outcomes[accounts == name] for name in names]
    n, k = outcomes.size, len(parts)
    between = sum(p.size * (p.mean() - outcomes.mean()) ** 2 for p in parts) / (k - 1)
    within = sum(((p - p.mean()) ** 2).sum() for p in parts) / (n - k)
    usual = (n - sum(p.size**2 for p in parts) / n) / (k - 1)
    return float((between - within) / (between + (usual - 1) * within))


def test_likeness_is_estimated_by_analysis_of_variance() -> None:
    rng = default_rng(7)
    outcomes, accounts = clustered(rng, 300, 0.3, 0.2)
    unequal = rng.random(len(outcomes)) < 0.6
    outcomes, accounts = outcomes[unequal], accounts[unequal]

    found = base_rate("error", "up", outcomes[:, 0], accounts)

    slow = slow_likeness(outcomes[:, 0].astype(float), accounts)
    _, size = np.unique(accounts, return_counts=True)
    effect = 1 + (float((size**2).sum()) / len(outcomes) - 1) * slow
    plain = math.sqrt(found.rate * (1 - found.rate) / len(outcomes))
    assert found.error == pytest.approx(plain * math.sqrt(effect))
    # On the cautious side by a standard error of about .02.
    assert slow < found.likeness < slow + 0.04
    assert found.likeness == pytest.approx(0.2, abs=0.07)


def test_where_likeness_was_never_seen_one_account_with_half_of_all_does_not_alarm() -> None:
    rng = default_rng(14)
    single = base_rate("error", "up", drawn(rng, 5_000, 0.05)[:, 0], np.arange(5_000))
    outcomes, half = drawn(rng, 6_000, 0.05), np.arange(6_000) % 2 == 0
    outcomes[half] = drawn(rng, 3_000, 0.12)

    _, apart = run([single], outcomes)
    _, of_one = run([single], outcomes, np.where(half, -1, np.arange(6_000)))

    assert [len(apart) > 0, len(of_one) > 0] == [True, False]


@pytest.mark.parametrize("outcome", [0, 1, UNKNOWN])
def test_a_base_of_one_kind_or_of_nothing_alarms_at_no_single_example(outcome: int) -> None:
    before = np.full(50, outcome, dtype=np.int8)
    base = base_rate("error", "both", before, np.arange(50))

    _, events = run([base], np.array([[0], [1]], dtype=np.int8))

    assert 0 < base.rate < 1
    assert events == ()


@pytest.mark.parametrize(
    "wrong",
    [{"run_length_examples": 1.0}, {"horizon_examples": 0.0}, {"base_errors": float("nan")}],
)
def test_parameters_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        ExampleParams(**wrong)
