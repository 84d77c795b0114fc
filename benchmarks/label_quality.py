"""What labels are worth, where the truth is known: accuracy, calibration, coverage, delay.

Labels are a frame with a row for each, in the order of their topic: `row` (the transaction),
`is_fraud` (null where a label is withdrawn), `posterior`, `source`, `observed_ms`, and `supersedes`
(whether the label before said fraud; null for the first one, and behind a withdrawal).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from benchmarks.consensus import quality
from sentinel.core.consensus.batch.votes import Votes
from sentinel.core.learning.maturity import MaturityParams, delay_distribution, horizon_ms
from sentinel.records import WITHDRAWN, Floats, Ints, Label, LabelWord

Bools = NDArray[np.bool_]

DAY_MS = 86_400_000
SCHEMA = {
    "row": pl.Int64,
    "is_fraud": pl.Boolean,
    "posterior": pl.Float64,
    "source": pl.String,
    "observed_ms": pl.Int64,
    "supersedes": pl.Boolean,
}


def label_frame(labels: Sequence[Label], row_of: dict[str, int]) -> pl.DataFrame:
    """Labels as they stand in their topic, repetitions left out."""
    by_offset = {(label.feedback_offset, label.transaction_id): label for label in labels}
    rows = [
        (
            row_of[label.transaction_id],
            _says(label.label),
            label.posterior,
            label.source,
            label.observed_ms,
            _says(label.supersedes),
        )
        for _, label in sorted(by_offset.items())
    ]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def _says(word: LabelWord | None) -> bool | None:
    return None if word is None or word == WITHDRAWN else word == "fraud"


def first_labels(labels: pl.DataFrame) -> pl.DataFrame:
    """The first label of each transaction."""
    return _given(labels).unique("row", keep="first", maintain_order=True)


def newest_labels(labels: pl.DataFrame) -> pl.DataFrame:
    """The label of each transaction that holds."""
    return _given(labels.unique("row", keep="last", maintain_order=True))


def _given(labels: pl.DataFrame) -> pl.DataFrame:
    """Those that say something: none that is withdrawn."""
    return labels.filter(pl.col("is_fraud").is_not_null())


def worth(labels: pl.DataFrame, truth: Bools, event_time_ms: Ints) -> dict[str, Any]:
    """How right, how honest and how late labels are, one a transaction.

    Parameters
    ----------
    truth, event_time_ms
        bool and int64 (n_transactions,).
    """
    if labels.is_empty():
        return {"count": 0}
    row = labels["row"].to_numpy()
    says = labels["is_fraud"].to_numpy()
    delay_days = (labels["observed_ms"].to_numpy() - event_time_ms[row]) / DAY_MS
    found = quality(labels["posterior"].to_numpy(), truth[row])
    return {
        "count": row.size,
        "frauds": int(says.sum()),
        "accuracy": float(np.mean(says == truth[row])),
        "calibration_error": found["calibration_error"],
        "delay_median_days": float(np.median(delay_days)),
        "delay_p90_days": float(np.quantile(delay_days, 0.9)),
    }


def coverage(newest: pl.DataFrame, truth: Bools, checked: Ints, within: Bools) -> dict[str, Any]:
    """What share of the frauds, and of what was checked, has a label.

    Parameters
    ----------
    checked
        int64: rows that investigators voted on.
    within
        bool (n_transactions,): those to count.
    """
    says = np.full(truth.size, -1)
    says[newest["row"].to_numpy()] = newest["is_fraud"].to_numpy()
    is_checked = np.zeros(truth.size, dtype=np.bool_)
    is_checked[checked] = True
    frauds, looked_at = truth & within, is_checked & within
    return {
        "frauds": int(frauds.sum()),
        "frauds_checked": share(is_checked, frauds),
        "frauds_labelled": share(says >= 0, frauds),
        "frauds_labelled_fraud": share(says == 1, frauds),
        "checked": int(looked_at.sum()),
        "checked_labelled": share(says >= 0, looked_at),
        "checked_fraud": share(truth, looked_at),
    }


def share(what: Bools, among: Bools) -> float:
    """How many of those it holds for; not a number if there are none."""
    return float(np.mean(what[among])) if among.any() else float("nan")


def corrections(labels: pl.DataFrame, truth: Bools) -> dict[str, dict[str, Any]]:
    """How often a label took the place of the contrary, by whom, and how often it was right to."""
    later = _given(labels).filter(pl.col("supersedes").is_not_null())
    later = later.with_columns(is_right=later["is_fraud"].to_numpy() == truth[later["row"]])
    grouped = later.group_by("source", "is_fraud").agg(pl.len(), pl.col("is_right").mean())
    return {
        f"by {source}, to {'fraud' if is_fraud else 'genuine'}": {"count": count, "right": right}
        for source, is_fraud, count, right in grouped.sort("source", "is_fraud").iter_rows()
    }


def fraud_share_of_votes(votes: Votes) -> Floats:
    """The share of each task's votes that say fraud, float64 (n_tasks,); everybody has one."""
    count = np.bincount(votes.task, minlength=votes.task_count)
    assert count.min(initial=1) > 0
    fraud = np.bincount(votes.task, votes.says_fraud, votes.task_count)
    found: Floats = fraud / count
    return found


def accuracy(posterior: Floats, truth: Bools) -> float:
    """At one half, where one half itself is right half the time; not a number if there are none."""
    if posterior.size == 0:
        return float("nan")
    is_right = np.where(posterior == 0.5, 0.5, (posterior > 0.5) == truth)
    return float(np.mean(is_right))


def horizon_days(
    labels: pl.DataFrame, event_time_ms: Ints, now_ms: int, params: MaturityParams
) -> dict[str, Any]:
    """When the silence of chargebacks would mean "genuine", from the labels that had come by then.

    `estimated` within the limits of the parameters, `unlimited` without, `plain` the quantile of
    the delays seen, with nothing said of those yet to come.
    """
    known = newest_labels(labels.filter(pl.col("observed_ms") <= now_ms))
    known = known.filter((pl.col("source") == "chargeback") & pl.col("is_fraud"))
    happened = event_time_ms[known["row"].to_numpy()]
    delay = known["observed_ms"].to_numpy() - happened
    found: dict[str, Any] = {
        "labels": delay.size,
        "estimated": horizon_ms(delay, now_ms - happened, params) / DAY_MS,
    }
    if delay.size:
        times, within = delay_distribution(delay, now_ms - happened)
        found["unlimited"] = float(times[np.searchsorted(within, params.coverage)] / DAY_MS)
        found["plain"] = float(np.quantile(delay, params.coverage) / DAY_MS)
    return found
