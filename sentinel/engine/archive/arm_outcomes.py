"""What came of the transactions of an experiment, from archived decisions and labels.

Everything is reckoned anew at each look: a label that was revised or withdrawn meanwhile is as if
it had never been otherwise, and nothing can be counted twice. What counts is the age of a
transaction, never when its label came: of an arm whose frauds are known sooner, more would count.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from sentinel.archive import Segment
from sentinel.core.experiments.outcomes.cells import Cell, MetricSums
from sentinel.core.experiments.outcomes.tables import AccountTable, metric_sums
from sentinel.core.learning.evaluation import auc, average_precision
from sentinel.engine.archive.examples import decided_last
from sentinel.ports import Archive
from sentinel.stored.outcomes import ArmAccounts

COLUMNS = (
    *("transaction_id", "appended_ms", "offset", "event_time_ms", "account", "amount_minor"),
    *("score", "probability", "action", "arm", "degraded", "explore_share", "explored"),
    *("experiment", "shadow_version", "shadow_score"),
)
_TYPES = {
    "explore_share": pl.Float64,
    "explored": pl.Boolean,
    "experiment": pl.String,
    "shadow_version": pl.String,
    "shadow_score": pl.Float64,
}
METRIC_NAMES = (
    *("fraud_loss", "fraud_missed", "recall", "precision", "alert_rate", "block_rate"),
    *("bothered", "genuine_blocked", "cost"),
)


@dataclass(frozen=True, slots=True)
class Costs:
    """What an account's transaction costs beside its fraud, in minor units."""

    review_minor: int = 0
    block_minor: int = 0


def decisions_between(
    files: Archive, spans_ms: Mapping[Segment, tuple[int, int]], begin_ms: int, end_ms: int
) -> Iterator[pl.DataFrame]:
    """Decisions of these event times, each transaction once; what an older file has not is null."""
    for segment, (first_ms, last_ms) in spans_ms.items():
        if first_ms > end_ms or last_ms < begin_ms:
            continue
        for frame in decided_last(files, segment, spans_ms, COLUMNS):
            typed = frame.with_columns(pl.col(name).cast(kind) for name, kind in _TYPES.items())
            yield typed.filter(pl.col("event_time_ms").is_between(begin_ms, end_ms))


def of_experiment(decisions: pl.DataFrame, experiment: str) -> pl.DataFrame:
    """The decisions of one experiment, with the `step` of its ramp and its own `arm`."""
    tag = f"{experiment}."
    rows = decisions.filter(pl.col("experiment").str.contains(tag, literal=True))
    split = [pl.col(name).str.split("+") for name in ("experiment", "arm")]
    rows = rows.with_columns(split).explode("experiment", "arm")
    return rows.filter(pl.col("experiment").str.starts_with(tag)).with_columns(
        step=pl.col("experiment").str.slice(len(tag)).cast(pl.Int64)
    )


def with_truth(decisions: pl.DataFrame, labels: pl.DataFrame) -> pl.DataFrame:
    """With `is_fraud`: of what was not blocked, silence means genuine; else null is unknown."""
    said = labels.select(
        "transaction_id",
        said=pl.when(pl.col("label") == "fraud")
        .then(pl.lit(value=True))
        .when(pl.col("label") == "genuine")
        .then(pl.lit(value=False)),
    )
    rows = decisions.join(said, on="transaction_id", how="left", maintain_order="left")
    silent = pl.when(pl.col("action") != "block").then(pl.lit(value=False))
    return rows.with_columns(is_fraud=pl.coalesce("said", silent)).drop("said")


def by_account(decisions: pl.DataFrame, costs: Costs, keys: Sequence[str]) -> pl.DataFrame:
    """For each account (and other keys) y and n of each metric, as whole numbers.

    What was blocked and never labelled has no truth. Where blocks are explored, those reviewed
    instead stand for all at stake, each for 1 / the share that is explored.
    """
    amount = pl.col("amount_minor").abs()
    fraud, genuine = pl.col("is_fraud").fill_null(value=False), ~pl.col("is_fraud").fill_null(
        value=True
    )  # fmt: skip
    approved, blocked = pl.col("action") == "approve", pl.col("action") == "block"
    explored = pl.col("explored").fill_null(value=False)
    stands_alone = blocked & pl.col("explore_share").is_null()
    genuine_blocked = (
        pl.when(explored & genuine)
        .then((amount / pl.col("explore_share")).round())
        .when(stands_alone & genuine)
        .then(amount)
        .otherwise(0)
    )
    loss = pl.when(fraud & approved).then(amount).otherwise(0)
    cost = loss + costs.review_minor * (pl.col("action") == "review").cast(pl.Int64)
    cost += costs.block_minor * (blocked & ~fraud).cast(pl.Int64)
    one = pl.lit(1, pl.Int64)
    metrics = {
        "fraud_loss": (loss, one),
        "fraud_missed": (fraud & approved, one),
        "recall": (fraud & ~approved, fraud),
        "precision": (fraud & ~approved, (fraud | genuine) & ~approved),
        "alert_rate": (~approved, one),
        "block_rate": (blocked, one),
        "bothered": (genuine & ~approved, one),
        "genuine_blocked": (genuine_blocked, one),
        "cost": (cost, one),
    }
    assert tuple(metrics) == METRIC_NAMES
    columns = [
        part.cast(pl.Int64).alias(f"{what}_{name}")
        for name, (y, n) in metrics.items()
        for what, part in (("y", y), ("n", n))
    ]
    found = decisions.select(*keys, *columns)
    return found.group_by(keys).agg(pl.all().sum())


def sums_of(accounts: pl.DataFrame, before: pl.DataFrame | None = None) -> dict[str, MetricSums]:
    """The sums of each metric.

    Parameters
    ----------
    accounts
        `by_account` of `step`, `arm` and `account`.
    before
        The same of `account` alone, from before the experiment: the covariates.
    """
    covariates = [f"x_{name}" for name in METRIC_NAMES]
    if before is None:
        rows = accounts.with_columns(pl.lit(0, pl.Int64).alias(name) for name in covariates)
    else:
        told = before.select("account", *(pl.col(f"y_{n}").alias(f"x_{n}") for n in METRIC_NAMES))
        rows = accounts.join(told, on="account", how="left", maintain_order="left")
        rows = rows.with_columns(pl.col(name).fill_null(0) for name in covariates)
    rows = rows.with_columns(code=pl.col("account").rank("dense").cast(pl.Int64)).sort("code")
    parts = {
        Cell(int(step), str(arm)): part
        for (step, arm), part in rows.partition_by("step", "arm", as_dict=True).items()
    }
    return {
        name: metric_sums({cell: _table(part, name) for cell, part in parts.items()})
        for name in METRIC_NAMES
    }


def technical(decisions: pl.DataFrame) -> dict[str, dict[str, float | None]]:
    """By arm, how its scores told frauds from others; of what has a truth, and a score."""
    known = decisions.filter(pl.col("is_fraud").is_not_null(), pl.col("score").is_not_null())
    found = {}
    for (arm,), rows in known.partition_by("arm", as_dict=True).items():
        labels = rows["is_fraud"].to_numpy().astype(np.int64)
        scores = rows["score"].to_numpy()
        found[str(arm)] = {
            "auc": auc(scores, labels),
            "average_precision": average_precision(scores, labels),
            "frauds": float(labels.sum()),
            "frauds_expected": float(rows["probability"].sum()),
        }
    return dict(sorted(found.items()))


def _table(part: pl.DataFrame, metric: str) -> AccountTable:
    columns = ("code", *(f"{what}_{metric}" for what in "ynx"))
    return AccountTable(*(part[name].to_numpy().astype(np.int64) for name in columns))


def first_seen(decisions: pl.DataFrame) -> pl.DataFrame:
    """By account the `step` and the `arm` in which it was first seen, and its first event time."""
    return decisions.group_by("account", "step", "arm").agg(
        first_ms=pl.col("event_time_ms").min(), transactions=pl.len()
    )


def accounts_of(seen: pl.DataFrame) -> list[ArmAccounts]:
    """How many accounts each arm had first in each step, and all transactions of the cell."""
    firsts = seen.sort("step", "first_ms", "arm").unique("account", keep="first")
    counted = firsts.group_by("step", "arm").agg(accounts=pl.len())
    totals = seen.group_by("step", "arm").agg(transactions=pl.col("transactions").sum())
    rows = totals.join(counted, on=["step", "arm"], how="left").sort("step", "arm")
    return [
        ArmAccounts(int(step), str(arm), int(accounts or 0), int(transactions))
        for step, arm, transactions, accounts in rows.iter_rows()
    ]
