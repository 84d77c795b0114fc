"""A file of outcomes, analysed as an experiment of the stream would be, look by look."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.special import ndtr

from sentinel.core.experiments.inference.comparison import ArmComparison, compare
from sentinel.core.experiments.inference.confidence import interval_at_any_time
from sentinel.core.experiments.inference.multiplicity import holm, told_apart
from sentinel.core.experiments.inference.planned import (
    PlannedParams,
    PlannedTest,
)
from sentinel.core.experiments.inference.sample_ratio import SampleRatio, sample_ratio
from sentinel.core.experiments.inference.verdicts import (
    verdict_of,
)
from sentinel.errors import ConfigError
from sentinel.operations.experiments.files.analysis import (
    AnalysedArm,
    AnalysedLook,
    AnalyseOptions,
    Analysis,
    MetricName,
)
from sentinel.operations.experiments.files.arms import in_order, told_shares
from sentinel.operations.experiments.files.caveats import notes_on, why_invalid
from sentinel.operations.experiments.files.columns import OutcomeColumns
from sentinel.operations.experiments.files.naive import NaiveSums
from sentinel.operations.experiments.files.rows import OutcomeRows, outcome_rows
from sentinel.operations.experiments.files.running import RunningMetric, account_covariates
from sentinel.records import Ints


def analyse_outcomes(path: Path, columns: OutcomeColumns, options: AnalyseOptions) -> Analysis:
    """Analyse a file. Raises ConfigError where it cannot be read, or has not what is needed."""
    rows = outcome_rows(path, columns)
    names = in_order(rows.arm_names, options.control)
    shares = told_shares(names, options.shares)
    metrics, notes = _metrics(rows, options.primary)
    ends = _ends(rows, options.looks)
    ratio = _ratio(rows, names, shares, ends)
    found = _looks(rows, names, metrics, ends, options)
    invalid = why_invalid(rows.crossed)
    arms = _judged(found, ratio, invalid, options)
    arms = _with_other_metric(arms, names[0], metrics)
    deciding = min(arms, key=_rank)
    return Analysis(
        verdict=deciding.verdict,
        deciding=deciding,
        control=names[0],
        arms=arms,
        primary=options.primary,
        other_metric=next((name for name in metrics if name != options.primary), None),
        better=options.better,
        alpha=options.alpha,
        sample_ratio=ratio,
        rows=rows,
        notes=notes + notes_on(rows, names),
    )


@dataclass(slots=True)
class _Found:
    """Of one challenger."""

    name: str
    test: PlannedTest
    looks: list[AnalysedLook]


def _metrics(
    rows: OutcomeRows, primary: MetricName
) -> tuple[dict[MetricName, RunningMetric], list[str]]:
    """The metrics that the file can tell of, the primary one first."""
    notes: list[str] = []
    x = account_covariates(rows)
    found: dict[MetricName, RunningMetric] = {
        "outcome": RunningMetric(rows, rows.outcomes, np.ones_like(rows.outcomes), x),
    }
    there = rows.outcomes[~np.isnan(rows.outcomes)]
    if rows.amounts is not None:
        amounts = np.where(rows.amounts < 0, np.nan, rows.amounts)
        if negative := int((rows.amounts < 0).sum()):
            notes.append(f"{negative:,} rows with a negative amount are not in the money metric")
        if np.isin(there, (0, 1)).all():
            found["amount"] = RunningMetric(rows, rows.outcomes * amounts, amounts, x)
        else:
            notes.append("the outcome is more than yes or no: amounts do not weigh it")
    if primary not in found:
        why = notes[-1] if rows.amounts is not None else "there is no column of amounts"
        raise ConfigError(f"--primary {primary}: {why}")
    return {primary: found[primary], **found}, notes


def _ends(rows: OutcomeRows, look_count: int) -> Ints:
    """Behind which row each look ends: about equal parts of the outcomes, and never between rows of
    one time; fewer looks where there are fewer times.
    """
    matured = np.cumsum(~np.isnan(rows.outcomes))
    is_last = np.append(np.diff(rows.times) > 0, True)
    last = np.flatnonzero(is_last)
    goals = matured[-1] * np.arange(1, look_count + 1) / look_count
    at = np.searchsorted(matured[last], goals)
    ends = np.unique(last[np.minimum(at, last.size - 1)]) + 1
    ends[-1] = rows.times.size
    return ends


def _ratio(
    rows: OutcomeRows, names: Sequence[str], shares: Sequence[float], ends: Ints
) -> SampleRatio:
    """Whether the arms have the accounts that they should have, at any look."""
    _, first = np.unique(rows.accounts, return_index=True)
    arm_of_first = rows.arms[first]
    found = None
    for end in ends:
        counts = np.bincount(arm_of_first[first < end], minlength=len(names))
        counted = [int(counts[rows.arm_names.index(name)]) for name in names]
        found = sample_ratio([(counted, shares)], found)
    assert found is not None
    return found


def _looks(
    rows: OutcomeRows,
    names: Sequence[str],
    metrics: dict[MetricName, RunningMetric],
    ends: Ints,
    options: AnalyseOptions,
) -> list[_Found]:
    params = PlannedParams(alpha=options.alpha / (len(names) - 1))
    found = [_Found(name, PlannedTest(params), []) for name in names[1:]]
    naive = NaiveSums(rows)
    matured = np.cumsum(~np.isnan(rows.outcomes))
    for end in ends.tolist():
        for metric in metrics.values():
            metric.advance(end)
        sums = metrics[options.primary].sums
        share = float(matured[end - 1] / max(matured[-1], 1)) if end < rows.times.size else 1.0
        for one in found:
            with_x = rows.covariates is not None
            comparison = compare(sums, names[0], one.name, with_covariate=with_x)
            one.looks.append(
                AnalysedLook(
                    look=one.test.look(comparison, share),
                    row_count=int(matured[end - 1]),
                    time=float(rows.times[end - 1]),
                    comparison=comparison,
                    any_time=interval_at_any_time(comparison, share, params.alpha),
                    naive_p=naive.p(end, names[0], one.name),
                )
            )
    return found


def _judged(
    found: Sequence[_Found], ratio: SampleRatio, invalid: str, options: AnalyseOptions
) -> list[AnalysedArm]:
    apart = told_apart([one.test.looks for one in found], options.alpha)
    arms = []
    for one, at in zip(found, apart, strict=True):
        verdict = verdict_of(
            one.test,
            ratio,
            one.looks[-1].comparison,
            better=options.better,
            worth=options.worth,
            told_apart_at=at,
            invalid=invalid,
        )
        assert verdict is not None, "the last look is at the planned end"
        arms.append(AnalysedArm(one.name, one.looks, verdict))
    return arms


def _with_other_metric(
    arms: Sequence[AnalysedArm], control: str, metrics: dict[MetricName, RunningMetric]
) -> list[AnalysedArm]:
    """The metric that does not decide, at the end, with p-values adjusted for all challengers."""
    if len(metrics) < 2:
        return list(arms)
    sums = list(metrics.values())[1].sums
    others = [compare(sums, control, arm.name) for arm in arms]
    adjusted = iter(holm([_p(one) for one in others if one is not None and one.is_known]))
    found = []
    for arm, other in zip(arms, others, strict=True):
        p = next(adjusted) if other is not None and other.is_known else None
        found.append(replace(arm, other=other, other_p=p))
    return found


def _p(one: ArmComparison) -> float:
    return float(2 * ndtr(-abs(one.estimate) / math.sqrt(one.pooled)))


def _rank(arm: AnalysedArm) -> tuple[int, float]:
    """The first of them says most of what is to be done."""
    order = ("invalid", "promote", "undecided", "keep", "futility", "harm")
    last = arm.looks[-1].comparison
    return order.index(arm.verdict.kind), -abs(last.estimate) if last is not None else 0.0
