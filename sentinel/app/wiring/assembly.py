"""Wires the tasks of an instance to its ports."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from sentinel.app.reload.settings import LiveSettings
from sentinel.app.wiring import (
    asking,
    control_plane,
    experimenting,
    rolling_out,
    watching,
)
from sentinel.app.wiring.machine import MachineWatch, machine_watch
from sentinel.app.wiring.shared import Ports, Shared, clock_s
from sentinel.config import Config
from sentinel.core.features.packing import log_numbers
from sentinel.core.features.state import FeatureState
from sentinel.engine.dead_letters import DeadLetters
from sentinel.engine.deployment.champion import Deployment
from sentinel.engine.deployment.reporting import Reporting
from sentinel.engine.dispatcher import Dispatcher, Inbox
from sentinel.engine.drift.columns import DriftColumns
from sentinel.engine.drift.task import DriftTask
from sentinel.engine.experiments.following import Routing
from sentinel.engine.experiments.task import ExperimentTask
from sentinel.engine.feedback.task import FeedbackTask
from sentinel.engine.health import Health
from sentinel.engine.machine.clock import RecordClock
from sentinel.engine.operating.following import OperatingTask
from sentinel.engine.params import EngineParams
from sentinel.engine.partitions.input_partition import InputPartition
from sentinel.engine.partitions.labels import LabelTail
from sentinel.engine.partitions.placement import Placement
from sentinel.engine.registry.remembered import RegistryMemory, SteadyModels
from sentinel.engine.rollouts.rolling import RolloutSteps
from sentinel.engine.scoring.alerts import Alerts
from sentinel.engine.scoring.arms.arm_counts import ArmNotes
from sentinel.engine.scoring.checkpoint import Checkpoints, Participant
from sentinel.engine.scoring.entities import EntityLoader
from sentinel.engine.scoring.judging import Judge, Rules
from sentinel.engine.scoring.ownership import Ownership
from sentinel.engine.scoring.pipeline import Pipeline
from sentinel.engine.scoring.scorer import Scoring
from sentinel.engine.scoring.serving import Serving
from sentinel.engine.scoring.summarising import Summaries
from sentinel.engine.store.owner import StoreOwner
from sentinel.engine.store.watch import StoreWatch
from sentinel.engine.updates.training import TrainingTask
from sentinel.metrics import Metrics
from sentinel.ports import ModelStore
from sentinel.serving_model import ServingModel


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
    summaries: Summaries
    operating: OperatingTask
    ownership: Ownership
    deployment: Deployment
    reporting: Reporting
    training: TrainingTask
    rollouts: RolloutSteps
    drift: DriftTask
    drift_columns: DriftColumns
    routing: Routing
    experiments: ExperimentTask
    serving: Serving
    models: ModelStore
    state: FeatureState
    placement: Placement
    machine: MachineWatch
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
    settings: LiveSettings,
    health: Callable[[], Health],
) -> Parts:
    """Wire the tasks of an instance to its ports."""
    shared = Shared(
        config, ports, metrics, state, Serving(champion), owner, watch, *_inboxes(config.engine)
    )
    topics, params = shared.topics, config.engine
    names = {topics.transactions: shared.inbox, topics.feedback: shared.feedback_inbox}
    dispatcher = Dispatcher(ports.broker, names, params, clock_s=clock_s)
    dead_letters = DeadLetters(ports.broker, topics.dead_letters, metrics)
    alerts = _alerts(shared)
    placement = _placement(shared)
    labels = _labels(shared, placement)
    summaries = watching.summaries(shared)
    arm_notes = experimenting.arm_notes(shared)
    checkpoints = _checkpoints(shared, [alerts, summaries, arm_notes], labels)
    loader = _loader(shared)
    machine = machine_watch(shared, loader)
    scoring = _scoring(
        shared, loader, alerts, summaries, arm_notes, dead_letters, placement, machine.record_clock
    )
    pipeline = Pipeline(
        inbox=shared.inbox, scoring=scoring, checkpoints=checkpoints, labels=labels, loader=loader,
        relief=machine.relief, params=params, clock_s=clock_s,
    )  # fmt: skip
    feedback = control_plane.feedback(shared, dead_letters)
    ownership = _ownership(shared, dispatcher, pipeline, checkpoints, labels, feedback)
    known = control_plane.remembered(config, ports, memory)
    operating = asking.operating(shared, settings)
    shared.ports = ports = replace(ports, models=SteadyModels(ports.models, memory, known))
    deployment = control_plane.deployment(shared, known)
    drift = watching.drift(shared, operating)
    rollouts = rolling_out.rollouts(shared, operating)
    return Parts(
        dispatcher=dispatcher,
        pipeline=pipeline,
        feedback=feedback,
        labels=labels,
        loader=loader,
        checkpoints=checkpoints,
        alerts=alerts,
        summaries=summaries,
        operating=operating,
        ownership=ownership,
        deployment=deployment,
        reporting=control_plane.reporting(shared, deployment, health),
        training=control_plane.training(shared, drift.alarm_times, rollouts, operating),
        rollouts=rollouts,
        drift=drift,
        drift_columns=watching.drift_columns(shared, summaries),
        routing=experimenting.routing(shared, deployment),
        experiments=experimenting.experiments(shared, operating),
        models=ports.models,
        serving=shared.serving,
        state=state,
        partitions=shared.partitions,
        placement=placement,
        machine=machine,
    )


def _checkpoints(
    shared: Shared, participants: Sequence[Participant], labels: LabelTail
) -> Checkpoints:
    ports = shared.ports
    return Checkpoints(
        ports.broker, ports.store, shared.state, participants, shared.partitions,
        shared.progress, shared.metrics, shared.config.engine, labels_log=labels.log,
        owner=shared.owner, watch=shared.watch, clock_s=clock_s,
    )  # fmt: skip


def _placement(shared: Shared) -> Placement:
    return Placement(
        shared.state, shared.ports.store, shared.partitions, shared.config.kafka.partitioner,
        shared.metrics, logs=log_numbers(shared.owner.log_names()),
    )  # fmt: skip


def _loader(shared: Shared) -> EntityLoader:
    return EntityLoader(
        shared.state, shared.ports.store, shared.metrics, shared.config.engine,
        partitions=shared.partitions, watch=shared.watch, clock_s=clock_s,
    )  # fmt: skip


def _inboxes(params: EngineParams) -> tuple[Inbox, Inbox]:
    """Of transactions, and of feedback."""
    size = params.inbox_batch_count_max
    return Inbox(size, small_count=params.batch_count_max // 2), Inbox(size)


def _alerts(shared: Shared) -> Alerts:
    config, ports = shared.config, shared.ports
    return Alerts(
        ports.broker,
        ports.explainer,
        shared.topics.alerts,
        config.features,
        shared.metrics,
        config.engine,
        clock_s=clock_s,
    )


def _labels(shared: Shared, placement: Placement) -> LabelTail:
    ports, topic = shared.ports, shared.topics.labels
    return LabelTail(
        ports.tail,
        topic,
        ports.broker.log_of(topic),
        ports.store,
        list(shared.state.tables),
        shared.partitions,
        placement,
        shared.metrics,
        shared.config.engine,
    )


def _rules_of(config: Config) -> Rules:
    """What a configuration says of decisions."""
    return Rules(config.policy, config.deployment.shadow_share, config.version)


def _judge(shared: Shared) -> Judge:
    slow_s = shared.config.trial.batch_ms_max / 1000.0
    judge = Judge(
        shared.serving, _rules_of(shared.config), shared.metrics, batch_s_max=slow_s,
        fallback=shared.config.fallback,
    )  # fmt: skip

    def reload(config: Config) -> None:
        judge.rules = _rules_of(config)

    shared.reloaders.append(reload)
    return judge


def _scoring(
    shared: Shared,
    loader: EntityLoader,
    alerts: Alerts,
    summaries: Summaries,
    arm_notes: ArmNotes,
    dead_letters: DeadLetters,
    placement: Placement,
    record_clock: RecordClock,
) -> Scoring:
    config = shared.config
    return Scoring(
        broker=shared.ports.broker,
        state=shared.state,
        loader=loader,
        judge=_judge(shared),
        alerts=alerts,
        summaries=summaries,
        arm_notes=arm_notes,
        dead_letters=dead_letters,
        partitions=shared.partitions,
        schema=config.schema,
        topics=config.topics,
        input_name=shared.owner.name,
        placement=placement,
        record_clock=record_clock,
        metrics=shared.metrics,
    )


def _ownership(
    shared: Shared,
    dispatcher: Dispatcher,
    pipeline: Pipeline,
    checkpoints: Checkpoints,
    labels: LabelTail,
    feedback: FeedbackTask,
) -> Ownership:
    return Ownership(
        broker=shared.ports.broker,
        store=shared.ports.store,
        state=shared.state,
        dispatcher=dispatcher,
        pipeline=pipeline,
        checkpoints=checkpoints,
        labels=labels,
        partitions=shared.partitions,
        progress=shared.progress,
        other_inboxes=[shared.feedback_inbox],
        input_topic=shared.topics.transactions,
        counted_to=feedback.counted_to,
        owner=shared.owner,
        watch=shared.watch,
        params=shared.config.engine,
    )
