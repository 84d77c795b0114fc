"""Wires the tasks that judge feedback, train, and bring a version to serve."""

from collections.abc import Callable

from sentinel.app.wiring.shared import Ports, Shared, clock_ms, clock_s
from sentinel.codec.feedback.checking import FeedbackBounds
from sentinel.config import Config
from sentinel.core.learning.triggers import AlarmTimes
from sentinel.engine.audit import AuditLog
from sentinel.engine.control import ControlPlane
from sentinel.engine.dead_letters import DeadLetters
from sentinel.engine.deployment.champion import Deployment
from sentinel.engine.deployment.reporting import Reporting
from sentinel.engine.feedback.task import FeedbackTask
from sentinel.engine.health import Health
from sentinel.engine.operating.following import OperatingTask
from sentinel.engine.registry.registrar import Registrar
from sentinel.engine.registry.remembered import RegistryMemory, RememberedRegistry
from sentinel.engine.rollouts.rolling import RolloutSteps
from sentinel.engine.updates.awaiting import Awaiting
from sentinel.engine.updates.intake import Intake
from sentinel.engine.updates.journal import Journal
from sentinel.engine.updates.making import Making
from sentinel.engine.updates.promotion import Promotion
from sentinel.engine.updates.reader import Reader
from sentinel.engine.updates.savepoints import Savepoints
from sentinel.engine.updates.steps import steps_of
from sentinel.engine.updates.training import TrainingTask
from sentinel.engine.updates.watching import Watching
from sentinel.ports import ModelStore
from sentinel.records import TopicPartition
from sentinel.stored.versions import ServingReport

REMEMBERED_WHO = "sentinel run"  # puts back what the registry has lost


def registrar(
    config: Config, ports: Ports, *, who: str, models: ModelStore | None = None
) -> Registrar:
    """What changes the registry in somebody's name, and tells of it."""
    topics = config.topics
    return Registrar(
        ports.models if models is None else models,
        ports.broker,
        update_topic=topics.full(topics.model_updates),
        audit=AuditLog(ports.broker, topics.full(topics.audit)),
        who=who,
        clock_ms=clock_ms,
    )


def feedback(shared: Shared, dead_letters: DeadLetters) -> FeedbackTask:
    """What judges feedback."""
    config, topics = shared.config, shared.topics
    return FeedbackTask(
        broker=shared.ports.broker,
        store=shared.ports.cases,
        inbox=shared.feedback_inbox,
        control=control(shared),
        feedback_topic=topics.feedback,
        label_topic=topics.labels,
        audit=AuditLog(shared.ports.broker, topics.audit),
        dead_letters=dead_letters,
        progress=shared.progress,
        metrics=shared.metrics,
        params=config.feedback,
        consensus=config.consensus,
        base_rate=lambda: shared.serving.champion.base_rate,
        bounds=FeedbackBounds.of(config.schema),
        outage_s_max=config.engine.outage_s_max,
    )


def control(shared: Shared) -> ControlPlane:
    return ControlPlane(shared.ports.broker, TopicPartition(shared.topics.feedback, 0))


def remembered(config: Config, ports: Ports, memory: RegistryMemory) -> RememberedRegistry:
    """The registry as this process has seen it."""
    teller = registrar(config, ports, who=REMEMBERED_WHO)
    return RememberedRegistry(memory, ports.models, teller, ports.copies)


def deployment(shared: Shared, known: RememberedRegistry) -> Deployment:
    """What follows the registry."""
    config, ports = shared.config, shared.ports
    following = Deployment(
        store=ports.models,
        remembered=known,
        tail=ports.model_updates_tail,
        serving=shared.serving,
        features=[feature.name for feature in config.features],
        metrics=shared.metrics,
        params=config.deployment,
        clock_s=clock_s,
        explainer=ports.explainer,
    )

    def reload(config: Config) -> None:
        following.params = config.deployment

    shared.reloaders.append(reload)
    return following


def reporting(shared: Shared, following: Deployment, health: Callable[[], Health]) -> Reporting:
    """What tells others what serves here, and how the instance is."""
    config, ports, serving = shared.config, shared.ports, shared.serving

    def now() -> ServingReport:
        how = health()
        return ServingReport(
            instance=ports.name,
            version=serving.champion.version,
            champion=following.wanted,
            why=following.why,
            is_pinned=bool(config.model.version),
            shadow="" if serving.shadow is None else serving.shadow.version,
            shadow_why=following.shadow_trouble,
            unexplained=following.unexplained,
            health=how.status,
            health_reasons=how.reasons,
        )

    return Reporting(ports.reports, now, clock_ms=clock_ms)


def training(
    shared: Shared,
    alarm_times: Callable[[], AlarmTimes],
    rolling: RolloutSteps,
    operating: OperatingTask,
) -> TrainingTask:
    """What makes model updates, and takes them through their rollouts."""
    config, ports, metrics, topics = shared.config, shared.ports, shared.metrics, shared.topics
    updates = config.updates
    awaiting = Awaiting(
        ports.models, ports.trainer, updates.triggers, clock_s=clock_s, clock_ms=clock_ms
    )
    watching = Watching(
        ports.models,
        ports.trainer,
        metrics,
        updates.watch,
        compare_after_count=updates.compare_after_count,
    )
    teller = registrar(config, ports, who="training")
    reader = Reader(
        ports.broker,
        ports.training_tail,
        Intake(ports.trainer, metrics),
        Savepoints(ports.savepoints, ports.trainer, updates.savepoint),
        watching,
        example_topic=topics.examples,
        control_topic=topics.control,
    )
    making = Making(
        ports.models,
        ports.trainer,
        teller,
        awaiting,
        metrics,
        updates,
        alarm_times,
        config.rollouts,
        config_version=config.version,
        is_paused=operating.asks("learning"),
    )
    may_not = operating.asks("learning", "rollouts")
    promotion = Promotion(
        ports.models, teller, watching, updates, config.rollouts, is_paused=may_not
    )

    def reload(config: Config) -> None:
        awaiting.params = config.updates.triggers
        watching.params = config.updates.watch
        promotion.params = config.updates
        making.config_version = config.version
        making.policy = watching.policy = config.policy

    shared.reloaders.append(reload)
    return TrainingTask(
        control(shared),
        reader,
        Journal(ports.models, teller),
        steps_of(making, promotion, rolling),
        awaiting=awaiting,
        watching=watching,
        rolling=rolling,
    )
