"""The promotion gate: whether a challenger may take the champion's place.

Half of all challengers that are no better have the higher AUC, so that "higher" promotes noise.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from sentinel.core.learning.gate import checks
from sentinel.core.learning.gate.checks import Check
from sentinel.core.learning.gate.delong import compare_auc
from sentinel.core.learning.gate.evidence import Bools, Evidence, PairedScores
from sentinel.core.learning.gate.paired_bootstrap import (
    bootstrap_average_precision,
    bootstrap_money,
)
from sentinel.records import Floats

Outcome = Literal["promote", "refuse", "not_yet"]


@dataclass(frozen=True, slots=True)
class GateParams:
    """When a challenger is promoted.

    Attributes
    ----------
    level
        Of significance, one-sided: of every test, and what is beyond each end of an interval.
    example_count_min, fraud_count_min
        Of recent examples, and of frauds of different groups among them and among old ones.
    mean_ratio_min, mean_ratio_max
        Of the mean probability and the prevalence.
    calibration_error_max
        Expected calibration error, as a part of the prevalence.
    old_auc_margin, old_precision_margin, segment_auc_margin
        The challenger must be worse by less.
    segment_fraud_count_min
        Segments with fewer, of different groups, are not looked at.
    flipped_share_max
        Of decisions that would be another one.
    latency_ratio_max
        Of the challenger's time to score and the champion's.
    selective_share_max, explored_count_min
        Of the labels of flagged transactions, how many may have come by an unknown chance while
        fewer than so many were explored.
    review_capacity
        Transactions that can be reviewed a day: money is counted among them.
    replicate_count, seed
        Of the bootstrap.
    """

    level: float = 0.05
    example_count_min: int = 2_000
    fraud_count_min: int = 100
    mean_ratio_min: float = 0.9
    mean_ratio_max: float = 1.1
    calibration_error_max: float = 0.4  # 0.002 at a prevalence of 0.5 %
    old_auc_margin: float = 0.02
    old_precision_margin: float = 0.05
    segment_auc_margin: float = 0.03
    segment_fraud_count_min: int = 50
    flipped_share_max: float = 0.05
    latency_ratio_max: float = 1.5
    selective_share_max: float = 0.05
    explored_count_min: int = 30
    review_capacity: int = 100
    replicate_count: int = 1_000
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.level < 0.5:
            raise ValueError(f"level must be in (0, 0.5), got {self.level}")
        if not 0 < self.mean_ratio_min < 1 < self.mean_ratio_max:
            raise ValueError("expected 0 < mean_ratio_min < 1 < mean_ratio_max")
        for name, low, high in _RANGES:
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"{name} must be in {low:g}..{high:g}, got {value}")
        if 2 / (1 + self.replicate_count) > self.level:
            raise ValueError(f"{self.replicate_count} replicates cannot show a level {self.level}")


_RANGES = (
    ("example_count_min", 1, 1e9),
    ("fraud_count_min", 2, 1e9),  # of one group the variance is not known
    ("segment_fraud_count_min", 2, 1e9),
    ("explored_count_min", 1, 1e9),
    ("calibration_error_max", 0, 100),
    ("old_auc_margin", 0, 1),
    ("old_precision_margin", 0, 1),
    ("segment_auc_margin", 0, 1),
    ("flipped_share_max", 0, 1),
    ("selective_share_max", 0, 1),
    ("latency_ratio_max", 0.1, 1000),
    ("review_capacity", 1, 1e9),
    ("replicate_count", 100, 100_000),
    ("seed", 0, 2**63 - 1),
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the gate decides, and all that it asked."""

    outcome: Outcome
    checks: tuple[Check, ...]


def judge(evidence: Evidence, params: GateParams) -> Verdict:
    """Whether the challenger may take the champion's place.

    It is promoted if its AUC or its average precision is significantly better (DeLong's test and
    the paired bootstrap, adjusted after Holm for there being two), if nothing fails, and if there
    is enough of all that is required; refused as soon as anything fails; otherwise not yet.

    Of 3,318 simulated challengers that were no better (10,000 examples, 4 % fraud, each sample seen
    from both sides), 4.2 % were promoted and 5.3 % were found to be better; with five rows an
    account, half of whose errors are in common, 2.7 % and 4.8 %; of 1,742 at 20,000 examples and
    2 % fraud, 4.6 % and 5.3 % (standard errors 0.3 to 0.5). The others were to wait, or failed
    elsewhere. So the rate is below 7 %, of challengers judged once. One that waits must be
    significantly better again when it is; but one that was refused and is asked about again, or
    one of many that are judged on the same examples, has a chance each time.

    Selective examples are left out of every measure where explored ones stand for them.
    """
    alone = [_selective(evidence, params), _latency(evidence, params)]
    evidence = evidence.where(_is_measured(evidence, params))
    counts = _size(evidence, params)
    if any(check.status == "too_little" for check in counts):
        return _verdict([*alone, *counts])
    return _verdict(
        [
            *alone,
            *counts,
            _flipped(evidence, params),
            *_recent(evidence, params),
            *_calibration(evidence.challenger_probability, evidence.recent, params),
            *_old(evidence.old, params),
            *_segments(evidence, params),
        ]
    )


def judge_recalibration(
    evidence: Evidence, champion_probability: Floats, params: GateParams
) -> Verdict:
    """Whether the champion's own trees with another calibration may take its place.

    They rank as they did, so that no measure of ranking can be better. Promoted is what mends a
    fault: the champion's probabilities fail the checks of calibration that the gate makes, and the
    new ones pass all of them. A champion that passes, or about which there is doubt, is left alone:
    of 600 simulated ones that were right (10,000 examples, 1.5 % or 4 % fraud, calibrated anew on
    as many others) none was replaced.

    Parameters
    ----------
    evidence
        Its `challenger_probability` is by the new calibration.
    champion_probability
        float64 (n,): the champion's own, of the recent examples.
    """
    alone = [_selective(evidence, params)]
    is_measured = _is_measured(evidence, params)
    evidence, champion_probability = evidence.where(is_measured), champion_probability[is_measured]
    counts = _size(evidence, params)
    if any(check.status == "too_little" for check in counts):
        return _verdict([*alone, *counts])
    before = _calibration(champion_probability, evidence.recent, params)
    after = _calibration(evidence.challenger_probability, evidence.recent, params)
    return _verdict([*alone, *counts, checks.repair_check(before), *after])


def _selective(evidence: Evidence, params: GateParams) -> Check:
    return checks.selective(
        evidence.is_flagged,
        evidence.is_selective,
        evidence.is_explored,
        share_max=params.selective_share_max,
        explored_count_min=params.explored_count_min,
    )


def _is_measured(evidence: Evidence, params: GateParams) -> Bools:
    """Without selective examples where explored ones stand for them."""
    if int(evidence.is_explored.sum()) >= params.explored_count_min:
        return ~evidence.is_selective
    return np.ones(len(evidence.recent), dtype=np.bool_)


def _size(evidence: Evidence, params: GateParams) -> list[Check]:
    return checks.size(
        evidence.recent,
        example_count_min=params.example_count_min,
        fraud_count_min=params.fraud_count_min,
    )


def _verdict(found: list[Check]) -> Verdict:
    if any(check.status == "failed" for check in found):
        return Verdict("refuse", tuple(found))
    if any(check.status == "too_little" and check.is_required for check in found):
        return Verdict("not_yet", tuple(found))
    return Verdict("promote", tuple(found))


def _latency(evidence: Evidence, params: GateParams) -> Check:
    ratio, highest = evidence.latency_ratio, params.latency_ratio_max
    sentence = f"scoring takes {ratio:.2f} times as long, at most {highest:g} is allowed"
    return checks.within("latency", ratio, highest, sentence)


def _flipped(evidence: Evidence, params: GateParams) -> Check:
    is_flipped = evidence.champion_actions != evidence.challenger_actions
    share = float(np.average(is_flipped, weights=evidence.recent.weights))
    highest = params.flipped_share_max
    sentence = f"{share:.4f} of the decisions would be another one, at most {highest:g} is allowed"
    return checks.within("flipped_decisions", share, highest, sentence)


def _recent(evidence: Evidence, params: GateParams) -> list[Check]:
    """The one that must be better, and all that must not be worse."""
    scores = evidence.recent
    auc = compare_auc(scores)
    if auc is None:
        return [checks.unknown("improvement", "fraud or genuine examples are of one group only")]
    draws = {"replicate_count": params.replicate_count, "seed": params.seed}
    precision = bootstrap_average_precision(scores, **draws)
    money = bootstrap_money(scores, capacity=params.review_capacity, **draws)
    return [
        checks.improvement([("auc", auc), ("average_precision", precision)], params.level),
        checks.not_worse("auc", auc, params.level),
        checks.not_worse("average_precision", precision, params.level),
        checks.not_worse("money_minor", money, params.level),
    ]


def _calibration(probability: Floats, scores: PairedScores, params: GateParams) -> list[Check]:
    allowed = (params.mean_ratio_min, params.mean_ratio_max)
    return [
        checks.mean_ratio(probability, scores, allowed, params.level),
        checks.calibration_error(probability, scores, params.calibration_error_max),
    ]


def _old(scores: PairedScores | None, params: GateParams) -> list[Check]:
    """What was learnt long ago must not be forgotten."""
    count = 0 if scores is None else scores.fraud_group_count
    auc = None if scores is None else compare_auc(scores)
    if scores is None or auc is None or count < params.fraud_count_min:
        sentence = (
            f"{count:,} old frauds of different groups, {params.fraud_count_min:,} are needed"
        )
        return [checks.unknown("old", sentence)]
    precision = bootstrap_average_precision(
        scores, replicate_count=params.replicate_count, seed=params.seed
    )
    return [
        checks.non_inferior(name, found, margin=margin, level=params.level, is_required=True)
        for name, found, margin in (
            ("old_auc", auc, params.old_auc_margin),
            ("old_average_precision", precision, params.old_precision_margin),
        )
    ]


def _segments(evidence: Evidence, params: GateParams) -> list[Check]:
    """No segment may pay for the others; those with few frauds cannot be looked at."""
    found, skipped = [], []
    for code, name in enumerate(evidence.segment_names):
        scores = evidence.recent.where(evidence.segments == code)
        auc = compare_auc(scores)
        if auc is None or scores.fraud_group_count < params.segment_fraud_count_min:
            skipped.append(name)
            continue
        found.append(
            checks.non_inferior(
                f"segment {name}",
                auc,
                margin=params.segment_auc_margin,
                level=params.level,
                is_required=False,
            )
        )
    if skipped:
        sentence = f"too few frauds to look at: {', '.join(skipped)}"
        found.append(checks.unknown("segments", sentence, is_required=False))
    return found
