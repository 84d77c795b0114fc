"""By which steps a version comes to serve."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

from sentinel.core.experiments.definition import CANARY_SHARE_MAX, LOOK_COUNT_MAX
from sentinel.core.experiments.metrics import METRICS
from sentinel.core.features.spec import duration_ms
from sentinel.stored.rollouts import CHAMPION, StepName

STEPS: tuple[StepName, ...] = get_args(StepName)
URGENT_TRIGGERS = ("drift", "performance")


@dataclass(frozen=True, slots=True)
class RolloutParams:
    """What a candidate that the gate has let through goes through before it serves.

    Attributes
    ----------
    steps
        Some of "shadow", "canary", "ramp", in this order; none: it serves at once, watched.
    urgent_steps
        The same where a critical alarm has asked for the update.
    urgent_on
        Alarms of which kinds may do so: "drift", "performance".
    approve
        Before which steps, or "champion", a person has to agree, urgent or not.
    quiet_hours, quiet_zone
        Such as "22:00-06:00", and an IANA name: nothing that is not urgent goes on by itself then.
        Empty: there are none.
    cooldown_s
        After a rollout that did not end well, by the clock, before one that is not urgent begins.
    wait_s_max
        So long, by the clock, a rollout waits for a person; then it is refused.
    equal
        What becomes of a version that a step has found neither better nor worse: "go_on", as the
        gate has found it better, or "refuse".
    layer, metric, looks
        Of the experiments that judge the steps.
    shadow_share, shadow_for
        Of the transactions that the version scores beside the champion, and for how long, in event
        time; what happened then is looked at when it has matured.
    canary_share, canary_for, urgent_canary_for
        Of the accounts that the version decides for, watched by guardrails, which need no labels.
    ramp_steps, ramp_step, ramp_for
        The shares of a ramp, how long each lasts at least, and how long outcomes are counted.
    """

    steps: tuple[str, ...] = ("shadow", "canary", "ramp")
    urgent_steps: tuple[str, ...] = ("canary",)
    urgent_on: tuple[str, ...] = ("drift", "performance")
    approve: tuple[str, ...] = ()
    quiet_hours: str = ""
    quiet_zone: str = "UTC"
    cooldown_s: float = 21_600.0
    wait_s_max: float = 1_209_600.0
    equal: str = "go_on"
    layer: str = "main"
    metric: str = "fraud_loss"
    looks: int = 20
    shadow_share: float = 0.2
    shadow_for: str = "7d"
    canary_share: float = 0.05
    canary_for: str = "1d"
    urgent_canary_for: str = "6h"
    ramp_steps: tuple[float, ...] = (0.05, 0.25, 0.5)
    ramp_step: str = "1d"
    ramp_for: str = "14d"

    def __post_init__(self) -> None:
        for name in ("steps", "urgent_steps"):
            _check_steps(name, getattr(self, name))
        _check_among("urgent_on", self.urgent_on, URGENT_TRIGGERS)
        _check_among("approve", self.approve, (*STEPS, CHAMPION))
        if self.equal not in ("go_on", "refuse"):
            raise ValueError(f'equal must be "go_on" or "refuse", got "{self.equal}"')
        if self.metric not in METRICS:
            raise ValueError(f'metric must be one of {sorted(METRICS)}, got "{self.metric}"')
        if not 1 <= self.looks <= LOOK_COUNT_MAX:
            raise ValueError(f"looks must be in 1..{LOOK_COUNT_MAX}, got {self.looks}")
        if not 0 <= self.cooldown_s <= 1e10 or not 60 <= self.wait_s_max <= 1e10:
            raise ValueError("cooldown_s must be in 0..1e10, wait_s_max in 60..1e10")
        self._check_shares()
        self._check_times()

    @property
    def is_used(self) -> bool:
        """Whether anything can stand between the gate and the champion's place."""
        return bool(self.steps or self.urgent_steps or self.approve or self.quiet_hours)

    def steps_for(self, *, is_urgent: bool) -> tuple[StepName, ...]:
        """Those that a version takes before it serves."""
        chosen = self.urgent_steps if is_urgent else self.steps
        return tuple(step for step in STEPS if step in chosen)

    def _check_shares(self) -> None:
        if not 0 < self.shadow_share <= 1:
            raise ValueError(f"shadow_share must be in (0, 1], got {self.shadow_share}")
        if not 0 < self.canary_share <= CANARY_SHARE_MAX:
            raise ValueError(f"canary_share must be in (0, {CANARY_SHARE_MAX:g}]")
        ascending = list(self.ramp_steps) == sorted(set(self.ramp_steps))
        if len(self.ramp_steps) < 2 or not ascending or not self.ramp_steps[0] > 0:
            raise ValueError("ramp_steps must be two shares or more, ascending from above 0")
        if self.ramp_steps[-1] >= 1:
            raise ValueError("ramp_steps must end below 1: without a control nothing is compared")

    def _check_times(self) -> None:
        for name in ("shadow_for", "canary_for", "urgent_canary_for", "ramp_step", "ramp_for"):
            if duration_ms(getattr(self, name)) < self.looks * 60_000 and name.endswith("for"):
                raise ValueError(f"{name} must be at least {self.looks} minutes, one a look")
        if duration_ms(self.ramp_step) * (len(self.ramp_steps) - 1) >= duration_ms(self.ramp_for):
            raise ValueError("ramp_for must be longer than the steps before the last take together")


def _check_steps(name: str, steps: Sequence[str]) -> None:
    _check_among(name, steps, STEPS)
    if list(steps) != [step for step in STEPS if step in steps]:
        raise ValueError(f"{name} must be in the order of {list(STEPS)}, each once")


def _check_among(name: str, values: Sequence[str], allowed: Sequence[str]) -> None:
    if unknown := [value for value in values if value not in allowed]:
        raise ValueError(f"{name} must be of {list(allowed)}, got {unknown[0]!r}")
