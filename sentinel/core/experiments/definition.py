"""What an experiment may compare: fixed from its start, so that its statistics mean something."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, get_args

from sentinel.core.decision import PolicyParams
from sentinel.core.experiments.metrics import METRICS
from sentinel.core.features.spec import duration_ms
from sentinel.stored.experiments import ArmSpec, Decider, Definition, Design

ARM_COUNT_MAX = 8
LOOK_COUNT_MAX = 100
CANARY_SHARE_MAX = 0.1

# What an arm may set of the policy; the rest is told to people, and is nobody's arm.
POLICY_SETTINGS = (
    *("review_min", "block_min", "medium_min", "high_min", "critical_min"),
    *("explore_share", "explore_amount_minor_max"),
)
_WORD = re.compile(r"[a-z0-9](?:[a-z0-9_-]{0,38}[a-z0-9])?")
_TOLERANCE = 1e-9


def policy_over(base: PolicyParams, told: Mapping[str, float]) -> PolicyParams:
    """The policy of an arm that sets something. Raises ValueError where that does not fit."""
    changes: dict[str, Any] = {
        name: int(value) if name == "explore_amount_minor_max" else float(value)
        for name, value in told.items()
    }
    return replace(base, **changes) if changes else base


def check_definition(one: Definition) -> None:
    """Raises ValueError, which says what of it is not possible, and what is."""
    for word, what in ((one.name, "name"), (one.layer, "layer")):
        if not _WORD.fullmatch(word):
            raise ValueError(
                f"{what} must be 1 to 40 of a-z, 0-9, - and _, and begin and end with a letter "
                f'or digit, got "{word}"'
            )
    if one.design not in get_args(Design):
        raise ValueError(f'design must be one of {get_args(Design)}, got "{one.design}"')
    _check_arms(one.arms, one.design)
    _check_shares(one)
    if not 0 < one.traffic <= 1:
        raise ValueError(f"traffic must be in (0, 1], got {one.traffic}")
    if one.metric not in METRICS:
        raise ValueError(f'metric must be one of {sorted(METRICS)}, got "{one.metric}"')
    _check_times(one)
    _check_decider(one)
    if not 0.001 <= one.alpha <= 0.2:
        raise ValueError(f"alpha must be in 0.001..0.2, got {one.alpha}")
    if not 0.001 <= one.effect <= 10:
        raise ValueError(f"effect must be in 0.001..10, got {one.effect}")
    if empty := [name for name, values in one.segments.items() if not values]:
        raise ValueError(f"segments: {empty} have no values")


def shares_of(one: Definition, step: int) -> tuple[float, ...]:
    """The share of each arm at a step, that of the control first."""
    own = sum(arm.share for arm in one.challengers)
    scale = one.steps[step] / own if one.steps else 1.0
    others = [arm.share * scale for arm in one.challengers]
    return (1.0 - sum(others), *others)


def starts_of(one: Definition) -> tuple[float, ...]:
    """Where each challenger's part of [0, 1) begins: it grows from there, and never moves."""
    begins, at = [], 0.0
    for arm in one.challengers:
        begins.append(at)
        at += arm.share
    return tuple(begins)


def _check_arms(arms: Sequence[ArmSpec], design: Design) -> None:
    names = [arm.name for arm in arms]
    if not 2 <= len(arms) <= ARM_COUNT_MAX:
        raise ValueError(f"an experiment has 2 to {ARM_COUNT_MAX} arms, got {len(arms)}")
    if bad := [name for name in names if not _WORD.fullmatch(name)]:
        raise ValueError(f"arms are named with a-z, 0-9, - and _, got {bad}")
    if len(set(names)) < len(names):
        raise ValueError(f"two arms have the same name: {names}")
    for arm in arms:
        if unknown := sorted(set(arm.policy) - set(POLICY_SETTINGS)):
            raise ValueError(f"arm {arm.name} sets {unknown}; an arm may set {POLICY_SETTINGS}")
    if design == "shadow" and (len(arms) != 2 or not arms[1].version or arms[0].version):
        raise ValueError(
            "a shadow experiment has two arms: the champion, without a version, and a challenger "
            "with one"
        )
    if design == "shadow" and any(arm.policy for arm in arms):
        raise ValueError("a shadow experiment compares models by their scores: no arm has a policy")


def _check_shares(one: Definition) -> None:
    shares = [arm.share for arm in one.arms]
    if any(not 0 < share <= 1 for share in shares):
        raise ValueError(f"shares must be in (0, 1], got {shares}")
    if one.design == "shadow":
        if one.steps:
            raise ValueError("a shadow experiment has no steps")
        return
    if abs(sum(shares) - 1) > _TOLERANCE:
        raise ValueError(f"the shares of the arms must sum to 1, got {sum(shares):g}")
    others = sum(shares[1:])
    if one.design == "canary" and others > CANARY_SHARE_MAX + _TOLERANCE:
        raise ValueError(
            f"a canary takes at most {CANARY_SHARE_MAX:g} of the accounts, got {others:g}"
        )
    if (one.design == "ramp") != (len(one.steps) > 1):
        raise ValueError("a ramp has at least two steps, and nothing else has steps")
    if one.steps:
        if not all(before < after for before, after in pairwise((0.0, *one.steps))):
            raise ValueError(f"the steps of a ramp must ascend from above 0, got {one.steps}")
        if abs(one.steps[-1] - others) > _TOLERANCE:
            raise ValueError(
                f"the last step of a ramp is the share of its challengers, {others:g}, "
                f"got {one.steps[-1]:g}"
            )


def _check_decider(one: Definition) -> None:
    if one.decides not in get_args(Decider):
        raise ValueError(f'decides must be one of {get_args(Decider)}, got "{one.decides}"')
    if one.decides == "guardrails" and (one.design != "canary" or len(one.arms) != 2):
        raise ValueError("guardrails decide alone of a canary with one challenger, nothing else")


def _check_times(one: Definition) -> None:
    if not 1 <= one.looks <= LOOK_COUNT_MAX:
        raise ValueError(f"looks must be in 1..{LOOK_COUNT_MAX}, got {one.looks}")
    for name in ("duration", "step", "maturity"):
        if text := getattr(one, name):
            duration_ms(text)
    if duration_ms(one.duration) < one.looks * 60_000:
        raise ValueError("duration must be at least a minute a look")
