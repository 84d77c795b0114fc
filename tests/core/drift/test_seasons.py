"""Hours against the same hours of earlier weeks."""

import math

import numpy as np
import pytest
from numpy.random import Generator, default_rng
from scipy.special import stdtr

from sentinel.core.drift.detectors.seasons import (
    SeasonEvent,
    SeasonParams,
    SeasonState,
    after_hour,
    expected_now,
)
from sentinel.core.drift.detectors.weeks import HOURS
from sentinel.core.drift.storing import state_of, state_values
from sentinel.records import Floats
from tests.core.drift.test_minutes import Site

PARAMS = SeasonParams()
SERIES = 20
USUAL = 0.5 * np.sin(2 * np.pi * np.arange(HOURS) / 24) + 0.3 * (np.arange(HOURS) >= 120)
FIRST = 2_800 * HOURS  # some week


def hours(
    rng: Generator, begin: int, count: int, *, shift: float = 0.0, day: float = 0.0
) -> list[tuple[int, Floats]]:
    """Means of hours with 400 rows; `day` is how much days differ."""
    days = day * rng.normal(size=(count // 24 + 2, SERIES))
    return [
        (
            hour,
            USUAL[hour % HOURS]
            + shift
            + days[(hour - begin) // 24]
            + rng.normal(size=SERIES) / math.sqrt(400),
        )
        for hour in range(begin, begin + count)
    ]


def run(
    state: SeasonState, given: list[tuple[int, Floats]], rows: float = 400.0
) -> tuple[SeasonState, list[SeasonEvent]]:
    events: list[SeasonEvent] = []
    for hour, means in given:
        state, found = after_hour(state, hour, np.full(SERIES, rows), means * rows, PARAMS)
        events += found
    return state, events


@pytest.fixture(scope="module")
def known() -> SeasonState:
    """Four weeks of hours."""
    rng = default_rng(1)
    given = hours(rng, FIRST, 4 * HOURS, day=0.02)
    state, _ = run(SeasonState.fresh(SERIES, PARAMS), given)
    return SeasonState(state.weeks, state.rows, state.means, 0 * state.open_side - 1, state.quiet)


def test_a_usual_week_is_no_alarm_though_each_hour_is_far_from_the_mean(
    known: SeasonState,
) -> None:
    _, events = run(known, hours(default_rng(2), FIRST + 4 * HOURS, HOURS, day=0.02))

    assert len(events) <= 2  # of 20 series at a level of .01


def test_a_change_of_a_fifth_is_found_within_six_hours_and_is_over_afterwards(
    known: SeasonState,
) -> None:
    rng, begin = default_rng(3), FIRST + 4 * HOURS
    given = hours(rng, begin, 30, day=0.02)
    given += hours(rng, begin + 30, 12, shift=0.2, day=0.02)
    given += hours(rng, begin + 42, 60, day=0.02)

    _, events = run(known, given)

    alarms: dict[int, SeasonEvent] = {}
    for event in events:
        if event.kind == "alarm" and begin + 30 <= event.hour < begin + 42:
            alarms.setdefault(event.series, event)
    assert len(alarms) >= SERIES - 1
    assert np.median([e.hour for e in alarms.values()]) < begin + 36
    assert sum(e.side == "up" for e in alarms.values()) >= SERIES - 1
    ended = {e.series for e in events if e.kind == "over"}
    assert len(ended) >= SERIES / 2  # the others within another day


def test_the_p_of_an_hour_is_students_of_the_pooled_variance_between_weeks() -> None:
    """All hours with the same traffic, one series: sum by sum."""
    rng, state = default_rng(4), SeasonState.fresh(1, PARAMS)
    weeks, rows = rng.normal(size=(4, HOURS)), np.array([400.0])
    for week in range(4):
        for hour in range(HOURS):
            at = FIRST + week * HOURS + hour
            state, _ = after_hour(state, at, rows, rows * weeks[week, hour : hour + 1], PARAMS)
    state = SeasonState(
        state.weeks, state.rows, weeks_with(state, weeks), state.open_side * 0 - 1, state.quiet
    )

    _, events = after_hour(state, FIRST + 4 * HOURS, rows, 9.0 * rows, PARAMS)

    alike = slice(0, HOURS // 8)  # of equal traffic the first eighth shares a variance
    deviation = weeks[:, alike] - weeks[:, alike].mean(axis=0)
    variance = (deviation**2).sum() / (3 * HOURS / 8)
    t = (9.0 - weeks[:, 0].mean()) / math.sqrt(variance * 1.25)
    assert [e.span for e in events] == ["hour"]
    assert events[0].p == pytest.approx(2 * stdtr(3 * HOURS / 8, -t))


def weeks_with(state: SeasonState, weeks: Floats) -> Floats:
    """The state's means as if nothing had alarmed meanwhile."""
    means = state.means.copy()
    for week in range(4):
        means[(FIRST // HOURS + week) % len(state.weeks), :, 0] = weeks[week]
    return means


def test_before_four_weeks_only_whole_days_alarm() -> None:
    rng = default_rng(5)
    given = hours(rng, FIRST, 10 * 24, day=0.02)
    given += hours(rng, FIRST + 10 * 24, 24, shift=2.0, day=0.02)

    _, events = run(SeasonState.fresh(SERIES, PARAMS), given)

    assert {e.span for e in events} == {"day"}
    assert {e.series for e in events if e.hour == FIRST + 11 * 24 - 1} == set(range(SERIES))


def test_what_was_in_alarm_is_not_remembered_as_usual(known: SeasonState) -> None:
    begin = FIRST + 4 * HOURS
    state, events = run(known, hours(default_rng(6), begin, 40, shift=0.6, day=0.02))

    place = (begin // HOURS) % len(state.weeks)
    assert len(events) == SERIES
    assert np.isnan(state.means[place, 10:40]).all()


def test_hours_of_few_rows_are_neither_judged_nor_remembered(known: SeasonState) -> None:
    begin = FIRST + 4 * HOURS
    state, events = run(known, hours(default_rng(7), begin, 20, shift=3.0), rows=10.0)

    assert events == []
    assert np.isnan(state.means[(begin // HOURS) % len(state.weeks)]).all()


def test_a_series_that_is_mostly_missing_is_not_judged_and_the_others_are(
    known: SeasonState,
) -> None:
    begin = FIRST + 4 * HOURS
    rows = np.full(SERIES, 400.0)
    rows[3], rows[4] = 0.0, 5.0

    _, events = after_hour(known, begin, rows, rows * (USUAL[0] + 2.0), PARAMS)

    assert {event.series for event in events} == set(range(SERIES)) - {3, 4}


def test_an_hour_with_fewer_rows_than_usual_needs_more(known: SeasonState) -> None:
    begin = FIRST + 4 * HOURS
    moved = USUAL[0] + 0.5 * np.ones(SERIES)

    many, few = (
        after_hour(known, begin, np.full(SERIES, rows), rows * moved, PARAMS)[1]
        for rows in (400.0, 40.0)
    )

    assert len(many) == SERIES
    assert len(few) < SERIES / 2


def test_silence_of_two_weeks_and_a_clock_that_jumps_lose_a_week_at_most(
    known: SeasonState,
) -> None:
    begin = FIRST + 4 * HOURS
    state, _ = run(known, [(begin + 10**6, np.ones(SERIES))])
    lost = sum(week not in state.weeks for week in known.weeks[known.weeks >= 0])
    assert lost <= 1

    state, events = run(known, hours(default_rng(8), begin + 2 * HOURS, 24, day=0.02))
    assert len(events) <= 2
    state, events = run(state, hours(default_rng(9), begin + 2 * HOURS + 24, 6, shift=1.0))
    assert {e.series for e in events} == set(range(SERIES))


def test_what_minutes_should_be_follows_the_weeks_and_is_unknown_before() -> None:
    site, rng = Site(n=5_000), default_rng(10)
    d = site.reference.series_count
    fresh = SeasonState.fresh(d, PARAMS)
    means = np.zeros((5, HOURS, d)) + USUAL[:, None] + 0.01 * rng.normal(size=(5, HOURS, d))
    weeks = fresh.weeks.copy()
    weeks[:4] = np.arange(4)
    filled = fresh.means.copy()
    filled[:4] = means[:4]
    state = SeasonState(
        weeks,
        np.where(weeks[:, None] >= 0, 400.0, 0.0) * np.ones((1, HOURS)),
        filled,
        fresh.open_side,
        fresh.quiet,
    )

    before = expected_now(fresh, site.reference, 4 * HOURS + 6, PARAMS)
    found = expected_now(state, site.reference, 4 * HOURS + 6, PARAMS)

    assert np.isinf(before.error).all()
    # Of the third column, a constant, no values are watched.
    assert found.shift[:2] == pytest.approx(USUAL[6], abs=0.03)
    assert found.error[:2] == pytest.approx(0.01 * math.sqrt(1.25), rel=0.3)
    assert np.isinf(found.error[2])


def test_a_stored_state_goes_on_as_if_nothing_had_been(known: SeasonState) -> None:
    given = hours(default_rng(11), FIRST + 4 * HOURS, 60, shift=0.15, day=0.02)
    whole, events = run(known, given)

    state, before = run(known, given[:31])
    state = state_of(SeasonState.fresh(SERIES, PARAMS), state_values(state))
    state, after = run(state, given[31:])

    assert before + after == events
    for name, value in state_values(whole).items():
        assert np.array_equal(state_values(state)[name], value, equal_nan=True)


@pytest.mark.parametrize(
    "wrong",
    [
        {"level": 0.0},
        {"level": float("nan")},
        {"week_count_min": 1},
        {"week_count_min": 8},
        {"week_count_max": 60},
        {"row_count_min": 0},
        {"quiet_hours": 0},
    ],
)
def test_parameters_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"must be|expected"):
        SeasonParams(**wrong)  # type: ignore[arg-type]
