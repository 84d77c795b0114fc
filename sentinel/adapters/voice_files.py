"""Files of what people say: votes to be weighed at once, and feedback; a row for each voice.

CSV, Parquet or JSON lines.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from polars.exceptions import PolarsError

from sentinel.codec.rfc3339 import epoch_ms
from sentinel.core.consensus.votes import Votes, numbered, temporal_weight
from sentinel.errors import ConfigError
from sentinel.records import Feedback, Floats

VOTE_COLUMNS = ("task", "worker", "label")
FEEDBACK_COLUMNS = ("transaction_id", "label")
_SAYS = {
    **dict.fromkeys(("1", "1.0", "true", "fraud"), True),
    **dict.fromkeys(("0", "0.0", "false", "genuine"), False),
}
_UNSURE = {"unsure", ""}


@dataclass(frozen=True, slots=True)
class VoteFile:
    """Votes with the names that their numbers stand for."""

    votes: Votes
    tasks: list[str]
    workers: list[str]
    unsure_count: int


def read_votes(path: Path, *, vote_half_life_s: float = 0.0) -> VoteFile:
    """Every vote of a file; of several by one worker on one task the last row counts.

    A column `source` makes two workers of one name two, `confidence` in [0, 1] weighs a vote, and
    `time` (a time, or seconds) lets it fade. Raises ConfigError, naming column and row.
    """
    frame = _table(path, VOTE_COLUMNS)
    labels = frame["label"].cast(pl.String).fill_null("").str.to_lowercase().to_list()
    for row, label in enumerate(labels):
        if label not in _SAYS and label not in _UNSURE:
            raise ConfigError(
                f'{path}, row {row + 1}: label "{label}" is not fraud or genuine, 1 or 0'
            )
    weight = _confidence(path, frame) * _fading(path, frame, vote_half_life_s)
    workers = _texts(path, frame, "worker")
    if "source" in frame.columns:
        pairs = zip(_texts(path, frame, "source"), workers, strict=True)
        workers = [f"{source}/{name}" for source, name in pairs]
    tasks = _texts(path, frame, "task")
    last = {pair: row for row, pair in enumerate(zip(tasks, workers, strict=True))}
    kept = np.array([row for row in last.values() if labels[row] in _SAYS], dtype=np.int64)
    task_names, task = numbered(tasks)
    worker_names, worker = numbered(workers)
    says = np.array([_SAYS.get(label, False) for label in labels], dtype=np.bool_)
    votes = Votes.of(
        task[kept],
        worker[kept],
        says[kept],
        weight[kept],
        task_count=len(task_names),
        annotator_count=len(worker_names),
    )
    return VoteFile(votes, task_names, worker_names, len(last) - kept.size)


def read_feedback(path: Path, *, source: str) -> list[Feedback]:
    """Every voice of a file, in the order of its rows.

    Columns: transaction_id, label; perhaps source, who, confidence, notes, revision, observed and
    event_time (times, or epoch milliseconds), account, and any other entity as entity_KIND. What a
    row leaves out has its default; `source` is that of rows without one. Raises ConfigError.
    """
    frame = _table(path, FEEDBACK_COLUMNS)
    return [
        _voice(row, source, f"{path}, row {number + 1}")
        for number, row in enumerate(frame.iter_rows(named=True))
    ]


def _table(path: Path, required: tuple[str, ...]) -> pl.DataFrame:
    """Every row of a file that has these columns. Raises ConfigError."""
    if not path.is_file():
        raise ConfigError(f"{path}: there is no such file")
    try:
        if path.suffix == ".parquet":
            frame = pl.read_parquet(path)
        elif path.suffix in (".jsonl", ".ndjson"):
            frame = pl.read_ndjson(path, infer_schema_length=None)
        else:
            frame = pl.read_csv(path, infer_schema=False)
    except (PolarsError, OSError) as error:
        raise ConfigError(
            f"{path}: cannot be read as CSV, Parquet or JSON lines: {error}"
        ) from error
    if missing := [name for name in required if name not in frame.columns]:
        raise ConfigError(f"{path}: has no column {missing}; it has {sorted(frame.columns)}")
    return frame


def _texts(path: Path, frame: pl.DataFrame, name: str) -> list[str]:
    column = frame[name].cast(pl.String)
    if column.null_count():
        row = column.is_null().arg_true()[0]
        raise ConfigError(f"{path}, row {row + 1}: no {name}")
    return column.to_list()


def _numbers(path: Path, frame: pl.DataFrame, name: str) -> Floats:
    column = frame[name].cast(pl.Float64, strict=False)
    if column.null_count() or not column.is_finite().all():
        row = (column.is_null() | ~column.is_finite()).fill_null(value=True).arg_true()[0]
        raise ConfigError(f"{path}, row {row + 1}: {name} is not a number")
    return column.to_numpy()


def _confidence(path: Path, frame: pl.DataFrame) -> Floats:
    if "confidence" not in frame.columns:
        return np.ones(len(frame))
    found = _numbers(path, frame, "confidence")
    outside: NDArray[np.bool_] = (found < 0) | (found > 1)
    if outside.any():
        row = int(np.flatnonzero(outside)[0])
        raise ConfigError(f"{path}, row {row + 1}: confidence {found[row]} is not in [0, 1]")
    return found


def _fading(path: Path, frame: pl.DataFrame, half_life_s: float) -> Floats:
    """By age against the newest vote on the same task."""
    if half_life_s == 0 or "time" not in frame.columns:
        return np.ones(len(frame))
    column = frame["time"]
    if column.dtype == pl.String:
        try:
            parsed = column.str.to_datetime(time_zone="UTC").dt.timestamp("ms") / 1000
        except PolarsError:
            parsed = pl.Series(_numbers(path, frame, "time"))
    elif column.dtype.is_temporal():
        parsed = column.cast(pl.Datetime("ms")).dt.timestamp("ms") / 1000
    else:
        parsed = pl.Series(_numbers(path, frame, "time"))
    timed = frame.select("task").with_columns(time=parsed)
    age = timed.select(pl.col("time").max().over("task") - pl.col("time")).to_series()
    return temporal_weight(age.to_numpy(), half_life_s)


def _voice(row: Mapping[str, Any], source: str, where: str) -> Feedback:
    def text(name: str, default: str = "") -> str:
        value = row.get(name)
        return default if value is None or value == "" else str(value)

    def number(name: str, default: float) -> float:
        try:
            return float(text(name, str(default)))
        except ValueError as error:
            raise ConfigError(f'{where}: {name} "{row[name]}" is not a number') from error

    entities: dict[str, str | None] = {"account": text("account")} if text("account") else {}
    for name in row:
        if name.startswith("entity_") and text(name):
            entities[name.removeprefix("entity_")] = text(name)
    return Feedback(
        transaction_id=text("transaction_id"),
        label=text("label").lower(),
        source=text("source", source),
        who=text("who"),
        confidence=number("confidence", 1.0),
        notes=text("notes"),
        observed_ms=_time_ms(row.get("observed"), where) or 0,
        event_time_ms=_time_ms(row.get("event_time"), where),
        entities=entities or None,
        revision=int(number("revision", 0)),
    )


def _time_ms(value: Any, where: str) -> int | None:
    if value is None or value == "":
        return None
    if isinstance(value, datetime):
        aware = value if value.tzinfo is not None else value.replace(tzinfo=UTC)
        return round(aware.timestamp() * 1000)
    text = str(value)
    found = epoch_ms(text)
    if found is None:
        raise ConfigError(f'{where}: "{text}" is not a time such as 2026-03-01T12:00:00Z')
    return found
