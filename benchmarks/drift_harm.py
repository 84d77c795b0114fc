"""What estimated performance is worth: estimated without labels, true, and with matured labels.

    python -m benchmarks.drift_harm [--repeats N] [--rows N] [--seed N] [--json FILE] [--quick]

A model (LightGBM, Platt's calibration on held-out rows) scores transactions of ten correlated
features with 2.7 % fraud at thresholds that stay. Then customers change (three features move by a
quarter, a half, one standard deviation), or fraud grows at the same features (odds x 1.75), or
fraudsters do something else (a part of what a feature says of fraud goes to another). Of each
change: true and estimated precision, recall and missed money of the same rows, and once more with
the labels of 40 and 80 per cent of them known. The estimate's interval is that of the change from
before, robust by groups of accounts (five rows each), and it is counted how often it holds the true
change. Last, after how many matured examples the alarm on calibration says that the estimate does
not hold, account by account as they mature; its base are the labels of before.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator, default_rng
from scipy.special import expit

from benchmarks.harness import facts, header, print_table, write_json
from sentinel.core.drift.counts.counting import size_groups
from sentinel.core.drift.detectors.base_rates import base_calibration
from sentinel.core.drift.detectors.examples import ExampleParams, ExampleState, after_examples
from sentinel.core.drift.outcomes.estimated import PerformanceSums, replaced
from sentinel.core.drift.outcomes.harm import HarmParams, harms, severity
from sentinel.core.learning.calibration import Calibration, fit_calibration
from sentinel.core.learning.params import FitParams
from sentinel.model import Model, fit
from sentinel.records import Floats, Ints

SEED = 2026
FEATURE_COUNT = 10
ROWS_AN_ACCOUNT = 5
ALERT_SHARE = 0.02
TRAIN_ROWS = 100_000
MATURED = (0.4, 0.8)
PARAMS = HarmParams()
MOVED = (0, 1, 2)


@dataclass(frozen=True, slots=True)
class Change:
    """What differs from training."""

    name: str
    shift: float = 0.0  # of three features, in standard deviations
    odds: float = 1.0  # of fraud at the same features
    turned: float = 0.0  # how much of the first feature's meaning has gone to the sixth


CHANGES = (
    Change("none"),
    Change("customers .25 sd", shift=0.25),
    Change("customers .5 sd", shift=0.5),
    Change("customers 1 sd", shift=1.0),
    Change("fraud × 1.75", odds=1.75),
    Change("new pattern, half", turned=0.5),
    Change("new pattern", turned=1.0),
)


@dataclass(frozen=True, eq=False, slots=True)
class Rows:
    """Transactions and the truth."""

    values: Floats
    labels: Ints
    amounts: Floats
    accounts: Ints

    def sums(self, frauds: Floats, alerts: Any, at: Any = slice(None)) -> PerformanceSums:
        return PerformanceSums.of_rows(frauds[at], alerts[at], self.amounts[at], self.accounts[at])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--repeats", type=int, default=10, help="samples of each change")
    parser.add_argument("--rows", type=int, default=100_000, help="of a window")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--quick", action="store_true", help="2 repeats of 20,000: half a minute")
    options = parser.parse_args()
    if options.quick:
        options.repeats, options.rows = 2, 20_000
    about = facts(options.seed)
    print(header(about), flush=True)
    rng = default_rng(options.seed)
    scorer = trained(rng)
    rows = []
    for change in CHANGES:
        one = [measured(change, scorer, options.rows, rng) for _ in range(options.repeats)]
        rows += told(change, one)
    print_table(list(rows[0]), [[_cell(v) for v in row.values()] for row in rows])
    write_json(options.json, {"benchmark": "drift_harm", **about, "figures": rows})


def _cell(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def drawn(change: Change, n: int, rng: Generator) -> Rows:
    """Rows of accounts that are alike, and whether they are fraud."""
    k = n // ROWS_AN_ACCOUNT
    of_account = np.repeat(rng.normal(size=(k, FEATURE_COUNT)), ROWS_AN_ACCOUNT, axis=0)
    common = np.sqrt(0.3) * rng.normal(size=(n, 1))
    own = np.sqrt(0.4) * rng.normal(size=(n, FEATURE_COUNT))
    values = np.sqrt(0.3) * of_account + common + own
    # Away from where fraud is: as customers of a new country would come.
    values[:, MOVED] -= change.shift
    first = (1 - change.turned) * values[:, 0] + change.turned * values[:, 5]
    margin = -5.6 + 0.9 * first + 0.7 * values[:, 1] + 0.8 * values[:, 2] * (values[:, 3] > 0)
    margin += 0.5 * np.abs(values[:, 4]) + np.log(change.odds)
    labels = (rng.random(n) < expit(margin)).astype(np.int64)
    amounts = np.exp(4 + 0.5 * values[:, 6] + rng.normal(size=n))
    accounts = np.repeat(rng.integers(2**62, size=k), ROWS_AN_ACCOUNT)
    return Rows(values, labels, amounts, accounts)


@dataclass(frozen=True, eq=False, slots=True)
class Scorer:
    """A model, its calibration, and the threshold above which ALERT_SHARE of transactions are."""

    model: Model
    calibration: Calibration
    threshold: float = 0.0

    def probabilities(self, values: Floats) -> Floats:
        return self.calibration.probability(self.model.raw_scores(values))


def trained(rng: Generator) -> Scorer:
    """On rows of before the changes, calibrated on others."""
    rows, held_out, fresh = (drawn(CHANGES[0], TRAIN_ROWS, rng) for _ in range(3))
    names = [f"feature_{i}" for i in range(FEATURE_COUNT)]
    params = FitParams(tree_count=120)
    model = Model.from_text(
        "benchmark", fit(rows.values, rows.labels, params=params, feature_names=names)
    )
    calibration = fit_calibration(model.raw_scores(held_out.values), held_out.labels)
    scorer = Scorer(model, calibration)
    limit = float(np.quantile(scorer.probabilities(fresh.values), 1 - ALERT_SHARE))
    return replace(scorer, threshold=limit)


def measured(change: Change, scorer: Scorer, n: int, rng: Generator) -> dict[str, Any]:
    """One window before and one of the change."""
    before, now = drawn(CHANGES[0], n, rng), drawn(change, n, rng)
    p0, p1 = scorer.probabilities(before.values), scorer.probabilities(now.values)
    a0, a1 = p0 >= scorer.threshold, p1 >= scorer.threshold
    estimated, true = now.sums(p1, a1), now.sums(now.labels.astype(float), a1)
    sides = [before.sums(p0, a0), before.sums(before.labels.astype(float), a0)]
    found = {"estimated": estimated, "true": true}
    for share in MATURED:
        known = now.accounts % 100 < 100 * share
        labels = now.labels.astype(float)
        found[f"{share:.0%} known"] = replaced(
            estimated, now.sums(p1, a1, known), now.sums(labels, a1, known)
        )
    said = harms(sides[0], estimated, PARAMS)
    truth = {harm.name: harm.change for harm in harms(sides[1], true, PARAMS)}
    return {
        **found,
        "alarm": _alarm(before, p0, now, p1),
        "covered": {harm.name: harm.low <= truth[harm.name] <= harm.high for harm in said},
        "severity": severity(said, PARAMS),
        "true severity": severity(harms(sides[1], true, PARAMS), PARAMS),
    }


def _alarm(before: Rows, p0: Floats, now: Rows, p1: Floats) -> float:
    """Examples until the alarm on calibration; infinite without one."""
    labels = before.labels.astype(np.int8)
    base = base_calibration("calibration", "both", labels, p0, before.accounts)
    _, events = after_examples(
        ExampleState.fresh([base]),
        [base],
        now.labels.astype(np.int8)[:, None],
        size_groups(now.accounts),
        np.arange(len(p1)),
        ExampleParams(),
        probabilities=p1,
    )
    return next((float(event.example) for event in events if event.kind == "alarm"), np.inf)


FIGURES = ("fraud_share", "precision", "recall", "missed_money")


def told(change: Change, measurements: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of the table, one of each way to know."""
    rows = []
    for way in ("true", "estimated", *(f"{share:.0%} known" for share in MATURED)):
        row: dict[str, Any] = {"change": change.name, "figures": way}
        for name in FIGURES:
            values = np.array([getattr(one[way], name) for one in measurements])
            truth = np.array([getattr(one["true"], name) for one in measurements])
            if name == "missed_money":
                off = values / truth - 1
                row["missed money off"] = float(off.mean())
                row["s.e."] = float(off.std(ddof=1) / np.sqrt(len(off)))
            else:
                row[name] = float(values.mean())
        if way == "estimated":
            row["money in interval"] = float(
                np.mean([one["covered"]["missed_money"] for one in measurements])
            )
            row["said"] = _most([one["severity"] for one in measurements])
            row["alarm after"] = float(np.median([one["alarm"] for one in measurements]))
            row["alarms"] = f"{sum(np.isfinite(one['alarm']) for one in measurements)}"
        else:
            row["money in interval"] = ""
            row["said"] = (
                _most([one["true severity"] for one in measurements]) if way == "true" else ""
            )
            row |= {"alarm after": "", "alarms": ""}
        rows.append(row)
    return rows


def _most(words: Sequence[str]) -> str:
    return max(set(words), key=list(words).count)


if __name__ == "__main__":
    main()
