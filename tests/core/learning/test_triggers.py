"""When an update is due, and for which reasons."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sentinel.core.learning.triggers import (
    Progress,
    Trigger,
    TriggerParams,
    due_triggers,
    trigger_needs,
)

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
SWITCHED_OFF = TriggerParams(0, 0.0, 0, 0, gap_min_s=0.0, example_count_min=0, retry_s=0.0)


@st.composite
def rules(draw: st.DrawFn) -> TriggerParams:
    gap_min_s = draw(st.integers(0, 5))
    example_count_min = draw(st.integers(0, 4))
    return TriggerParams(
        after_example_count=draw(st.just(0) | st.integers(max(1, example_count_min), 8)),
        every_s=float(draw(st.just(0) | st.integers(max(1, gap_min_s), 10))),
        drift_alarm_count=draw(st.integers(0, 3)),
        performance_alarm_count=draw(st.integers(0, 3)),
        gap_min_s=float(gap_min_s),
        example_count_min=example_count_min,
        retry_s=float(draw(st.integers(0, 10))),
        follows_up=draw(st.booleans()),
    )


@st.composite
def situations(draw: st.DrawFn) -> Progress:
    updated_ms = draw(st.integers(-5_000, 20_000))
    alarms = st.lists(st.integers(-5_000, 40_000), max_size=5)
    return Progress(
        now_ms=updated_ms + draw(st.integers(0, 12_000)),
        updated_ms=updated_ms,
        example_count=draw(st.integers(0, 10)),
        drift_alarm_ms=draw(alarms),
        performance_alarm_ms=draw(alarms),
        asked_by=draw(st.none() | st.just("ann")),
        is_recalibrated=draw(st.booleans()),
        is_alarm_open=draw(st.booleans()),
    )


def slowly(progress: Progress, params: TriggerParams) -> list[str]:
    """Millisecond by millisecond since the last update."""
    drift = performance = 0
    is_passed = False
    for time in range(progress.updated_ms + 1, progress.now_ms + 1):
        drift += list(progress.drift_alarm_ms).count(time)
        performance += list(progress.performance_alarm_ms).count(time)
        is_passed |= params.every_s > 0 and time % int(params.every_s * 1000) == 0
    is_enough = progress.example_count >= params.example_count_min
    is_over = progress.now_ms - progress.updated_ms >= params.gap_min_s * 1000
    is_open = is_enough and is_over
    is_late = 0 < params.retry_s * 1000 <= progress.now_ms - progress.updated_ms
    has_alarm = 0 < params.performance_alarm_count <= performance
    due = {
        "demand": progress.asked_by is not None,
        "performance": is_open and (has_alarm or (progress.is_alarm_open and is_late)),
        "drift": is_open and 0 < params.drift_alarm_count <= drift,
        "scheduled": is_open and is_passed,
        "continuous": is_open and 0 < params.after_example_count <= progress.example_count,
        "follow_up": is_over and params.follows_up and progress.is_recalibrated,
    }
    return [kind for kind, is_due in due.items() if is_due]


@settings(deadline=None)
@given(situations(), rules())
def test_what_is_due_is_what_waiting_from_the_last_update_on_would_find(
    progress: Progress, params: TriggerParams
) -> None:
    found = due_triggers(progress, params)

    assert [trigger.kind for trigger in found] == slowly(progress, params)


def test_each_reason_says_what_was_seen() -> None:
    progress = Progress(
        2 * DAY_MS, DAY_MS, 60_000, [DAY_MS + 5, DAY_MS + 9], [DAY_MS + 7], "ann", True
    )

    assert due_triggers(progress, TriggerParams()) == [
        Trigger("demand", "asked for by ann"),
        Trigger("performance", "1 alarm of performance since the last update"),
        Trigger("drift", "2 alarms of drift since the last update"),
        Trigger("scheduled", "every 86400 s"),
        Trigger("continuous", "60000 new examples"),
        Trigger("follow_up", "a recalibration serves, nothing else was tried"),
    ]


def test_a_demand_is_heard_at_once_and_alone() -> None:
    progress = Progress(DAY_MS, DAY_MS, 0, drift_alarm_ms=[DAY_MS], asked_by="ann")

    assert [trigger.kind for trigger in due_triggers(progress, TriggerParams())] == ["demand"]


def test_an_alarm_within_the_gap_counts_after_it_and_not_after_the_update() -> None:
    alarm_ms = [10 * HOUR_MS + 60_000]
    params = TriggerParams(gap_min_s=3_600.0)

    def kinds(now_ms: int, updated_ms: int) -> list[str]:
        found = due_triggers(Progress(now_ms, updated_ms, 2_000, alarm_ms), params)
        return [trigger.kind for trigger in found]

    assert kinds(11 * HOUR_MS - 1, 10 * HOUR_MS) == []
    assert kinds(11 * HOUR_MS, 10 * HOUR_MS) == ["drift"]
    assert kinds(13 * HOUR_MS, 11 * HOUR_MS) == []


def test_as_long_as_an_alarm_of_performance_is_open_an_update_is_tried_each_day() -> None:
    """The first one knew a handful of the new frauds; and an alarm is told once."""
    alarm_ms = [10 * DAY_MS]

    def reasons(now_ms: int, *, is_open: bool) -> list[str]:
        progress = Progress(
            now_ms, 10 * DAY_MS, 2_000, performance_alarm_ms=alarm_ms, is_alarm_open=is_open
        )
        return [one.reason for one in due_triggers(progress, TriggerParams(every_s=0.0))]

    assert reasons(11 * DAY_MS - 1, is_open=True) == []
    assert reasons(11 * DAY_MS, is_open=True) == ["an alarm of performance is still open"]
    assert reasons(11 * DAY_MS, is_open=False) == []


def test_a_schedule_does_not_slip_by_late_updates_and_passed_ones_are_one() -> None:
    params = TriggerParams(every_s=86_400.0)

    late = Progress(6 * DAY_MS, 5 * DAY_MS + 20 * HOUR_MS, 2_000)
    assert [trigger.kind for trigger in due_triggers(late, params)] == ["scheduled"]
    missed = Progress(9 * DAY_MS, 5 * DAY_MS, 2_000)
    assert [trigger.kind for trigger in due_triggers(missed, params)] == ["scheduled"]


def test_nothing_is_due_where_everything_is_switched_off() -> None:
    progress = Progress(99 * DAY_MS, 0, 10**9, [DAY_MS] * 9, [DAY_MS] * 9, is_alarm_open=True)

    assert due_triggers(progress, SWITCHED_OFF) == []


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"drift_alarm_count": -1}, "counts must be at least 0"),
        ({"after_example_count": 10, "example_count_min": 20}, "at least example_count_min"),
        ({"every_s": 0.5}, r"every_s must be 0 or in 1\.\.1e10"),
        ({"every_s": float("nan")}, r"every_s must be 0 or in 1\.\.1e10"),
        ({"retry_s": -1.0}, r"retry_s must be in 0\.\.1e10"),
        ({"gap_min_s": -1.0}, r"gap_min_s in 0\.\.1e10"),
        ({"every_s": 60.0}, "every_s must be 0 or at least gap_min_s"),
    ],
)
def test_rules_that_contradict_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TriggerParams(**values)


@settings(max_examples=300)
@given(situations(), rules())
def test_what_is_awaited_is_met_exactly_when_an_update_is_due_by_itself(
    progress: Progress, params: TriggerParams
) -> None:
    both, either = trigger_needs(progress, params)

    is_awaited = not all(one.is_met for one in both) or not any(one.is_met for one in either)
    kinds = {one.kind for one in due_triggers(progress, params)}
    assert (not is_awaited) == bool(kinds & {"scheduled", "continuous"})


def test_the_awaited_time_is_told_in_hours_of_the_examples() -> None:
    params = TriggerParams(every_s=2 * 86_400.0, gap_min_s=3_600.0)
    progress = Progress(
        now_ms=31 * HOUR_MS + 59, updated_ms=5 * HOUR_MS, example_count=1_000, asked_by=None
    )

    (examples, gap), (schedule, continuous) = trigger_needs(progress, params)

    assert (examples.count, examples.needed, examples.is_met) == (1_000, 1_000, True)
    assert gap.is_met
    assert (schedule.count, schedule.needed) == (31, 48)
    assert schedule.what == "hours of the examples' time"
    assert (continuous.count, continuous.needed) == (1_000, 50_000)
