"""Keeps an archiver at work: after a transient failure another one goes on behind its files."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from sentinel.adapters.archive import ParquetArchive
from sentinel.adapters.kafka import KafkaBroker, KafkaTail
from sentinel.adapters.registry import ModelDirectory
from sentinel.app.backoff import back_off
from sentinel.config import Config
from sentinel.core.logs import log_id
from sentinel.engine.archive.archiver import (
    Archiver,
    ArchiverParams,
    Counts,
    FeatureNames,
)
from sentinel.engine.archive.arm_outcomes import Costs
from sentinel.engine.archive.counting import OutcomeCounter
from sentinel.errors import ConfigError, ModelError, TransientError
from sentinel.operations import embedded
from sentinel.operations.topics import archive_kafka, topic_specs
from sentinel.ports import Archive, Broker, Tail

_TICK_S = 0.5


@dataclass(frozen=True, slots=True)
class Site:
    """An archiver, and where it works.

    Attributes
    ----------
    has_moved
        Whether what it reads from listens somewhere else by now.
    is_log_lost
        Whether the log ends with its broker: what was read of it then must be written at once.
    """

    archiver: Archiver
    has_moved: Callable[[], bool] = lambda: False
    is_log_lost: bool = False


Build = Callable[[], AbstractAsyncContextManager[Site]]


@dataclass(slots=True)
class ArchivingStatus:
    """What has been done so far, by one archiver after the other."""

    archiver: Archiver | None = None
    before: Counts = field(default_factory=Counts)  # by those that have ended

    @property
    def counts(self) -> Counts:
        """All of it."""
        return self.before if self.archiver is None else self.before + self.archiver.counts

    @property
    def idle_s(self) -> float:
        """For how long nothing has come, since something could."""
        return 0.0 if self.archiver is None else self.archiver.idle_s


async def archive(
    config: Config, stop: asyncio.Event, watch: Callable[[ArchivingStatus], None]
) -> ArchivingStatus:
    """Archive until stopped; `watch` is called twice a second while an archiver is at work.

    With an embedded broker it is found in this folder, each time anew: another `sentinel run` there
    is another log, at another address.
    """
    return await keep_archiving(lambda: site_of(config), config, stop, watch)


async def keep_archiving(
    build: Build, config: Config, stop: asyncio.Event, watch: Callable[[ArchivingStatus], None]
) -> ArchivingStatus:
    """Build an archiver and run it; after a transient failure back off, and build another.

    Neither loses a row nor writes it twice: the files name their offsets.
    """
    status, failures = ArchivingStatus(), 0
    while not stop.is_set():
        is_progress = False
        try:
            async with build() as site:
                status.archiver = site.archiver
                try:
                    await _work(site, status, stop, watch)
                finally:
                    is_progress = site.archiver.is_settled(config.engine.backoff_s_max)
                    status.before, status.archiver = status.counts, None
        except TransientError as error:
            failures = 1 if is_progress else failures + 1
            await back_off(error, failures, config.engine, stop)
    return status


async def _work(
    site: Site,
    status: ArchivingStatus,
    stop: asyncio.Event,
    watch: Callable[[ArchivingStatus], None],
) -> None:
    """Run it to its end; what waits is written if the log it came from may be gone."""
    working = asyncio.create_task(site.archiver.run(stop))
    try:
        while not working.done():
            watch(status)
            if site.has_moved():
                raise TransientError("`sentinel run` was started again, with a log of its own")
            await asyncio.wait({working}, timeout=_TICK_S)
        working.result()
    except TransientError:
        working.cancel()
        await asyncio.wait({working})
        if site.is_log_lost:
            await site.archiver.rescue()
        raise
    finally:
        working.cancel()
        await asyncio.wait({working})


@asynccontextmanager
async def site_of(config: Config) -> AsyncIterator[Site]:
    """An archiver of what runs now, on Kafka. Raises TransientError where nothing does."""
    at = _found(config)
    kafka, topics = archive_kafka(at), config.topics
    async with AsyncExitStack() as stack:
        broker = await stack.enter_async_context(KafkaBroker(kafka))
        await broker.ensure_topics(topic_specs(config))
        names = topics.in_full()
        tail = await stack.enter_async_context(KafkaTail(kafka, [names.examples]))
        outcome_tail = await stack.enter_async_context(
            KafkaTail(kafka, [names.experiments, names.outcomes])
        )
        is_log_lost = embedded.is_kafka_wanted(config)
        only = [log_id(broker.log_of(spec.name)) for spec in topic_specs(config)]
        # An embedded log is a world of its own: what former ones learnt is the future in this one.
        files = ParquetArchive(config.archive, only=only if is_log_lost else None)
        clock_s = asyncio.get_running_loop().time
        archiver = archiver_of(at, broker, files, tail, outcome_tail, clock_s=clock_s)
        yield Site(archiver, lambda: _has_moved(config, at), is_log_lost)


def archiver_of(
    config: Config,
    broker: Broker,
    files: Archive,
    tail: Tail,
    outcome_tail: Tail,
    *,
    clock_s: Callable[[], float],
) -> Archiver:
    """An archiver as the configuration wants it, of what these ports reach."""
    topics, settings = config.topics.in_full(), config.archive
    params = ArchiverParams(
        settings.interval_s, settings.row_count_max, settings.examples_interval_s, config.maturity
    )
    experiments = config.experiments
    counter = OutcomeCounter(
        files,
        broker,
        outcome_tail,
        config.maturity,
        Costs(experiments.review_cost_minor, experiments.block_cost_minor),
        decisions=topics.decisions,
        experiments=topics.experiments,
        outcomes=topics.outcomes,
    )
    names = _feature_names(config)
    return Archiver(
        topics, broker, files, tail, params, counter, feature_names=names, clock_s=clock_s
    )


def _feature_names(config: Config) -> FeatureNames:
    """As the model of a decision names them, or this configuration if it is gone."""
    models = ModelDirectory(config.model)
    known: dict[str, tuple[str, ...]] = {}

    def found(version: str, count: int) -> tuple[str, ...]:
        if version not in known:
            try:
                told = models.load(version).manifest["features"]
            except (ModelError, KeyError):
                told = [feature.name for feature in config.features]
            known[version] = tuple(told)
        names = known[version]
        if len(names) != count:
            raise ConfigError(
                f"decisions of model {version} have {count} features, "
                f"{len(names)} are named in {config.model.directory} or [[features]]"
            )
        return names

    return found


def _found(config: Config) -> Config:
    """With the addresses of now. Raises TransientError where nothing runs: it may come back."""
    try:
        return embedded.running(config)
    except ConfigError as error:
        raise TransientError(str(error)) from error


def _has_moved(config: Config, at: Config) -> bool:
    try:
        return embedded.running(config).kafka.bootstrap_servers != at.kafka.bootstrap_servers
    except ConfigError:
        return False  # nothing runs there now: the log of before is the newest that there is
