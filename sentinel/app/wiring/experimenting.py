"""Wires experiments."""

from sentinel.app.wiring.control_plane import control, registrar
from sentinel.app.wiring.shared import Ports, Shared, clock_ms, clock_s
from sentinel.config import Config
from sentinel.engine.audit import AuditLog
from sentinel.engine.deployment.champion import Deployment
from sentinel.engine.experiments.desk import ExperimentDesk
from sentinel.engine.experiments.following import Routing
from sentinel.engine.experiments.promoting import Promoter
from sentinel.engine.experiments.task import WHO, ExperimentTask
from sentinel.engine.operating.following import OperatingTask
from sentinel.engine.scoring.arms.arm_counts import ArmNotes


def routing(shared: Shared, deployment: Deployment) -> Routing:
    """What routes on this instance as the plan says."""
    config, ports = shared.config, shared.ports
    return Routing(
        ports.experiments,
        ports.routing_tail,
        shared.serving,
        deployment,
        secret=config.experiments.secret,
        clock_s=clock_s,
    )


def arm_notes(shared: Shared) -> ArmNotes:
    """What notes what arms decide on this instance."""
    return ArmNotes(shared.ports.broker, shared.topics.outcomes, shared.partitions)


def desk(config: Config, ports: Ports, *, who: str) -> ExperimentDesk:
    """What changes experiments in somebody's name, and tells of it."""
    topics = config.topics.in_full()
    audit = AuditLog(ports.broker, topics.audit)
    return ExperimentDesk(
        ports.experiments, ports.broker, topics.experiments, audit, who=who, clock_ms=clock_ms
    )


def experiments(shared: Shared, operating: OperatingTask) -> ExperimentTask:
    """What looks after experiments, where the control plane is."""
    config, ports, topics = shared.config, shared.ports, shared.topics
    ours = desk(config, ports, who=WHO)
    teller = registrar(config, ports, who=WHO)
    promoter = Promoter(
        ports.models, teller, ours, needs_approval=config.updates.needs_approval,
        is_paused=operating.asks("rollouts"),
    )  # fmt: skip
    return ExperimentTask(
        control(shared),
        ports.broker,
        ports.experiments_tail,
        ports.experiments,
        ports.models,
        ours,
        promoter,
        shared.metrics,
        config.experiments,
        topic=topics.outcomes,
        example_topic=topics.examples,
        clock_s=clock_s,
    )
