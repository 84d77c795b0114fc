"""`sentinel train` and `sentinel features`: history through the code that scores."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import polars as pl
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from sentinel import config as configuration
from sentinel.adapters.files import TransactionFile, write_table
from sentinel.adapters.registry import ModelDirectory
from sentinel.config import Config
from sentinel.errors import ConfigError
from sentinel.operations.data.history import UNKNOWN, History, Rows, joined
from sentinel.operations.models.train import DAY_MS, train


def progress_bar(console: Console) -> Progress:
    """A bar with a share and the time that is left."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        console=console,
    )


def folded(
    file: Path, config: Config, label_column: str, progress: Progress, *, until_day: float | None
) -> tuple[History, Iterator[Rows]]:
    """The history of a file, stretch by stretch; `until_day` counts from its first row."""
    source = TransactionFile(file, config.schema, label_column=label_column)
    history = History(config)
    task = progress.add_task(f"reading {file.name}", total=source.row_count())

    def stretches() -> Iterator[Rows]:
        end_ms: float | None = None
        for chunk in source.chunks():
            rows = history.fold(chunk.values, chunk.is_fraud)
            progress.advance(task, len(chunk.values))
            if rows.labels.size == 0:
                continue
            if end_ms is None and until_day is not None:
                begin_ms = int(rows.transactions.event_time_ms[0])
                end_ms = begin_ms - begin_ms % DAY_MS + until_day * DAY_MS
            yield rows
            if end_ms is not None and rows.transactions.event_time_ms[-1] >= end_ms:
                return

    return history, stretches()


def train_command(
    file: Path, config_file: Path | None, *, label_column: str, day_count: float | None
) -> None:
    """Fit, test, write, and show what came out."""
    config = configuration.load(config_file)
    console = Console()
    with progress_bar(console) as progress:
        history, stretches = folded(file, config, label_column, progress, until_day=day_count)
        features, labels, times_ms, accounts = joined(stretches)
        if np.all(labels == UNKNOWN):
            raise ConfigError(f"{file}: no row has a label; name its column with --label-column")
        if day_count is not None:
            begin_ms = int(times_ms[0]) // DAY_MS * DAY_MS
            kept = times_ms < begin_ms + day_count * DAY_MS
            features, labels, times_ms = features[kept], labels[kept], times_ms[kept]
            accounts = accounts[: int(kept.sum())]
        task = progress.add_task("growing trees", total=config.training.fit.tree_count)
        text, manifest = train(
            features,
            labels,
            times_ms,
            accounts,
            config,
            on_tree=lambda count: progress.update(task, completed=count),
        )
    manifest["rejected_rows"] = history.rejected_count
    directory = ModelDirectory(config.model)
    version = directory.free_version(manifest["features"])
    directory.add(version, text, manifest)
    title = f"model {version} on {manifest['window']['test']['rows']:,} later rows"
    console.print(metrics_table(title, manifest["metrics"]))
    if history.rejected_count:
        console.print(f"{history.rejected_count:,} rows could not be used")
    console.print(f"written to {config.model.directory}/{version}")
    console.print(
        "it serves from the next start on if the model registry is still empty; else\n"
        f"  sentinel models import {version} && sentinel models promote {version} --why …\n"
        "has every running instance take it over",
        highlight=False,
    )


def metrics_table(title: str, metrics: Mapping[str, float | int | None]) -> Table:
    """How good a model is."""
    table = Table(title=title)
    table.add_column("measure")
    table.add_column("value", justify="right")
    for name, value in metrics.items():
        shown = f"{value:,.4f}" if isinstance(value, float) else f"{value:,}"
        table.add_row(name.replace("_", " "), shown)
    return table


def features_command(file: Path, config_file: Path | None, *, label_column: str, out: Path) -> None:
    """Write transaction id, event time and every feature as Parquet."""
    config = configuration.load(config_file)
    if not out.parent.is_dir():
        raise ConfigError(f"{out}: its folder does not exist")
    console = Console()
    with progress_bar(console) as progress:
        history, stretches = folded(file, config, label_column, progress, until_day=None)
        frames = [frame_of(rows, config) for rows in stretches]
    if not frames:
        raise ConfigError(f"{file}: there is not one usable row")
    frame = pl.concat(frames)
    write_table(frame, out)
    console.print(f"{len(frame):,} rows × {len(config.features)} features written to {out}")
    if history.rejected_count:
        console.print(f"{history.rejected_count:,} rows could not be used")


def frame_of(rows: Rows, config: Config) -> pl.DataFrame:
    """A stretch as a table with the user's own name for the transaction."""
    columns = {
        config.schema.transaction_id: pl.Series(rows.transactions.transaction_id),
        "event_time_ms": pl.Series(rows.transactions.event_time_ms),
    }
    for i, feature in enumerate(config.features):
        columns[feature.name] = pl.Series(rows.features[:, i])
    return pl.DataFrame(columns)
