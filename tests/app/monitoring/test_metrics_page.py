"""What a scrape says: valid, bounded whatever comes, and nothing of whom it is about."""

import asyncio
import re
from itertools import pairwise
from typing import get_args

import numpy as np
import pytest

from sentinel.app.monitoring.counted import CountedFamilies, exposed_name, help_of
from sentinel.app.monitoring.gauges import GAUGES
from sentinel.app.monitoring.labels import (
    CLOSED_LABELS,
    OTHER,
    VERSION_COUNT_MAX,
    VersionSeries,
    closed_samples,
)
from sentinel.app.monitoring.pages import pages
from sentinel.app.status import Status
from sentinel.engine.health import HealthName
from sentinel.errors import RecordReason
from sentinel.metrics import METRICS, Histogram, Metrics
from tests.app.monitoring.odd_input import CARD, SECRET, odd_feedback, odd_input
from tests.app.monitoring.scrapes import families_of, labels_of, page_of, promtool, series_of
from tests.engine.clock import run
from tests.engine.samples import a_config, transactions
from tests.engine.world import World


def a_status(metrics: Metrics | None = None) -> Status:
    return Status(a_config(), metrics or Metrics(), "1.0.0", 0.0)


def filled() -> Metrics:
    """With a number wherever there can be one."""
    metrics = Metrics(decisions=1_234, transactions=1_300, dead_letters=7)
    metrics.actions.update(approve=1_000, block=234)
    metrics.dead_letter_reasons.update(not_json=5, bad_time=2)
    metrics.updates["promote"] += 1
    for counts in (metrics.version_decisions, metrics.version_alerts, metrics.version_failures):
        counts["1.0.0"] += 3
    metrics.version_probability_sum["1.0.0"] += 12.5
    metrics.version_score_s["1.0.0"] += 0.5
    metrics.amount_minor["block"] += 1_234
    metrics.lap("decode", 0.0)
    metrics.count_scores(np.array([0.01, 0.5, 1.0]))
    for one in (metrics.latency_s, metrics.engine_s, metrics.loop_lag_s, metrics.batch_size):
        one.observe_many(np.array([0.0, 1e-7, 0.003, 0.02, 7.0, 1e9]))
    return metrics


def test_every_described_metric_is_in_a_scrape_with_its_help() -> None:
    page = page_of(a_status(filled()))

    for metric in METRICS:
        name = exposed_name(metric)
        kind = "histogram" if metric.kind == "histogram" else "counter"
        assert f"# HELP {name} {help_of(metric)}\n# TYPE {name} {kind}\n" in page
    assert len({exposed_name(one) for one in METRICS}) == len(METRICS)


def test_prometheus_own_tool_finds_no_fault() -> None:
    async def scenario() -> str:
        return page_of(a_status(filled()))

    assert promtool("check", "metrics", text=asyncio.run(scenario())) == ""


def test_numbers_are_those_that_were_counted() -> None:
    series = series_of(page_of(a_status(filled())))

    assert series["sentinel_decisions_total", ()] == 1_234
    assert series["sentinel_actions_total", (("action", "block"),)] == 234
    assert series["sentinel_actions_total", (("action", "review"),)] == 0, "a rate needs a zero"
    assert series["sentinel_amount_total", (("action", "block"),)] == 12.34
    assert series["sentinel_version_score_seconds_total", (("version", "1.0.0"),)] == 0.5
    assert series["sentinel_health", (("status", "starting"),)] == 1


@pytest.mark.parametrize("name", ["latency", "engine", "loop_lag"])
def test_a_histogram_counts_what_is_up_to_each_border(name: str) -> None:
    metrics, values = Metrics(), 10.0 ** np.random.default_rng(1).uniform(-5, 3, 5_000)
    getattr(metrics, f"{name}_s").observe_many(values)

    family = families_of(page_of(a_status(metrics)))[f"sentinel_{name}_seconds"]

    below = {one.labels["le"]: one.value for one in family.samples if one.name.endswith("_bucket")}
    for edge, count in below.items():
        # An edge is written with six digits: what lies between is on either side of it.
        assert count == pytest.approx((values <= float(edge)).sum(), abs=1)
    assert list(below.values()) == sorted(below.values())
    assert list(below)[-1] == "+Inf"
    others = {one.name.rsplit("_", 1)[1]: one.value for one in family.samples}
    assert others["count"] == below["+Inf"] == 5_000
    assert others["sum"] == pytest.approx(values.sum())


def test_borders_of_whole_numbers_lie_between_them() -> None:
    metrics, sizes = Metrics(), [1, 1, 2, 3, 8, 9, 64, 2_048]
    for size in sizes:
        metrics.batch_size.observe(size)

    family = families_of(page_of(a_status(metrics)))["sentinel_batch_size"]

    for one in family.samples:
        if one.name.endswith("_bucket"):
            assert one.value == sum(size <= float(one.labels["le"]) for size in sizes)


def test_the_sum_of_a_histogram_is_of_its_values() -> None:
    histogram = Histogram()
    histogram.observe(2.5, count=4)
    histogram.observe_many(np.array([0.5, 1.0]))

    assert histogram.total == 11.5


# --- labels -------------------------------------------------------------------------------------


def test_every_label_is_of_a_closed_set_or_bounded() -> None:
    assert {one.label for one in METRICS} - {"", "version"} <= CLOSED_LABELS
    assert {one.label for one in GAUGES} == {
        "",
        "status",
        "kind",
        "version",
        "state",
        "step",
        "switch",
        "to",
    }


@pytest.mark.parametrize("label", sorted(CLOSED_LABELS))
def test_a_word_that_is_not_known_is_another(label: str) -> None:
    odd = {CARD: 2, 'x"} 1\n': 3, "": 4}

    found = {one.label: one.value for one in closed_samples(label, odd)}

    assert found[OTHER] == 9
    assert not odd.keys() & found.keys()


def test_versions_are_bounded_and_the_others_are_one() -> None:
    metrics = Metrics()
    series = VersionSeries(metrics)
    [metric] = [one for one in METRICS if one.name == "version_decisions"]
    seen: list[dict[str, float]] = []
    for number in range(100):
        metrics.version_decisions[f"1.{number}.0"] += 10
        metrics.version_decisions["1.0.0"] += 1  # a champion that stays
        series.look()
        seen.append({one.label: one.value for one in series.samples(metric)})
        assert len(seen[-1]) <= VERSION_COUNT_MAX + 1

    assert set(series.shown()) == {"1.0.0"} | {f"1.{n}.0" for n in range(81, 100)}
    assert seen[-1]["1.0.0"] == 110
    for before, now in pairwise(seen):  # no number goes back
        assert all(now[name] >= value for name, value in before.items() if name in now)
    assert OTHER not in seen[-1], "what was shown before is no part of the others"


def test_more_versions_at_once_than_are_shown_are_counted_with_the_others() -> None:
    metrics = Metrics()
    metrics.version_decisions.update({f"1.{n}.0": 5 for n in range(VERSION_COUNT_MAX + 3)})
    [metric] = [one for one in METRICS if one.name == "version_decisions"]
    series = VersionSeries(metrics)

    series.look()
    series.look()  # looking twice counts nothing twice

    found = {one.label: one.value for one in series.samples(metric)}
    assert len(found) == VERSION_COUNT_MAX + 1
    assert found[OTHER] == 15


def test_a_version_that_serves_again_has_its_own_number_again() -> None:
    metrics = Metrics()
    [metric] = [one for one in METRICS if one.name == "version_decisions"]
    series = VersionSeries(metrics)
    for number in range(VERSION_COUNT_MAX + 1):
        metrics.version_decisions[f"1.{number}.0"] += 1
        series.look()
    assert "1.0.0" not in series.shown()

    metrics.version_decisions["1.0.0"] += 4
    series.look()

    assert {one.label: one.value for one in series.samples(metric)}["1.0.0"] == 5


# --- a day of odd input -------------------------------------------------------------------------


def test_a_day_of_odd_input_adds_no_series_and_tells_nobody() -> None:
    world = World()

    async def scenario() -> tuple[str, str, str, str]:
        async with world.instance() as instance:
            status = Status(world.config, instance.metrics, "1.0.0", 0.0, instance)
            world.send(transactions(50))
            await instance.idle()
            before = page_of(status)
            for turn in range(5):
                world.send(list(odd_input()))
                world.send_feedback(list(odd_feedback()))
                world.send(transactions(50, first=50 * (turn + 1)))
                await instance.idle()
            once = page_of(status)
            for _ in range(3):
                world.send(list(odd_input()))
                world.send_feedback(list(odd_feedback()))
            await instance.idle()
            ready = pages(status)["/readyz"]().body.decode()
            return before, once, page_of(status), ready

    before, once, after, ready = run(scenario())

    assert series_of(after).keys() == series_of(once).keys(), "more of it brings nothing new"
    new = series_of(after).keys() - series_of(before).keys()
    assert {name for name, _ in new} == {"sentinel_dead_letter_reasons_total"}
    assert labels_of(after, "reason") <= {*get_args(RecordReason), OTHER}
    assert len(labels_of(after, "reason")) >= 6, "the input was odd in many ways"
    assert len(series_of(after)) < 400
    for word in (CARD, SECRET, "garbage"):
        assert word not in after + ready
    assert promtool("check", "metrics", text=after) == ""


# --- gauges -------------------------------------------------------------------------------------


def test_before_there_is_an_instance_what_is_not_known_is_not_said() -> None:
    series = series_of(page_of(a_status()))

    names = {name for name, _ in series}
    assert "sentinel_lag_records" not in names
    assert "sentinel_drift_alarms_open" not in names
    assert series["sentinel_ready", ()] == 0
    assert series["sentinel_partitions", ()] == 0


def test_an_instance_at_work_says_all_that_there_is() -> None:
    world = World()
    world.send(transactions(100))

    async def scenario() -> str:
        async with world.instance() as instance:
            await instance.idle()
            return page_of(Status(world.config, instance.metrics, "1.0.0", 0.0, instance))

    page = run(scenario())

    series = series_of(page)
    assert series["sentinel_lag_records", ()] == 0
    assert series["sentinel_ready", ()] == 1
    assert series["sentinel_entities", (("kind", "account"),)] == 12
    assert series["sentinel_transactions_total", ()] == 100
    assert series["sentinel_latency_seconds_count", ()] == 100
    assert series["sentinel_score_count", ()] == 100
    for word in get_args(HealthName):
        assert series["sentinel_health", (("status", word),)] == (word == "ok")
    unsaid = {one.name for one in GAUGES} - {name for name, _ in series}
    assert unsaid <= {
        "sentinel_shadow_info",  # there is none
        "sentinel_archive_up",
        "sentinel_update_wait_seconds",  # there is no pace yet
        "sentinel_update_needs_unmet",
        "sentinel_experiments",
        "sentinel_update_state",
        "sentinel_update_number",
        "sentinel_rollout_status",
        "sentinel_rollout_step",
        "sentinel_rollout_needs_person",
        "sentinel_drift_alarms_open",
        "sentinel_drift_reference_missing",
    }


def test_names_follow_prometheus_conventions() -> None:
    for gauge in GAUGES:
        assert re.fullmatch(r"(sentinel|process)(_[a-z0-9]+)+", gauge.name)
        assert gauge.name.endswith("_total") == (gauge.kind == "counter")
    assert len({one.name for one in GAUGES}) == len(GAUGES)


def test_what_another_release_counts_can_be_told_apart() -> None:
    page = page_of(a_status())

    assert len(labels_of(page, "version")) == 3  # of the release, the settings, the model


def test_a_scrape_reads_and_changes_nothing() -> None:
    metrics = filled()
    counted = CountedFamilies(metrics, amount_decimals=2)
    before = metrics.counted()

    assert counted.families() == counted.families()
    assert metrics.counted() == before
