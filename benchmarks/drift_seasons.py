"""How often hours of the week alarm without a change, and how soon with one.

    python -m benchmarks.drift_seasons [--weeks N] [--seed N] [--json FILE] [--quick]

A column's mean follows the hour of the day and the day of the week, with an amplitude of 0.3
standard deviations. Each hour has so many effective rows, at night a ninth of by day; in half of
the settings each day differs from others of its weekday by 0.03 standard deviations, which no
number of rows takes away. Four weeks are known; the fifth is judged.

Columns are independent, so that a week of 100 columns is 100 weeks of one. Beside the detector's
rate stand those of the plain ways: each hour against the mean of all four weeks, and against the
same hour with the variance that the number of rows alone would give. Then the mean moves at a
random hour of the fifth week: hours until an alarm, and the share found within six.
"""

import argparse
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator, default_rng
from scipy.special import ndtr

from benchmarks.harness import facts, header, print_table, write_json
from sentinel.core.drift.detectors.seasons import SeasonParams, SeasonState, after_hour
from sentinel.core.drift.detectors.weeks import HOURS
from sentinel.records import Floats

SEED = 2026
COLUMN_COUNT = 100
WEEK_COUNT = 4
AMPLITUDE = 0.3
SIZES = (0.1, 0.2, 0.3)
LEVEL = 0.01  # of a column and week
PARAMS = SeasonParams(level=LEVEL * COLUMN_COUNT)


@dataclass(frozen=True, slots=True)
class Setting:
    """Effective rows of a usual hour, and how much days differ."""

    rows: int
    day_effect: float


SETTINGS = (Setting(500, 0.0), Setting(500, 0.03), Setting(5_000, 0.0), Setting(5_000, 0.03))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--weeks", type=int, default=2_000, help="of a column, per setting")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--quick", action="store_true", help="100 weeks: half a minute")
    options = parser.parse_args()
    if options.quick:
        options.weeks = COLUMN_COUNT
    about = facts(options.seed)
    print(header(about), flush=True)
    silent, found = [], []
    for number, setting in enumerate(SETTINGS):
        rng = default_rng([options.seed, number])
        silent.append(false_alarms(setting, options.weeks // COLUMN_COUNT, rng))
        found += [delays(setting, size, options.weeks // COLUMN_COUNT, rng) for size in SIZES]
    for rows in (silent, found):
        print_table(
            list(rows[0]),
            [[f"{v:.3g}" if isinstance(v, float) else f"{v:,}" for v in r.values()] for r in rows],
        )
    write_json(
        options.json, {"benchmark": "drift_seasons", **about, "silent": silent, "found": found}
    )


class Stream:
    """Hours of `COLUMN_COUNT` columns, and four weeks of them known."""

    def __init__(self, setting: Setting, rng: Generator) -> None:
        self._day_effect, self._rng = setting.day_effect, rng
        at = np.arange(HOURS)
        phases = rng.random((2, COLUMN_COUNT)) * 2 * np.pi
        of_day = np.sin(2 * np.pi * at[:, None] / 24 + phases[0])
        of_week = np.sin(2 * np.pi * (at // 24)[:, None] / 7 + phases[1])
        self.usual: Floats = AMPLITUDE * (of_day + 0.5 * of_week)
        self.rows: Floats = setting.rows * (1.0 - 0.8 * np.sin(2 * np.pi * at / 24))
        self.kept: list[Floats] = [self.week() for _ in range(WEEK_COUNT)]
        fresh = SeasonState.fresh(COLUMN_COUNT, PARAMS)
        weeks, means, kept_rows = fresh.weeks.copy(), fresh.means.copy(), fresh.rows.copy()
        for week, one in enumerate(self.kept):
            weeks[week], means[week], kept_rows[week] = week, one, self.rows
        # As `after_hour` would have left it, had nothing alarmed meanwhile.
        self.state = replace(fresh, weeks=weeks, means=means, rows=kept_rows)

    def week(self) -> Floats:
        """Means of a week's hours."""
        days = self._day_effect * self._rng.standard_normal((7, COLUMN_COUNT))
        noise = self._rng.standard_normal((HOURS, COLUMN_COUNT)) / np.sqrt(self.rows)[:, None]
        return np.asarray(self.usual + np.repeat(days, 24, axis=0) + noise)

    def look(self, hour: int, means: Floats) -> set[int]:
        """The columns that alarm in an hour."""
        rows = np.full(COLUMN_COUNT, self.rows[hour % HOURS])
        self.state, events = after_hour(self.state, hour, rows, means * rows, PARAMS)
        return {event.series for event in events if event.kind == "alarm"}


def false_alarms(setting: Setting, repeats: int, rng: Generator) -> dict[str, Any]:
    """Shares of weeks and columns with an alarm though nothing changed."""
    alarmed, of_training, of_sampling = [], [], []
    for _ in range(repeats):
        stream = Stream(setting, rng)
        means = stream.week()
        found: set[int] = set()
        for hour in range(HOURS):
            found |= stream.look(WEEK_COUNT * HOURS + hour, means[hour])
        alarmed.append(len(found) / COLUMN_COUNT)
        before = np.array(stream.kept)
        error = 1 / np.sqrt(stream.rows)[:, None]
        of_training.append(_share((means - before.mean(axis=(0, 1))) / error))
        of_sampling.append(_share((means - before.mean(axis=0)) / error / np.sqrt(1.25)))
    rate = float(np.mean(alarmed))
    weeks = repeats * COLUMN_COUNT
    return {
        "rows an hour": setting.rows,
        "day effect": setting.day_effect,
        "weeks": weeks,
        "alarmed": rate,
        "s.e.": float(np.sqrt(max(rate, 1 / weeks) * (1 - rate) / weeks)),
        "against the training reference": float(np.mean(of_training)),
        "same hour, sampling variance": float(np.mean(of_sampling)),
    }


def _share(z: Floats) -> float:
    """Of columns with a z of level / 168 in any hour."""
    p = 2 * ndtr(-np.abs(z))
    return float(np.mean((p < LEVEL / HOURS).any(axis=0)))


def delays(setting: Setting, size: float, repeats: int, rng: Generator) -> dict[str, Any]:
    """Hours until an alarm, of columns that move at a random hour; three days are waited."""
    found = []
    for _ in range(max(1, repeats // 4)):
        stream = Stream(setting, rng)
        begin = int(rng.integers(HOURS - 72))
        means = stream.week()
        means[begin:] += size
        first: dict[int, int] = {}
        for hour in range(begin, begin + 72):
            for column in stream.look(WEEK_COUNT * HOURS + hour, means[hour]):
                first.setdefault(column, hour - begin + 1)
        found += [float(first.get(column, 10**6)) for column in range(COLUMN_COUNT)]
    within = float(np.mean(np.array(found) <= 6))
    return {
        "rows an hour": setting.rows,
        "day effect": setting.day_effect,
        "moved by": size,
        "changes": len(found),
        "median hours": float(np.median(found)),
        "within 6 hours": within,
        "s.e.": float(np.sqrt(within * (1 - within) / len(found))),
    }


if __name__ == "__main__":
    main()
