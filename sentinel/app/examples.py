"""Examples to learn from: archived decisions joined with what turned out to be true."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from sentinel.adapters.archive import ParquetArchive
from sentinel.core.features.hashing import hash64
from sentinel.core.learning.maturity import MaturityParams, horizon_ms, is_sampled

PRESUMED = "presumed"
_EXPLORATION = {"explore_share": pl.Float64, "explored": pl.Boolean}
_KEPT = (
    *("decision_id", "transaction_id", "event_time_ms", "account", "score", "probability"),
    *("action", "model_version", "arm", *_EXPLORATION),
)


@dataclass(frozen=True, slots=True)
class Horizons:
    """When silence means "genuine".

    Attributes
    ----------
    by_source_ms
        How old a transaction must be for each source of labels to have spoken.
    now_ms
        The newest event time in the archive: it is by it that transactions are old.
    """

    by_source_ms: dict[str, int]
    now_ms: int

    @property
    def longest_ms(self) -> int:
        """Behind it nobody is waited for."""
        return max(self.by_source_ms.values())


def current_labels(files: ParquetArchive) -> pl.DataFrame:
    """The newest label of each transaction: a later one supersedes those before."""
    wanted = ["transaction_id", "label", "posterior", "source", "observed_ms", "event_time_ms"]
    frames = [files.read(s, [*wanted, "feedback_offset"]) for s in files.segments("labels")]
    if not frames:
        kinds = [pl.String, pl.String, pl.Float64, pl.String, pl.Int64, pl.Int64]
        return pl.DataFrame(schema=dict(zip(wanted, kinds, strict=True)))
    return (
        pl.concat(frames)
        .sort("feedback_offset")
        .unique("transaction_id", keep="last", maintain_order=True)
        .select(wanted)
    )


def horizons(files: ParquetArchive, labels: pl.DataFrame, params: MaturityParams) -> Horizons:
    """Estimated from the frauds that each source has reported so far."""
    newest = [
        files.read(segment, ["event_time_ms"])["event_time_ms"].max()
        for segment in files.segments("decisions")
    ]
    now_ms = max((int(str(value)) for value in newest if value is not None), default=0)
    found = {}
    frauds = labels.filter(pl.col("label") == "fraud")
    for source in sorted(set(frauds["source"].to_list())):
        of_source = frauds.filter(pl.col("source") == source)
        happened = of_source["event_time_ms"].to_numpy()
        delay = np.maximum(of_source["observed_ms"].to_numpy() - happened, 0)
        found[source] = horizon_ms(delay, np.maximum(now_ms - happened, delay), params)
    if not found:
        found[PRESUMED] = round(params.horizon_max_s * 1000)
    return Horizons(found, now_ms)


def examples(files: ParquetArchive, params: MaturityParams) -> Iterator[pl.DataFrame]:
    """Every decision whose truth is known or presumed, a frame for each archived file.

    Beside the features: `label` (1 fraud, 0 genuine), `posterior`, `source`, `label_delay_ms`,
    `propensity` (how likely such a row is to be among the examples) and `weight`, its inverse. What
    was blocked and never labelled is left out: whether it was fraud nobody can see. The explored
    stand for it. A block that got a label all the same `is_selective`: such labels come for a
    reason that has to do with the truth, and how likely one was is not known.
    """
    labels = current_labels(files)
    horizon = horizons(files, labels, params)
    known = labels.rename({"label": "label_name"}).drop("event_time_ms")
    for segment in files.segments("decisions"):
        frame = _with_exploration(files.read(segment))
        features = [name for name in frame.columns if name.startswith("feature_")]
        rows = frame.select([*_KEPT, *features]).join(
            known, on="transaction_id", how="left", maintain_order="left"
        )
        is_known = rows["label_name"].is_not_null()
        is_mature = rows["event_time_ms"] <= horizon.now_ms - horizon.longest_ms
        chosen = pl.Series(
            is_sampled(hash64(rows["transaction_id"].to_list()), params.genuine_share)
        )
        is_presumed = ~is_known & is_mature & chosen & (rows["action"] != "block")
        # Whether it was explored and whether it is sampled are independent: both shares count.
        propensity = pl.when(pl.col("explored")).then("explore_share").otherwise(1.0) * (
            pl.when(is_known).then(1.0).otherwise(params.genuine_share)
        )
        yield (
            rows.with_columns(
                label=(pl.col("label_name") == "fraud").fill_null(value=False).cast(pl.Int8),
                posterior=pl.col("posterior").fill_null(0.0),
                source=pl.col("source").fill_null(PRESUMED),
                label_delay_ms=pl.col("observed_ms") - pl.col("event_time_ms"),
                propensity=propensity,
                weight=1.0 / propensity,
                is_selective=pl.col("action") == "block",
            )
            .filter(is_known | is_presumed)
            .drop("label_name", "observed_ms")
        )


def _with_exploration(frame: pl.DataFrame) -> pl.DataFrame:
    """With null where a file, or a decision, is of before there was exploration."""
    missing = {name: kind for name, kind in _EXPLORATION.items() if name not in frame.columns}
    return frame.with_columns(pl.lit(None, kind).alias(name) for name, kind in missing.items())
