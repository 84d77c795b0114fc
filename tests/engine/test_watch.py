"""A new champion that hurts is found out, and one that is as the former one is left alone."""

import asyncio
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.adapters.memory import MemoryDocuments
from sentinel.core.learning.watch import VersionCounts, WatchParams, harm
from sentinel.engine.registry.lifecycle import Update
from sentinel.engine.updates.watching import Watching
from sentinel.metrics import Metrics
from sentinel.stores import StoredModels
from tests.engine.world import InProcessTrainer, World

PARAMS = WatchParams(decision_count_min=1_000)
# Of 10,000 decisions 2 % are alerts, the mean probability is 1 %, scoring takes 5 us.
BEFORE = VersionCounts(10_000, 200, 100.0, 0.05)


def behind(
    decision_count: int = 10_000,
    *,
    alert_share: float = 0.02,
    probability: float = 0.01,
    score_us: float = 5.0,
    before: VersionCounts = BEFORE,
) -> tuple[VersionCounts, VersionCounts]:
    """The counts of the former version, and of the new one: so many decisions at these rates."""
    return before, VersionCounts(
        decision_count,
        round(alert_share * decision_count),
        probability * decision_count,
        score_us * 1e-6 * decision_count,
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"watch_s": -1.0},
        {"decision_count_min": 0},
        {"z_min": -0.1},
        {"alert_ratio_max": 1.0},
        {"probability_ratio_max": 0.5},
        {"latency_ratio_max": 1.0},
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"must be"):
        WatchParams(**wrong)


def test_what_is_as_before_does_no_harm() -> None:
    assert harm(*behind(), PARAMS) is None


@pytest.mark.parametrize(
    ("share", "is_harm"), [(0.039, False), (0.042, True), (0.0105, False), (0.0095, True)]
)
def test_more_than_twice_or_less_than_half_the_alerts_are_harm(share: float, is_harm: bool) -> None:
    """By hand: ln(2) / sqrt(1/200.5 + 1/390.5) = 8.0, and for 105 alerts 5.4: far enough away."""
    assert (harm(*behind(alert_share=share), PARAMS) is not None) == is_harm


def test_the_sentence_names_both_shares_of_alerts() -> None:
    found = harm(*behind(alert_share=0.1), PARAMS)
    assert found == "its share of alerts is 10.0050%, before it was 2.0050%"


def test_a_ratio_of_few_alerts_is_no_harm() -> None:
    """6 alerts to 2: a ratio of 2.6, and ln(2.6) = 0.96 is 1.3 standard errors of 0.74."""
    few = VersionCounts(10_000, 2, 100.0, 0.05)
    assert harm(*behind(alert_share=0.0006, before=few), PARAMS) is None


def test_no_alert_at_all_is_harm_where_there_were_some() -> None:
    """0.5 to 200.5: ln(401) = 6.0 of a standard error of 1.416 is 4.2; of 20,000 before, 5 at z."""
    watch = behind(alert_share=0.0)
    z = math.log(200.5 / 0.5) / math.sqrt(1 / 0.5 + 1 / 200.5)
    assert z == pytest.approx(4.23, abs=0.01)
    assert harm(*watch, PARAMS) is None
    assert harm(*watch, WatchParams(decision_count_min=1_000, z_min=4.2)) is not None


@pytest.mark.parametrize(
    ("probability", "is_harm"), [(0.0299, False), (0.0301, True), (0.0034, False), (0.0033, True)]
)
def test_a_mean_probability_of_another_size_is_harm(probability: float, is_harm: bool) -> None:
    assert (harm(*behind(probability=probability), PARAMS) is not None) == is_harm


def test_the_sentence_names_both_mean_probabilities() -> None:
    found = harm(*behind(probability=0.05), PARAMS)
    assert found == "its mean probability is 0.05000, before it was 0.01000"


@pytest.mark.parametrize(("score_us", "is_harm"), [(14.9, False), (15.1, True), (0.1, False)])
def test_slower_scoring_is_harm_and_faster_is_none(score_us: float, is_harm: bool) -> None:
    assert (harm(*behind(score_us=score_us), PARAMS) is not None) == is_harm


def test_the_sentence_names_both_times() -> None:
    found = harm(*behind(score_us=20.0), PARAMS)
    assert found == "scoring takes 20.0 us a transaction, before it took 5.0"


def test_nothing_to_compare_with_is_no_harm() -> None:
    """Before, all probabilities were 0, and no time was taken."""
    idle = VersionCounts(10_000, 200, 0.0, 0.0)
    assert harm(*behind(before=idle), PARAMS) is None


counts = st.integers(0, 3_000)


@given(counts, counts, st.data())
def test_of_few_decisions_nothing_is_said(before: int, since: int, data: st.DataObject) -> None:
    least = max(min(before, since) + 1, 1)
    first = VersionCounts(before, data.draw(st.integers(0, before)), 0.01 * before, 1e-5 * before)
    share = data.draw(st.floats(0, 1))
    watch = behind(since, alert_share=share, probability=0.9, score_us=1e5, before=first)

    assert harm(*watch, WatchParams(decision_count_min=least)) is None


rates = st.tuples(st.floats(0.0, 0.2), st.floats(0.001, 0.9))


@given(st.integers(1_000, 50_000), st.integers(1_000, 50_000), rates, rates)
def test_what_is_harm_one_way_is_harm_the_other_way(
    before: int, since: int, first: tuple[float, float], second: tuple[float, float]
) -> None:
    """But for latency: to be faster hurts nobody."""
    former = VersionCounts(before, round(first[0] * before), first[1] * before, 1e-5 * before)
    watch = behind(
        since, alert_share=second[0], probability=second[1], score_us=10.0, before=former
    )

    found, other = harm(*watch, PARAMS), harm(watch[1], watch[0], PARAMS)

    assert (found is None) == (other is None)
    assert found is None or other is None or found[:10] == other[:10]


@pytest.mark.parametrize("alert_share", [0.0005, 0.005, 0.05])
def test_a_model_of_the_same_rates_is_next_to_never_harm(alert_share: float) -> None:
    """2,000 trials of 20 looks each, as counts grow: at most a handful may be taken for harm."""
    rng = np.random.default_rng(round(1e6 * alert_share))
    trial_count, steps = 2_000, np.full(20, 1_000)
    found_count = 0
    for _ in range(trial_count):
        before = VersionCounts(5_000, int(rng.binomial(5_000, alert_share)), *_sums(rng, 5_000))
        decided, alerts, probability, score_s = 0, 0, 0.0, 0.0
        for step in steps.tolist():
            more_probability, more_s = _sums(rng, step)
            decided, alerts = decided + step, alerts + int(rng.binomial(step, alert_share))
            probability, score_s = probability + more_probability, score_s + more_s
            after = VersionCounts(decided, alerts, probability, score_s)
            if harm(before, after, PARAMS) is not None:
                found_count += 1
                break

    assert found_count < 0.01 * trial_count


def _sums(rng: np.random.Generator, count: int) -> tuple[float, float]:
    """Sums over so many probabilities of mean 0.02, spread tenfold, and over times around 5 us."""
    probability = 0.02 * count + rng.normal() * 0.08 * math.sqrt(count)
    return max(probability, 0.0), float(rng.gamma(count / 16, 16 * 5e-6))


def test_one_that_cannot_score_is_found_out_at_once() -> None:
    before, now = behind(1)

    assert harm(before, replace(now, failure_count=1), PARAMS) == "it cannot score what comes"
    assert harm(replace(before, failure_count=3), now, PARAMS) is None


def count(metrics: Metrics, version: str, decision_count: int, *, alert_share: float) -> None:
    metrics.version_decisions[version] += decision_count
    metrics.version_alerts[version] += round(alert_share * decision_count)
    metrics.version_probability_sum[version] += 0.01 * decision_count
    metrics.version_score_s[version] += 5e-6 * decision_count


def test_each_version_is_judged_by_its_own_decisions_only() -> None:
    """A version that served long ago and serves again has counts of then, and others count, too."""
    metrics = Metrics()
    world = World()
    watching = Watching(
        StoredModels(MemoryDocuments(world.models)),
        InProcessTrainer(lambda: None),
        metrics,
        PARAMS,
        compare_after_count=10,
    )
    count(metrics, "1.0.0", 10_000, alert_share=0.02)
    count(metrics, "1.1.0", 5_000, alert_share=0.5)
    watching.begin(watching.counts())
    update = Update(champion="1.0.0", version="1.1.0")

    count(metrics, "1.1.0", 5_000, alert_share=0.02)
    count(metrics, "1.2.0", 5_000, alert_share=1.0)
    assert asyncio.run(watching.harm(update)) is None

    count(metrics, "1.1.0", 5_000, alert_share=0.2)
    found = asyncio.run(watching.harm(update))
    assert found == "its share of alerts is 11.0050%, before it was 2.0050%"
