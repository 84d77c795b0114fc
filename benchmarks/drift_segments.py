"""Whether a change that stands in one segment of the stream is found there, and named with it.

    python -m benchmarks.drift_segments [--rows N] [--planted N] [--minutes N] [--seed N]
                                        [--json FILE] [--quick]

Rows are those of drift_alarms: 24 numbers and six categories of eight values, independent or 20 of
an account. The stream is split by two of the categories. Windows: one change in one column, among
the rows of one segment that has a twentieth of all rows or more; where the column is named, is its
segment the right one? Beside it the same changes in all rows, where none should be named. Minutes:
600 rows a minute, judged by the whole watch as it is at first, before it knows a week: what is
missing, and the score. How many alarms come without a change, and how soon one country is named in
which a share of values is missing from a minute on: whether the alarm says so as it opens, by the
segment's own detector, or, where the whole stream's speaks first, by the test of the day so far.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator, default_rng

from benchmarks.drift_rows import (
    CATEGORY_SHARES,
    CHANGES,
    KINDS,
    NAMES,
    NUMBER_COUNT,
    Rows,
    cells_of,
    counts_of,
    planted,
    simulated,
)
from benchmarks.harness import facts, header, print_table, write_json
from sentinel.core.drift.counts.columns import BinnedColumn, edges_of
from sentinel.core.drift.counts.counting import GroupCounts, mark_cells, size_groups
from sentinel.core.drift.counts.noting import Binning, noted, steps_of
from sentinel.core.drift.counts.open_steps import ArmCounts
from sentinel.core.drift.counts.reference import reference_of
from sentinel.core.drift.counts.segments import Segmentation, SegmentColumn, count_segments
from sentinel.core.drift.counts.steps import ClosedStep
from sentinel.core.drift.params import DriftParams
from sentinel.core.drift.watch import StepEvent, Watch
from sentinel.core.drift.windows.explaining import explained
from sentinel.core.drift.windows.segments import segment_standing_out
from sentinel.core.drift.windows.window_test import window_test

SEED = 2026
VALUES = tuple("abcdefgh")
SEGMENTATION = Segmentation(
    tuple(SegmentColumn(NAMES[place], place, VALUES) for place in (NUMBER_COUNT, NUMBER_COUNT + 1))
)
SHARE_MIN = 0.05  # of all rows: segments in which something is planted
MINUTE_MS, MINUTE_ROWS, REFERENCE_ROWS = 60_000, 600, 200_000
MISSING_SHARES = (0.05, 0.2, 1.0)
VERSION = "1.0.0"
Row = dict[str, Any]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=100_000, help="of a window, and its reference")
    parser.add_argument("--planted", type=int, default=200, help="changes of each setting")
    parser.add_argument("--minutes", type=int, default=43_200, help="without a change")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--quick", action="store_true", help="a few small windows: seconds")
    options = parser.parse_args(arguments)
    if options.quick:
        options.rows, options.planted, options.minutes = 4_000, 3, 20
    about = facts(options.seed)
    print(header(about), flush=True)
    found = {
        "windows": windows(options, default_rng([options.seed, 1])),
        "minutes": minutes(options, default_rng([options.seed, 2])),
    }
    for name, rows in found.items():
        print(f"\n{name}")
        print_table(list(rows[0]), [[_cell(value) for value in row.values()] for row in rows])
    write_json(options.json, {"benchmark": "drift_segments", **about, **found})


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _share(hits: Sequence[bool]) -> tuple[float, float]:
    """A share and its standard error."""
    share = float(np.mean(hits)) if len(hits) else float("nan")
    return share, float(np.sqrt(share * (1 - share) / max(len(hits), 1)))


# --- windows ------------------------------------------------------------------------------------


def windows(options: argparse.Namespace, rng: Generator) -> list[Row]:
    """In how many windows the segment is named, of those in which the column is."""
    n, found = options.rows, []
    for per_account in (1, 20):
        for is_everywhere in (False, True):
            right, wrong = [], []
            for number in range(options.planted):
                if number % 10 == 0:
                    reference = simulated(rng, n, per_account)
                    columns = cells_of(reference)
                    known = counts_of(reference, columns), by_segment(reference, columns)
                told = _named(rng, simulated(rng, n, per_account), columns, known, is_everywhere)
                if told is not None:
                    right.append(told[0] == told[1])
                    wrong.append(told[0] not in ("", told[1]))
            (share, error), (others, others_error) = _share(right), _share(wrong)
            found.append(
                {
                    "rows": {1: "independent"}.get(per_account, f"{per_account} each"),
                    "change": "in all" if is_everywhere else "in one segment",
                    "planted": options.planted, "column named": len(right),
                    "segment right": share, "s.e.": error,
                    "another named": others, "s.e. ": others_error,
                }
            )  # fmt: skip
            print(f"  … {list(found[-1].values())}", flush=True)
    return found


def _named(
    rng: Generator,
    window: Rows,
    columns: list[BinnedColumn],
    known: tuple[GroupCounts, GroupCounts],
    is_everywhere: bool,
) -> tuple[str, str] | None:
    """The segment that is named, and the one in which something was planted; None where the test
    does not name the column. Empty is no segment, or all of them.
    """
    split_by = [column.place for column in SEGMENTATION.columns]
    change = str(rng.choice(list(KINDS)))
    at = int(rng.choice([f for f in CHANGES[change] if f not in split_by]))
    changed = planted(rng, window, change, at)
    segment = ""
    if not is_everywhere:
        column = int(rng.integers(len(split_by)))
        value = int(rng.choice(np.flatnonzero(CATEGORY_SHARES >= SHARE_MIN)))
        segment = SEGMENTATION.names[column * (len(VALUES) + 1) + value]
        inside = window.values[:, split_by[column]] == value
        values = np.where(inside[:, None], changed.values, window.values)
        changed = replace(window, values=values)
    tests = window_test(columns, counts_of(changed, columns), known[0])
    if not tests[at].alarm:
        return None
    split = by_segment(changed, columns)
    told = segment_standing_out(
        [tests[at]], split.of_columns([at]), known[1].of_columns([at]), SEGMENTATION
    )
    return told.get(NAMES[at], ""), segment


def by_segment(rows: Rows, columns: list[BinnedColumn]) -> GroupCounts:
    """The rows counted by segment."""
    cells = np.empty((len(columns), len(rows.values)), dtype=np.uint8)
    mark_cells(np.ascontiguousarray(rows.values), *edges_of(columns), cells)
    at = np.arange(len(rows.values))
    return count_segments(cells, SEGMENTATION.of_rows(rows.values), at, size_groups(rows.accounts))


# --- minutes ------------------------------------------------------------------------------------


class Stream:
    """Minutes and their watch, once it has a reference."""

    def __init__(self, rng: Generator) -> None:
        self._rng = rng
        n = REFERENCE_ROWS
        known = simulated(rng, n, 20)
        probability = rng.beta(0.5, 20.0, n)
        reference = reference_of(
            NAMES, known.values, np.zeros(n, dtype=np.int64), known.accounts, probability,
            np.ones(n, dtype=np.int64), probability > 0.2, rows_per_account_max=20,
            segmentation=SEGMENTATION,
        )  # fmt: skip
        self._binning = Binning(reference.features)
        self._watch = Watch(VERSION, reference, DriftParams(), segmentation=SEGMENTATION)
        self._minute = 0

    def look(self, missing: float = 0.0) -> list[StepEvent]:
        """One minute more; in the segment of the second value so much of x0 is missing."""
        rows = simulated(self._rng, MINUTE_ROWS, 20)
        values, n = rows.values, len(rows.values)
        is_gone = (values[:, NUMBER_COUNT] == 1) & (self._rng.random(n) < missing)
        values[is_gone, 0] = np.nan
        zeros, probability = np.zeros(n, dtype=np.int64), self._rng.beta(0.5, 20.0, n)
        batch = noted(
            zeros, zeros, zeros, zeros, zeros, probability, rows.accounts,
            np.ones(n, dtype=np.bool_), self._binning.cells(values, probability),
            SEGMENTATION.of_rows(values),
        )  # fmt: skip
        [one] = steps_of(batch)
        arm = ArmCounts(n, {}, one.counts, one.scores, one.segments)
        step = ClosedStep(self._minute * MINUTE_MS, {(VERSION, "champion"): arm})
        self._minute += 1
        return [f for f in self._watch.after(step) if isinstance(f, StepEvent)]

    def place(self, event: StepEvent) -> str:
        """The segment that an alarm names."""
        if event.segment is not None:
            return SEGMENTATION.names[event.segment]
        today, reference = self._watch.spans["day"], self._watch.reference
        found = explained(today, reference, segmentation=SEGMENTATION).of(event.event.column)
        return "" if found is None else found.segment


def minutes(options: argparse.Namespace, rng: Generator) -> list[Row]:
    """Alarms without a change, and minutes until one is named."""
    stream, alarms = Stream(rng), 0
    for _ in range(options.minutes):
        alarms += any(one.event.kind == "alarm" for one in stream.look())
    rows: list[Row] = [
        {"missing": "nothing", "minutes": options.minutes, "alarms": alarms, "changes": "",
         "median": "", "named at once": "", "s.e.": ""}
    ]  # fmt: skip
    count = 2 if options.quick else max(options.planted // 10, 1)
    for share in MISSING_SHARES:
        took, right = [], []
        for _ in range(count):
            stream = Stream(rng)
            for _ in range(20 if options.quick else 120):
                stream.look()
            for minute in range(1, 1_000):
                events = [one for one in stream.look(share) if one.event.column == "x0"]
                if events:
                    took.append(minute)
                    right.append(stream.place(events[0]) == SEGMENTATION.names[1])
                    break
        first, error = _share(right)
        rows.append(
            {
                "missing": f"{share:.0%} of x0 in b", "minutes": "", "alarms": "",
                "changes": count, "median": float(np.median(took)) if took else float("nan"),
                "named at once": first, "s.e.": error,
            }
        )  # fmt: skip
        print(f"  … {list(rows[-1].values())}", flush=True)
    return rows


if __name__ == "__main__":
    main()
