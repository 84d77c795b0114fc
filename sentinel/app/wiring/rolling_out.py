"""Wires rollouts."""

from sentinel.app.wiring.control_plane import registrar
from sentinel.app.wiring.experimenting import desk
from sentinel.app.wiring.shared import Shared, clock_ms
from sentinel.engine.audit import AuditLog
from sentinel.engine.operating.following import OperatingTask
from sentinel.engine.rollouts.desk import RolloutDesk
from sentinel.engine.rollouts.rolling import ROLLING_WHO, RolloutSteps
from sentinel.engine.rollouts.step_experiments import Assigning, StepExperiments


def rollouts(shared: Shared, operating: OperatingTask) -> RolloutSteps:
    """What takes versions through the steps before they serve."""
    config, ports, topics = shared.config, shared.ports, shared.topics
    experiments = StepExperiments(
        ports.experiments,
        ports.models,
        desk(config, ports, who=ROLLING_WHO),
        config.rollouts,
        Assigning(config.experiments.secret, config.experiments.holdout),
        clock_ms=clock_ms,
    )
    audit = AuditLog(ports.broker, topics.audit)
    return RolloutSteps(
        RolloutDesk(
            ports.rollouts, ports.broker, topics.rollouts, audit,
            who=ROLLING_WHO, clock_ms=clock_ms,
        ),
        experiments,
        ports.models,
        registrar(config, ports, who=ROLLING_WHO),
        config.rollouts,
        is_paused=operating.asks("rollouts"),
    )  # fmt: skip
