"""Experiments on the Handbook's simulated stream: what is promoted, kept and stopped, and when.

Real models, real frauds, labels a week late; customers are assigned by the keyed hash, outcomes are
reckoned and judged as the archive and the control plane do it. Each secret draws other arms. The
champion has learnt from one week; challengers from more, from less, or the same with other draws.

    python -m benchmarks.experiment_stream [--secrets N] [--customers N] [--json FILE]
"""

import argparse
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import polars as pl

from benchmarks.handbook_features import PUBLISHED_NAMES, published_features
from benchmarks.handbook_file import DAY_MS, LABEL_DELAY_DAYS, Payments
from benchmarks.harness import facts, header, print_table, write_json
from benchmarks.paired_handbook import TRAIN_END, payments
from sentinel.core.experiments.assignment.assigning import Assignment
from sentinel.core.experiments.assignment.keys import key_check, key_of
from sentinel.core.experiments.routing import having
from sentinel.core.learning.params import FitParams
from sentinel.engine.archive.arm_outcomes import (
    Costs,
    accounts_of,
    by_account,
    first_seen,
    sums_of,
    with_truth,
)
from sentinel.engine.experiments.looking import judged
from sentinel.model import Model, fit
from sentinel.records import Floats, Ints, Transactions
from sentinel.simulation.handbook import SimulationParams
from sentinel.stored.experiments import ArmSpec, Definition, StoredExperiment
from sentinel.stored.outcomes import OutcomeReport
from sentinel.stored.routing import RoutingPlan
from sentinel.texts import Texts

SEED = 0
CAPACITY = 0.01
WEEK = FitParams(tree_count=200, leaf_count_max=8, learning_rate=0.1, leaf_row_count_min=1)
CHAMPION = (TRAIN_END - 7, WEEK)
CHALLENGERS = {
    "better: nine weeks, larger trees": (TRAIN_END - 63, replace(WEEK, leaf_count_max=16)),
    "worse: one day, few trees": (TRAIN_END - 1, replace(WEEK, tree_count=10)),
    "equal: the same week, other draws": (
        TRAIN_END - 7,
        replace(WEEK, seed=7, row_share=0.7, feature_share=0.7),
    ),
    "the very same": CHAMPION,
}
TEST = Definition(
    "stream",
    "split",
    (ArmSpec("control", 0.5), ArmSpec("challenger", 0.5, "1.1.0")),
    metric="fraud_missed",
    duration="60d",
    looks=30,
    maturity="7d",
)


@dataclass(frozen=True, slots=True)
class Ended:
    """How one experiment ended.

    Attributes
    ----------
    day
        In the stream's time, labels included.
    labels
        Frauds that were known by then.
    decisions, lost_minor
        Of the challenger, and what it let through beyond the champion's rate.
    """

    verdict: str
    day: float
    labels: int
    decisions: int
    lost_minor: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--secrets", type=int, default=40)
    parser.add_argument("--customers", type=int, default=5_000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    about = facts(SEED)
    rows = payments(
        SimulationParams(customer_count=options.customers, terminal_count=2 * options.customers)
    )
    features = published_features(rows)
    at = np.flatnonzero(rows.days(TRAIN_END + LABEL_DELAY_DAYS, rows.day_count))
    control = _alerts(rows, features, at, CHAMPION)
    print(f"\n{header(about)}\n{at.size:,} transactions of {options.customers:,} customers")
    figures: dict[str, Any] = {"about": about}
    table = []
    for name, recipe in CHALLENGERS.items():
        alerts = _alerts(rows, features, at, recipe)
        found = [_played(rows, at, control, alerts, f"{i}") for i in range(options.secrets)]
        figures[name] = [vars_of(one) for one in found]
        table.append(_row(name, found))
    print_table(
        ["challenger", "verdicts", "day", "known frauds", "its decisions", "lost, money"], table
    )
    write_json(options.json, figures)


def vars_of(one: Ended) -> dict[str, Any]:
    return {name: getattr(one, name) for name in Ended.__slots__}


def _row(name: str, found: list[Ended]) -> list[str]:
    counts = Counter(one.verdict for one in found)
    return [
        name,
        ", ".join(f"{count} {verdict}" for verdict, count in counts.most_common()),
        f"{median(one.day for one in found):.0f}",
        f"{median(one.labels for one in found):,.0f}",
        f"{median(one.decisions for one in found):,.0f}",
        f"{median(one.lost_minor for one in found) / 100:,.0f}",
    ]


def _alerts(rows: Payments, features: Floats, at: Ints, recipe: tuple[int, FitParams]) -> Floats:
    """1 where the model alerts: above the threshold that gives it its capacity on its first day."""
    first_day, params = recipe
    known = np.flatnonzero(rows.days(first_day, TRAIN_END))
    text = fit(features[known], rows.label[known], params=params, feature_names=PUBLISHED_NAMES)
    scores = Model.from_text("trained", text).raw_scores(features[at])
    first = scores[rows.day[at] == rows.day[at[0]]]
    found: Floats = (scores > np.quantile(first, 1 - CAPACITY)).astype(np.float64)
    return found


def _played(rows: Payments, at: Ints, control: Floats, alerts: Floats, secret: str) -> Ended:
    """One experiment from its start to its verdict."""
    key = key_of(secret)
    plan = having(RoutingPlan(), TEST, 0, champion="1.0.0", key_check=key_check(key), holdout=0.0)
    accounts = Texts.of([f"C{one}" for one in rows.customer[at].tolist()])
    zero = np.zeros(at.size, dtype=np.int64)
    codes = Assignment(plan, key).codes(
        Transactions(accounts, zero, zero, zero, zero, {"account": accounts})
    )
    is_own = codes == 2
    frame = pl.DataFrame(
        {
            "transaction_id": [f"{one}" for one in rows.transaction[at].tolist()],
            "event_time_ms": rows.event_time_ms[at],
            "account": rows.customer[at],
            "amount_minor": np.round(100 * rows.amount[at]).astype(np.int64),
            "action": np.where(np.where(is_own, alerts, control) > 0, "review", "approve"),
            "arm": np.where(is_own, "challenger", "control"),
            "explore_share": pl.Series([None] * at.size, dtype=pl.Float64),
            "explored": np.zeros(at.size, dtype=np.bool_),
            "step": zero,
            "fraud": rows.label[at] == 1,
        }
    ).sort("event_time_ms")
    return _judged(frame)


def _judged(frame: pl.DataFrame) -> Ended:
    first_ms = int(frame["event_time_ms"][0])
    stored = StoredExperiment(TEST, "running", control="1.0.0")
    length_ms = 60 * DAY_MS
    verdict, mature = None, frame.head(0)
    for look in range(1, TEST.looks + 1):
        to_ms = first_ms + length_ms * look // TEST.looks
        mature = frame.filter(pl.col("event_time_ms") <= to_ms)
        labels = mature.filter("fraud").select("transaction_id", label=pl.lit("fraud"))
        told = with_truth(mature, labels)
        sums = sums_of(by_account(told, Costs(), ("step", "arm", "account")))
        report = OutcomeReport(
            TEST.id, look, TEST.looks, look / TEST.looks, {"0": first_ms}, to_ms,
            accounts_of(first_seen(mature)),
            metrics={TEST.metric: sums[TEST.metric].to_dict()},
        )  # fmt: skip
        found = judged(stored, report)
        stored = replace(stored, look=look, test=found.test)
        verdict = found.verdict
        if verdict is not None:
            break
    assert verdict is not None
    missed = mature.filter(pl.col("fraud"), pl.col("action") == "approve")
    of_arm = {arm: mature.filter(pl.col("arm") == arm).height for arm in ("control", "challenger")}
    lost = {arm: int(missed.filter(pl.col("arm") == arm)["amount_minor"].sum()) for arm in of_arm}
    extra = lost["challenger"] - lost["control"] * of_arm["challenger"] / of_arm["control"]
    day = (int(mature["event_time_ms"][-1]) - first_ms) / DAY_MS + LABEL_DELAY_DAYS
    return Ended(verdict.name, day, int(mature["fraud"].sum()), of_arm["challenger"], extra)


if __name__ == "__main__":
    main()
