"""Labels as they were archived, of all logs."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from sentinel.archive import Segment
from sentinel.ports import Archive
from sentinel.records import WITHDRAWN

Labels = pl.DataFrame  # the newest label of each transaction, as `current_labels` gives them

# Of a label: what an example takes from it.
_SAID = pl.Schema(
    {
        "transaction_id": pl.String,
        "label": pl.String,
        "posterior": pl.Float64,
        "source": pl.String,
        "observed_ms": pl.Int64,
        "event_time_ms": pl.Int64,
        "supersedes": pl.String,
        "feedback_offset": pl.Int64,
        "feedback_log": pl.String,
    }
)


def label_frame(rows: Iterable[Mapping[str, Any]]) -> pl.DataFrame:
    """Labels as they were archived, in their order."""
    return pl.DataFrame([{name: row.get(name) for name in _SAID} for row in rows], schema=_SAID)


def current_labels(files: Archive) -> pl.DataFrame:
    """The newest label of each transaction: a later one supersedes those before."""
    frames = [
        _in_order([files.read(one, ["offset", *_SAID]) for one in files.segments("labels", log)])
        for log in files.logs("labels")
    ]
    if not frames:
        return label_frame(())
    labels = pl.concat(frames).drop("offset")
    return labels.unique("transaction_id", keep="last", maintain_order=True)


def _in_order(frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """The labels of one log."""
    schema = pl.Schema({"offset": pl.Int64(), **_SAID})
    return pl.concat(frame.cast(schema) for frame in frames).sort("offset")


def holding(labels: pl.DataFrame, mature_ms: int) -> pl.DataFrame:
    """Labels that speak against taking their transaction for genuine.

    One that was withdrawn does so until a horizon has passed since.
    """
    return labels.filter((pl.col("label") != WITHDRAWN) | (pl.col("observed_ms") > mature_ms))


@dataclass(frozen=True, slots=True)
class NewLabels:
    """Archived labels, in the order of their logs, the oldest log first, each with its `log`.

    Attributes
    ----------
    offsets
        By log: from where on labels are newer than these.
    is_all
        Whether none is.
    """

    rows: list[dict[str, Any]]
    offsets: dict[str, int]
    is_all: bool


def labels_from(files: Archive, offsets: Mapping[str, int], count_max: int) -> NewLabels:
    """Archived labels from some offset of each log on; at most so many, and the rest of a file.

    Without those that an older log has as well: their topic was copied to another cluster.
    """
    rows: list[dict[str, Any]] = []
    found, logs = dict(offsets), files.logs("labels")
    for number, log in enumerate(logs):
        older = [one for before in logs[:number] for one in files.segments("labels", before)]
        for segment in files.segments("labels", log):
            if len(rows) >= count_max:
                return NewLabels(rows, found, is_all=False)
            if segment.last >= found.get(log, 0):
                frame = _in_order([files.read(segment, ["offset", *_SAID])])
                frame = frame.filter(pl.col("offset") >= found.get(log, 0))
                found[log] = segment.last + 1
                rows += _not_in(files, older, frame.with_columns(log=pl.lit(log))).to_dicts()
    return NewLabels(rows, found, is_all=True)


def _not_in(files: Archive, older: Sequence[Segment], frame: pl.DataFrame) -> pl.DataFrame:
    """The labels that none of these files has."""
    wanted = frame["transaction_id"].implode()
    for segment in older:
        there = _in_order([files.read(segment, ["offset", *_SAID])])
        there = there.filter(pl.col("transaction_id").is_in(wanted))
        if not frame.is_empty() and not there.is_empty():
            frame = frame.join(
                there, on=list(_SAID), how="anti", nulls_equal=True, maintain_order="left"
            )
    return frame
