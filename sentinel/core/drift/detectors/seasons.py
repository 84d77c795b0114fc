"""Against the same hour of earlier weeks: what is usual at four in the morning on a Sunday.

How much an hour differs from the same hour of other weeks is measured, not computed from the number
of rows: real days differ by more than chance. As soon as `week_count_min` weeks are there each hour
is judged; before that only whole days, against all earlier days.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr

from sentinel.core.drift.detectors.minutes import Expected
from sentinel.core.drift.detectors.series import MinuteReference
from sentinel.records import Floats, Ints

HOURS = 168
_DAY_HOURS = 24
_SEVERAL = 6  # hours together: where the rows of one are few
_HOURS_SHARE = 0.4  # of the level goes to single hours, as much to several, the rest to days
_DAYS_MIN = 7  # with both ends of a week among them
_STRATA = 8  # hours of similar traffic share a variance
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


@dataclass(frozen=True, eq=False, slots=True)
class _Compared:
    """Each series' difference from what is usual, and its standard error; NaN where unknown."""

    difference: Floats
    error: Floats
    freedom: Floats

    def t(self) -> Floats:
        return self.difference / self.error

    def p(self) -> Floats:
        return np.asarray(2 * stdtr(self.freedom, -np.abs(self.t())))


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
    is_known, ends_day = rows >= params.row_count_min, hour % _DAY_HOURS == _DAY_HOURS - 1
    if not is_known.any() and not ends_day:
        return state, ()
    if is_known.any():
        place = week % len(state.weeks)
        kept, means = state.rows.copy(), state.means.copy()
        kept[place, at] = rows.max()  # a series with gaps has fewer in every week
        means[place, at] = np.where(is_known, sums / np.where(is_known, rows, 1.0), np.nan)
        state = replace(state, rows=kept, means=means)
    history = _History.of(state, week)
    centred = history.centred()
    compared = _compared(centred, at, params)
    several = _compared(centred.trailing(_SEVERAL), at, params)
    level = min(params.level / len(rows), 1.0)  # of each series
    events = _found(compared, "hour", hour, _HOURS_SHARE * level / HOURS)
    events += _found(several, "hours", hour, _HOURS_SHARE * level / HOURS)
    of_day = None
    if ends_day:
        of_day = _compared_day(history, at // _DAY_HOURS, params)
        events += _found(of_day, "day", hour, (1 - 2 * _HOURS_SHARE) * level / 7)
    return _lived(state, compared, of_day, events, hour, params)


def expected_now(
    state: SeasonState, reference: MinuteReference, hour: int, params: SeasonParams
) -> Expected:
    """What the minutes of an hour should be, for the detector of minutes.

    Its error is how much such hours differ from week to week; infinite before enough weeks exist.
    """
    f = len(reference.columns)
    shift, error = np.zeros(f), np.full(f, np.inf)
    week, at = divmod(hour, HOURS)
    history = _History.of(_with_week(state, week), week)
    means, rows = history.means.copy(), history.rows.copy()
    means[-1, at], rows[-1, at] = 0.0, np.inf  # as if it were exactly as in the reference
    found = _compared(_History(means, rows), at, params)
    is_value = np.array([part == "value" for part in reference.parts], dtype=bool)
    known = is_value & ~np.isnan(found.error)
    shift[reference.places[known]] = -found.difference[known]
    error[reference.places[known]] = found.error[known]
    return Expected(shift, error)


def _with_week(state: SeasonState, week: int) -> SeasonState:
    """With an empty place for a week that has none yet."""
    place = week % len(state.weeks)
    if state.weeks[place] == week:
        return state
    weeks, rows, means = state.weeks.copy(), state.rows.copy(), state.means.copy()
    weeks[place], rows[place], means[place] = week, 0.0, np.nan
    return replace(state, weeks=weeks, rows=rows, means=means)


@dataclass(frozen=True, eq=False, slots=True)
class _History:
    """Weeks in the order of time, the current one last; NaN and 0 where nothing is known."""

    means: Floats
    rows: Floats

    @classmethod
    def of(cls, state: SeasonState, week: int) -> Self:
        wanted = week - np.arange(len(state.weeks))[::-1]
        places = wanted % len(state.weeks)
        is_there = state.weeks[places] == wanted
        return cls(
            np.where(is_there[:, None, None], state.means[places], np.nan),
            np.where(is_there[:, None], state.rows[places], 0.0),
        )

    def centred(self) -> Self:
        """Less the mean of the same hour of earlier weeks: so that of hours with gaps the means are
        comparable, whichever are missing.
        """
        count, mean = _mean(self.means[:-1])
        return type(self)(self.means - np.where(count > 0, mean, np.nan), self.rows)

    def centred_by_day(self, today: int) -> Self:
        """Less the mean of the same hour of all days before this one of the current week."""
        w, h, d = self.means.shape
        days = self.means.reshape(-1, _DAY_HOURS, d)
        count, mean = _mean(days[: (w - 1) * h // _DAY_HOURS + today])
        found = days - np.where(count > 0, mean, np.nan)
        return type(self)(found.reshape(w, h, d), self.rows)

    def trailing(self, length: int) -> Self:
        """Means of the `length` hours that end with each, by their rows; half of them at least."""
        w, h, d = self.means.shape
        means, rows = self.means.reshape(w * h, d), self.rows.reshape(w * h)
        known = ~np.isnan(means)
        weight = rows[:, None] * known
        total, count = _rolled(weight, length), _rolled(known.astype(np.float64), length)
        summed = _rolled(weight * np.where(known, means, 0.0), length)
        enough = (count >= length / 2) & (total > 0)
        found = np.where(enough, summed / np.where(total > 0, total, 1.0), np.nan)
        return type(self)(found.reshape(w, h, d), _rolled(rows, length).reshape(w, h))


def _rolled(values: Floats, length: int) -> Floats:
    """Sums of so many that end with each, along the first axis; of integers and rows, exact."""
    found = values.copy()
    for back in range(1, length):
        found[back:] += values[:-back]
    return found


def _compared(history: _History, at: int, params: SeasonParams) -> _Compared:
    """The current week's hour with the same hour of earlier weeks.

    The variance between weeks is pooled over hours of similar traffic, and larger by as much as
    this hour has fewer rows than they usually have.
    """
    earlier = history.means[:-1]
    usual_rows = history.rows[:-1].sum(axis=0) / np.maximum((history.rows[:-1] > 0).sum(axis=0), 1)
    variance, freedom = _pooled(earlier[:, _stratum(usual_rows, at)])
    count, mean = _mean(earlier[:, at])
    fewer = max(1.0, usual_rows[at] / max(history.rows[-1, at], 1.0))
    error = np.sqrt(variance * (fewer + 1.0 / np.maximum(count, 1)))
    difference = history.means[-1, at] - mean
    return _where(count >= params.week_count_min, difference, error, freedom)


def _compared_day(history: _History, today: int, params: SeasonParams) -> _Compared:
    """A day of the current week with the same day of earlier weeks, or with all days."""
    last = slice(_DAY_HOURS - 1, None, _DAY_HOURS)
    whole = history.centred().trailing(_DAY_HOURS).means[:, last]
    earlier, now = whole[:-1], whole[-1, today]
    count, mean = _mean(earlier[:, today])
    variance, freedom = _pooled(earlier)
    error = np.sqrt(variance * (1.0 + 1.0 / np.maximum(count, 1)))
    of_weekday = _where(count >= params.week_count_min, now - mean, error, freedom)
    whole = history.centred_by_day(today).trailing(_DAY_HOURS).means[:, last]
    now = whole[-1, today]
    before = np.concatenate([whole[:-1].reshape(-1, now.size), whole[-1, :today]])
    variance, freedom = _pooled(before[:, None])
    count, mean = _mean(before)
    error = np.sqrt(variance * (1.0 + 1.0 / np.maximum(count, 1)))
    of_all = _where(count >= _DAYS_MIN, now - mean, error, freedom)
    known = ~np.isnan(of_weekday.error)
    return _Compared(
        np.where(known, of_weekday.difference, of_all.difference),
        np.where(known, of_weekday.error, of_all.error),
        np.where(known, of_weekday.freedom, of_all.freedom),
    )


def _stratum(usual_rows: Floats, at: int) -> Ints:
    """The hours of the week with about the traffic of this one."""
    order = np.argsort(usual_rows, kind="stable")
    rank = int(np.flatnonzero(order == at)[0]) * _STRATA // HOURS
    return np.sort(order[rank * HOURS // _STRATA : (rank + 1) * HOURS // _STRATA])


def _mean(values: Floats) -> tuple[Ints, Floats]:
    """How many are known along the first axis, and their mean."""
    known = ~np.isnan(values)
    count = known.sum(axis=0)
    return count, np.where(known, values, 0.0).sum(axis=0) / np.maximum(count, 1)


def _pooled(values: Floats) -> tuple[Floats, Floats]:
    """Variance along the first axis, pooled over the second, and its degrees of freedom; (D,)."""
    count, mean = _mean(values)
    squares = np.where(np.isnan(values), 0.0, (values - mean) ** 2).sum(axis=(0, 1))
    freedom = np.maximum(count - 1, 0).sum(axis=0).astype(np.float64)
    return squares / np.maximum(freedom, 1.0), freedom


def _where(
    is_known: NDArray[np.bool_], difference: Floats, error: Floats, freedom: Floats
) -> _Compared:
    known = is_known & (freedom > 0) & (error > 0)
    return _Compared(
        np.where(known, difference, np.nan), np.where(known, error, np.nan), np.maximum(freedom, 1)
    )


def _found(compared: _Compared, span: Span, hour: int, level: float) -> list[SeasonEvent]:
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
    quiet: Ints, compared: _Compared, of_day: _Compared | None, params: SeasonParams
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
    compared: _Compared,
    of_day: _Compared | None,
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
