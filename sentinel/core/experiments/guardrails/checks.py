"""The guardrails one by one: what each counts, against which limit, and how it says so."""

import math
from dataclasses import replace
from typing import Literal

from sentinel.core.experiments.guardrails.counts import LOSS_SIZES, GuardrailCounts
from sentinel.core.experiments.guardrails.evidence import Gain, gain
from sentinel.core.experiments.guardrails.params import GuardrailParams

GuardrailName = Literal["alerts", "few_alerts", "blocks", "losses", "failures", "latency"]


def limits_of(params: GuardrailParams) -> dict[GuardrailName, float]:
    """The limits of the guardrails that are switched on."""
    limits: dict[GuardrailName, float] = {
        "alerts": params.alert_ratio_max,
        "few_alerts": params.alert_ratio_min,
        "blocks": params.block_ratio_max,
        "losses": params.loss_ratio_max,
        "failures": params.failure_share_max,
        "latency": params.slow_share_max,
    }
    return {name: limit for name, limit in limits.items() if limit > 0}


def gain_of(
    name: GuardrailName,
    limit: float,
    arm: GuardrailCounts,
    control: GuardrailCounts,
    odds: float,
    slow_burst: int = 1,
) -> Gain | None:
    """What the counts of an arm and of the control say against a limit; None if nothing.

    Parameters
    ----------
    odds
        That an account of the two is the arm's: its share over the control's; 0 if one has none.
    slow_burst
        So many batches may be slow for one reason.
    """
    if name == "failures":
        return _of_share(arm.failed, arm.batches, limit)
    if name == "latency":
        return _of_share(arm.slow, arm.batches, limit, slow_burst)
    if odds == 0.0:
        return None
    at_limit = math.log(odds * limit)
    match name:
        case "alerts":
            found = gain(arm.alerted, arm.alerted + control.alerted, at_limit)
        case "few_alerts":  # what is the control's is a hit
            found = gain(control.alerted, arm.alerted + control.alerted, -at_limit)
        case "blocks":
            found = gain(arm.blocked, arm.blocked + control.blocked, at_limit)
        case "losses":
            found = _of_losses(arm.lost, control.lost, at_limit)
    return found if found.count else None


def _of_share(hits: int, count: int, limit: float, burst: int = 1) -> Gain | None:
    """If what comes together is all alike, the ratio to the power 1 / burst is that of one."""
    if count == 0:
        return None
    found = gain(hits, count, math.log(limit) - math.log1p(-limit))
    return replace(found, ratios=found.ratios / burst)


def _of_losses(lost: tuple[int, ...], of_control: tuple[int, ...], log_odds: float) -> Gain:
    """Every size by itself: of two equal arms any loss is the arm's as often as its share is."""
    parts = [
        gain(hits, hits + others, log_odds, size)
        for size, hits, others in zip(LOSS_SIZES, lost, of_control, strict=True)
    ]
    return Gain(
        sum((part.ratios for part in parts[1:]), parts[0].ratios),
        sum(lost),
        sum(lost) + sum(of_control),
        sum(part.expected for part in parts),
    )


def words_of(name: GuardrailName, limit: float, hits: int, count: int, expected: float) -> str:
    """What was counted, and how many it would have been at the limit."""
    match name:
        case "failures":
            return (
                f"its model failed to score {hits:,} of {count:,} batches; the limit is {limit:.2%}"
            )
        case "latency":
            return f"{hits:,} of {count:,} batches took too long; the limit is {limit:.2%}"
        case "few_alerts":
            hits, expected = count - hits, count - expected
            what, least = "were alerted on", "at least "
        case "alerts":
            what, least = "were alerted on", "at most "
        case "blocks":
            what, least = "were blocked", "at most "
        case "losses":
            what, least = "lost money to fraud", "at most "
    return (
        f"of {count:,} accounts that {what} for the first time, {hits:,} are its own and "
        f"{count - hits:,} the control's; within the limit ({least}{limit:g} times as many as the "
        f"control) {least}about {expected:,.0f} would be its own"
    )
