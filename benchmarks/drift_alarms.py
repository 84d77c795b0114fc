"""How often the window test of drift alarms without a change, and how much of one it sees.

    python -m benchmarks.drift_alarms [--windows N] [--only PART] [--rows N] [--handbook FILE] …

Windows of 30 columns: 24 numbers, of which six lack 1 % of values, and six categories of eight
values, the rarest 0.5 %. Columns have one factor in common (r = 0.5). Rows are independent; or 20
of an account, alike with a correlation of 0.5; or as many as a Pareto law of exponent 1.5 gives an
account, 6.7 to 2,000, and then also with a cap. A window and its reference have accounts of their
own. Beside the test stand those of independent rows: Kolmogorov and Smirnov's, and chi-square.

Then single changes are planted: in how many windows the column is named, whether it comes first
among the causes, whether its kind is told right. Last, the Handbook's transactions without any
change but those of its generator: each day, and each week, against the four weeks before.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator, default_rng
from scipy import stats

from benchmarks.drift_rows import (
    CHANGES,
    COLUMN_COUNT,
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
from benchmarks.peers.environments import DRIFT_PEERS, PeerFailedError, ask
from sentinel.core.drift.counts.columns import BinnedColumn, column_of
from sentinel.core.drift.counts.counting import GroupCounts
from sentinel.core.drift.windows.causes import causes, group_correlations
from sentinel.core.drift.windows.effects import effects
from sentinel.core.drift.windows.kinds import kind_of
from sentinel.core.drift.windows.window_test import ALPHA, ColumnTest, window_test
from sentinel.records import Floats, Ints

SEED = 2026
USE_SD = 1.2  # how a model uses its columns: lognormal
_ROW_COUNT_ALL = 50_000  # of window and reference: up to there all windows are simulated
EVIDENTLY = next(peer for peer in DRIFT_PEERS if peer.name == "Evidently")
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Setting:
    """How many rows on both sides, and how many of an account, at most."""

    window: int
    reference: int
    per_account: int | str
    cap: int | None = None

    @property
    def name(self) -> str:
        of = {1: "independent", "heavy": "Pareto"}.get(self.per_account, f"{self.per_account} each")
        return of if self.cap is None else f"{of}, at most {self.cap}"

    def count(self, windows: int) -> int:
        """How many of the windows that are asked for are simulated: of large ones fewer."""
        return max(round(windows * min(_ROW_COUNT_ALL / (self.window + self.reference), 1.0)), 1)

    def rows(self, rng: Generator, n: int) -> Rows:
        found = simulated(rng, n, self.per_account)
        return found if self.cap is None else found.capped(self.cap)


NULL = [
    Setting(n, m, per_account, cap)
    for per_account, cap in ((1, None), (20, None), ("heavy", None), ("heavy", 20), ("heavy", 5))
    for n, m in (
        (200, 200), (200, 10_000), (1_000, 1_000), (1_000, 50_000), (10_000, 1_000),
        (10_000, 10_000), (10_000, 100_000), (100_000, 10_000), (100_000, 100_000),
    )
    if cap is None or (n, m) in ((1_000, 50_000), (10_000, 100_000), (100_000, 100_000))
]  # fmt: skip
POWER = [
    Setting(n, m, per_account, cap)
    for per_account, cap in ((1, None), (20, None), ("heavy", None), ("heavy", 20), ("heavy", 5))
    for n, m in ((1_000, 50_000), (10_000, 100_000), (100_000, 100_000), (100_000, 300_000))
    if cap is None or n == 100_000
]
POWER_CHANGES = (
    "shift .1 sd", "missing 1 -> 2 %", "new category .5 %", "constant", "unit x 100",
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--windows", type=int, default=1_000, help="of each setting")
    parser.add_argument("--planted", type=int, default=200, help="of each change")
    parser.add_argument("--rows", type=int, help="only windows of so many rows")
    parser.add_argument("--only", choices=list(PARTS), action="append", help="parts, not all")
    parser.add_argument("--handbook", type=Path, metavar="FILE")
    parser.add_argument("--peers", action="store_true", help="Evidently's speed, too")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--quick", action="store_true", help="a few small windows: seconds")
    options = parser.parse_args(arguments)
    if options.quick:
        options.windows = options.planted = 3
    about = facts(options.seed)
    print(header(about))
    found = {}
    for number, (name, part) in enumerate(PARTS.items()):
        if options.only and name not in options.only:
            continue
        rows = part(options, default_rng([options.seed, number]))
        if rows:
            print(f"\n{name}")
            print_table(list(rows[0]), [[_cell(value) for value in row.values()] for row in rows])
            found[name] = rows
    write_json(options.json, {"benchmark": "drift_alarms", **about, **found})


def _cell(value: Any) -> str:
    return (
        f"{value:.4g}"
        if isinstance(value, float)
        else f"{value:,}"
        if isinstance(value, int)
        else str(value)
    )


def _share(hits: Sequence[bool]) -> tuple[float, float]:
    """A share and its standard error."""
    share = float(np.mean(hits)) if len(hits) else float("nan")
    return share, float(np.sqrt(share * (1 - share) / max(len(hits), 1)))


def _small(settings: Sequence[Setting], options: argparse.Namespace) -> list[Setting]:
    asked = [s for s in settings if options.rows in (None, s.window)]
    return [s for s in asked if not options.quick or s.window + s.reference <= 11_000]


def _progress(text: str) -> None:
    print(f"  … {text}", flush=True)


# --- without a change ---------------------------------------------------------------------------


def null(options: argparse.Namespace, rng: Generator) -> list[Row]:
    """In how many windows any column alarms."""
    found = []
    for setting in _small(NULL, options):
        alarms, naive, each = [], [], []
        for number in range(setting.count(options.windows)):
            window, reference = (setting.rows(rng, n) for n in (setting.window, setting.reference))
            columns = cells_of(reference)
            tests = window_test(columns, *(counts_of(r, columns) for r in (window, reference)))
            each.append(sum(test.alarm for test in tests))
            alarms.append(each[-1] > 0)
            if number < options.windows // 50 + 1:
                naive.append(min(row_p_values(window, reference)) * COLUMN_COUNT <= ALPHA)
        rate, error = _share(alarms)
        found.append(
            {
                "rows": setting.name, "window": setting.window, "reference": setting.reference,
                "windows": len(alarms), "any alarm": rate, "s.e.": error,
                "tests of rows": _share(naive)[0], "of windows": len(naive),
            }
        )  # fmt: skip
        _progress(str(list(found[-1].values())))
    return found


def row_p_values(window: Rows, reference: Rows) -> list[float]:
    """What tests of independent rows say of each column."""
    found = []
    for f in range(COLUMN_COUNT):
        a, b = window.values[:, f], reference.values[:, f]
        if f < NUMBER_COUNT:
            found.append(float(stats.ks_2samp(a[~np.isnan(a)], b[~np.isnan(b)]).pvalue))
        else:
            table = np.stack([np.bincount(x.astype(np.int64), minlength=9) for x in (a, b)])
            table = table[:, table.sum(axis=0) > 0]
            found.append(float(stats.chi2_contingency(table).pvalue))
    return found


# --- with one -----------------------------------------------------------------------------------


def power(options: argparse.Namespace, rng: Generator) -> list[Row]:
    """In how many windows the column that changed is named."""
    found = []
    for setting in _small(POWER, options):
        row: Row = {
            "rows": setting.name, "window": setting.window, "reference": setting.reference,
            "windows": options.planted,
        }  # fmt: skip
        named: dict[str, list[bool]] = {change: [] for change in POWER_CHANGES}
        for _ in range(options.planted):
            window, reference = (setting.rows(rng, n) for n in (setting.window, setting.reference))
            columns = cells_of(reference)
            known = counts_of(reference, columns)
            changed = window
            places: dict[str, int] = {}
            for change in POWER_CHANGES:  # one in each of five columns: they do not meet
                at = int(rng.choice([f for f in CHANGES[change] if f not in places.values()]))
                changed, places[change] = planted(rng, changed, change, at), at
            tests = window_test(columns, counts_of(changed, columns), known)
            for change, at in places.items():
                named[change].append(tests[at].alarm)
        found.append(row | {change: _share(hits)[0] for change, hits in named.items()})
        _progress(str(list(found[-1].values())))
    return found


def cause(options: argparse.Namespace, rng: Generator) -> list[Row]:
    """In how many windows with a single change the column comes first, by what it is ranked."""
    n = 2_000 if options.quick else 100_000
    right: dict[str, list[bool]] = {}
    alarmed = []
    for per_account in (1, 20):
        setting = Setting(n, n, per_account)
        for change in ("shift .1 sd", "shift .2 sd", "missing 1 -> 2 %", "missing 1 -> 5 %",
                       "new category .5 %"):  # fmt: skip
            for _ in range(-(-9 * options.planted // 20)):
                window, reference = (setting.rows(rng, m) for m in (n, n))
                columns = cells_of(reference)
                at = int(rng.choice(CHANGES[change]))
                window = planted(rng, window, change, at)
                counts = [counts_of(r, columns) for r in (window, reference)]
                first = ranked(columns, counts[0], counts[1], rng)
                alarmed.append(first.pop("any alarm") >= 0)
                for score, which in first.items():
                    right.setdefault(score, []).append(which == at)
            _progress(f"{setting.name}, {change}: {_share(right['test, then index x use'])}")
    rows = []
    for score, hits in right.items():
        share, error = _share(hits)
        rows.append({"ranked by": score, "windows": len(hits), "right first": share, "s.e.": error})
    print(f"  an alarm in {_share(alarmed)[0]:.3f} of windows")
    return rows


def ranked(
    columns: list[BinnedColumn], window: GroupCounts, reference: GroupCounts, rng: Generator
) -> dict[str, int]:
    """The column that comes first by each score; -1 where none does."""
    tests = window_test(columns, window, reference)
    use = np.exp(USE_SD * rng.standard_normal(len(columns)))
    uses = dict(zip(NAMES, use.tolist(), strict=True))
    found = effects(columns, window.cells.sum(axis=1), reference.cells.sum(axis=1))
    alarms = np.array([test.alarm for test in tests])

    def first(score: Floats, *, gated: bool) -> int:
        if gated and not alarms.any():
            return -1
        return int(np.where(alarms | (not gated), score, -np.inf).argmax())

    causing = causes(tests, use=uses)
    together = causes(tests, use=uses, correlations=group_correlations(columns, reference))
    return {
        "any alarm": 0 if alarms.any() else -1,
        "p": int(np.argmin([test.p for test in tests])),
        "test, then index x use": NAMES.index(causing[0].columns[0]) if causing else -1,
        "the same, alike ones together": NAMES.index(together[0].columns[0]) if together else -1,
        "test, then index": first(found.psi, gated=True),
        "test, then total variation x use": first(found.total_variation * use, gated=True),
        "index": first(found.psi, gated=False),
        "index x use": first(found.psi * use, gated=False),
        "total variation": first(found.total_variation, gated=False),
    }


def derived(options: argparse.Namespace, rng: Generator) -> list[Row]:
    """Columns that are made of another one change with it: said as one cause, and nothing else."""
    n = 2_000 if options.quick else 20_000
    rows = []
    for per_account in (1, 20):
        for alike in (0.0, 0.9, 0.95, 0.99):
            one, apart = [], []
            for _ in range(options.planted):
                setting = Setting(n, n, per_account)
                both = [setting.rows(rng, n) for _ in range(2)]
                for side in both:
                    noise = rng.standard_normal(n)
                    side.values[:, 7] = alike * side.values[:, 6] + np.sqrt(1 - alike**2) * noise
                both[0].values[:, 6:8] += 0.5
                columns = cells_of(both[1])
                counts = [counts_of(r, columns) for r in both]
                tests = window_test(columns, counts[0], counts[1])
                told = causes(tests, correlations=group_correlations(columns, counts[1]))
                pairs = [set(cause.columns) & {"x6", "x7"} for cause in told]
                if sum(map(len, pairs)) == 2:
                    one.append({"x6", "x7"} in pairs)
                apart.append(bool(told))
            share, error = _share(one)
            rows.append(
                {
                    "rows": Setting(n, n, per_account).name, "correlation": alike,
                    "both alarmed": len(one), "one cause": share, "s.e.": error,
                }
            )  # fmt: skip
    return rows


def kind(options: argparse.Namespace, rng: Generator) -> list[Row]:
    """How often the kind of a change is told right, where it alarmed: of counts, and with rows."""
    n = 1_000 if options.quick else 10_000
    rows = []
    for change, right in KINDS.items():
        from_counts, with_rows = [], []
        for number in range(options.planted):
            setting = Setting(n, n, 20 if number % 2 else 1)
            window, reference = (setting.rows(rng, n) for _ in range(2))
            columns = cells_of(reference)
            at = int(rng.choice(CHANGES[change]))
            window = planted(rng, window, change, at)
            counts = [counts_of(r, columns) for r in (window, reference)]
            test = window_test(columns, counts[0], counts[1])[at]
            cells = [side.cells[at].sum(axis=0) for side in counts]
            known = window.values[:, at]
            value_count = np.unique(known[~np.isnan(known)]).size
            if test.alarm:
                told = kind_of(columns[at], test, cells[0], cells[1])
                from_counts.append(told is not None and told.name == right)
                told = kind_of(columns[at], test, cells[0], cells[1], value_count=value_count)
                with_rows.append(told is not None and told.name == right)
        a, b = _share(from_counts), _share(with_rows)
        rows.append(
            {
                "change": change, "kind": right, "planted": options.planted,
                "alarmed": len(from_counts), "right by counts": a[0], "s.e.": a[1],
                "right with rows": b[0], "s.e. ": b[1],
            }
        )  # fmt: skip
        _progress(str(list(rows[-1].values())))
    return rows


# --- speed, and a stream of others ---------------------------------------------------------------


def speed(options: argparse.Namespace, rng: Generator) -> list[Row]:
    """Closing a window from its counts, and what tests of its rows take: processor time."""
    n = 2_000 if options.quick else 100_000
    setting = Setting(n, n, 20)
    window, reference = (setting.rows(rng, n) for _ in range(2))
    columns = cells_of(reference)
    counts = [counts_of(r, columns) for r in (window, reference)]

    def closed() -> list[ColumnTest]:
        tests = window_test(columns, counts[0], counts[1])
        causes(tests)
        return tests

    took = {
        "closing a window": _time_ms(closed, 30),
        "counting its rows": _time_ms(lambda: counts_of(window, columns), 10),
        "scipy on its rows": _time_ms(lambda: row_p_values(window, reference), 3),
    }
    if options.peers:
        took["Evidently on its rows"] = _of_evidently_ms(window, reference)
    base = took["closing a window"]
    return [
        {"what": what, "rows": n, "ms": ms, "times closing": ms / base} for what, ms in took.items()
    ]


def _of_evidently_ms(window: Rows, reference: Rows) -> float:
    """A report of its drift preset, in an environment of its own; NaN where that cannot be had."""
    with tempfile.TemporaryDirectory() as folder:
        rows, times = Path(folder) / "rows.npz", Path(folder) / "times.json"
        np.savez(rows, window=window.values, reference=reference.values,
                 categories=COLUMN_COUNT - NUMBER_COUNT)  # fmt: skip
        try:
            ask(EVIDENTLY, rows, times, "--rows")
        except PeerFailedError as error:
            print(f"Evidently {error}")
            return float("nan")
        return float(np.median(json.loads(times.read_text())["process_s"])) * 1e3


def _time_ms(call: Callable[[], object], repeats: int) -> float:
    call()
    times = []
    for _ in range(repeats):
        begin = time.thread_time()
        call()
        times.append(time.thread_time() - begin)
    return float(np.median(times)) * 1e3


def handbook(options: argparse.Namespace, _: Generator) -> list[Row]:
    """The rate on the Handbook's rows: days and weeks against the four weeks before."""
    if options.handbook is None:
        return []
    from benchmarks.handbook_features import PUBLISHED_NAMES, published_features
    from benchmarks.handbook_file import DAY_MS, payments_of, read_frame

    rows = payments_of(read_frame(options.handbook))
    values = published_features(rows)
    day = (rows.event_time_ms - rows.event_time_ms.min()) // DAY_MS
    found = []
    for length in (1, 7):
        of_window, designs = [], []
        per_column = np.zeros(len(PUBLISHED_NAMES))
        for begin in range(70, int(day.max()) + 2 - length, length):
            sides = [
                (day >= begin) & (day < begin + length),
                (day >= begin - 28) & (day < begin),
            ]
            tests = _tested(values, rows.customer, sides, PUBLISHED_NAMES)
            alarms = np.array([test.alarm for test in tests])
            per_column += alarms
            calendar = [name.startswith("TX_DURING") for name in PUBLISHED_NAMES]
            of_window.append(bool(alarms[~np.array(calendar)].any()))
            designs.append([test.design_effects[0] for test in tests])
        share, error = _share(of_window)
        means = np.mean(designs, axis=0)
        for f, name in enumerate(PUBLISHED_NAMES):
            found.append(
                {
                    "column": name, "days": length, "windows": len(of_window),
                    "alarms": int(per_column[f]), "design effect": float(means[f]),
                }
            )  # fmt: skip
        print(f"  {length} days: any but the calendar in {share:.3f} +- {error:.3f} of windows")
    return found


def _tested(
    values: Floats, accounts: Ints, sides: Sequence[Any], names: Sequence[str]
) -> list[ColumnTest]:
    window, reference = (Rows(values[at], accounts[at]) for at in sides)
    columns = [column_of(name, reference.values[:, f]) for f, name in enumerate(names)]
    return window_test(columns, counts_of(window, columns), counts_of(reference, columns))


PARTS: dict[str, Callable[[argparse.Namespace, Generator], list[Row]]] = {
    "null": null,
    "power": power,
    "cause": cause,
    "derived": derived,
    "kind": kind,
    "speed": speed,
    "handbook": handbook,
}

if __name__ == "__main__":
    main()
