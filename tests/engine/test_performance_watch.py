"""Alarms on outcomes of decisions are as new as what has told of them."""

from sentinel.codec.records import encode
from sentinel.core.drift.params import DriftParams
from sentinel.engine.drift.alarms import DetectedChange
from sentinel.engine.drift.examples import PerformanceWatch
from sentinel.records import Example, InputRecord, Record
from tests.core.drift.test_example_watch import DAY_MS, MATURITY_MS, an_example, stream


def record(offset: int, example: Example) -> InputRecord:
    return Record(offset, 0, None, encode(example))


def test_an_alarm_is_of_the_newest_example_and_not_of_one_that_is_a_week_old() -> None:
    """Or an update of the days between would be taken for one that had heard of it."""
    watch = PerformanceWatch(DriftParams(), maturity_ms=MATURITY_MS)
    watch.follow("1.0.0")
    old = stream(30_000, worse_from=16_000)
    fresh = an_example(99_999, is_fraud=True, is_alert=True, event_time_ms=150 * DAY_MS)
    found: list[DetectedChange] = []
    for offset, example in enumerate([fresh, *old]):
        found += watch.take([record(offset, example)])

    assert found
    assert {one.at_ms for one in found} == {fresh.event_time_ms}
    assert all(one.since_ms < fresh.event_time_ms for one in found)
    assert found[0].column == "missed_frauds"


def test_rates_are_made_of_as_many_outcomes_as_is_configured() -> None:
    told = []
    for count in (150, 500):
        watch = PerformanceWatch(DriftParams(example_base_count=count), maturity_ms=MATURITY_MS)
        watch.follow("1.0.0")
        for offset, example in enumerate(stream(14_000, worse_from=14_000)):
            list(watch.take([record(offset, example)]))
            if watch.values()["bases"]:
                told.append(offset)
                break

    few, many = told
    assert few < many
