"""What a run needs before its first instance: compiled kernels, and a model to serve."""

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from sentinel.adapters.redis import RedisStateStore
from sentinel.adapters.registry import ModelDirectory
from sentinel.app.builtin import stream as demo
from sentinel.app.builtin.past import PastRows, held_out_of, keep_past, past_rows
from sentinel.app.ending import abandonable
from sentinel.app.warming import warm_models, warm_scoring
from sentinel.config import Config
from sentinel.errors import ConfigError, ModelError
from sentinel.operations.data.backfill import store_history
from sentinel.operations.data.history import History, Rows, joined_rows
from sentinel.operations.models.local import fetch_champion
from sentinel.operations.models.train import train
from sentinel.serving_model import ServingModel, serving_model
from sentinel.stored.versions import Artifact

log = logging.getLogger(__name__)

Progress = Callable[[str, float], None]  # what is being done, and the share of it that is done


@dataclass(frozen=True, slots=True)
class Prepared:
    """A model to serve; for a first one also the history that it was trained on, and examples.

    Attributes
    ----------
    why
        Why it is another one than the champion of the model directory; empty if it is that.
    """

    serving: ServingModel
    artifact: Artifact
    history: History | None = None
    past: PastRows | None = None  # what of it becomes examples
    why: str = ""


@dataclass(frozen=True, slots=True)
class GeneratedDays:
    """The history of a stream that is generated: what a first model is made of.

    Attributes
    ----------
    count
        How many days there are.
    days
        Their records, each day's with the truth of each, the oldest first.
    """

    count: int
    days: Callable[[], Iterator[tuple[list[bytes], list[bool | None]]]]


OF_THE_STREAM = GeneratedDays(demo.HISTORY_DAY_COUNT, demo.past_days)


async def prepare(
    config: Config,
    directory: Path,
    progress: Progress,
    *,
    stream: bool,
    past: GeneratedDays = OF_THE_STREAM,
) -> Prepared:
    """The model; a first one is written when its history is stored: the two belong together.

    It may be cancelled, also while kernels compile.
    """
    await fetch_champion(config)
    prepared = await abandonable(partial(prepare_model, config, progress, stream=stream, past=past))
    if prepared.history is not None and prepared.past is not None:
        await _backfill(config, prepared.history, progress)
        await asyncio.to_thread(keep_past, prepared.past, directory)
        first = prepared.artifact
        whole = ModelDirectory(config.model).add(first.version, first.text, first.manifest)
        prepared = replace(prepared, artifact=whole)
    return replace(prepared, history=None, past=None)  # it is large, and stored by now


def prepare_model(
    config: Config,
    progress: Progress,
    *,
    stream: bool,
    past: GeneratedDays = OF_THE_STREAM,
) -> Prepared:
    """The champion, or a first model from generated history if the built-in stream is to play.

    Where the champion cannot be read, or be used, the newest version beside it that can stands in
    for it: the registry has the last word as soon as it can be asked. Raises ModelError when none
    can, or when the one that was asked for cannot.

    A first model is not written yet. Either way kernels are compiled: call it off the loop.
    """
    directory = ModelDirectory(config.model)
    names = [feature.name for feature in config.features]
    version = directory.champion()
    if version is not None:
        others = [] if config.model.version else directory.versions()[::-1]
        prepared = _first_usable(directory, [version, *others], names)
        warm_scoring(config, progress)
        return prepared
    if not stream:
        raise _missing_model(config)
    days: list[tuple[list[bytes], list[bool | None]]] = []

    def generate() -> None:
        for day in past.days():
            progress(f"generating {past.count} days of history", len(days) / past.count)
            days.append(day)
        warm_models()  # of the one that is to come

    warm_scoring(config, progress, meanwhile=generate)
    history = History(config, partition_count=config.topics.partition_count)
    spans: list[Rows] = []
    for i, (values, is_fraud) in enumerate(days):
        progress(f"reading {past.count} days of generated history", i / past.count)
        spans.append(history.fold(values, is_fraud))
    features, labels, times_ms, accounts = joined_rows(spans)
    trees = config.training.fit.tree_count

    def on_tree(count: int) -> None:
        progress("training a first model", count / trees)

    held_out = held_out_of(spans, config.learning.old_share)
    text, manifest = train(
        features, labels, times_ms, accounts, config, held_out=held_out, on_tree=on_tree
    )
    artifact = Artifact(directory.free_version(names), text, manifest)
    serving = serving_model(artifact, names)
    return Prepared(serving, artifact, history, past_rows(spans, serving, config))


def _first_usable(
    directory: ModelDirectory, versions: Sequence[str], names: Sequence[str]
) -> Prepared:
    """The first of these versions that can serve. Raises ModelError, of the first, if none can."""
    errors: list[ModelError] = []
    for version in dict.fromkeys(versions):
        try:
            artifact = directory.load(version)
            serving = serving_model(artifact, names)
        except ModelError as error:
            errors.append(error)
            continue
        if errors:
            log.error("%s; %s stands in for it", errors[0], version)
        return Prepared(serving, artifact, why=str(errors[0]) if errors else "")
    raise errors[0]


def _missing_model(config: Config) -> ConfigError:
    """What to tell a user who has no model yet."""
    return ConfigError(
        f"there is no model in {config.model.directory}: make one from your history with "
        "`sentinel train FILE --config …`, or set model.directory"
    )


async def _backfill(config: Config, history: History, progress: Progress) -> None:
    total = history.entity_count
    done = 0

    def on_saved(count: int) -> None:
        nonlocal done
        done += count
        progress("storing what the history says of every entity", min(done / total, 1.0))

    async with RedisStateStore(config.redis, layout=history.state.fingerprint) as store:
        await store_history(history, store, config, "generated history", on_saved=on_saved)
