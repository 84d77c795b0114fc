"""How rarely a guardrail stops an arm that keeps to its limit, and how soon one that does not.

    python -m benchmarks.guardrails [--part quiet|slow|harm] [--runs N] [--only TEXT] [--seed N]
                                    [--json FILE] [--quick]

False stops: four weeks, looked at every four hours, arms that differ in nothing and limits of 1,
which equal arms just keep to: the worst case. Alike: each account's transactions are alerted on at
a rate of its own, most of them hardly ever and few again and again. Busy: accounts have from one to
thousands of transactions (Pareto 1.1). Ramp: 1, 5, 25 and 50 % of the accounts, a week each. Beside
it what counting transactions would do, and a test of two shares at every look. Slow: batches at the
limit of 1 %, by themselves and in bursts of ten.

Harm: an arm that breaks at once or after a week, a hundred accounts a minute with an alert or a
loss in a hundred; how many minutes until it is stopped.
"""

import argparse
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator, default_rng

from benchmarks.harness import facts, header, print_table, write_json
from sentinel.core.experiments.guardrails.counts import LOSS_SIZES, GuardrailCounts
from sentinel.core.experiments.guardrails.guardrails import Guardrails
from sentinel.core.experiments.guardrails.params import GuardrailParams
from sentinel.core.learning.training_data.examples import Bools
from sentinel.records import Floats, Ints

SEED = 2026
ALPHA = 0.01
HOURS, WEEK_HOURS = 168, 42  # of four hours each
ACCOUNTS, ROWS_AN_HOUR = 4_000, 1_600
WEEK_MINUTES = 7 * 1_440
OFF = dict.fromkeys(
    (
        *("alert_ratio_max", "alert_ratio_min", "block_ratio_max", "loss_ratio_max"),
        *("failure_share_max", "slow_share_max"),
    ),
    0.0,
)


@dataclass(frozen=True, slots=True)
class Setting:
    """A stream without harm."""

    name: str
    is_alike: bool = False
    is_busy: bool = False
    shares: tuple[float, ...] = (0.5, 0.5, 0.5, 0.5)  # of the arm, week by week


SETTINGS = (
    Setting("independent"),
    Setting("alike", is_alike=True),
    Setting("alike and busy", is_alike=True, is_busy=True),
    Setting("alike, canary 1 %", is_alike=True, shares=(0.01,) * 4),
    Setting("alike and busy, ramp", is_alike=True, is_busy=True, shares=(0.01, 0.05, 0.25, 0.5)),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--part", choices=("quiet", "slow", "harm"), help="this one alone")
    parser.add_argument("--runs", type=int, default=400)
    parser.add_argument("--only", default="", help="settings whose names hold this")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--quick", action="store_true", help="40 runs: a minute")
    options = parser.parse_args()
    runs = 40 if options.quick else options.runs
    about = facts(options.seed)
    print(header(about), flush=True)
    parts = (options.part,) if options.part else ("quiet", "slow", "harm")
    quiet = [
        false_stops(setting, runs, default_rng([options.seed, number]))
        for number, setting in enumerate(SETTINGS)
        if "quiet" in parts and options.only in setting.name
    ]
    slow = [
        false_slow(burst, counted, runs, default_rng([options.seed, 50, burst]))
        for burst, counted in ((1, 1), (10, 1), (10, 10))
        if "slow" in parts
    ]
    harm = [
        time_to_stop(name, make, late, max(runs // 20, 10), default_rng([options.seed, 90, i]))
        for i, (name, make) in enumerate(HARMS.items())
        for late in (0, WEEK_MINUTES)
        if "harm" in parts and options.only in name
    ]
    for rows in (quiet, slow, harm):
        if rows:
            print_table(list(rows[0]), [[_cell(v) for v in row.values()] for row in rows])
    figures = {"quiet": quiet, "slow": slow, "harm": harm}
    write_json(options.json, {"benchmark": "guardrails", **about, **figures})


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    return value if isinstance(value, str) else f"{value:,}"


# False stops


def false_stops(setting: Setting, runs: int, rng: Generator) -> dict[str, Any]:
    """Runs with a stop within four weeks: two guardrails on alerts, and one on losses."""
    stopped = {"alerts": 0, "losses": 0, "by transaction": 0, "z at every look": 0}
    for _ in range(runs):
        day = Alerts(setting, rng)
        first, all_rows, sizes = day.first(), day.all(), day.losses(rng)
        stopped["alerts"] += _is_stopped(
            first, day.arm_shares, "alert_ratio_max", "alert_ratio_min"
        )
        stopped["losses"] += _is_stopped(sizes, day.arm_shares, "loss_ratio_max")
        stopped["by transaction"] += _is_stopped(
            all_rows, day.arm_shares, "alert_ratio_max", "alert_ratio_min"
        )
        stopped["z at every look"] += day.naive()
    return {
        "setting": setting.name,
        "R": runs,
        "allowed, alerts": 2 * ALPHA,
        **{name: count / runs for name, count in stopped.items()},
        "s.e. at 1 %": math.sqrt(ALPHA * (1 - ALPHA) / runs),
    }


Hour = tuple[GuardrailCounts, GuardrailCounts]


def _is_stopped(hours: list[Hour], shares: Floats, *names: str) -> bool:
    limits = OFF | dict.fromkeys(names, 1.0) | {"alpha": ALPHA}
    guardrails = Guardrails(GuardrailParams(**limits), ["b"])  # type: ignore[arg-type]
    for hour, (of_arm, of_control) in enumerate(hours):
        share = float(shares[hour])
        by_arm = {"a": 1 - share, "b": share}
        guardrails.add(hour, by_arm, {"a": of_control, "b": of_arm}, control="a")
        if guardrails.trips:
            return True
    return False


class Alerts:
    """All alerts of four weeks, and whose they are."""

    def __init__(self, setting: Setting, rng: Generator) -> None:
        u = rng.random(ACCOUNTS)
        busy = rng.pareto(1.1, ACCOUNTS) + 1 if setting.is_busy else np.ones(ACCOUNTS)
        rate = (
            np.minimum(rng.gamma(0.05, 0.02 / 0.05, ACCOUNTS), 1.0)
            if setting.is_alike
            else np.full(ACCOUNTS, 0.02)
        )
        rows = ROWS_AN_HOUR * HOURS * busy / busy.sum()
        self.arm_shares: Floats = np.repeat(setting.shares, WEEK_HOURS)
        self._rows_of_arm = np.cumsum(
            [float(rows[u < share].sum()) / HOURS for share in self.arm_shares]
        )
        self._rows = np.arange(1, HOURS + 1) * ROWS_AN_HOUR
        account = np.repeat(np.arange(ACCOUNTS), rng.poisson(rows * rate))
        hour = rng.integers(0, HOURS, account.size)
        order = np.argsort(hour, kind="stable")
        self.account, self.hour = account[order], hour[order]
        self._is_arm: Bools = u[self.account] < self.arm_shares[self.hour]

    def first(self) -> list[Hour]:
        """The first alert of each account."""
        return self._counts(self._firsts())

    def _firsts(self) -> Ints:
        return np.sort(np.unique(self.account, return_index=True)[1])

    def all(self) -> list[Hour]:
        """Every alert by itself."""
        return self._counts(np.arange(self.account.size))

    def losses(self, rng: Generator) -> list[Hour]:
        """The first of each account as a loss, of very different sizes."""
        at = self._firsts()
        size = rng.integers(0, len(LOSS_SIZES), at.size)
        cells = self.hour[at] * len(LOSS_SIZES) + size
        sides = (self._is_arm[at], ~self._is_arm[at])
        arm, control = (
            np.bincount(cells[side], minlength=HOURS * len(LOSS_SIZES)).reshape(HOURS, -1).tolist()
            for side in sides
        )
        return [
            (GuardrailCounts(lost=tuple(a)), GuardrailCounts(lost=tuple(c)))
            for a, c in zip(arm, control, strict=True)
        ]

    def naive(self) -> bool:
        """Whether a test of two shares, at 1 %, is beyond at any look."""
        arm, control = (
            np.cumsum(np.bincount(self.hour[side], minlength=HOURS))
            for side in (self._is_arm, ~self._is_arm)
        )
        n1 = np.maximum(self._rows_of_arm, 1e-9)
        n0 = self._rows - n1
        p = (arm + control) / self._rows
        z = (arm / n1 - control / n0) / np.sqrt(np.maximum(p * (1 - p), 1e-12) * (1 / n1 + 1 / n0))
        return bool(np.any(np.abs(z[arm + control >= 10]) > 2.576))

    def _counts(self, at: Ints) -> list[Hour]:
        arm, control = (
            np.bincount(self.hour[at[side]], minlength=HOURS).tolist()
            for side in (self._is_arm[at], ~self._is_arm[at])
        )
        return [
            (GuardrailCounts(alerted=a), GuardrailCounts(alerted=c))
            for a, c in zip(arm, control, strict=True)
        ]


def false_slow(burst: int, counted: int, runs: int, rng: Generator) -> dict[str, Any]:
    """Four weeks of 100 batches a look, of which 1 % are slow, in bursts of so many."""
    stopped = 0
    limits = OFF | {"slow_share_max": 0.01, "slow_burst": counted, "alpha": ALPHA}
    for _ in range(runs):
        guardrails = Guardrails(GuardrailParams(**limits), ["b"])  # type: ignore[arg-type]
        slow = burst * rng.binomial(100 // burst, 0.01, HOURS)
        for hour, count in enumerate(slow.tolist()):
            counts = {"b": GuardrailCounts(batches=100, slow=count)}
            if guardrails.add(hour, {}, counts, control="a"):
                stopped += 1
                break
    return {
        "slow batches come": "by themselves" if burst == 1 else f"{burst} at a time",
        "slow_burst": counted,
        "R": runs,
        "stopped": stopped / runs,
        "s.e. at 1 %": math.sqrt(ALPHA * (1 - ALPHA) / runs),
    }


# Harm

Minute = Callable[[Generator, bool], Hour]


def _alerts(share: float, factor: float) -> Minute:
    """A hundred accounts a minute, each of which is alerted on by 1 % for the first time."""

    def minute(rng: Generator, is_broken: bool) -> Hour:
        rate = share * (factor if is_broken else 1.0)
        arm, control = rng.poisson(rate), rng.poisson(1 - share)
        return GuardrailCounts(alerted=int(arm)), GuardrailCounts(alerted=int(control))

    return minute


def _losses(share: float, factor: float) -> Minute:
    def minute(rng: Generator, is_broken: bool) -> Hour:
        rate = share * (factor if is_broken else 1.0)
        arm, control = (rng.poisson(r / 4, 4).tolist() for r in (rate, 1 - share))
        return GuardrailCounts(lost=tuple(arm)), GuardrailCounts(lost=tuple(control))

    return minute


def _failures(rate: float) -> Minute:
    """Sixty batches a minute."""

    def minute(rng: Generator, is_broken: bool) -> Hour:
        failed = int(rng.binomial(60, rate if is_broken else 0.001))
        return GuardrailCounts(batches=60, failed=failed), GuardrailCounts(batches=60)

    return minute


HARMS: dict[str, Minute] = {
    "50 %: alerts × 2": _alerts(0.5, 2),
    "50 %: alerts × 3": _alerts(0.5, 3),
    "50 %: alerts × 10": _alerts(0.5, 10),
    "50 %: no alerts": _alerts(0.5, 0),
    "5 %: alerts × 3": _alerts(0.05, 3),
    "5 %: alerts × 10": _alerts(0.05, 10),
    "5 %: no alerts": _alerts(0.05, 0),
    "50 %: losses × 2": _losses(0.5, 2),
    "50 %: losses × 5": _losses(0.5, 5),
    "2 % of batches fail": _failures(0.02),
    "5 % of batches fail": _failures(0.05),
    "all batches fail": _failures(1.0),
}


def time_to_stop(name: str, minute: Minute, late: int, runs: int, rng: Generator) -> dict[str, Any]:
    """Minutes from the break to the stop, with the limits as they are by default."""
    delays = []
    for _ in range(runs):
        guardrails = Guardrails(GuardrailParams(), ["b"])
        share = 0.05 if name.startswith("5 %") and ":" in name else 0.5
        for now, (arm, control) in _minutes(minute, late, rng):
            shares = {"a": 1 - share, "b": share}
            if guardrails.add(now, shares, {"a": control, "b": arm}, control="a"):
                break
        delays.append(now - late + 1)
    ordered = np.sort(delays)
    error = 1.25 * float(np.std(delays)) / math.sqrt(runs)
    return {
        "harm": name,
        "breaks": "after a week" if late else "at once",
        "R": runs,
        "median minutes": float(np.median(ordered)),
        "s.e.": error,
        "95 % within": float(np.quantile(ordered, 0.95)),
        "false before": int((ordered <= 0).sum()),
    }


def _minutes(minute: Minute, late: int, rng: Generator) -> Iterator[tuple[int, Hour]]:
    """Minute by minute; before it breaks an hour at a time, which is quicker."""
    for begin in range(0, late, 60):
        pairs = [minute(rng, False) for _ in range(60)]
        arm, control = (_joined(side) for side in zip(*pairs, strict=True))
        yield begin, (arm, control)
    for now in range(late, late + 20_000):
        yield now, minute(rng, True)


def _joined(counts: Sequence[GuardrailCounts]) -> GuardrailCounts:
    columns = list(zip(*((c.alerted, c.batches, c.failed, *c.lost) for c in counts), strict=True))
    alerted, batches, failed, *lost = map(sum, columns)
    return GuardrailCounts(alerted, lost=tuple(lost), batches=batches, failed=failed)


if __name__ == "__main__":
    main()
