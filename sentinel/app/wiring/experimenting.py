"""Wires experiments."""

from sentinel.app.wiring.shared import Shared
from sentinel.engine.deployment.champion import Deployment
from sentinel.engine.experiments.following import Routing


def routing(shared: Shared, deployment: Deployment) -> Routing:
    """What routes on this instance as the plan says."""
    config, ports = shared.config, shared.ports
    return Routing(
        ports.experiments,
        ports.routing_tail,
        shared.serving,
        deployment,
        config.policy,
        shared.metrics,
        secret=config.experiments.secret,
    )
