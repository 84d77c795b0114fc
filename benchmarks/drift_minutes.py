"""How long the detector of minutes is silent without a change, and how soon it finds one.

    python -m benchmarks.drift_minutes [--minutes N] [--delays N] [--only TEXT] [--seed N]
                                       [--json FILE] [--quick]

A stream of 30 columns, each two of which are correlated with 0.5, is looked at each minute, and the
alarms are counted. Independent: of each minute the means are drawn, of 60 or 600 effective rows.
Correlated: each column's means follow an autoregression of the coefficient named. Clustered: rows
of fresh accounts are drawn, 20 each with an intraclass correlation of 0.5, ten accounts a minute,
counted into cells as on the hot path, and the reference is 100,000 such rows with the likeness and
standard errors that it shows. Elsewhere the reference is wrong by a standard error of 0.0075.
Streams of 30 days start with nothing known of how alike minutes are; each has its own reference.
One setting has no floor, to show what it is for.

Then one column moves, after a day, by 0.1 or 0.3 standard deviations: how many minutes until it is
named, and, once it is back, until its alarm is over.
"""

import argparse
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numba
import numpy as np
from numpy.random import Generator, default_rng

from benchmarks.harness import facts, header, print_table, write_json
from sentinel.core.drift.counts.columns import CELL_COUNT, BinnedColumn, column_of, edges_of
from sentinel.core.drift.counts.counting import (
    SIZE_GROUP_COUNT,
    GroupCounts,
    count,
    count_rows,
    size_groups,
)
from sentinel.core.drift.detectors.minute_state import MinuteEvent, MinuteState
from sentinel.core.drift.detectors.minutes import MinuteParams, after_minute, after_sums
from sentinel.core.drift.detectors.series import MinuteReference, SeriesPart
from sentinel.records import Floats

SEED = 2026
COLUMN_COUNT = 30
MOVED = 3
STREAM_MINUTES = 43_200  # 30 days
REFERENCE_ERROR = 0.0075  # four of them are the floor, 0.03
ROWS_AN_ACCOUNT = 20
LIKENESS = 0.5
ACCOUNTS_A_MINUTE = 10
REFERENCE_ACCOUNTS = 5_000
DAY = 1_440


@dataclass(frozen=True, slots=True)
class Setting:
    """A kind of stream; `share` of the minutes asked for."""

    name: str
    rows: int
    coefficient: float
    share: float
    has_floor: bool = True
    is_clustered: bool = False


SETTINGS = (
    Setting("independent", 60, 0.0, 1.0),
    Setting("independent", 600, 0.0, 0.25),
    Setting("correlated .3", 60, 0.3, 0.25),
    Setting("correlated .6", 60, 0.6, 1.0),
    Setting("correlated .6", 600, 0.6, 0.25),
    Setting("clustered", 200, 0.0, 1.0, is_clustered=True),
    Setting("no floor", 60, 0.0, 0.05, has_floor=False),
    Setting("no floor", 600, 0.0, 0.05, has_floor=False),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--minutes", type=int, default=24 * STREAM_MINUTES)
    parser.add_argument("--delays", type=int, default=60, help="changes of each size")
    parser.add_argument("--only", default="", help="settings whose names hold this")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--quick", action="store_true", help="3,000 minutes, 3 delays: a minute")
    options = parser.parse_args()
    if options.quick:
        options.minutes, options.delays = 3_000, 3
    about = facts(options.seed)
    print(header(about), flush=True)
    silent, found = [], []
    for number, setting in enumerate(SETTINGS):
        if options.only not in setting.name:
            continue
        if setting.has_floor and options.delays:
            for size in (0.1, 0.3):
                rng = default_rng([options.seed, 100 + number, round(10 * size)])
                found.append(delays(setting, size, options.delays, rng))
        if minutes := round(options.minutes * setting.share):
            silent.append(false_alarms(setting, minutes, default_rng([options.seed, number])))
        print(f"  … {setting.name}, {setting.rows} rows", flush=True)
    for rows in (silent, found):
        if rows:
            print_table(list(rows[0]), [[_cell(v) for v in row.values()] for row in rows])
    write_json(
        options.json, {"benchmark": "drift_minutes", **about, "silent": silent, "found": found}
    )


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"
    return value if isinstance(value, str) else f"{value:,}"


def false_alarms(setting: Setting, minutes: int, rng: Generator) -> dict[str, Any]:
    """Alarms of streams without a change."""
    alarms, stream_count, left = 0, 0, minutes
    with_alarm = 0
    while left > 0:
        length = min(left, STREAM_MINUTES)
        stream = make_stream(setting, rng)
        before = alarms
        for minute in range(length):
            alarms += any(event.kind == "alarm" for event in stream.look(minute, 0.0))
        with_alarm += alarms > before
        print(
            f"  … {setting.name}: {minutes - left + length:,} minutes, {alarms} alarms", flush=True
        )
        left -= length
        stream_count += 1
    a_month = alarms / minutes * STREAM_MINUTES
    return {
        "minutes are": setting.name,
        "rows": setting.rows,
        "simulated": minutes,
        "streams": stream_count,
        "with an alarm": with_alarm,
        "alarms": alarms,
        "in 30 days": a_month,
        "s.e.": max(alarms, 1) ** 0.5 / minutes * STREAM_MINUTES,
    }


def delays(setting: Setting, size: float, count_wanted: int, rng: Generator) -> dict[str, Any]:
    """Minutes until a change is named, and until it is over."""
    found, over, wrong = [], [], 0
    for _ in range(count_wanted):
        stream = make_stream(setting, rng)
        named, ended = _until(stream, size, DAY)
        wrong += named is None
        found.append(np.inf if named is None else float(named - DAY + 1))
        over.append(np.inf if ended is None else float(ended))
    middle = np.sort(found)
    # The standard error of a median, from the order statistics around it.
    around = 0.5 * np.sqrt(count_wanted)
    low, high = (int(np.clip(count_wanted / 2 + s * around, 0, count_wanted - 1)) for s in (-1, 1))
    return {
        "minutes are": setting.name,
        "rows": setting.rows,
        "moved by": size,
        "changes": count_wanted,
        "median": float(np.median(found)),
        "s.e.": float((middle[high] - middle[low]) / 2),
        "p95": float(np.quantile(found, 0.95, method="higher")),
        "not in 3 days": wrong,
        "over after": float(np.median(over)),
    }


def _until(stream: "Stream", size: float, begin: int) -> tuple[int | None, int | None]:
    for minute in range(begin):
        stream.look(minute, 0.0)
    named = None
    for minute in range(begin, begin + 3 * DAY):
        if any(_is(event, "alarm") for event in stream.look(minute, size)):
            named = minute
            break
    if named is None:
        return None, None
    for after in range(1, 3 * DAY):
        if any(_is(event, "over") for event in stream.look(named + after, 0.0)):
            return named, after
    return named, None


def _is(event: MinuteEvent, kind: str) -> bool:
    return event.kind == kind and event.series == MOVED


class Stream:
    """One stream and its detector."""

    def __init__(self, setting: Setting, reference: MinuteReference, rng: Generator) -> None:
        self._setting = setting
        self._reference = reference
        self._rng = rng
        self._state = MinuteState.fresh([reference])
        self._params = (
            MinuteParams() if setting.has_floor else MinuteParams(floor=0.0, reference_errors=0.0)
        )
        self._means = self._drawn(rng)

    def look(self, minute: int, moved_by: float) -> tuple[MinuteEvent, ...]:
        self._state, events = self._next(minute, moved_by)
        return events

    @staticmethod
    def _drawn(rng: Generator) -> Floats:
        both = np.sqrt(0.5) * rng.standard_normal(COLUMN_COUNT + 1)
        found: Floats = both[1:] + both[0]
        return found

    def _next(self, minute: int, moved_by: float) -> tuple[MinuteState, tuple[MinuteEvent, ...]]:
        raise NotImplementedError


class MeansStream(Stream):
    """Of which only the means are drawn."""

    def __init__(self, setting: Setting, rng: Generator) -> None:
        super().__init__(setting, _PLAIN, rng)
        self._bias = REFERENCE_ERROR * rng.standard_normal(COLUMN_COUNT)

    def _next(self, minute: int, moved_by: float) -> tuple[MinuteState, tuple[MinuteEvent, ...]]:
        a, n = self._setting.coefficient, float(self._setting.rows)
        self._means = a * self._means + np.sqrt(1 - a * a) * self._drawn(self._rng)
        sums = np.sqrt(n) * self._means + n * self._bias
        sums[MOVED] += n * moved_by
        rows = np.full(COLUMN_COUNT, n)
        return after_sums(self._state, [self._reference], rows, sums, minute, self._params)


class CountedStream(Stream):
    """Of which each row is drawn and counted."""

    def __init__(self, setting: Setting, rng: Generator) -> None:
        values, accounts = rows_of(REFERENCE_ACCOUNTS, rng)
        self._columns = [column_of(f"column {i}", values[:, i]) for i in range(COLUMN_COUNT)]
        edges, by_value = self._edges = edges_of(self._columns)
        counted = count(values, accounts, edges, by_value)
        super().__init__(setting, only_values(self._columns, counted), rng)

    def _next(self, minute: int, moved_by: float) -> tuple[MinuteState, tuple[MinuteEvent, ...]]:
        values, accounts = rows_of(ACCOUNTS_A_MINUTE, self._rng)
        values[:, MOVED] += moved_by
        # The groups play no part in a minute: without them it is drawn and counted twice as fast.
        cells = np.zeros((COLUMN_COUNT, 1, CELL_COUNT), dtype=np.int32)
        sizes = np.zeros(SIZE_GROUP_COUNT, dtype=np.int32)
        groups, all_rows = size_groups(accounts), np.arange(len(values))
        count_rows(values, all_rows, 0 * groups, *self._edges, cells, np.zeros_like(sizes))
        np.add.at(sizes, groups, 1)
        counted = GroupCounts(cells.astype(np.int64), sizes.astype(np.int64))
        return after_minute(self._state, [self._reference], [counted], minute, self._params)


def make_stream(setting: Setting, rng: Generator) -> Stream:
    return CountedStream(setting, rng) if setting.is_clustered else MeansStream(setting, rng)


def rows_of(account_count: int, rng: Generator) -> tuple[Floats, Any]:
    """Rows of fresh accounts, and the accounts' hashes."""
    values = _rows(account_count, rng)
    accounts = np.repeat(rng.integers(2**62, size=account_count), ROWS_AN_ACCOUNT)
    return values, accounts


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _rows(account_count: int, rng: Generator) -> Floats:
    values = np.empty((account_count * ROWS_AN_ACCOUNT, COLUMN_COUNT))
    half = np.sqrt(0.5)
    of_account = np.empty(COLUMN_COUNT)
    for a in range(account_count):
        common = rng.standard_normal()
        for f in range(COLUMN_COUNT):
            of_account[f] = half * (common + rng.standard_normal())
        for r in range(ROWS_AN_ACCOUNT):
            common = rng.standard_normal()
            for f in range(COLUMN_COUNT):
                own = half * (common + rng.standard_normal())
                values[a * ROWS_AN_ACCOUNT + r, f] = (
                    np.sqrt(LIKENESS) * of_account[f] + np.sqrt(1 - LIKENESS) * own
                )
    return values


def only_values(columns: list[BinnedColumn], counted: GroupCounts) -> MinuteReference:
    """Without the series of what is missing, which here is nothing."""
    found = MinuteReference.of(columns, counted)
    at = np.array([i for i, part in enumerate(found.parts) if part == "value"])
    parts: tuple[SeriesPart, ...] = tuple(found.parts[i] for i in at)
    return replace(
        found,
        parts=parts,
        **{
            name: getattr(found, name)[at]
            for name in (
                "places",
                "units",
                "support",
                "masses",
                "means",
                "deviations",
                "likeness",
                "errors",
            )
        },
    )


def _plain() -> MinuteReference:
    """Of normal columns, known with a standard error of `REFERENCE_ERROR`."""
    rng = default_rng(SEED)
    values = np.repeat(rng.standard_normal((20_000, 1)), COLUMN_COUNT, axis=1)
    columns = [column_of(f"column {i}", values[:, i]) for i in range(COLUMN_COUNT)]
    counted = count(values, rng.integers(2**62, size=len(values)), *edges_of(columns))
    errors = np.full(COLUMN_COUNT, REFERENCE_ERROR)
    return replace(only_values(columns, counted), errors=errors, likeness=np.zeros(COLUMN_COUNT))


_PLAIN = _plain()


if __name__ == "__main__":
    main()
