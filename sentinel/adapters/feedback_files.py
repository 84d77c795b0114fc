"""Files of feedback: CSV, Parquet or JSON lines, a row for each voice."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
from polars.exceptions import PolarsError

from sentinel.codec.rfc3339 import epoch_ms
from sentinel.errors import ConfigError
from sentinel.records import Feedback

REQUIRED = ("transaction_id", "label")


def read_feedback(path: Path, *, source: str) -> list[Feedback]:
    """Every voice of a file, in the order of its rows.

    Columns: transaction_id, label; perhaps source, who, confidence, notes, revision, observed and
    event_time (times, or epoch milliseconds), account, and any other entity as entity_KIND. What a
    row leaves out has its default; `source` is that of rows without one. Raises ConfigError.
    """
    frame = _frame(path)
    if missing := [name for name in REQUIRED if name not in frame.columns]:
        raise ConfigError(f"{path}: has no column {missing}; it has {sorted(frame.columns)}")
    return [
        _voice(row, source, f"{path}, row {number + 1}")
        for number, row in enumerate(frame.iter_rows(named=True))
    ]


def _frame(path: Path) -> pl.DataFrame:
    if not path.is_file():
        raise ConfigError(f"{path}: there is no such file")
    try:
        if path.suffix == ".parquet":
            return pl.read_parquet(path)
        if path.suffix in (".jsonl", ".ndjson"):
            return pl.read_ndjson(path, infer_schema_length=None)
        return pl.read_csv(path, infer_schema=False)
    except (PolarsError, OSError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error


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
