"""How far the guardrails of an experiment are from stopping it."""

import math
from dataclasses import dataclass

from sentinel.core.experiments.guardrails.params import GuardrailParams
from sentinel.engine.experiments.guarding import Guard
from sentinel.stored.experiments import Definition


@dataclass(frozen=True, slots=True)
class GuardState:
    """One guardrail of one arm.

    Attributes
    ----------
    evidence
        That its limit is exceeded, as so much to 1.
    needed
        What stops the arm.
    """

    arm: str
    guardrail: str
    limit: float
    evidence: float
    needed: float


def guard_states(
    definition: Definition, params: GuardrailParams, kept: bytes | None
) -> list[GuardState]:
    """As they were kept last; none before anything was counted."""
    if kept is None:
        return []
    guard = Guard(definition, params, kept)
    return [
        GuardState(arm, name, limit, math.exp(min(log_e, _LOG_MAX)), 1 / params.alpha)
        for arm, name, limit, log_e in guard.standing()
    ]


_LOG_MAX = 100.0  # more evidence than that says no more
