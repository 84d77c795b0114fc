"""From what has matured at a look to what it says: tests, intervals, and perhaps a verdict."""

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from scipy.special import ndtr

from sentinel.core.experiments.definition import shares_of
from sentinel.core.experiments.inference.comparison import ArmComparison, compare
from sentinel.core.experiments.inference.confidence import interval_at_any_time
from sentinel.core.experiments.inference.multiplicity import holm, told_apart
from sentinel.core.experiments.inference.planned import PlannedParams, PlannedTest
from sentinel.core.experiments.inference.sample_ratio import SampleRatio, sample_ratio
from sentinel.core.experiments.inference.verdicts import ExperimentVerdict, verdict_of
from sentinel.core.experiments.metrics import COUNTED, METRICS
from sentinel.core.experiments.outcomes.cells import MetricSums
from sentinel.core.experiments.shadow.comparison import SignedSum
from sentinel.stored.experiments import (
    Definition,
    StoredExperiment,
    StoredVerdict,
    VerdictName,
)
from sentinel.stored.looks import ComparedMetric, LookReport, PlannedLook
from sentinel.stored.outcomes import OutcomeReport

_RATIO = "sample ratio"  # among the tests of arms, whose names have no blank
_SIDES: tuple[tuple[VerdictName, str, str], ...] = (
    ("promote", "more", "better"),
    ("harm", "fewer", "worse"),
)
_MONEY = "money"  # of a shadow experiment, whatever its metric is


@dataclass(frozen=True, slots=True)
class JudgedLook:
    """What a look has come to.

    Attributes
    ----------
    test
        How the tests stand behind it, to be stored.
    verdict
        None while the experiment goes on.
    """

    test: dict[str, Any]
    look: LookReport
    verdict: StoredVerdict | None


def judged(stored: StoredExperiment, report: OutcomeReport) -> JudgedLook:
    """What is to be made of a look at an experiment; pure."""
    definition = stored.definition
    tests = {arm.name: _test_of(stored, arm.name) for arm in definition.challengers}
    is_shadow = definition.design == "shadow"
    found = _paired(definition, report) if is_shadow else _arms(definition, report)
    primary = {arm: found.get((arm, _MONEY if is_shadow else definition.metric)) for arm in tests}
    for arm, test in tests.items():
        test.look(primary[arm], report.share)
    ratio = _ratio(stored, report)
    if is_shadow:
        verdict = _shadow_verdict(definition, next(iter(tests.values())), report)
    else:
        verdict = _verdict(definition, tests, primary, ratio, report)
    look = LookReport(
        experiment=definition.id,
        number=report.look,
        share=report.share,
        counted_to_ms=report.counted_to_ms,
        accounts=_by_arm(report, "accounts"),
        transactions=_by_arm(report, "transactions"),
        planned=[_planned(arm, test) for arm, test in tests.items()],
        compared=[] if is_shadow else _compared(definition, found, report.share),
        sample_ratio=None if is_shadow else ratio.e_value,
        shadow=report.shadow,
        technical=report.technical,
        notes=report.notes,
    )
    after = {arm: test.to_dict() for arm, test in tests.items()}
    return JudgedLook({**after, _RATIO: ratio.log_e}, look, verdict)


def _test_of(stored: StoredExperiment, arm: str) -> PlannedTest:
    kept = stored.test.get(arm)
    if kept is None:
        alpha = stored.definition.alpha / len(stored.definition.challengers)
        return PlannedTest(PlannedParams(alpha=alpha))
    return PlannedTest.from_dict(kept)


Found = Mapping[tuple[str, str], ArmComparison | None]


def _arms(definition: Definition, report: OutcomeReport) -> Found:
    """Each metric of each challenger beside the control."""
    found: dict[tuple[str, str], ArmComparison | None] = {}
    for metric, stored in report.metrics.items():
        if metric not in METRICS:
            continue
        sums = MetricSums.from_dict(stored)
        for arm in definition.challengers:
            found[arm.name, metric] = compare(
                sums, definition.control.name, arm.name, with_covariate=True
            )
    return found


def _paired(definition: Definition, report: OutcomeReport) -> Found:
    """Money that one model alone would have stopped, as a difference with its information.

    Its statistic is that of `SignedSum`.
    """
    told = report.shadow
    arm = definition.challengers[0].name
    money = SignedSum(**told["money"]) if "money" in told else SignedSum(0.0, 0.0, 0)
    if not money.squares > 0:
        return {(arm, _MONEY): None}
    accounts = tuple(told.get("accounts", (0, 0)))
    variance = 1.0 / money.information
    counts = (int(accounts[1]), int(accounts[0]))
    estimate = money.beyond * variance
    one = ArmComparison(estimate, (0.0, 0.0), variance, variance, counts, counts, counts)
    return {(arm, _MONEY): one}


def _shadow_verdict(
    definition: Definition, test: PlannedTest, report: OutcomeReport
) -> StoredVerdict | None:
    """Of models on the same transactions: the planned test of money, or evidence at any time."""
    if definition.metric not in COUNTED:
        look = test.decision
        if look is not None and look.estimate is not None:
            better = look.estimate > 0
            why = (
                f"of the money of frauds that one model alone stops, the challenger has "
                f"{'more' if better else 'less'}: its statistic {look.z:.2f} is beyond the "
                f"boundary of {look.boundary:.2f} at look {look.number}"
            )
            return _shadow_end(definition, "promote" if better else "harm", why, report)
    else:
        needed = math.log(2 / definition.alpha)  # each side has its half
        better_count, worse_count = report.shadow["accounts"]
        for kind, word, name in _SIDES:
            if report.shadow[f"log_e_{name}"] >= needed:
                why = (
                    f"the challenger finds {word} frauds at the same capacity: of those that one "
                    f"model alone found, the first of {better_count} accounts is the challenger's "
                    f"and of {worse_count} the champion's"
                )
                return _shadow_end(definition, kind, why, report)
    if not test.is_at_end:
        return None
    return _shadow_end(
        definition, "keep", "at the planned end neither model has been found better", report
    )


def _shadow_end(
    definition: Definition, name: VerdictName, why: str, report: OutcomeReport
) -> StoredVerdict:
    arm = definition.challengers[0].name
    return StoredVerdict(name, why, arm, report.look, report.counted_to_ms)


def _ratio(stored: StoredExperiment, report: OutcomeReport) -> SampleRatio:
    definition = stored.definition
    names = [arm.name for arm in definition.arms]
    counts: dict[int, list[int]] = defaultdict(lambda: [0] * len(names))
    for one in report.accounts:
        if one.arm in names and one.step < definition.step_count:
            counts[one.step][names.index(one.arm)] += one.accounts
    steps = [(counts[step], shares_of(definition, step)) for step in sorted(counts)]
    largest = float(stored.test.get(_RATIO, -math.inf))
    if definition.design == "shadow" or not steps:
        return SampleRatio((), (), max(largest, 0.0))
    before = SampleRatio((), (), largest) if _RATIO in stored.test else None
    return sample_ratio(steps, before)


def _verdict(
    definition: Definition,
    tests: Mapping[str, PlannedTest],
    primary: Mapping[str, ArmComparison | None],
    ratio: SampleRatio,
    report: OutcomeReport,
) -> StoredVerdict | None:
    """Of one challenger its own; of several the best, or once all have one, that of the last."""
    apart = told_apart([test.looks for test in tests.values()], definition.alpha)
    found: dict[str, ExperimentVerdict] = {}
    for at, (arm, test) in zip(apart, tests.items(), strict=True):
        verdict = verdict_of(
            test,
            ratio,
            primary[arm],
            better=METRICS[definition.metric].better,
            worth=definition.effect,
            told_apart_at=at,
        )
        if verdict is not None:
            found[arm] = verdict
    for kind in ("invalid", "harm", "promote"):
        of_kind = [arm for arm, verdict in found.items() if verdict.kind == kind]
        if of_kind:
            return _stored(_best(of_kind, primary, definition), found, report)
    if len(found) < len(tests):
        return None
    return _stored(next(iter(found)), found, report)


def _best(
    arms: list[str], primary: Mapping[str, ArmComparison | None], definition: Definition
) -> str:
    sign = 1.0 if METRICS[definition.metric].better == "higher" else -1.0
    estimates = {arm: one.estimate if (one := primary[arm]) else -math.inf for arm in arms}
    return max(arms, key=lambda arm: sign * estimates[arm])


def _stored(
    arm: str, found: Mapping[str, ExperimentVerdict], report: OutcomeReport
) -> StoredVerdict:
    verdict = found[arm]
    of_all = verdict.kind == "invalid"
    return StoredVerdict(
        name=verdict.kind,
        why=verdict.why,
        arm="" if of_all else arm,
        look=report.look,
        counted_to_ms=report.counted_to_ms,
    )


def _planned(arm: str, test: PlannedTest) -> PlannedLook:
    look = test.looks[-1]
    futile = test.futile
    return PlannedLook(
        arm,
        look.share,
        look.estimate,
        look.z,
        look.boundary,
        is_futile=futile is not None,
        why_not=look.why_not,
    )


def _compared(definition: Definition, found: Found, share: float) -> list[ComparedMetric]:
    """The primary metric first; p of the others adjusted by Holm, over all arms."""
    rows = [
        (arm, metric, one)
        for (arm, metric), one in found.items()
        if one is not None and math.isfinite(one.estimate)
    ]
    others = [one for one in rows if one[1] != definition.metric]
    adjusted = dict(
        zip([(arm, metric) for arm, metric, _ in others], holm([_p(c) for _, _, c in others]),
            strict=True)
    )  # fmt: skip
    listed = [
        ComparedMetric(
            metric=metric,
            arm=arm,
            value=_finite(one.rates[1]),
            control=_finite(one.rates[0]),
            estimate=_finite(one.estimate),
            interval=interval_at_any_time(one, share, definition.alpha),
            p=adjusted.get((arm, metric)),
        )
        for arm, metric, one in rows
    ]
    return sorted(listed, key=lambda one: one.metric != definition.metric)


def _p(one: ArmComparison) -> float:
    """Two-sided, of this look by itself; 1 where nothing can be said."""
    if not one.is_known:
        return 1.0
    return float(2 * ndtr(-abs(one.estimate) / math.sqrt(one.largest)))


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _by_arm(report: OutcomeReport, what: str) -> dict[str, int]:
    counts: dict[str, int] = defaultdict(int)
    for one in report.accounts:
        counts[one.arm] += asdict(one)[what]
    return dict(counts)
