"""`sentinel run`: servers if asked for, a first model if there is none, then one instance."""

import asyncio
import logging
import os
import resource
import signal
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sentinel.adapters.embedded import EmbeddedServers
from sentinel.adapters.kafka import EMBEDDED
from sentinel.adapters.redis import RedisStateStore
from sentinel.adapters.registry import ModelDirectory
from sentinel.app import demo, embedded
from sentinel.app.alert_desk import investigate
from sentinel.app.archive_child import ArchiveChild
from sentinel.app.backfill import backfill
from sentinel.app.backoff import back_off
from sentinel.app.history import History, Rows, joined
from sentinel.app.instance import Instance
from sentinel.app.local_models import fetch_champion
from sentinel.app.past import PastRows, held_out_of, keep_past, past_rows
from sentinel.app.playing import play, teach
from sentinel.app.train import train
from sentinel.config import Config
from sentinel.engine.health import Health
from sentinel.engine.labels import LabelsWaiting
from sentinel.engine.serving import ServingModel, serving_model
from sentinel.engine.tasks import end
from sentinel.errors import ConfigError, TransientError
from sentinel.metrics import Metrics
from sentinel.versions import Artifact

log = logging.getLogger(__name__)

Progress = Callable[[str, float], None]  # what is being done, and the share of it that is done

_TICK_S = 0.25


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What the command line adds to the configuration."""

    stream: bool = True  # play the built-in stream
    rate: float = 200.0
    duration_s: float | None = None
    exit_when_idle_s: float | None = None
    directory: Path = embedded.DIRECTORY
    archive_command: tuple[str, ...] = ()  # starts an archive beside an embedded broker


@dataclass(slots=True)
class Status:
    """What there is to see of a run, filled as it goes."""

    config: Config
    metrics: Metrics
    model_version: str
    begun_s: float  # monotonic, when the instance was started
    instance: Instance | None = None
    archive: ArchiveChild | None = None
    failure: str = ""  # why the instance before ended, until one has its partitions again
    first_decision_s: float | None = None  # after the process began
    has_partitions: asyncio.Event = field(default_factory=asyncio.Event)  # or once had

    def health(self) -> Health:
        """How the run is, also while there is no instance that could tell."""
        now = self.instance.health() if self.instance else Health("starting", ("connecting",))
        if self.failure and (self.instance is None or not self.instance.is_assigned):
            return Health("stuck", (f"starting again after: {self.failure}",))
        return now if self.archive is None else now.beside(self.archive.trouble)


class _StoppedError(Exception):
    """Raised when a signal came before there was anything to stop."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A model to serve; for a first one also the history that it was trained on, and examples."""

    serving: ServingModel
    artifact: Artifact
    history: History | None = None
    past: PastRows | None = None  # what of it becomes examples


def prepare_model(config: Config, options: RunOptions, progress: Progress) -> Prepared:
    """The champion, or a first model from generated history if the built-in stream is to play.

    A first model is not written yet. It takes half a minute: call it off the loop.
    """
    directory = ModelDirectory(config.model)
    names = [feature.name for feature in config.features]
    version = directory.champion()
    if version is not None:
        artifact = directory.load(version)
        return Prepared(serving_model(artifact, names), artifact)
    if not options.stream:
        raise _missing_model(config)
    history = History(config, partition_count=config.topics.partition_count)
    stretches: list[Rows] = []
    for i, (values, is_fraud) in enumerate(demo.history()):
        progress("reading 60 days of generated history", i / demo.HISTORY_DAY_COUNT)
        stretches.append(history.fold(values, is_fraud))
    features, labels, times_ms, accounts = joined(stretches)
    trees = config.training.fit.tree_count

    def on_tree(count: int) -> None:
        progress("training a first model", count / trees)

    held_out = held_out_of(stretches, config.learning.old_share)
    text, manifest = train(
        features, labels, times_ms, accounts, config, held_out=held_out, on_tree=on_tree
    )
    artifact = Artifact(directory.next_version(names), text, manifest)
    serving = serving_model(artifact, names)
    return Prepared(serving, artifact, history, past_rows(stretches, serving, config))


def _missing_model(config: Config) -> ConfigError:
    """What to tell a user who has no model yet."""
    return ConfigError(
        f"there is no model in {config.model.directory}: make one from your history with "
        "`sentinel train FILE --config …`, or set model.directory"
    )


async def run(
    config: Config,
    options: RunOptions,
    progress: Progress,
    watch: Callable[[Status], None],
    leave: Callable[[], None],
) -> Status:
    """Run until stopped by a signal, the duration, or idleness.

    `watch` is called often; `leave` gives the terminal back when a second signal ends it at once.
    """
    stop = asyncio.Event()
    servers = embedded.servers_for(config, options.directory)
    _on_signals(stop, servers, leave)
    async with AsyncExitStack() as stack:
        stack.enter_context(embedded.folder(options.directory))
        await stack.enter_async_context(servers)
        announced = embedded.is_wanted(config)
        is_broker_ours = config.kafka.bootstrap_servers == EMBEDDED
        config = embedded.with_servers(config, servers)
        if announced:
            path = embedded.announce(config, options.directory)
            stack.callback(path.unlink, missing_ok=True)
        status = Status(config, Metrics(), "", asyncio.get_running_loop().time())
        try:
            prepared = await _prepare(config, options, progress, stop)
        except _StoppedError:
            return status
        status.model_version = prepared.serving.version
        status.begun_s = asyncio.get_running_loop().time()
        working = asyncio.create_task(_keep_running(config, prepared, status, stop))
        tasks = {working, asyncio.create_task(_watch(status, options, stop, watch, servers))}
        if is_broker_ours and options.archive_command:
            child = ArchiveChild(options.archive_command, options.directory / "archive.log")
            stack.push_async_callback(child.aclose)
            tasks.add(asyncio.create_task(_keep_archiving(child, status)))
        if options.stream:
            stream = demo.DemoStream(options.rate, options.directory / "stream-day")
            ready = status.has_partitions.wait
            tasks.add(asyncio.create_task(play(config, stream, ready)))
            tasks.add(asyncio.create_task(investigate(config, stream, ready)))
            tasks.add(asyncio.create_task(teach(config, options.directory, stream)))
        await _until_done(working, tasks)
    watch(status)
    return status


async def _keep_archiving(child: ArchiveChild, status: Status) -> None:
    """Beside scoring, and not before: a start takes long enough as it is."""
    await status.has_partitions.wait()
    status.archive = child
    await child.run()


async def _prepare(
    config: Config, options: RunOptions, progress: Progress, stop: asyncio.Event
) -> Prepared:
    """The model; a first one is written when its history is stored: the two belong together."""

    def stoppable(what: str, share: float) -> None:
        if stop.is_set():
            raise _StoppedError
        progress(what, share)

    await fetch_champion(config)
    prepared = await asyncio.to_thread(prepare_model, config, options, stoppable)
    if prepared.history is not None and prepared.past is not None:
        await _backfill(config, prepared.history, stoppable)
        await asyncio.to_thread(keep_past, prepared.past, options.directory)
        first = prepared.artifact
        whole = ModelDirectory(config.model).add(first.version, first.text, first.manifest)
        prepared = replace(prepared, artifact=whole)
    return replace(prepared, history=None, past=None)  # it is large, and stored by now


async def _until_done(working: "asyncio.Task[None]", tasks: set["asyncio.Task[None]"]) -> None:
    """Wait for the work to end; what any other task raises ends it, too."""
    pending = tasks
    try:
        while working in pending:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
    finally:
        await end(tasks)


async def _keep_running(
    config: Config, prepared: Prepared, status: Status, stop: asyncio.Event
) -> None:
    """Build an instance and run it; after a transient failure back off, build another, replay."""
    failures = 0
    while not stop.is_set():
        before = status.metrics.commits
        try:
            async with Instance(
                config, prepared.serving, prepared.artifact, status.metrics
            ) as instance:
                status.instance = instance
                try:
                    await instance.run(stop)
                except TransientError as error:
                    # At once: to close what it has may take long when the cluster is away.
                    status.instance, status.failure = None, str(error)
                    raise
        except TransientError as error:
            status.instance, status.failure = None, str(error)
            failures = 1 if status.metrics.commits > before else failures + 1
            await back_off(error, failures, config.engine, stop)


async def _backfill(config: Config, history: History, progress: Progress) -> None:
    state = history.state
    total = sum(len(table) for table in state.tables.values())
    done = 0

    def on_saved(count: int) -> None:
        nonlocal done
        done += count
        progress("storing what the history says of every entity", min(done / total, 1.0))

    async with RedisStateStore(config.redis, layout=state.fingerprint) as store:
        topic = config.topics.full(config.topics.transactions)
        await backfill(state, store, topic, config.topics.partition_count, on_saved=on_saved)


async def _watch(
    status: Status,
    options: RunOptions,
    stop: asyncio.Event,
    watch: Callable[[Status], None],
    servers: EmbeddedServers,
) -> None:
    """Show what happens, and stop when it is time."""
    clock_s = asyncio.get_running_loop().time
    is_ready = False
    while not stop.is_set():
        if (died := servers.dead()) is not None:
            raise TransientError(died)
        if status.first_decision_s is None and status.metrics.decisions:
            status.first_decision_s = time.monotonic() - PROCESS_BEGAN_S
        if status.instance is not None and status.instance.is_assigned:
            status.failure = ""
            status.model_version = status.instance.version
            status.has_partitions.set()
        watch(status)
        if not (is_ready := is_ready or _is_ready(status, options)):
            status.begun_s = clock_s()  # starting takes as long as it takes: it is no part of a run
        age_s = clock_s() - status.begun_s
        idle_s = status.instance.idle_s() if status.instance is not None else 0.0
        if options.duration_s is not None and age_s >= options.duration_s:
            stop.set()
        if options.exit_when_idle_s is not None and idle_s >= options.exit_when_idle_s:
            stop.set()
        await asyncio.sleep(_TICK_S)


def _is_ready(status: Status, options: RunOptions) -> bool:
    """Whether it scores: it has its partitions, and the built-in stream has begun."""
    if options.stream:
        return status.metrics.decisions > 0
    return status.instance is not None and status.instance.health().status != "starting"


PROCESS_BEGAN_S = time.monotonic()


def _on_signals(stop: asyncio.Event, servers: EmbeddedServers, leave: Callable[[], None]) -> None:
    """The first signal stops in order, the second at once."""
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        if stop.is_set():
            # Not SystemExit: asyncio would cancel the clients' own tasks, and then wait half a
            # minute for what only these could bring. Replay makes any end harmless.
            servers.kill()
            leave()
            os._exit(130)
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal)


def report(status: Status) -> dict[str, Any]:
    """The run in figures, for scripts."""
    metrics = status.metrics
    duration_s = asyncio.get_running_loop().time() - status.begun_s
    now = status.health()
    waiting = status.instance.labels_waiting() if status.instance else LabelsWaiting(0, None)
    return {
        "transactions": metrics.transactions,
        "decisions": metrics.decisions,
        "alerts": metrics.alerts,
        "unexplained": metrics.unexplained,
        "dead_letters": metrics.dead_letters,
        "dead_letter_reasons": dict(metrics.dead_letter_reasons),
        "late": metrics.late,
        "degraded": metrics.degraded,
        "explored": metrics.explored,
        "replayed": metrics.replayed,
        "feedback": metrics.feedback,
        "unplaced": metrics.unplaced,
        "contradicted": metrics.contradicted,
        "labels_applied": metrics.labels_applied,
        "labels_waiting": waiting.count,
        "labels_next_in_s": waiting.next_in_s,
        "shadowed": metrics.shadowed,
        "unscored": metrics.unscored,
        "scoring_failures": metrics.scoring_failures,
        "shadow_failures": metrics.shadow_failures,
        "deployments": metrics.deployments,
        "deployment_failures": metrics.deployment_failures,
        "examples": metrics.examples,
        "examples_refused": metrics.examples_refused,
        "examples_stumbled": metrics.examples_stumbled,
        "updates": dict(metrics.updates),
        "actions": dict(metrics.actions),
        "duration_s": duration_s,
        "throughput_per_s": metrics.transactions / duration_s if duration_s > 0 else 0.0,
        "busy_throughput_per_s": _busy_rate(metrics),
        "busy_cpu_us": (metrics.last_decision_cpu_s - metrics.first_record_cpu_s)
        * 1e6
        / max(metrics.transactions, 1),
        "memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "latency_ms": _quantiles_ms(metrics.latency_s, 0.5, 0.99),
        "engine_ms": _quantiles_ms(metrics.engine_s, 0.5, 0.99),
        "stage_us": {
            stage: total_s * 1e6 / max(metrics.transactions, 1)
            for stage, total_s in metrics.stage_s.items()
        },
        "loop_lag_ms": _quantiles_ms(metrics.loop_lag_s, 0.99),
        "first_decision_s": status.first_decision_s,
        "model_version": status.model_version,
        "health": now.status,
        "health_reasons": list(now.reasons),
    }


def _busy_rate(metrics: Metrics) -> float | None:
    """Decisions a second between the first record and the last decision."""
    if metrics.first_record_s is None or metrics.last_decision_s is None:
        return None
    return metrics.decisions / max(metrics.last_decision_s - metrics.first_record_s, 1e-9)


def _quantiles_ms(histogram: Any, *quantiles: float) -> dict[str, float | None]:
    found = {}
    for q in quantiles:
        value_s = histogram.quantile(q)
        found[f"p{q * 100:g}"] = None if value_s is None else value_s * 1000
    return found
