"""A file of history folded into features, with a bar that moves; and what came of it, shown."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from rich.progress import Progress
from rich.table import Table

from sentinel.adapters.files import TransactionSource
from sentinel.cli.data.sources import transaction_file
from sentinel.config import Config
from sentinel.errors import ConfigError
from sentinel.operations.data.history import UNKNOWN, History, Rows, joined_rows
from sentinel.operations.data.refusals import nothing_usable
from sentinel.records import Floats, Ints


@dataclass(frozen=True, slots=True)
class LabelledHistory:
    """The rows of a history with what is known of them, oldest first.

    Attributes
    ----------
    features
        float64 (n, n_features).
    labels
        int64 (n,): 0 genuine, 1 fraud, UNKNOWN.
    history
        With the state at its end.
    """

    features: Floats
    labels: Ints
    times_ms: Ints
    accounts: list[str]
    history: History


def folded(
    source: TransactionSource,
    config: Config,
    progress: Progress,
    *,
    day_count: float | None = None,
) -> tuple[History, Iterator[Rows]]:
    """The history of a file, span by span, or of its first days: whole ones, from midnight on."""
    history = History(
        config, partition_count=config.topics.partition_count, name_of=source.row_name
    )
    task = progress.add_task(f"reading {source.path.name or source.path}", total=source.row_count())

    def spans() -> Iterator[Rows]:
        for chunk in source.chunks():
            rows = history.fold(chunk.values, chunk.is_fraud, day_count=day_count)
            progress.advance(task, len(chunk.values))
            if rows.labels.size:
                yield rows
            if history.is_over:
                break
        if source.undecided_count:
            progress.console.print(undecided(source.undecided_count, config))

    return history, spans()


def undecided(count: int, config: Config) -> str:
    """What is said of rows in the hour that clocks repeat."""
    return (
        f"{count:,} rows have a time that clocks of {config.schema.event_time_zone} showed twice, "
        "and their order does not tell which: read as the first"
    )


def labelled(
    file: Path,
    config: Config,
    label_column: str | None,
    progress: Progress,
    *,
    day_count: float | None = None,
) -> LabelledHistory:
    """A history, or its first days, to fit or to measure by. Raises ConfigError without labels."""
    source = transaction_file(file, config, label_column, needs_labels=True)
    history, spans = folded(source, config, progress, day_count=day_count)
    found = list(spans)
    if not found:
        raise nothing_usable(file, history.refusals)
    features, labels, times_ms, accounts = joined_rows(found)
    if np.all(labels == UNKNOWN):
        raise ConfigError(f"{file}: no row has a label; name its column with --label-column")
    return LabelledHistory(features, labels, times_ms, accounts, history)


def joined_frame(spans: Iterator[Rows], config: Config) -> pl.DataFrame | None:
    """All spans as one table; None if there is none."""
    frames = [_frame(rows, config) for rows in spans]
    return pl.concat(frames) if frames else None


def _frame(rows: Rows, config: Config) -> pl.DataFrame:
    """A span with the user's own name for the transaction, the event time and every feature."""
    columns = {
        config.schema.transaction_id: pl.Series(rows.transactions.transaction_id),
        "event_time_ms": pl.Series(rows.transactions.event_time_ms),
    }
    for i, feature in enumerate(config.features):
        columns[feature.name] = pl.Series(rows.features[:, i])
    return pl.DataFrame(columns)


def metrics_table(title: str, metrics: Mapping[str, float | int | None]) -> Table:
    """How good a model is."""
    table = Table(title=title)
    table.add_column("measure")
    table.add_column("value", justify="right")
    for name, value in metrics.items():
        shown = f"{value:,.4f}" if isinstance(value, float) else f"{value:,}"
        table.add_row(name.replace("_", " "), shown)
    return table
