"""Wires the tasks of an instance to its ports."""

import asyncio
import time
from dataclasses import dataclass, field, replace

from sentinel.codec.feedback import FeedbackBounds
from sentinel.config import Config
from sentinel.core.features.packing import log_numbers
from sentinel.core.features.state import FeatureState
from sentinel.engine.dead_letters import DeadLetters
from sentinel.engine.deployment.champion import Deployment
from sentinel.engine.deployment.reporting import Reporting
from sentinel.engine.dispatcher import Dispatcher, Inbox
from sentinel.engine.feedback.task import FeedbackTask
from sentinel.engine.params import EngineParams
from sentinel.engine.registry.registrar import Registrar
from sentinel.engine.registry.remembered import (
    Copies,
    RegistryMemory,
    RememberedShelf,
    SteadyModels,
)
from sentinel.engine.scoring.alerts import Alerts
from sentinel.engine.scoring.checkpoint import Checkpoints
from sentinel.engine.scoring.entities import EntityLoader
from sentinel.engine.scoring.judging import Judge
from sentinel.engine.scoring.labels import LabelTail
from sentinel.engine.scoring.ownership import Ownership
from sentinel.engine.scoring.partitions import InputPartition
from sentinel.engine.scoring.pipeline import Pipeline
from sentinel.engine.scoring.placement import Placement
from sentinel.engine.scoring.scorer import Scoring
from sentinel.engine.scoring.serving import Serving
from sentinel.engine.store_owner import StoreOwner
from sentinel.engine.store_watch import StoreWatch
from sentinel.engine.updates.awaiting import Awaiting
from sentinel.engine.updates.savepoints import Savepoints
from sentinel.engine.updates.training import TrainingTask
from sentinel.engine.updates.watching import Watching
from sentinel.metrics import Metrics
from sentinel.ports import (
    Broker,
    CaseStore,
    Explainer,
    ModelStore,
    ReportStore,
    SavepointStore,
    StateStore,
    Tail,
    Trainer,
)
from sentinel.records import TopicPartition
from sentinel.serving_model import ServingModel
from sentinel.versions import ServingReport

REMEMBERED_WHO = "sentinel run"  # puts back what the registry has lost


@dataclass(slots=True)
class Ports:
    """The outside world of one instance, and the name by which that knows it."""

    name: str
    broker: Broker
    tail: Tail
    store: StateStore
    cases: CaseStore
    explainer: Explainer
    models: ModelStore
    reports: ReportStore
    bell: Tail  # of `model-updates`
    lessons: Tail  # of `examples` and `control`
    trainer: Trainer
    savepoints: SavepointStore
    copies: Copies  # of models, on this machine


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
    deployment: Deployment
    reporting: Reporting
    training: TrainingTask
    serving: Serving
    models: ModelStore
    state: FeatureState
    placement: Placement
    partitions: dict[int, InputPartition] = field(default_factory=dict)


def assemble(
    config: Config,
    champion: ServingModel,
    ports: Ports,
    state: FeatureState,
    metrics: Metrics,
    memory: RegistryMemory,
    *,
    owner: StoreOwner,
    watch: StoreWatch,
) -> Parts:
    """Wire the tasks of an instance to its ports."""
    clock_s = asyncio.get_running_loop().time
    topics, params = config.topics, config.engine
    partitions: dict[int, InputPartition] = {}
    progress: dict[TopicPartition, int] = {}
    inbox, feedback_inbox = _inboxes(params)
    names = {topics.full(topics.transactions): inbox, topics.full(topics.feedback): feedback_inbox}
    dispatcher = Dispatcher(ports.broker, names, params, clock_s=clock_s)
    dead_letters = DeadLetters(ports.broker, topics.full(topics.dead_letters), metrics)
    alerts = _alerts(config, ports, metrics)
    placement = Placement(
        state, ports.store, partitions, config.kafka.partitioner, metrics,
        logs=log_numbers(owner.log_names()),
    )  # fmt: skip
    labels = _labels(config, ports, state, partitions, placement, metrics)
    checkpoints = Checkpoints(
        ports.broker, ports.store, state, alerts, partitions, progress, metrics, params,
        labels_log=labels.log, owner=owner, watch=watch, clock_s=clock_s,
    )  # fmt: skip
    loader = EntityLoader(
        state, ports.store, metrics, params, partitions=partitions, watch=watch, clock_s=clock_s
    )
    serving = Serving(champion)
    scoring = _scoring(
        config, ports, state, loader, serving, alerts, dead_letters, partitions, placement, metrics,
        input_name=owner.name,
    )  # fmt: skip
    pipeline = Pipeline(
        inbox=inbox, scoring=scoring, checkpoints=checkpoints, labels=labels, loader=loader,
        params=params, clock_s=clock_s,
    )  # fmt: skip
    loader.make_room = pipeline.make_room
    feedback = _feedback(config, ports, feedback_inbox, dead_letters, progress, metrics, serving)
    ownership = _ownership(
        config, ports, state, dispatcher, pipeline, checkpoints, labels, partitions, progress,
        feedback_inbox, feedback, owner, watch,
    )  # fmt: skip
    remembered = _remembered(config, ports, memory)
    ports = replace(ports, models=SteadyModels(ports.models, memory, remembered))
    deployment = _deployment(config, ports, serving, metrics, remembered)
    return Parts(
        dispatcher=dispatcher,
        pipeline=pipeline,
        feedback=feedback,
        labels=labels,
        loader=loader,
        checkpoints=checkpoints,
        alerts=alerts,
        ownership=ownership,
        deployment=deployment,
        reporting=_reporting(config, ports, serving, deployment),
        training=_training(config, ports, metrics),
        models=ports.models,
        serving=serving,
        state=state,
        partitions=partitions,
        placement=placement,
    )


def _scoring(
    config: Config,
    ports: Ports,
    state: FeatureState,
    loader: EntityLoader,
    serving: Serving,
    alerts: Alerts,
    dead_letters: DeadLetters,
    partitions: dict[int, InputPartition],
    placement: Placement,
    metrics: Metrics,
    *,
    input_name: str,
) -> Scoring:
    return Scoring(
        broker=ports.broker,
        state=state,
        loader=loader,
        judge=_judge(config, serving, metrics),
        alerts=alerts,
        dead_letters=dead_letters,
        partitions=partitions,
        schema=config.schema,
        policy=config.policy,
        topics=config.topics,
        input_name=input_name,
        placement=placement,
        metrics=metrics,
        config_version=config.version,
    )


def _ownership(
    config: Config,
    ports: Ports,
    state: FeatureState,
    dispatcher: Dispatcher,
    pipeline: Pipeline,
    checkpoints: Checkpoints,
    labels: LabelTail,
    partitions: dict[int, InputPartition],
    progress: dict[TopicPartition, int],
    feedback_inbox: Inbox,
    feedback: FeedbackTask,
    owner: StoreOwner,
    watch: StoreWatch,
) -> Ownership:
    return Ownership(
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
        input_topic=config.topics.full(config.topics.transactions),
        counted_to=feedback.counted_to,
        owner=owner,
        watch=watch,
        params=config.engine,
    )


def _inboxes(params: EngineParams) -> tuple[Inbox, Inbox]:
    """Of transactions, and of feedback."""
    size = params.inbox_batch_count_max
    return Inbox(size, small_count=params.batch_count_max // 2), Inbox(size)


def _alerts(config: Config, ports: Ports, metrics: Metrics) -> Alerts:
    return Alerts(
        ports.broker,
        ports.explainer,
        config.topics.full(config.topics.alerts),
        config.features,
        metrics,
        config.engine,
        reason_count_max=config.policy.reason_count_max,
        clock_s=asyncio.get_running_loop().time,
    )


def _judge(config: Config, serving: Serving, metrics: Metrics) -> Judge:
    return Judge(serving, config.policy, metrics, shadow_share=config.deployment.shadow_share)


def _remembered(config: Config, ports: Ports, memory: RegistryMemory) -> RememberedShelf:
    teller = registrar(config, ports, who=REMEMBERED_WHO)
    return RememberedShelf(memory, ports.models, teller, ports.copies)


def _deployment(
    config: Config,
    ports: Ports,
    serving: Serving,
    metrics: Metrics,
    remembered: RememberedShelf,
) -> Deployment:
    return Deployment(
        store=ports.models,
        remembered=remembered,
        tail=ports.bell,
        serving=serving,
        features=[feature.name for feature in config.features],
        metrics=metrics,
        params=config.deployment,
        clock_s=asyncio.get_running_loop().time,
        explainer=ports.explainer,
    )


def _reporting(config: Config, ports: Ports, serving: Serving, deployment: Deployment) -> Reporting:
    def now() -> ServingReport:
        return ServingReport(
            instance=ports.name,
            version=serving.champion.version,
            champion=deployment.wanted,
            why=deployment.why,
            is_pinned=bool(config.model.version),
            shadow="" if serving.shadow is None else serving.shadow.version,
            shadow_why=deployment.shadow_trouble,
            unexplained=deployment.unexplained,
        )

    return Reporting(ports.reports, now, clock_ms=_clock_ms)


def _clock_ms() -> int:
    """Epoch milliseconds: what serves when is a matter of the clock."""
    return time.time_ns() // 1_000_000


def registrar(
    config: Config, ports: Ports, *, who: str, models: ModelStore | None = None
) -> Registrar:
    """What changes the registry in somebody's name, and tells of it."""
    topics = config.topics
    return Registrar(
        ports.models if models is None else models,
        ports.broker,
        update_topic=topics.full(topics.model_updates),
        audit_topic=topics.full(topics.audit),
        who=who,
        clock_ms=_clock_ms,
    )


def _training(config: Config, ports: Ports, metrics: Metrics) -> TrainingTask:
    topics = config.topics
    updates = config.updates
    awaiting = Awaiting(
        ports.models,
        ports.trainer,
        updates.triggers,
        clock_s=asyncio.get_running_loop().time,
        clock_ms=_clock_ms,
    )
    watching = Watching(
        ports.models,
        ports.trainer,
        metrics,
        updates.watch,
        compare_after_count=updates.compare_after_count,
    )
    return TrainingTask(
        broker=ports.broker,
        tail=ports.lessons,
        store=ports.models,
        trainer=ports.trainer,
        registrar=registrar(config, ports, who="training"),
        savepoints=Savepoints(ports.savepoints, ports.trainer, updates.savepoint),
        home=TopicPartition(topics.full(topics.feedback), 0),
        example_topic=topics.full(topics.examples),
        control_topic=topics.full(topics.control),
        metrics=metrics,
        awaiting=awaiting,
        watching=watching,
        params=updates,
        config_version=config.version,
    )


def _labels(
    config: Config,
    ports: Ports,
    state: FeatureState,
    partitions: dict[int, InputPartition],
    placement: Placement,
    metrics: Metrics,
) -> LabelTail:
    topic = config.topics.full(config.topics.labels)
    return LabelTail(
        ports.tail,
        topic,
        ports.broker.log_of(topic),
        ports.store,
        list(state.tables),
        partitions,
        placement,
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
    serving: Serving,
) -> FeedbackTask:
    return FeedbackTask(
        broker=ports.broker,
        store=ports.cases,
        inbox=inbox,
        feedback_topic=config.topics.full(config.topics.feedback),
        label_topic=config.topics.full(config.topics.labels),
        audit_topic=config.topics.full(config.topics.audit),
        dead_letters=dead_letters,
        progress=progress,
        metrics=metrics,
        params=config.feedback,
        consensus=config.consensus,
        base_rate=lambda: serving.champion.base_rate,
        bounds=FeedbackBounds.of(config.schema),
        outage_s_max=config.engine.outage_s_max,
    )
