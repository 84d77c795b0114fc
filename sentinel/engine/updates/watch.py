"""Whether a model that has just taken over hurts, judged by what this instance sees of it."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WatchParams:
    """When a new champion goes back by itself.

    Attributes
    ----------
    watch_s
        For so long, in event time, it is watched.
    decision_count_min
        Before so many decisions nothing is said of it.
    alert_ratio_max
        Its share of alerts may be so many times that of before, or one so-manieth of it.
    probability_ratio_max
        The same of the mean probability.
    latency_ratio_max
        What scoring a transaction may take, by what it took before.
    z_min
        A ratio counts when it is so many standard errors away from 1.
    is_automatic
        Whether it goes back at all; else it is only said.
    """

    watch_s: float = 7 * 86_400.0
    decision_count_min: int = 5_000
    alert_ratio_max: float = 2.0
    probability_ratio_max: float = 3.0
    latency_ratio_max: float = 3.0
    z_min: float = 5.0
    is_automatic: bool = True

    def __post_init__(self) -> None:
        if self.watch_s < 0 or self.decision_count_min < 1 or self.z_min < 0:
            raise ValueError("watch_s and z_min must be >= 0, decision_count_min at least 1")
        ratios = (self.alert_ratio_max, self.probability_ratio_max, self.latency_ratio_max)
        if min(ratios) <= 1:
            raise ValueError("the ratios must be above 1")


@dataclass(frozen=True, slots=True)
class Baseline:
    """What an instance has counted at a moment.

    Attributes
    ----------
    decision_count, alert_count
        Of this instance, since it started.
    probability_sum
        Of the decisions' probabilities.
    score_s
        What scoring took.
    failure_count
        How often a model that served could not score what came.
    """

    decision_count: int = 0
    alert_count: int = 0
    probability_sum: float = 0.0
    score_s: float = 0.0
    failure_count: int = 0


def harm(before: Baseline, now: Baseline, params: WatchParams) -> str | None:
    """What is wrong with the new model, in a sentence; None as long as nothing is.

    Rates are compared on the logarithm of their ratio, whose standard error for counts a and b is
    sqrt(1/a + 1/b); half an alert is added on both sides, so that none at all is a finding, too.

    Parameters
    ----------
    before
        What was counted up to the take-over, from the start of the instance on.
    now
        The same by now, the take-over behind it.
    """
    if now.failure_count > before.failure_count:
        return "it cannot score what comes"
    decided = now.decision_count - before.decision_count
    if decided < params.decision_count_min or before.decision_count < params.decision_count_min:
        return None
    alerts = now.alert_count - before.alert_count + 0.5
    alerts_before = before.alert_count + 0.5
    ratio = (alerts / decided) / (alerts_before / before.decision_count)
    error = math.sqrt(1 / alerts + 1 / alerts_before)
    is_far = abs(math.log(ratio)) > params.z_min * error
    if is_far and not 1 / params.alert_ratio_max <= ratio <= params.alert_ratio_max:
        return (
            f"its share of alerts is {alerts / decided:.4%}, before it was "
            f"{alerts_before / before.decision_count:.4%}"
        )
    mean = (now.probability_sum - before.probability_sum) / decided
    mean_before = before.probability_sum / before.decision_count
    highest = params.probability_ratio_max
    if mean_before > 0 and not 1 / highest <= mean / mean_before <= highest:
        return f"its mean probability is {mean:.5f}, before it was {mean_before:.5f}"
    took = (now.score_s - before.score_s) / decided
    took_before = before.score_s / before.decision_count
    if took_before > 0 and took / took_before > params.latency_ratio_max:
        microseconds = f"{took * 1e6:.1f} us a transaction, before it took {took_before * 1e6:.1f}"
        return f"scoring takes {microseconds}"
    return None
