"""Steps add up to windows, each row in one of a scale; what has moved alarms, and nothing else."""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sentinel.codec.drift.watches import restore, watch_values
from sentinel.core.drift.counts.columns import MISSING
from sentinel.core.drift.counts.noting import Binning
from sentinel.core.drift.counts.open_steps import ArmCounts
from sentinel.core.drift.counts.reference import Reference
from sentinel.core.drift.counts.steps import ClosedStep
from sentinel.core.drift.watch import (
    DAY_MS,
    SCALES,
    ClosedWindow,
    Found,
    HourEvent,
    ReferenceFound,
    StepEvent,
    Watch,
    WindowScale,
    empty_reference,
    without_scores,
)
from sentinel.core.features.kernels.rows_in_hour import HOUR_MS
from tests.core.drift.samples import (
    ARM,
    HOURLY,
    START_MS,
    VERSION,
    a_reference,
    arm_counts,
    steps,
)

DAY = 24
REFERENCE = a_reference(np.random.default_rng(1))
BINNING = Binning(REFERENCE.features)


def a_watch(reference: Reference = REFERENCE) -> Watch:
    return Watch(VERSION, reference, HOURLY)


def found_by(watch: Watch, some: Iterable[ClosedStep]) -> list[Found]:
    return [found for step in some for found in watch.after(step)]


def windows(found: Sequence[Found], scale: WindowScale) -> list[ClosedWindow]:
    return [one for one in found if isinstance(one, ClosedWindow) and one.scale == scale]


def drawn() -> list[ArmCounts]:
    rng = np.random.default_rng(2)
    return [arm_counts(rng, BINNING, 40 + 10 * i) for i in range(6)]


DRAWN = drawn()
HOURS = st.lists(st.sampled_from([1, 1, 1, 2, 7, 25, 400, -3, -30]), min_size=1, max_size=40)


@settings(max_examples=25, deadline=None)
@given(HOURS, st.integers(0, 23))
def test_each_row_is_in_one_window_of_each_scale(gaps: list[int], first: int) -> None:
    """Over gaps, ends of days, and a clock that goes back."""
    watch, at_ms, sent = a_watch(), START_MS + first * HOUR_MS, []
    found: list[Found] = []
    for number, gap in enumerate(gaps):
        sent.append(ClosedStep(at_ms, {ARM: DRAWN[number % len(DRAWN)]}))
        found += found_by(watch, [sent[-1]])
        at_ms += gap * HOUR_MS

    whole = np.sum([step.arms[ARM].counts.cells for step in sent], axis=0)
    for scale in SCALES:
        closed = [one.counts for one in windows(found, scale)] + [watch.spans[scale]]
        assert sum(one.row_count for one in closed) == sum(step.row_count for step in sent)
        assert (
            np.sum([one.features.cells for one in closed], axis=0).tobytes() == whole[:-1].tobytes()
        )
        assert np.sum([one.score.cells for one in closed], axis=0).tobytes() == whole[-1:].tobytes()
        assert sum(one.scores[:, 0].sum() for one in closed) == whole[-1].sum()
    for scale, width_ms in (("hour", HOUR_MS), ("day", DAY_MS)):
        runs = [step.at_ms // width_ms for step in sent]
        ends = [run for run, behind in itertools.pairwise(runs) if run != behind]
        assert [one.end_ms for one in windows(found, scale)] == [
            (run + 1) * width_ms for run in ends
        ]
    for one in windows(found, "rows"):
        assert HOURLY.window_rows <= one.counts.row_count < HOURLY.window_rows + 100


def test_a_step_without_a_row_that_is_counted_here_changes_nothing() -> None:
    watch = a_watch()
    foreign = replace(DRAWN[0], counts=DRAWN[0].counts.of_columns([0]))
    assert found_by(watch, [ClosedStep(START_MS, {}), ClosedStep(START_MS, {ARM: foreign})]) == []
    assert watch.spans["day"].row_count == 0


@pytest.mark.parametrize("seed", range(3))
def test_nothing_alarms_while_nothing_changes(seed: int) -> None:
    rng = np.random.default_rng(100 + seed)
    found = found_by(a_watch(), steps(rng, BINNING, 4 * DAY, rows=80))
    assert {type(one) for one in found} == {ClosedWindow}
    assert len(windows(found, "hour")) == 4 * DAY - 1
    assert len(windows(found, "day")) == 3


@pytest.fixture(scope="module")
def taught() -> Watch:
    """Five weeks of the first ten hours of each day: from four on each hour is judged."""
    rng = np.random.default_rng(7)
    usual = [arm_counts(rng, BINNING, 120) for _ in range(60)]
    watch = a_watch()
    for day in range(35):
        for hour in range(10):
            at_ms = START_MS + day * DAY_MS + hour * HOUR_MS
            found = found_by(watch, [ClosedStep(at_ms, {ARM: usual[int(rng.integers(60))]})])
            assert {type(one) for one in found} <= {ClosedWindow}
    return watch


def as_taught(taught: Watch) -> Watch:
    watch = a_watch()
    restore(watch, watch_values(taught))
    return watch


def day(number: int, shift: float) -> list[ClosedStep]:
    rng = np.random.default_rng(number)
    begin_ms = START_MS + number * DAY_MS
    return list(steps(rng, BINNING, 10, rows=120, shift=shift, begin_ms=begin_ms))


@pytest.mark.parametrize(("shift", "side"), [(0.5, "up"), (-0.5, "down")])
def test_a_shift_of_half_a_deviation_alarms_within_hours(
    taught: Watch, shift: float, side: str
) -> None:
    found = found_by(as_taught(taught), day(35, shift))
    events = [one for one in found if isinstance(one, StepEvent | HourEvent)]
    begin_ms = START_MS + 35 * DAY_MS
    columns = [one.column if isinstance(one, HourEvent) else one.event.column for one in events]
    assert set(columns) == {"amount"}
    assert {one.event.side for one in events} == {side}
    assert min(one.at_ms for one in events) - begin_ms <= 8 * HOUR_MS


def test_an_alarm_names_what_has_moved_since_when_and_by_how_much(taught: Watch) -> None:
    found = found_by(as_taught(taught), day(35, 1.0))
    [first] = [one for one in found if isinstance(one, StepEvent)]
    assert (first.event.kind, first.event.column, first.event.part) == ("alarm", "amount", "value")
    assert (first.event.side, first.of_score, first.event.is_first) == ("up", False, True)
    assert abs(first.since_ms - START_MS - 35 * DAY_MS) <= 2 * HOUR_MS
    assert 0.5 < first.event.effect < 1.2


def test_days_as_before_do_not_alarm(taught: Watch) -> None:
    watch = as_taught(taught)
    found = [one for number in (35, 36) for one in found_by(watch, day(number, 0.0))]
    assert {type(one) for one in found} == {ClosedWindow}


def with_scores(step: ClosedStep, by: int) -> ClosedStep:
    """The step with all its scores so many cells higher."""
    arm = step.arms[ARM]
    cells = arm.counts.cells.copy()
    cells[-1] = np.roll(cells[-1], by, axis=1)
    return ClosedStep(step.at_ms, {ARM: replace(arm, counts=replace(arm.counts, cells=cells))})


def test_a_score_that_goes_up_and_down_each_day_does_not_alarm() -> None:
    rng = np.random.default_rng(9)
    daily = [
        with_scores(step, 4 if step.at_ms // HOUR_MS % 24 < 12 else -4)
        for step in steps(rng, BINNING, 5 * DAY, rows=120)
    ]
    found = found_by(a_watch(), daily)
    assert not [one for one in found if isinstance(one, StepEvent) and one.of_score]


def test_a_score_that_moves_alarms_as_the_score() -> None:
    rng = np.random.default_rng(8)
    watch = a_watch()
    moved = [with_scores(step, 4) for step in steps(rng, BINNING, 3 * DAY, rows=120)]
    events = [one for one in found_by(watch, moved) if isinstance(one, StepEvent)]
    assert events[0].of_score
    assert (events[0].at_ms - START_MS) % DAY_MS == 0, "a day is over"
    assert (events[0].event.kind, events[0].event.side) == ("alarm", "up")
    assert all(one.of_score for one in events)


def test_scores_of_another_version_are_not_compared_and_its_features_are(taught: Watch) -> None:
    watch = as_taught(taught)
    other = [
        ClosedStep(step.at_ms, {("0.9.0", "champion"): step.arms[ARM]}) for step in day(35, 1.0)
    ]
    events = [one for one in found_by(watch, other) if isinstance(one, StepEvent)]
    assert {one.event.column for one in events} == {"amount"}
    assert watch.spans["day"].score.row_count == 0
    assert watch.spans["day"].features.row_count == 1_200


def test_ignored_features_are_counted_and_never_alarm() -> None:
    rng = np.random.default_rng(10)
    watch = Watch(VERSION, REFERENCE, HOURLY, silent=frozenset({"amount"}))
    found = found_by(watch, steps(rng, BINNING, DAY + 1, rows=120, shift=2.0))
    assert {type(one) for one in found} == {ClosedWindow}
    assert windows(found, "day")[0].counts.features.row_count == DAY * 120


def without_values(step: ClosedStep, number: int) -> ClosedStep:
    """A later step, in which the amount is missing."""
    arm = step.arms[ARM]
    cells = arm.counts.cells.copy()
    cells[0] = 0
    cells[0, :, MISSING] = arm.counts.cells[0].sum(axis=1)
    at_ms = START_MS + number * HOUR_MS
    return ClosedStep(at_ms, {ARM: replace(arm, counts=replace(arm.counts, cells=cells))})


@pytest.mark.parametrize("rows", [30, 100])
def test_a_version_without_a_reference_gets_it_from_a_day_of_enough_rows(rows: int) -> None:
    rng = np.random.default_rng(11)
    watch = a_watch(empty_reference(REFERENCE.features))
    some = list(steps(rng, BINNING, 3 * DAY, rows=rows))
    needed = max(DAY, -(-HOURLY.reference_rows_min // rows))
    assert watch.is_gathering

    before = found_by(watch, some[: needed - 1])
    found = found_by(watch, [some[needed - 1]])

    assert not any(isinstance(one, ReferenceFound) for one in before)
    [given] = [one.reference for one in found if isinstance(one, ReferenceFound)]
    whole = np.sum([step.arms[ARM].counts.cells for step in some[:needed]], axis=0)
    assert given.counts.cells.tobytes() == whole[:-1].tobytes()
    assert given.scores.cells.tobytes() == whole[-1:].tobytes()
    assert given.score_sums[:, 0].sum() == given.scores.row_count == needed * rows
    assert (given.first_ms, given.last_ms) == (START_MS, START_MS + needed * HOUR_MS)
    assert given.origin == "stream"
    assert not watch.is_gathering
    assert watch.gathered.row_count == 0
    kept = given.counts.cells.copy()
    after = found_by(watch, some[needed:])
    assert {type(one) for one in after} == {ClosedWindow}
    assert given.counts.cells.tobytes() == kept.tobytes(), "what was found is not added to"
    broken = [without_values(step, 1_000 + i) for i, step in enumerate(some)]
    assert any(isinstance(one, StepEvent) for one in found_by(watch, broken))


def test_where_only_scores_are_missing_features_are_watched_at_once() -> None:
    rng = np.random.default_rng(12)
    watch = a_watch(without_scores(REFERENCE))
    usual = list(steps(rng, BINNING, DAY, rows=120))
    broken = [without_values(step, 12 + i) for i, step in enumerate(usual[12:])]
    found = found_by(watch, [*usual[:12], *broken])
    events = [one for one in found if isinstance(one, StepEvent)]
    assert [(one.event.kind, one.event.part) for one in events] == [("alarm", "missing")]
    assert events[0].at_ms <= START_MS + 14 * HOUR_MS
    [given] = [one.reference for one in found if isinstance(one, ReferenceFound)]
    assert given.counts is REFERENCE.counts
    assert (given.first_ms, given.origin) == (REFERENCE.first_ms, "history")
    assert given.scores.row_count == given.score_sums[:, 0].sum() == DAY * 120


def test_two_weeks_without_a_row_change_nothing() -> None:
    rng = np.random.default_rng(13)
    watch = a_watch()
    found = found_by(watch, steps(rng, BINNING, DAY, rows=120))
    later = steps(rng, BINNING, DAY, rows=120, begin_ms=START_MS + 15 * DAY_MS)
    found += found_by(watch, later)
    assert {type(one) for one in found} == {ClosedWindow}
    assert [one.end_ms for one in windows(found, "day")] == [START_MS + DAY_MS]


@pytest.mark.parametrize("last_hour", [23, 20])
def test_a_shift_is_found_by_the_day_where_nights_are_quiet(last_hour: int) -> None:
    """The last hours of a day have few rows, or none: the day is judged all the same."""
    rng, watch = np.random.default_rng(5), a_watch()
    found: list[Found] = []
    for day in range(14):
        for hour in range(6, last_hour + 1):
            n = 60 if hour < 21 else 5
            shift = 1.0 if day >= 12 else 0.0
            at_ms = START_MS + (day * 24 + hour) * HOUR_MS
            found += found_by(watch, steps(rng, BINNING, 1, rows=n, shift=shift, begin_ms=at_ms))
    days = [one for one in found if isinstance(one, HourEvent) and one.event.kind == "alarm"]
    assert {(one.column, one.part, one.event.side) for one in days} == {("amount", "value", "up")}
    assert days[0].at_ms == START_MS + 13 * 24 * HOUR_MS


def test_what_is_missing_is_told_by_steps_and_never_by_hours() -> None:
    """A few such rows in an hour are no normal law, and of none for weeks nothing is usual."""
    watch, rng, weeks = a_watch(), np.random.default_rng(12), 5
    found = found_by(watch, steps(rng, BINNING, weeks * 7 * DAY))
    begin_ms = START_MS + weeks * 7 * DAY_MS
    found += found_by(watch, steps(rng, BINNING, DAY + 1, shift=np.nan, begin_ms=begin_ms))

    of_steps = [one.event.part for one in found if isinstance(one, StepEvent)]
    of_hours = [one.part for one in found if isinstance(one, HourEvent)]
    assert "missing" in of_steps
    assert set(of_hours) <= {"value"}
