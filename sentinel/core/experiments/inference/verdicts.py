"""What an experiment ends with, and one sentence why.

Nothing is believed of an experiment that is invalid. Then the first decision counts: a difference
found by the planned test is not taken back by a later look, nor is a stop for futility.
"""

import math
from dataclasses import dataclass
from typing import Literal

from sentinel.core.experiments.inference.comparison import ArmComparison
from sentinel.core.experiments.inference.planned import ArmLook, PlannedTest
from sentinel.core.experiments.inference.sample_ratio import ALARM, SampleRatio

Better = Literal["higher", "lower"]
VerdictKind = Literal["promote", "keep", "harm", "futility", "invalid", "undecided"]

WORTH = 0.2


@dataclass(frozen=True, slots=True)
class ExperimentVerdict:
    """How an experiment ends.

    Attributes
    ----------
    kind
        promote: the challenger is better. harm: it is worse. futility: a difference will hardly be
        found, the control stays. keep: at the planned end no difference was found, and a gain that
        would be worth it is excluded; the control stays. undecided: at the planned end one is not.
        invalid: nothing can be said.
    why
        One sentence.
    look
        The number of the look that decided; None where none did.
    """

    kind: VerdictKind
    why: str
    look: int | None = None


def verdict_of(
    test: PlannedTest,
    ratio: SampleRatio,
    last: ArmComparison | None,
    *,
    better: Better,
    worth: float = WORTH,
    told_apart_at: int | None = None,
    invalid: str = "",
) -> ExperimentVerdict | None:
    """The verdict, or None while the experiment goes on.

    Parameters
    ----------
    last
        The newest comparison.
    worth
        The least gain worth a change, relative to the control.
    told_apart_at
        The look at which `told_apart` of several challengers found a difference; of one challenger
        alone the test's own decision counts.
    invalid
        What else makes it invalid; empty if nothing does.
    """
    if invalid or ratio.is_alarm:
        return ExperimentVerdict("invalid", invalid or _wrong_ratio(ratio))
    decision = test.decision
    if told_apart_at is not None:
        decision = test.looks[told_apart_at - 1]
    futile = test.futile
    if futile is not None and (decision is None or futile.number < decision.number):
        return ExperimentVerdict("futility", _futile(futile), futile.number)
    if decision is not None:
        assert decision.estimate is not None
        is_better = (decision.estimate > 0) == (better == "higher")
        kind: VerdictKind = "promote" if is_better else "harm"
        return ExperimentVerdict(kind, _beyond(decision, is_better), decision.number)
    return _at_end(test, last, better, worth) if test.is_at_end else None


def _at_end(
    test: PlannedTest, last: ArmComparison | None, better: Better, worth: float
) -> ExperimentVerdict:
    look = test.looks[-1]
    interval = look.interval
    if interval is None or last is None:
        return ExperimentVerdict(
            "undecided", f"nothing could be tested at the planned end: {look.why_not}"
        )
    base = abs(last.rates[0])
    gain = interval[1] if better == "higher" else -interval[0]
    least = worth * base
    of = f"{_signed(interval[0])} to {_signed(interval[1])}"
    if gain < least:
        return ExperimentVerdict(
            "keep",
            f"at the planned end no difference was found, and a gain of {_percent(worth)} of the "
            f"control's {_number(base)} is excluded: the difference is {of}",
        )
    return ExperimentVerdict(
        "undecided",
        f"at the planned end no difference was found, but the data are too few to exclude a gain "
        f"of {_percent(worth)} of the control's {_number(base)}: the difference is {of}",
    )


def _beyond(look: ArmLook, is_better: bool) -> str:
    assert look.z is not None
    assert look.boundary is not None
    assert look.estimate is not None
    word = "better" if is_better else "worse"
    return (
        f"the challenger is {word}: the difference is {_signed(look.estimate)}, its statistic "
        f"{look.z:.2f} is beyond the boundary of {look.boundary:.2f} at look {look.number}, with "
        f"{_percent(look.share)} of the plan"
    )


def _futile(look: ArmLook) -> str:
    assert look.power is not None
    return (
        f"a difference will hardly be found any more: with {_percent(look.share)} of the plan the "
        f"probability that it is found by the planned end is {_percent(look.power)}"
    )


def _wrong_ratio(ratio: SampleRatio) -> str:
    total = max(sum(ratio.counts), 1)
    has = " / ".join(_percent(count / total) for count in ratio.counts)
    should = " / ".join(_percent(share) for share in ratio.shares)
    return (
        f"the arms do not have the accounts that their shares promise: {has} instead of {should} "
        f"(evidence {min(ratio.e_value, 1e9):,.0f} to 1, alarm at {ALARM:,.0f})"
    )


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100_000 else f"{value:.4g}"


def _signed(value: float) -> str:
    return ("+" if value > 0 and math.isfinite(value) else "") + _number(value)
