"""`sentinel train` and `sentinel features`: history through the code that scores."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sentinel.cli.options import ConfigOption, DaysOption, HistoryArgument, LabelColumn
from sentinel.cli.texts import PlainConsole
from sentinel.errors import ConfigError

if TYPE_CHECKING:
    from rich.progress import Progress

    from sentinel.config import Config
    from sentinel.operations.data.history import History


def train(
    file: HistoryArgument,
    config: ConfigOption = None,
    label_column: LabelColumn = None,
    days: DaysOption = None,
) -> None:
    """Fit a model on history, test it on the last days, and write it down."""

    from sentinel.adapters.registry import ModelDirectory
    from sentinel.cli.data.folding import labelled, metrics_table
    from sentinel.cli.data.sources import tell_refusals
    from sentinel.cli.progress import progress_bar
    from sentinel.config import load
    from sentinel.operations.models import train as training

    settings, console = load(config), PlainConsole()
    with progress_bar(console) as progress:
        known = labelled(file, settings, label_column, progress, day_count=days)
        task = progress.add_task("growing trees", total=settings.training.fit.tree_count)
        text, manifest = training.train(
            known.features,
            known.labels,
            known.times_ms,
            known.accounts,
            settings,
            on_tree=lambda count: progress.update(task, completed=count),
        )
    manifest["rejected_rows"] = known.history.refusals.count
    directory = ModelDirectory(settings.model)
    version = directory.free_version(manifest["features"])
    directory.add(version, text, manifest)
    title = f"model {version} on {manifest['window']['test']['rows']:,} later rows"
    console.print(metrics_table(title, manifest["metrics"]))
    tell_refusals(console, known.history.refusals)
    console.print(f"written to {settings.model.directory}/{version}")
    console.print(
        "it serves from the next start if the model registry is still empty; else\n"
        f"  sentinel models import {version} && sentinel models promote {version} --why …\n"
        "makes it the champion of every running instance",
    )
    with progress_bar(console) as progress:
        again = f"sentinel backfill {shlex.quote(str(file))}"
        if config is not None:
            again += f" -c {shlex.quote(str(config))}"
        outcome = _of_entities(known.history, settings, file.name or str(file), progress, again)
    console.print(outcome)


def _of_entities(
    history: "History", config: "Config", source: str, progress: "Progress", again: str
) -> str:
    """Store what training knows of entities where that is nobody's production; else say how."""
    from sentinel.adapters.kafka import EMBEDDED
    from sentinel.cli.data.backfill import stored
    from sentinel.operations.data.backfill import backfilled_line

    if config.redis.url != EMBEDDED:
        return (
            "what this history says of entities is not in your store, and features begin empty:\n"
            f"  {again}\nstores it, before the first start"
        )
    try:
        return backfilled_line(stored(history, config, source, progress))
    except ConfigError as error:
        return f"what this history says of entities is not stored: {error}"


def features(
    file: HistoryArgument,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Parquet to write.")],
    config: ConfigOption = None,
    label_column: LabelColumn = None,
) -> None:
    """Write the feature matrix of a history, by the code that scores."""

    from sentinel.adapters.files import write_table
    from sentinel.cli.data.folding import folded, joined_frame
    from sentinel.cli.data.sources import tell_refusals, transaction_file
    from sentinel.cli.progress import progress_bar
    from sentinel.config import load
    from sentinel.operations.data.refusals import nothing_usable

    settings = load(config)
    if not out.parent.is_dir():
        raise ConfigError(f"{out}: its folder does not exist")
    console = PlainConsole()
    with progress_bar(console) as progress:
        source = transaction_file(file, settings, label_column, needs_labels=False)
        history, spans = folded(source, settings, progress)
        frame = joined_frame(spans, settings)
    if frame is None:
        raise nothing_usable(file, history.refusals)
    write_table(frame, out)
    console.print(f"{len(frame):,} rows × {len(settings.features)} features written to {out}")
    tell_refusals(console, history.refusals)
