"""Examples to learn from: archived decisions joined with what turned out to be true."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from sentinel.archive import Segment
from sentinel.archive.reading import IS_COUNTED
from sentinel.core.features.hashing import hash64
from sentinel.core.learning.maturity import MaturityParams, horizon_ms, is_sampled
from sentinel.core.logs import feedback_name
from sentinel.engine.archive.labels import Labels, current_labels, holding
from sentinel.ports import Archive
from sentinel.records import WITHDRAWN, Example, LabelWord

PRESUMED = "presumed"
_WORDS: dict[int | None, LabelWord] = {1: "fraud", 0: "genuine", None: WITHDRAWN}
# What files of before there was such a thing do not have.
_LATER = {"explore_share": pl.Float64, "explored": pl.Boolean, "experiment": pl.String}
_KEPT = (
    *("decision_id", "transaction_id", "event_time_ms", "account", "amount_minor", "score"),
    *("probability", "action", "model_version", "arm", *_LATER),
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
    def mature_ms(self) -> int:
        """Of what happened by then nobody is waited for any more."""
        return self.now_ms - max(self.by_source_ms.values())


def span_ms(files: Archive, segment: Segment) -> tuple[int, int]:
    """The oldest and the newest event time of the decisions in a file."""
    times = files.read(segment, ["event_time_ms"])["event_time_ms"].to_numpy()
    return int(times.min()), int(times.max())


def decided_last(
    files: Archive,
    segment: Segment,
    spans_ms: Mapping[Segment, tuple[int, int]],
    columns: Sequence[str] | None = None,
) -> Iterator[pl.DataFrame]:
    """The decisions of a file, without those on transactions that another log decided later.

    Nor those on what had been counted before: their features show the transaction itself.

    A stream that was sent again, or that was copied to another cluster, was decided, or archived,
    twice. `spans_ms` are the event times of all files; `columns` (None: all) must hold
    transaction_id, appended_ms, offset and degraded.
    """
    first_ms, last_ms = spans_ms[segment]
    others = [
        one
        for one, (begin_ms, end_ms) in spans_ms.items()
        if one.log != segment.log
        and one.day >= segment.day
        and begin_ms <= last_ms
        and end_ms >= first_ms
    ]
    for batch in files.batches(segment, columns):
        frame = batch.filter(IS_COUNTED)
        yield _without_older(files, frame, segment.log, others) if others else frame


def _without_older(
    files: Archive, frame: pl.DataFrame, log: str, others: Sequence[Segment]
) -> pl.DataFrame:
    key = ["transaction_id", "appended_ms", "offset"]
    asked = [*key, "degraded"]
    found = _foreseeing_nothing(files.matching(others, frame["transaction_id"].to_list(), asked))
    if found.is_empty():
        return frame
    here = frame.select(key).with_columns(log=pl.lit(log), row=pl.int_range(pl.len()))
    later = here.join(found, on="transaction_id", suffix="_there").filter(
        (pl.col("appended_ms_there") > pl.col("appended_ms"))
        | (
            (pl.col("appended_ms_there") == pl.col("appended_ms"))
            & (pl.col("log_there") > pl.col("log"))
        )
    )
    return frame.filter(~pl.int_range(pl.len()).is_in(later["row"].implode()))


def horizons(labels: pl.DataFrame, now_ms: int, params: MaturityParams) -> Horizons:
    """Estimated from the frauds that each source has reported so far."""
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


def examples(files: Archive, params: MaturityParams) -> Iterator[pl.DataFrame]:
    """Every decision whose truth is known or presumed, some frames for each archived file.

    Beside the features: `label` (1 fraud, 0 genuine), `posterior`, `source`, `label_delay_ms`,
    `propensity` (how likely such a row is to be among the examples) and `weight`, its inverse. What
    was blocked and never labelled is left out: whether it was fraud nobody can see. The explored
    stand for it. A block that got a label all the same `is_selective`: such labels come for a
    reason that has to do with the truth, and how likely one was is not known.
    """
    labels = current_labels(files)
    segments = files.segments("decisions")
    spans_ms = {segment: span_ms(files, segment) for segment in segments}
    newest_ms = max((last_ms for _, last_ms in spans_ms.values()), default=0)
    end_ms = horizons(labels, newest_ms, params).mature_ms
    given, spoken_of = labels.filter(pl.col("label") != WITHDRAWN), holding(labels, end_ms)
    for segment in segments:
        for frame in decided_last(files, segment, spans_ms):
            silent = presumed_rows(frame, spoken_of, (None, end_ms), params)
            yield pl.concat([example_rows(frame, given), silent], how="vertical")


def example_rows(decisions: pl.DataFrame, labels: pl.DataFrame) -> pl.DataFrame:
    """The examples that labels give of those of their transactions that were decided here.

    What was withdrawn has no `label`, and the weight 0.
    """
    said = labels.drop("event_time_ms")
    rows = said.join(_kept(decisions), on="transaction_id", how="inner", maintain_order="left")
    return _finished(
        rows.with_columns(
            label=pl.when(pl.col("label") != WITHDRAWN).then(
                (pl.col("label") == "fraud").cast(pl.Int8)
            ),
            label_delay_ms=pl.col("observed_ms") - pl.col("event_time_ms"),
            propensity=pl.lit(1.0),
        )
    )


def presumed_rows(
    decisions: pl.DataFrame,
    labels: pl.DataFrame,
    between_ms: tuple[int | None, int],
    params: MaturityParams,
) -> pl.DataFrame:
    """The examples that silence gives: decisions of nothing that was labelled or blocked, sampled.

    `between_ms` are event times: the first one, None for the very first, is left out.
    """
    begin_ms, end_ms = between_ms
    time_ms = pl.col("event_time_ms")
    rows = _kept(decisions).filter(
        time_ms <= end_ms,
        pl.lit(value=True) if begin_ms is None else time_ms > begin_ms,
        pl.col("action") != "block",
    )
    rows = rows.join(labels.select("transaction_id"), on="transaction_id", how="anti")
    return _finished(
        rows.filter(_sampled(rows, params)).with_columns(
            **_PRESUMED,
            supersedes=pl.lit(None, pl.String),
            feedback_offset=pl.lit(None, pl.Int64),
            feedback_log=pl.lit(None, pl.String),
            propensity=pl.lit(params.genuine_share),
        )
    )


def presumed_again(
    decisions: pl.DataFrame, labels: Labels, transaction_ids: Sequence[str], params: MaturityParams
) -> pl.DataFrame:
    """The examples that silence gives of some transactions since their label was withdrawn."""
    withdrawn = labels.filter(pl.col("transaction_id").is_in(transaction_ids))
    said = withdrawn.select("transaction_id", "feedback_offset", "feedback_log")
    rows = said.join(_kept(decisions), on="transaction_id", how="inner", maintain_order="left")
    rows = rows.filter(pl.col("action") != "block")
    return _finished(
        rows.filter(_sampled(rows, params)).with_columns(
            **_PRESUMED,
            supersedes=pl.lit(WITHDRAWN),
            propensity=pl.lit(params.genuine_share),
        )
    )


_PRESUMED = {
    "label": pl.lit(0, pl.Int8),
    "posterior": pl.lit(0.0),
    "source": pl.lit(PRESUMED),
    "label_delay_ms": pl.lit(None, pl.Int64),
}


def superseding(rows: pl.DataFrame, presumed_to_ms: int, params: MaturityParams) -> pl.DataFrame:
    """Examples of labels, with what each supersedes where that was presumed by then."""
    was_presumed = (
        pl.col("supersedes").is_null()
        & (pl.col("event_time_ms") <= presumed_to_ms)
        & (pl.col("action") != "block")
        & _sampled(rows, params)
    )
    return rows.with_columns(
        supersedes=pl.when(was_presumed).then(pl.lit(PRESUMED)).otherwise("supersedes")
    )


def _sampled(rows: pl.DataFrame, params: MaturityParams) -> pl.Series:
    """Which transactions become examples if nobody speaks of them."""
    hashes = hash64(rows["transaction_id"].to_list())
    return pl.Series(is_sampled(hashes, params.genuine_share))


def _foreseeing_nothing(decisions: pl.DataFrame) -> pl.DataFrame:
    """Without those whose features were read from a state that had counted them already."""
    return decisions.filter(~pl.col("degraded").str.split(",").list.contains("history"))


def _kept(decisions: pl.DataFrame) -> pl.DataFrame:
    """What of a decision an example takes; older files do not have all of it."""
    decisions = _foreseeing_nothing(decisions)
    missing = [name for name in _LATER if name not in decisions.columns]
    features = [name for name in decisions.columns if name.startswith("feature_")]
    nulls = [pl.lit(None, _LATER[name]).alias(name) for name in missing]
    return decisions.with_columns(nulls).select([*_KEPT, *features])


def _finished(rows: pl.DataFrame) -> pl.DataFrame:
    """With its weight, in one order of columns.

    Whether something was explored and whether it is sampled are independent: both shares count.
    """
    features = [name for name in rows.columns if name.startswith("feature_")]
    propensity = pl.col("propensity") * (
        pl.when(pl.col("explored")).then("explore_share").otherwise(1.0)
    )
    return rows.with_columns(
        propensity=propensity,
        weight=pl.when(pl.col("label").is_null()).then(0.0).otherwise(1.0 / propensity),
        is_selective=pl.col("action") == "block",
    ).select(
        *_KEPT,
        *("label", "posterior", "source", "label_delay_ms", "propensity", "weight"),
        *("is_selective", "supersedes", "feedback_offset", "feedback_log"),
        *features,
    )


def _example_id(row: Mapping[str, Any]) -> str:
    """Behind what it says stands a vote, silence, or silence since a vote was withdrawn."""
    offset = row["feedback_offset"]
    said = "" if offset is None else feedback_name(row["feedback_log"], offset)
    if row["source"] != PRESUMED:
        return said
    since = said and f"-since-{said.removeprefix('feedback-')}"
    return f"presumed-{row['decision_id']}{since}"


def example_list(rows: pl.DataFrame) -> list[Example]:
    """Rows as `example_rows` and `presumed_rows` make them, as records.

    An example has the name of its row's `id`, or else of what it comes of.
    """
    columns = {
        name: name.removeprefix("feature_") for name in rows.columns if name.startswith("feature_")
    }
    return [_example(row, columns) for row in rows.iter_rows(named=True)]


def _example(row: Mapping[str, Any], columns: Mapping[str, str]) -> Example:
    """Its features by name, of columns that have them; rows of other models have others."""
    return Example(
        id=row.get("id") or _example_id(row),
        transaction_id=row["transaction_id"],
        decision_id=row["decision_id"],
        event_time_ms=row["event_time_ms"],
        account=row["account"],
        amount_minor=row["amount_minor"],
        score=row["score"],
        probability=row["probability"],
        action=row["action"],
        model_version=row["model_version"],
        arm=row["arm"],
        features={name: row[column] for column, name in columns.items() if row[column] is not None},
        label=_WORDS[row["label"]],
        posterior=row["posterior"],
        source=row["source"],
        label_delay_ms=row["label_delay_ms"],
        propensity=row["propensity"],
        weight=row["weight"],
        is_selective=row["is_selective"],
        supersedes=row["supersedes"],
        is_explored=bool(row["explored"]),
        experiment=row.get("experiment") or "",  # what was before the stream is of none
    )
