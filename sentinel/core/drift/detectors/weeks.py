"""Weeks of hours, and what this hour or day of the week usually is."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr

from sentinel.records import Floats, Ints

HOURS = 168
DAY_HOURS = 24
_DAYS_MIN = 7  # with both ends of a week among them
_STRATA = 8  # hours of similar traffic share a variance


@dataclass(frozen=True, eq=False, slots=True)
class SeasonComparison:
    """Each series' difference from what is usual, and its standard error; NaN where unknown."""

    difference: Floats
    error: Floats
    freedom: Floats

    def t(self) -> Floats:
        """In standard errors, (D,)."""
        return self.difference / self.error

    def p(self) -> Floats:
        """Two-sided p-values, (D,)."""
        return np.asarray(2 * stdtr(self.freedom, -np.abs(self.t())))


@dataclass(frozen=True, eq=False, slots=True)
class Weeks:
    """Weeks in the order of time, the current one last; NaN and 0 where nothing is known."""

    means: Floats
    rows: Floats

    @classmethod
    def of(cls, weeks: Ints, means: Floats, rows: Floats, week: int) -> Self:
        """Those up to this one, of rings of weeks."""
        wanted = week - np.arange(len(weeks))[::-1]
        places = wanted % len(weeks)
        is_there = weeks[places] == wanted
        return cls(
            np.where(is_there[:, None, None], means[places], np.nan),
            np.where(is_there[:, None], rows[places], 0.0),
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
        days = self.means.reshape(-1, DAY_HOURS, d)
        count, mean = _mean(days[: (w - 1) * h // DAY_HOURS + today])
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


def compared_hour(history: Weeks, at: int, week_count_min: int) -> SeasonComparison:
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
    return _where(count >= week_count_min, difference, error, freedom)


def compared_day(history: Weeks, today: int, week_count_min: int) -> SeasonComparison:
    """A day of the current week with the same day of earlier weeks, or with all days."""
    last = slice(DAY_HOURS - 1, None, DAY_HOURS)
    whole = history.centred().trailing(DAY_HOURS).means[:, last]
    earlier, now = whole[:-1], whole[-1, today]
    count, mean = _mean(earlier[:, today])
    variance, freedom = _pooled(earlier)
    error = np.sqrt(variance * (1.0 + 1.0 / np.maximum(count, 1)))
    of_weekday = _where(count >= week_count_min, now - mean, error, freedom)
    whole = history.centred_by_day(today).trailing(DAY_HOURS).means[:, last]
    now = whole[-1, today]
    before = np.concatenate([whole[:-1].reshape(-1, now.size), whole[-1, :today]])
    variance, freedom = _pooled(before[:, None])
    count, mean = _mean(before)
    error = np.sqrt(variance * (1.0 + 1.0 / np.maximum(count, 1)))
    of_all = _where(count >= _DAYS_MIN, now - mean, error, freedom)
    known = ~np.isnan(of_weekday.error)
    return SeasonComparison(
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
) -> SeasonComparison:
    known = is_known & (freedom > 0) & (error > 0)
    return SeasonComparison(
        np.where(known, difference, np.nan), np.where(known, error, np.nan), np.maximum(freedom, 1)
    )
