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
class VersionCounts:
    """What an instance has counted of the decisions of one version of the model.

    Attributes
    ----------
    probability_sum
        Of the decisions' probabilities.
    score_s
        What scoring took.
    failure_count
        How often it could not score what came.
    """

    decision_count: int = 0
    alert_count: int = 0
    probability_sum: float = 0.0
    score_s: float = 0.0
    failure_count: int = 0

    def __sub__(self, before: "VersionCounts") -> "VersionCounts":
        """What was counted since."""
        return VersionCounts(
            self.decision_count - before.decision_count,
            self.alert_count - before.alert_count,
            self.probability_sum - before.probability_sum,
            self.score_s - before.score_s,
            self.failure_count - before.failure_count,
        )


def harm(former: VersionCounts, champion: VersionCounts, params: WatchParams) -> str | None:
    """What is wrong with the new model, in a sentence; None as long as nothing is.

    Rates are compared on the logarithm of their ratio, whose standard error for counts a and b is
    sqrt(1/a + 1/b); half an alert is added on both sides, so that none at all is a finding, too.

    Parameters
    ----------
    former
        Of the version that served before, up to the take-over.
    champion
        Of the new one, from there on.
    """
    if champion.failure_count > 0:
        return "it cannot score what comes"
    decided, decided_before = champion.decision_count, former.decision_count
    if min(decided, decided_before) < params.decision_count_min:
        return None
    alerts, alerts_before = champion.alert_count + 0.5, former.alert_count + 0.5
    share, share_before = alerts / decided, alerts_before / decided_before
    error = math.sqrt(1 / alerts + 1 / alerts_before)
    is_far = abs(math.log(share / share_before)) > params.z_min * error
    if is_far and not 1 / params.alert_ratio_max <= share / share_before <= params.alert_ratio_max:
        return f"its share of alerts is {share:.4%}, before it was {share_before:.4%}"
    mean, mean_before = champion.probability_sum / decided, former.probability_sum / decided_before
    highest = params.probability_ratio_max
    if mean_before > 0 and not 1 / highest <= mean / mean_before <= highest:
        return f"its mean probability is {mean:.5f}, before it was {mean_before:.5f}"
    took, took_before = champion.score_s / decided, former.score_s / decided_before
    if took_before > 0 and took / took_before > params.latency_ratio_max:
        microseconds = f"{took * 1e6:.1f} us a transaction, before it took {took_before * 1e6:.1f}"
        return f"scoring takes {microseconds}"
    return None
