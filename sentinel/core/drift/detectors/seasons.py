"""Against the same hour of earlier weeks: what is usual at four in the morning on a Sunday.

How much an hour differs from the same hour of other weeks is measured, not computed from the number
of rows: real days differ by more than chance. As soon as `week_count_min` weeks are there each hour
is judged; before that only whole days, against all earlier days.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Self

import numpy as np

from sentinel.core.drift.detectors.minutes import Expected
from sentinel.core.drift.detectors.series import MinuteReference
from sentinel.core.drift.detectors.weeks import (
    DAY_HOURS,
    HOURS,
    SeasonComparison,
    Weeks,
    compared_day,
    compared_hour,
)
from sentinel.records import Floats, Ints

_SEVERAL = 6  # hours together: where the rows of one are few
_HOURS_SHARE = 0.4  # of the level goes to single hours, as much to several, the rest to days
_QUIET = 2.0  # an hour with a smaller t is as quiet as one of twenty is not


Span = Literal["hour", "hours", "day"]


@dataclass(frozen=True, slots=True)
class SeasonParams:
    """When an hour or a day alarms.

    Attributes
    ----------
    level
        How many false alarms a week may have in expectation, of all series together; 0.2 is one in
        five weeks.
    week_count_min, week_count_max
        Weeks from which hours are judged, and weeks that are kept.
    row_count_min
        An hour with fewer rows is not judged and not remembered.
    quiet_hours
        After so many quiet hours in a row an alarm is over.
    """

    level: float = 0.2
    week_count_min: int = 4
    week_count_max: int = 6
    row_count_min: int = 30
    quiet_hours: int = 24

    def __post_init__(self) -> None:
        if not 0 < self.level <= 1_000:
            raise ValueError("level must be in (0, 1000]")
        if not 2 <= self.week_count_min <= self.week_count_max <= 52:
            raise ValueError("expected 2 <= week_count_min <= week_count_max <= 52")
        if self.row_count_min < 1 or self.quiet_hours < 1:
            raise ValueError("row_count_min and quiet_hours must be at least 1")


@dataclass(frozen=True, eq=False, slots=True)
class SeasonState:
    """Means of hours, of D series and W weeks: those kept, and the current one.

    Attributes
    ----------
    weeks
        int64 (W,): the week, since 1970, that is in each place; -1 for none.
    rows
        float64 (W, HOURS): rows of each hour.
    means
        float64 (W, HOURS, D): of the contrasts; NaN where there are too few rows, or the series
        was in alarm: what was wrong is no example of what is usual.
    open_side
        int64 (D,): 0 up, 1 down, -1 where no alarm is open.
    quiet
        int64 (D,): quiet hours in a row.
    """

    weeks: Ints
    rows: Floats
    means: Floats
    open_side: Ints
    quiet: Ints

    @classmethod
    def fresh(cls, series_count: int, params: SeasonParams) -> Self:
        """Before the first hour."""
        w = params.week_count_max + 1
        return cls(
            np.full(w, -1, dtype=np.int64),
            np.zeros((w, HOURS)),
            np.full((w, HOURS, series_count), np.nan),
            np.full(series_count, -1, dtype=np.int64),
            np.zeros(series_count, dtype=np.int64),
        )


@dataclass(frozen=True, slots=True)
class SeasonEvent:
    """An hour or a day is not as it should be at this time of the week, or all is again.

    Attributes
    ----------
    span
        One hour, the last six, or the day that ends.
    hour
        Hours since 1970.
    effect
        From the same time of earlier weeks, in standard deviations of a row.
    p
        Of this hour or day alone.
    """

    kind: Literal["alarm", "over"]
    span: Span
    hour: int
    series: int
    side: Literal["up", "down"]
    effect: float
    p: float


def after_hour(
    state: SeasonState, hour: int, rows: Floats, sums: Floats, params: SeasonParams
) -> tuple[SeasonState, tuple[SeasonEvent, ...]]:
    """An hour of event time is complete.

    With the last one of a day, however few rows it has, the day is judged. An hour that comes again
    replaces itself. One of another time is put where it belongs; hours of
    a clock that jumped are at most one week's place lost.

    Parameters
    ----------
    hour
        Hours since 1970.
    rows, sums
        float64 (D,): rows of the hour, and the sums of their contrasts, of `MinuteReference.sums`.
    """
    week, at = divmod(hour, HOURS)
    state = _with_week(state, week)
    is_known, ends_day = rows >= params.row_count_min, hour % DAY_HOURS == DAY_HOURS - 1
    if not is_known.any() and not ends_day:
        return state, ()
    if is_known.any():
        place = week % len(state.weeks)
        kept, means = state.rows.copy(), state.means.copy()
        kept[place, at] = rows.max()  # a series with gaps has fewer in every week
        means[place, at] = np.where(is_known, sums / np.where(is_known, rows, 1.0), np.nan)
        state = replace(state, rows=kept, means=means)
    history = Weeks.of(state.weeks, state.means, state.rows, week)
    centred = history.centred()
    compared = compared_hour(centred, at, params.week_count_min)
    several = compared_hour(centred.trailing(_SEVERAL), at, params.week_count_min)
    level = min(params.level / len(rows), 1.0)  # of each series
    events = _found(compared, "hour", hour, _HOURS_SHARE * level / HOURS)
    events += _found(several, "hours", hour, _HOURS_SHARE * level / HOURS)
    of_day = None
    if ends_day:
        of_day = compared_day(history, at // DAY_HOURS, params.week_count_min)
        events += _found(of_day, "day", hour, (1 - 2 * _HOURS_SHARE) * level / 7)
    return _lived(state, compared, of_day, events, hour, params)


def expected_now(
    state: SeasonState, reference: MinuteReference, hour: int, params: SeasonParams
) -> Expected:
    """What the minutes of an hour should be, for the detector of minutes.

    Its error is how much such hours differ from week to week; infinite before enough weeks exist.
    """
    found = usual_now(state, hour, params)
    is_value = np.array([part == "value" for part in reference.parts], dtype=bool)
    return expected_of(reference, found.difference[is_value], found.error[is_value])


def expected_of(reference: MinuteReference, difference: Floats, error: Floats) -> Expected:
    """The same, of what `usual_now` says of the series of values of a reference."""
    f = len(reference.columns)
    is_value = np.array([part == "value" for part in reference.parts], dtype=bool)
    shift, errors = np.zeros(f), np.full(f, np.inf)
    known = ~np.isnan(error)
    places = reference.places[is_value][known]
    shift[places], errors[places] = -difference[known], error[known]
    return Expected(shift, errors)


def usual_now(state: SeasonState, hour: int, params: SeasonParams) -> SeasonComparison:
    """How far an hour that is exactly as in the reference is from what is usual then."""
    week, at = divmod(hour, HOURS)
    state = _with_week(state, week)
    history = Weeks.of(state.weeks, state.means, state.rows, week)
    means, rows = history.means.copy(), history.rows.copy()
    means[-1, at], rows[-1, at] = 0.0, np.inf
    return compared_hour(Weeks(means, rows), at, params.week_count_min)


def _with_week(state: SeasonState, week: int) -> SeasonState:
    """With an empty place for a week that has none yet."""
    place = week % len(state.weeks)
    if state.weeks[place] == week:
        return state
    weeks, rows, means = state.weeks.copy(), state.rows.copy(), state.means.copy()
    weeks[place], rows[place], means[place] = week, 0.0, np.nan
    return replace(state, weeks=weeks, rows=rows, means=means)


def _found(compared: SeasonComparison, span: Span, hour: int, level: float) -> list[SeasonEvent]:
    t, p = compared.t(), compared.p()
    return [
        SeasonEvent(
            "alarm",
            span,
            hour,
            d,
            "up" if t[d] > 0 else "down",
            float(compared.difference[d]),
            float(p[d]),
        )
        for d in np.flatnonzero(p < level).tolist()  # NaN is not
    ]


def _quiet(
    quiet: Ints, compared: SeasonComparison, of_day: SeasonComparison | None, params: SeasonParams
) -> Ints:
    """For how many hours each series has been as it should be.

    What is not judged by the hour yet is judged by the day: a quiet day is as many quiet hours as
    it takes. What is judged by neither stays as it was.
    """
    t = compared.t()
    of_hour = np.where(np.abs(t) < _QUIET, quiet + 1, 0)
    otherwise = quiet
    if of_day is not None:
        day = of_day.t()
        as_many = np.where(np.abs(day) < _QUIET, params.quiet_hours, 0)
        otherwise = np.where(np.isnan(day), quiet, as_many)
    return np.where(np.isnan(t), otherwise, of_hour)


def _lived(
    state: SeasonState,
    compared: SeasonComparison,
    of_day: SeasonComparison | None,
    found: Sequence[SeasonEvent],
    hour: int,
    params: SeasonParams,
) -> tuple[SeasonState, tuple[SeasonEvent, ...]]:
    """One alarm of a series at a time; what was wrong is not remembered as usual."""
    open_side, quiet = state.open_side.copy(), state.quiet.copy()
    quiet = _quiet(quiet, compared, of_day, params)
    alarms = []
    for event in found:
        if open_side[event.series] < 0:
            alarms.append(event)
            open_side[event.series] = int(event.side == "down")
            quiet[event.series] = 0
    over = np.flatnonzero((open_side >= 0) & (quiet >= params.quiet_hours)).tolist()
    ended = [
        SeasonEvent(
            "over",
            "hour",
            hour,
            d,
            "down" if open_side[d] else "up",
            float(np.nan_to_num(compared.difference[d])),
            float(np.nan_to_num(compared.p()[d], nan=1.0)),
        )
        for d in over
    ]
    week, at = divmod(hour, HOURS)
    means = state.means.copy()
    means[week % len(state.weeks), at, open_side >= 0] = np.nan
    open_side[over] = -1
    state = replace(state, means=means, open_side=open_side, quiet=quiet)
    return state, (*alarms, *ended)
