"""`sentinel run`: servers if asked for, a first model if there is none, then one instance."""

import asyncio
import logging
import resource
import time
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from sentinel.adapters.embedded import STOP_S_MAX, EmbeddedServers
from sentinel.adapters.kafka import EMBEDDED
from sentinel.app import archive_child
from sentinel.app.archive_child import ArchiveChild
from sentinel.app.backoff import back_off, failures_in_a_row
from sentinel.app.builtin import stream as demo
from sentinel.app.builtin.investigators import investigate
from sentinel.app.builtin.playing import play, teach
from sentinel.app.ending import limit_s, signals, unless_stopped, until_done
from sentinel.app.instance import Instance
from sentinel.app.monitoring.listening import listening
from sentinel.app.prepare import OF_THE_STREAM, GeneratedDays, Prepared, Progress, prepare
from sentinel.app.reload.hangups import hangups, reload_when_asked
from sentinel.app.reload.settings import LiveSettings
from sentinel.app.status import Status
from sentinel.codec.times import date_text
from sentinel.config import Config
from sentinel.core.features.state import layout_of
from sentinel.engine.partitions.labels import LabelsWaiting
from sentinel.engine.registry.remembered import RegistryMemory
from sentinel.engine.store.history import Beginning, carry_over
from sentinel.errors import TransientError
from sentinel.metrics import HISTOGRAMS, Metrics
from sentinel.operations import embedded
from sentinel.operations.data.pending_labels import tell_kept
from sentinel.operations.entities.migration import migrate_our_own
from sentinel.operations.stores import open_started_state

log = logging.getLogger(__name__)

_TICK_S = 0.25


# Works beside an instance, with the addresses of what was started; it may tell the run to stop.
Beside = Callable[[Config, Status, asyncio.Event], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What the command line adds to the configuration."""

    stream: bool = True  # play the built-in stream
    rate: float = 200.0
    duration_s: float | None = None
    exit_when_idle_s: float | None = None
    directory: Path = embedded.DIRECTORY
    archive_command: tuple[str, ...] = ()  # starts an archive beside an embedded broker
    on_gap: Literal["fail", "earliest"] | None = None  # over the configuration's
    read: Callable[[], Config] | None = None  # reads the configuration once more
    past: GeneratedDays | None = None  # of a stream that somebody else plays
    beside: Beside | None = None  # who that is


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
    servers, loaded = embedded.servers_for(config, options.directory), config
    if options.on_gap is not None:
        # The configuration keeps its version: decisions that are repeated have the same bytes.
        config = replace(config, engine=replace(config.engine, on_gap=options.on_gap))
    hangup = asyncio.Event()

    def leave_at_once() -> None:
        servers.kill()
        leave()

    children_s = (archive_child.STOP_S_MAX, STOP_S_MAX) if embedded.is_wanted(config) else ()
    async with AsyncExitStack() as stack:
        within_s = limit_s(config.engine.shutdown_s_max, *children_s)
        stack.enter_context(signals(stop, within_s, leave_at_once))
        stack.enter_context(hangups(hangup, stop.set))
        stack.enter_context(embedded.run_folder(options.directory))
        await stack.enter_async_context(servers)
        announced = embedded.is_wanted(config)
        is_broker_ours = config.kafka.bootstrap_servers == EMBEDDED
        is_store_ours = config.redis.url == EMBEDDED
        config = embedded.with_servers(config, servers)
        if announced:
            path = embedded.announce(config, options.directory)
            stack.callback(path.unlink, missing_ok=True)
        if is_store_ours:
            await migrate_our_own(config)
            if is_broker_ours:
                await _carry_over(config)
        status = Status(config, Metrics(), "", asyncio.get_running_loop().time())
        status.settings = LiveSettings(loaded, config, options.read)
        listener = await stack.enter_async_context(listening(status, options.directory))
        preparing = _prepare(config, options, progress)
        if (prepared := await unless_stopped(preparing, stop)) is None:
            return status
        status.model_version = prepared.serving.version
        status.substitute, status.substitute_why = prepared.serving.version, prepared.why
        status.begun_s = asyncio.get_running_loop().time()
        working = asyncio.create_task(_keep_running(config, prepared, status, stop))
        tasks = {asyncio.create_task(_watch(status, options, stop, watch, servers)), *listener}
        tasks.add(asyncio.create_task(reload_when_asked(status.settings, hangup)))
        if is_broker_ours:
            tasks |= _beside_our_broker(config, options, status, stack)
        if options.stream:
            tasks |= _playing(config, options, status)
        if options.beside is not None:
            tasks.add(asyncio.create_task(options.beside(config, status, stop)))
        await until_done(working, tasks, stop, status.grace_s)
    watch(status)
    return status


def _prepare(
    config: Config, options: RunOptions, progress: Progress
) -> "Coroutine[Any, Any, Prepared]":
    is_played = options.stream or options.past is not None
    past = options.past or OF_THE_STREAM
    return prepare(config, options.directory, progress, stream=is_played, past=past)


def _beside_our_broker(
    config: Config, options: RunOptions, status: Status, stack: AsyncExitStack
) -> "set[asyncio.Task[None]]":
    """An archive, and labels of before: its log begins anew with each start."""
    tasks = set()
    if options.archive_command:
        child = ArchiveChild(options.archive_command, options.directory / "archive.log")
        stack.push_async_callback(child.aclose)
        tasks.add(asyncio.create_task(_keep_archiving(child, status)))
    kept = tell_kept(config, options.directory, status.has_partitions.wait)
    return {*tasks, asyncio.create_task(kept)}


def _playing(config: Config, options: RunOptions, status: Status) -> "set[asyncio.Task[None]]":
    """The built-in stream, and who looks at it."""
    stream = demo.DemoStream(options.rate, options.directory / "stream-day")
    ready = status.has_partitions.wait
    return {
        asyncio.create_task(play(config, stream, ready)),
        asyncio.create_task(investigate(config, stream, ready)),
        asyncio.create_task(teach(config, options.directory, stream)),
    }


async def _carry_over(config: Config) -> None:
    """The broker that has the log of the run before is gone: what was counted is a past by now."""
    topic = config.topics.full(config.topics.transactions)
    layout = layout_of(config.entities, config.features)
    async with open_started_state(config) as store:
        found = await carry_over(store, topic, config.topics.partition_count, layout)
    if found is not None:
        log.info("entities are known from earlier runs, up to %s UTC: what is no later is decided, "
                 "not counted; `sentinel state reset` forgets them",
                 date_text(max(found.ends_ms)))  # fmt: skip


async def _keep_archiving(child: ArchiveChild, status: Status) -> None:
    """Beside scoring, and not before: a start takes long enough as it is."""
    await status.has_partitions.wait()
    status.archive = child
    await child.run()


async def _keep_running(
    config: Config, prepared: Prepared, status: Status, stop: asyncio.Event
) -> None:
    """Build an instance and run it; after a transient failure back off, build another, replay."""
    failures, memory, settings = 0, RegistryMemory(), status.settings
    while not stop.is_set():
        before = status.metrics.commits
        try:
            async with Instance(
                settings.in_force,
                prepared.serving,
                prepared.artifact,
                status.metrics,
                memory,
                settings,
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
            has_committed = status.metrics.commits > before
            failures = failures_in_a_row(failures, error, has_committed=has_committed)
            await back_off(error, failures, config.engine, stop)
    if status.instance is None and status.metrics.decisions:
        log.warning("stopped before it had started again: not everything could be written, "
                    "and the next start replays it")  # fmt: skip


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


def report(status: Status) -> dict[str, Any]:
    """The run in figures, for scripts."""
    metrics = status.metrics
    duration_s = asyncio.get_running_loop().time() - status.begun_s
    now = status.health()
    waiting = status.instance.labels_waiting() if status.instance else LabelsWaiting(0, None)
    return {
        **metrics.counted(),
        "labels_waiting": waiting.count,
        "labels_next_in_s": waiting.next_in_s,
        "duration_s": duration_s,
        "throughput_per_s": metrics.transactions / duration_s if duration_s > 0 else 0.0,
        "busy_throughput_per_s": _busy_rate(metrics),
        "busy_cpu_us": (metrics.last_decision_cpu_s - metrics.first_record_cpu_s)
        * 1e6
        / max(metrics.transactions, 1),
        "memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        **{one.reported_as: metrics.quantiles(one) for one in HISTOGRAMS if one.quantiles},
        "stage_us": {
            stage: total_s * 1e6 / max(metrics.transactions, 1)
            for stage, total_s in metrics.stage_s.items()
        },
        "first_decision_s": status.first_decision_s,
        "model_version": status.model_version,
        **_known_at_start(status.beginning()),
        "paused": status.paused_names(),
        "config_version": status.settings.in_force.version,
        "health": now.status,
        "health_reasons": list(now.reasons),
    }


def _known_at_start(beginning: Beginning | None) -> dict[str, Any]:
    """Whether features began empty, or else with a history."""
    history = None if beginning is None else beginning.history
    return {
        "cold_start": beginning is not None and beginning.is_cold,
        "history_accounts": None if history is None else history.entity_counts.get("account"),
        "history_to_ms": None if history is None else max(history.ends_ms),
    }


def _busy_rate(metrics: Metrics) -> float | None:
    """Decisions a second between the first record and the last decision."""
    if metrics.first_record_s is None or metrics.last_decision_s is None:
        return None
    return metrics.decisions / max(metrics.last_decision_s - metrics.first_record_s, 1e-9)
