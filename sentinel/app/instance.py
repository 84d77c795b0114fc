"""Builds one instance from its configuration and runs it until it is told to stop."""

import asyncio
import gc
import logging
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Self

from sentinel.adapters.kafka import KafkaBroker, KafkaTail
from sentinel.adapters.pool import ExplainerPool
from sentinel.adapters.redis import RedisLabelStore, RedisStateStore
from sentinel.codec import decisions
from sentinel.codec.schema import SchemaParams
from sentinel.codec.transactions import TransactionDecoder
from sentinel.config import Config
from sentinel.core.features.hashing import hash64
from sentinel.core.features.state import FeatureState
from sentinel.engine.alerts import Alerts
from sentinel.engine.checkpoint import Checkpoints
from sentinel.engine.dead_letters import DeadLetters
from sentinel.engine.dispatcher import Dispatcher, Inbox
from sentinel.engine.entities import EntityLoader
from sentinel.engine.feedback import FeedbackTask
from sentinel.engine.health import Health, health, longest_silence, total_lag, watch_loop
from sentinel.engine.labels import LabelTail, PartitionOf
from sentinel.engine.ownership import Ownership
from sentinel.engine.partitions import InputPartition
from sentinel.engine.pipeline import Pipeline
from sentinel.engine.scoring import Scoring
from sentinel.engine.serving import ServingModel
from sentinel.engine.tasks import end, outlast
from sentinel.metrics import Metrics
from sentinel.ports import Broker, Explainer, LabelStore, StateStore, Tail, TopicSpec
from sentinel.records import TopicPartition

log = logging.getLogger(__name__)


def topic_specs(config: Config) -> list[TopicSpec]:
    """The topics that an instance needs; those keyed by account have many partitions."""
    topics = config.topics
    many = [topics.transactions, topics.decisions, topics.alerts]
    one = [topics.feedback, topics.labels, topics.dead_letters]
    return [
        *(TopicSpec(topics.full(name), topics.partition_count) for name in many),
        *(TopicSpec(topics.full(name), 1) for name in one),
    ]


@dataclass(slots=True)
class Ports:
    """The outside world of one instance."""

    broker: Broker
    tail: Tail
    store: StateStore
    labels: LabelStore
    explainer: Explainer


@dataclass(slots=True)
class Parts:
    """What an instance is made of, for those who watch or stop it."""

    dispatcher: Dispatcher
    pipeline: Pipeline
    feedback: FeedbackTask
    labels: LabelTail
    loader: EntityLoader
    checkpoints: Checkpoints
    alerts: Alerts
    ownership: Ownership
    state: FeatureState
    partitions: dict[int, InputPartition] = field(default_factory=dict)


class Instance:
    """One scoring process: adapters in, tasks running, an orderly stop.

    Parameters
    ----------
    metrics
        Kept by the caller, so that counts go on over restarts after a transient failure.
    """

    def __init__(
        self, config: Config, serving: ServingModel, model_text: str, metrics: Metrics
    ) -> None:
        self._config = config
        self._serving = serving
        self._model_text = model_text
        self.metrics = metrics
        self._resources = AsyncExitStack()
        self._ports: Ports | None = None
        self._parts: Parts | None = None

    async def __aenter__(self) -> Self:
        config = self._config
        async with AsyncExitStack() as stack:
            input_topic = config.topics.full(config.topics.transactions)
            # Labels go out at least once in any case: a repeated one is known by its feedback.
            exact = [input_topic] if config.engine.delivery == "exactly_once" else []
            broker = await stack.enter_async_context(KafkaBroker(config.kafka, exactly_once=exact))
            await broker.ensure_topics(topic_specs(config))
            state = self._state(broker, await broker.partition_count(input_topic))
            store = RedisStateStore(config.redis, layout=state.fingerprint)
            pool = await stack.enter_async_context(ExplainerPool(config.pool))
            pool.register(self._serving.version, self._model_text)
            self._ports = Ports(
                broker=broker,
                tail=await stack.enter_async_context(
                    KafkaTail(config.kafka, [config.topics.full(config.topics.labels)])
                ),
                store=await stack.enter_async_context(store),
                labels=await stack.enter_async_context(RedisLabelStore(config.redis)),
                explainer=pool,
            )
            self._parts = assemble(config, self._serving, self._ports, state, self.metrics)
            self._resources = stack.pop_all()
        return self

    def _state(self, broker: Broker, partition_count: int) -> FeatureState:
        config = self._config
        return FeatureState(
            config.entities,
            config.features,
            amount_decimals=config.schema.amount_decimals,
            partition_count=partition_count,
            log=int(hash64([broker.cluster_id])[0]),
        )

    async def __aexit__(self, *_: object) -> None:
        await self._resources.aclose()

    async def run(self, stop: asyncio.Event) -> None:
        """Score until `stop` is set, then hand everything over in order.

        Raises what the first failing task raised, as it was.
        """
        assert self._parts is not None
        assert self._ports is not None
        parts, clock_s = self._parts, asyncio.get_running_loop().time
        await _warm(parts.state, self._serving, self._config.schema)
        # What is here by now stays: looking through it took the collector 20-30 ms each time.
        gc.collect()
        gc.freeze()
        topics = self._config.topics
        joining = asyncio.create_task(  # first of all: nobody may poll before
            self._ports.broker.subscribe(
                [topics.full(topics.transactions), topics.full(topics.feedback)],
                on_assigned=parts.ownership.on_assigned,
                on_revoked=parts.ownership.on_revoked,
            ),
            name="joining",
        )
        running = [
            asyncio.create_task(work, name=name)
            for name, work in (
                ("dispatcher", parts.dispatcher.run()),
                ("preparation", parts.pipeline.prepare()),
                ("pipeline", parts.pipeline.run()),
                ("feedback", parts.feedback.run()),
                ("labels", parts.labels.run()),
                ("loop watch", watch_loop(self.metrics, clock_s)),
            )
        ]
        stopping = asyncio.create_task(stop.wait(), name="stop")
        try:
            running.insert(0, joining)
            await outlast(joining, running)
            await outlast(stopping, running)
            await self._hand_over(parts.ownership, running)
        finally:
            await end([stopping, *running])
            await parts.pipeline.aclose()
            await parts.alerts.aclose()

    async def _hand_over(
        self, ownership: Ownership, running: "Sequence[asyncio.Task[None]]"
    ) -> None:
        """Hand everything over, as far as there is time for it."""
        handing = asyncio.create_task(ownership.hand_over(), name="hand over")
        over = asyncio.create_task(outlast(handing, running), name="over")
        try:
            done, _ = await asyncio.wait([over], timeout=self._config.engine.shutdown_s_max)
            if done:
                over.result()
            else:
                log.warning("not everything could be written in time; the next start replays it")
        finally:
            await end([over, handing])

    def health(self) -> Health:
        """How this instance is, judged from its progress."""
        if self._parts is None:
            return Health("starting", ("connecting",))
        assert self._ports is not None
        parts, now_s = self._parts, asyncio.get_running_loop().time()
        broker = self._ports.broker
        return health(
            is_assigned=parts.ownership.assigned.is_set(),
            is_recovering=any(p.is_recovering for p in parts.partitions.values()),
            store_away=parts.loader.away_since_s is not None or parts.checkpoints.store_failing,
            lag=self.lag(),
            idle_s=now_s - parts.dispatcher.last_progress_s,
            silent=longest_silence(broker, broker.assignment()),
            # What was before there were partitions was waiting for them.
            unconfirmed_s=now_s - max(parts.checkpoints.confirmed_s, parts.ownership.assigned_s),
            commit_interval_s=self._config.engine.commit_interval_s,
        )

    @property
    def is_assigned(self) -> bool:
        """Whether it has partitions."""
        return self._parts is not None and self._parts.ownership.assigned.is_set()

    def lag(self) -> int | None:
        """Transactions that wait to be read."""
        if self._parts is None or self._ports is None:
            return None
        return total_lag(self._ports.broker, [p.at for p in self._parts.partitions.values()])

    def idle_s(self) -> float:
        """Seconds since the last record was handed to a task, or since there were partitions."""
        if self._parts is None or not self.is_assigned:
            return 0.0
        return asyncio.get_running_loop().time() - self._parts.dispatcher.last_progress_s

    def last_alerts(self) -> list[bytes]:
        """The newest few alerts as published."""
        return [] if self._parts is None else self._parts.alerts.last

    def entity_counts(self) -> dict[str, int]:
        """Entities in memory, by kind."""
        if self._parts is None:
            return {}
        return {name: len(table) for name, table in self._parts.state.tables.items()}


def assemble(
    config: Config, serving: ServingModel, ports: Ports, state: FeatureState, metrics: Metrics
) -> Parts:
    """Wire the tasks of an instance to its ports."""
    clock_s = asyncio.get_running_loop().time
    topics, params = config.topics, config.engine
    partitions: dict[int, InputPartition] = {}
    progress: dict[TopicPartition, int] = {}
    inbox = Inbox(params.inbox_batch_count_max, small_count=params.batch_count_max // 2)
    feedback_inbox = Inbox(params.inbox_batch_count_max)
    names = {topics.full(topics.transactions): inbox, topics.full(topics.feedback): feedback_inbox}
    dispatcher = Dispatcher(ports.broker, names, params, clock_s=clock_s)
    dead_letters = DeadLetters(ports.broker, topics.full(topics.dead_letters), metrics)
    alerts = _alerts(config, ports, metrics)
    checkpoints = _checkpoints(config, ports, state, alerts, partitions, progress, metrics)
    labels = _labels(config, ports, state, partitions, metrics)
    loader = EntityLoader(
        state, ports.store, metrics, params, partitions=partitions, clock_s=clock_s
    )
    scoring = Scoring(
        broker=ports.broker,
        state=state,
        loader=loader,
        serving=serving,
        alerts=alerts,
        dead_letters=dead_letters,
        partitions=partitions,
        schema=config.schema,
        policy=config.policy,
        topics=topics,
        metrics=metrics,
        config_version=config.version,
    )
    pipeline = Pipeline(
        inbox=inbox,
        scoring=scoring,
        checkpoints=checkpoints,
        labels=labels,
        loader=loader,
        params=params,
        clock_s=clock_s,
    )
    loader.make_room = pipeline.make_room
    feedback = _feedback(config, ports, feedback_inbox, dead_letters, progress, metrics)
    ownership = Ownership(
        broker=ports.broker,
        store=ports.store,
        state=state,
        dispatcher=dispatcher,
        pipeline=pipeline,
        checkpoints=checkpoints,
        labels=labels,
        partitions=partitions,
        progress=progress,
        other_inboxes=[feedback_inbox],
        input_topic=topics.full(topics.transactions),
        params=params,
    )
    return Parts(
        dispatcher=dispatcher,
        pipeline=pipeline,
        feedback=feedback,
        labels=labels,
        loader=loader,
        checkpoints=checkpoints,
        alerts=alerts,
        ownership=ownership,
        state=state,
        partitions=partitions,
    )


def _alerts(config: Config, ports: Ports, metrics: Metrics) -> Alerts:
    return Alerts(
        ports.broker,
        ports.explainer,
        config.topics.full(config.topics.alerts),
        config.features,
        metrics,
        config.engine,
        reason_count_max=config.policy.reason_count_max,
    )


def _checkpoints(
    config: Config,
    ports: Ports,
    state: FeatureState,
    alerts: Alerts,
    partitions: dict[int, InputPartition],
    progress: dict[TopicPartition, int],
    metrics: Metrics,
) -> Checkpoints:
    return Checkpoints(
        ports.broker,
        ports.store,
        state,
        alerts,
        partitions,
        progress,
        metrics,
        config.engine,
        clock_s=asyncio.get_running_loop().time,
    )


def _labels(
    config: Config,
    ports: Ports,
    state: FeatureState,
    partitions: dict[int, InputPartition],
    metrics: Metrics,
) -> LabelTail:
    # Without a table there is nothing that a label could change.
    counts = [table.partition_count for table in state.tables.values()]
    return LabelTail(
        ports.tail,
        config.topics.full(config.topics.labels),
        partitions,
        PartitionOf(max(counts, default=1)),
        metrics,
        config.engine,
    )


def _feedback(
    config: Config,
    ports: Ports,
    inbox: Inbox,
    dead_letters: DeadLetters,
    progress: dict[TopicPartition, int],
    metrics: Metrics,
) -> FeedbackTask:
    return FeedbackTask(
        broker=ports.broker,
        labels=ports.labels,
        inbox=inbox,
        label_topic=config.topics.full(config.topics.labels),
        dead_letters=dead_letters,
        progress=progress,
        metrics=metrics,
        params=config.feedback,
        outage_s_max=config.engine.outage_s_max,
    )


async def _warm(state: FeatureState, serving: ServingModel, schema: SchemaParams) -> None:
    """Compile or load every kernel before the first record, in a thread: it takes seconds once."""
    await asyncio.to_thread(state.warm)
    await asyncio.to_thread(decisions.warm)
    await asyncio.to_thread(TransactionDecoder(schema).warm)
    if serving.model.fallback_reason:
        log.warning("LightGBM itself scores this model: %s", serving.model.fallback_reason)
