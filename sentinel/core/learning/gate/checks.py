"""What the gate asks of a challenger, one question at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from scipy.special import ndtri

from sentinel.core.learning.calibration import expected_calibration_error
from sentinel.core.learning.gate.evidence import Bools, PairedScores
from sentinel.records import Floats

Status = Literal["passed", "failed", "too_little"]


@dataclass(frozen=True, slots=True)
class Check:
    """The answer to one question.

    Attributes
    ----------
    measured
        None where there was too little to measure it.
    allowed
        From where to where `measured` may be (or the end of the interval that is meant); None
        where there is no limit.
    interval
        Of what was measured, with the level of significance beyond each end.
    sentence
        For a person.
    is_required
        Whether a promotion waits for what there was too little of.
    """

    name: str
    status: Status
    measured: float | None
    allowed: tuple[float | None, float | None]
    interval: tuple[float, float] | None
    sentence: str
    is_required: bool = True


class Comparison(Protocol):
    """A measure of champion and challenger, higher is better, and how sure the difference is."""

    @property
    def champion(self) -> float: ...
    @property
    def challenger(self) -> float: ...
    @property
    def difference(self) -> float: ...
    @property
    def p_value(self) -> float: ...
    def interval(self, tail: float) -> tuple[float, float]: ...


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values in the same order, each at most 1.

    S. Holm: A simple sequentially rejective multiple test procedure, Scandinavian Journal of
    Statistics 6 (1979). Whatever the tests have to do with each other, the chance that any true
    null hypothesis has an adjusted p-value of at most a level is at most that level.
    """
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for rank, i in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = highest
    return adjusted


def within(name: str, measured: float, highest: float, sentence: str) -> Check:
    """A plain number that may be at most so high."""
    status: Status = "passed" if measured <= highest else "failed"
    return Check(name, status, measured, (None, highest), None, sentence)


def size(scores: PairedScores, *, example_count_min: int, fraud_count_min: int) -> list[Check]:
    """Whether there are examples enough, and frauds of different groups: tests need both."""
    found = []
    for name, what, count, lowest in (
        ("examples", "examples", len(scores), example_count_min),
        ("frauds", "frauds of different groups", scores.fraud_group_count, fraud_count_min),
    ):
        status: Status = "passed" if count >= lowest else "too_little"
        sentence = f"{count:,} {what}, at least {lowest:,} are needed"
        found.append(Check(name, status, float(count), (float(lowest), None), None, sentence))
    return found


def improvement(comparisons: Sequence[tuple[str, Comparison]], level: float) -> Check:
    """Whether any of the measures is significantly better, by Holm's adjusted p-values."""
    adjusted = holm([comparison.p_value for _, comparison in comparisons])
    better = [name for (name, _), p in zip(comparisons, adjusted, strict=True) if p <= level]
    lowest = min(adjusted)
    said = " and ".join(better) if better else "neither " + " nor ".join(n for n, _ in comparisons)
    sentence = f"{said} shown to be better: smallest adjusted p {lowest:.4f}, limit {level:g}"
    status: Status = "passed" if better else "failed"
    return Check("improvement", status, lowest, (None, level), None, sentence)


def repair_check(champion: Sequence[Check]) -> Check:
    """Whether the champion's calibration fails, by its own checks, so that it needs another."""
    faults = [check for check in champion if check.status == "failed"]
    first = faults[0] if faults else champion[0]
    status: Status = "passed" if faults else "failed"
    known = "is out" if faults else "is not shown to be out"
    sentence = f"the champion's calibration {known}: {first.sentence}"
    return Check("repair", status, first.measured, (None, None), first.interval, sentence)


def not_worse(name: str, found: Comparison, level: float) -> Check:
    """Fails a challenger that is significantly worse."""
    low, high = found.interval(level)
    status: Status = "failed" if high < 0 else "passed"
    return Check(
        name, status, found.difference, (0.0, None), (low, high), _said(name, found, level)
    )


def non_inferior(
    name: str, found: Comparison, *, margin: float, level: float, is_required: bool
) -> Check:
    """Whether it is shown that the challenger is worse by less than the margin.

    Failed where the difference itself is beyond the margin; where only its interval is, more
    examples may tell.
    """
    low, high = found.interval(level)
    status: Status = "passed"
    if low <= -margin:
        status = "failed" if found.difference <= -margin else "too_little"
    sentence = f"{_said(name, found, level)}; it must not be worse by {margin:g}"
    allowed = (-margin, None)
    return Check(name, status, found.difference, allowed, (low, high), sentence, is_required)


def unknown(name: str, sentence: str, *, is_required: bool = True) -> Check:
    """There is too little to measure it at all."""
    return Check(name, "too_little", None, (None, None), None, sentence, is_required)


def mean_ratio(
    probability: Floats, scores: PairedScores, allowed: tuple[float, float], level: float
) -> Check:
    """Whether as much fraud is foretold as there is: mean probability / prevalence, weighted.

    Failed where the interval, too, is outside of what is allowed: with a hundred frauds the
    prevalence alone is uncertain by a tenth.
    """
    frauds = scores.weights * scores.labels
    ratio = float(np.sum(scores.weights * probability) / frauds.sum())
    influence = (scores.weights * probability - ratio * frauds) / frauds.sum()
    by_group = np.bincount(scores.groups, weights=influence)
    group_count = np.unique(scores.groups).size
    correction = group_count / max(group_count - 1, 1)
    reach = -float(ndtri(level) * np.sqrt(np.sum(by_group**2) * correction))
    low, high = ratio - reach, ratio + reach
    status: Status = "passed"
    if not allowed[0] <= ratio <= allowed[1]:
        status = "failed" if high < allowed[0] or low > allowed[1] else "too_little"
    sentence = (
        f"the mean probability is {ratio:.2f} times the share of fraud ({_percent(level)} interval "
        f"{low:.2f} to {high:.2f}), {allowed[0]:g} to {allowed[1]:g} is allowed"
    )
    return Check("calibration_mean", status, ratio, allowed, (low, high), sentence)


def calibration_error(probability: Floats, scores: PairedScores, highest: float) -> Check:
    """Whether the expected calibration error is a small part of the prevalence, weighted."""
    error = expected_calibration_error(probability, scores.labels, weights=scores.weights)
    prevalence = float(np.average(scores.labels, weights=scores.weights))
    ratio = error / prevalence
    sentence = (
        f"the expected calibration error {error:.5f} is {ratio:.2f} of the share of fraud "
        f"{prevalence:.5f}, at most {highest:g} is allowed"
    )
    return within("calibration_error", ratio, highest, sentence)


def selective(
    is_flagged: Bools,
    is_selective: Bools,
    is_explored: Bools,
    *,
    share_max: float,
    explored_count_min: int,
) -> Check:
    """Whether what is known of the flagged is known by a chance that is known.

    Blocks that were labelled all the same came to light because somebody complained, or because
    somebody already believed in fraud: they say more good of the champion than is true. Explored
    ones stand for all of them.
    """
    flagged_count = int(np.sum(is_flagged | is_selective))
    count = int(is_selective.sum())
    share = count / flagged_count if flagged_count else 0.0
    explored = int(is_explored.sum())
    counts = (
        f"of {flagged_count:,} labels of flagged transactions {count:,} came for a reason that "
        f"nobody knows the chance of, {explored:,} by exploration"
    )
    if explored >= explored_count_min:
        sentence = f"{counts}: these stand for all"
        return Check("selective_labels", "passed", share, (None, None), None, sentence)
    sentence = f"{counts}; without {explored_count_min:,} of these at most {share_max:g} is allowed"
    return within("selective_labels", share, share_max, sentence)


def _said(name: str, found: Comparison, level: float) -> str:
    low, high = found.interval(level)
    digits = 4 if max(found.champion, found.challenger) <= 1 else 0  # a share, or money
    return (
        f"{name} {found.challenger:,.{digits}f} against the champion's "
        f"{found.champion:,.{digits}f}: {found.difference:+,.{digits}f} ({_percent(level)} "
        f"interval {low:+,.{digits}f} to {high:+,.{digits}f})"
    )


def _percent(level: float) -> str:
    return f"{100 * (1 - 2 * level):g} %"
