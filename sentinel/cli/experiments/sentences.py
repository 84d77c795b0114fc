"""Experiments in words, for a terminal and for a page."""

import math
from collections.abc import Mapping

from sentinel.cli.texts import age_text
from sentinel.codec.times import date_text
from sentinel.core.experiments.definition import shares_of
from sentinel.core.experiments.metrics import METRICS
from sentinel.core.features.spec import duration_ms
from sentinel.stored.experiments import ArmSpec, Definition, StoredExperiment, StoredVerdict
from sentinel.stored.looks import LookReport, PlannedLook

PER_COUNT = 1_000  # transactions: money of one has too many zeros to read
_DESIGNS = {
    "split": "fixed shares of the accounts",
    "canary": "a small share of the accounts first",
    "ramp": "a share of the accounts that grows",
    "shadow": "the challenger scores beside the champion, which decides all",
}
_EVIDENCE_MAX = 1e6


def percent(share: float) -> str:
    """A share to a few digits."""
    return f"{100 * share:.4g} %"


def arm_text(arm: ArmSpec) -> str:
    """What an arm is."""
    sets = [f"model {arm.version}"] if arm.version else []
    sets += [f"{name} {value:g}" for name, value in arm.policy.items()]
    return ", ".join(sets) or "as the champion"


def definition_lines(one: Definition) -> list[str]:
    """What is compared, and how."""
    width = max(len(arm.name) for arm in one.arms)
    is_shadow = one.design == "shadow"
    shares = [arm.share for arm in one.arms] if is_shadow else shares_of(one, one.step_count - 1)
    return [
        f"{one.id}: {one.design}, {_DESIGNS[one.design]}",
        *(
            f"  {arm.name:<{width}}  {_share_text(share, is_shadow=is_shadow)}  {arm_text(arm)}"
            for arm, share in zip(one.arms, shares, strict=True)
        ),
        *_who_takes_part(one),
        *_decided(one),
        _when_won(one),
    ]


def _decided(one: Definition) -> list[str]:
    if one.decides == "guardrails":
        return [
            f"decides: its guardrails; what none of them stops in {one.duration} of event time wins"
        ]
    metric = METRICS[one.metric]
    return [
        f"decides: {one.metric}, {metric.words}; {metric.better} is better",
        f"looks: {one.looks} in {one.duration} of event time from the first decision, one as each "
        f"{age_text(duration_ms(one.duration) // one.looks)} have matured ({_maturity(one)})",
        f"two equal arms are told apart in {percent(one.alpha)} of experiments, all looks together;"
        f" a gain below {percent(one.effect)} of the control's does not matter",
    ]


def _share_text(share: float, *, is_shadow: bool) -> str:
    return f"{'scores' if is_shadow else 'has'} {percent(share):>6}"


def _who_takes_part(one: Definition) -> list[str]:
    lines = []
    if one.design != "shadow":
        lines.append(f'takes part: {percent(one.traffic)} of the accounts of layer "{one.layer}"')
    if one.segments:
        only = "; ".join(f"{name} {', '.join(values)}" for name, values in one.segments.items())
        lines.append(f"only transactions with {only}")
    if one.steps:
        steps = ", ".join(percent(step) for step in one.steps)
        lines.append(f"steps: {steps}; each for {one.step} of event time at least")
    return lines


def _maturity(one: Definition) -> str:
    return f"after {one.maturity}" if one.maturity else "as long as labels take, by [maturity]"


def _when_won(one: Definition) -> str:
    arms = [arm for arm in one.challengers if arm.version and not arm.policy]
    if one.may_promote and arms:
        return "a winning model is promoted by the registry's own way"
    return "whatever wins waits for a person"


# --- how it stands ------------------------------------------------------------------------------


def standing_lines(one: StoredExperiment) -> list[str]:
    """How it stands, and what it waits for: a sentence, and a second one where there is more."""
    name, definition = one.definition.name, one.definition
    match one.status:
        case "draft":
            return [f"{definition.id} is a draft: `sentinel experiments start {name}` lets it run"]
        case "running":
            return [f"{definition.id} is running{_at_step(one)}: {_looked(one)}"]
        case "paused":
            return [
                f"{definition.id} is paused{_at_step(one)} by {one.who}: {one.why}; the champion "
                f"decides for all until `sentinel experiments resume {name}`"
            ]
        case "waiting":
            return [f"{definition.id} waits for a person: {verdict_text(one.verdict)}", _to_do(one)]
        case "ended":
            return [f"{definition.id} has ended: {verdict_text(one.verdict)}", _settled(one)]


def _at_step(one: StoredExperiment) -> str:
    return f" at {step_text(one)}" if one.definition.steps else ""


def step_text(one: StoredExperiment) -> str:
    """Where a ramp is; empty without one."""
    steps = one.definition.steps
    if not steps:
        return ""
    return f"step {one.step + 1} of {len(steps)}, {percent(steps[one.step])} of the accounts"


def _looked(one: StoredExperiment) -> str:
    definition = one.definition
    if definition.decides == "guardrails":
        return f"it wins when {definition.duration} of event time have passed without a guardrail"
    each = age_text(duration_ms(definition.duration) // definition.looks)
    if one.look == 0:
        return f"its first look falls when {each} of event time have matured"
    return f"look {one.look} of {definition.looks} has decided nothing; the next one is {each} on"


def verdict_text(verdict: StoredVerdict | None) -> str:
    """How it ended, and why."""
    if verdict is None:
        return "without a verdict"
    of = f" {verdict.arm}" if verdict.arm else ""
    at = f" at look {verdict.look}" if verdict.look else ""
    return f"{verdict.name}{of}{at}: {verdict.why}"


def _to_do(one: StoredExperiment) -> str:
    """What the person may do whom a verdict waits for."""
    definition, verdict = one.definition, one.verdict
    won = [arm for arm in definition.challengers if verdict is not None and arm.name == verdict.arm]
    settle = f"`sentinel experiments settle {definition.name} --why …`"
    if not won:
        return f"say what became of it by {settle}"
    version, policy = won[0].version, won[0].policy
    if version and not policy:
        if definition.may_promote:
            return (
                f"{version} is promoted as soon as `sentinel models approve {version}` says that "
                f"it may; {settle} declines it"
            )
        return f"`sentinel models promote {version} --why …` carries it out; then {settle}"
    told = ", ".join(f"{name} = {value:g}" for name, value in policy.items())
    also = f"`sentinel models promote {version} --why …` and " if version else ""
    put = f"{told} in [policy] of the configuration" if policy else "nothing, as the arms are equal"
    return f"to carry it out: {also}{put}; then {settle}"


def _settled(one: StoredExperiment) -> str:
    verdict = one.verdict
    if verdict is not None and verdict.name == "promote":
        return f"settled by {one.who}: {one.why}"
    return "the champion decides for all of its accounts"


# --- figures -----------------------------------------------------------------------------------


def metric_name(metric: str) -> str:
    """A metric with its unit."""
    known = METRICS.get(metric)
    is_money = known is not None and known.unit == "money"
    return f"{metric}, per {PER_COUNT:,} transactions" if is_money else metric


def metric_text(metric: str, value: float | None, decimals: int, *, signed: bool = False) -> str:
    """A value of a metric, or with `signed` a difference."""
    if value is None:
        return ""
    known = METRICS.get(metric)
    sign = "+" if signed and value > 0 else ""
    if known is not None and known.unit == "money":
        return f"{sign}{value / 10**decimals * PER_COUNT:,.2f}"
    return f"{sign}{100 * value:.4g}{' points' if signed else ' %'}"


def interval_text(metric: str, interval: tuple[float, float] | None, decimals: int) -> str:
    """Between which values a difference is."""
    if interval is None:
        return ""
    low, high = (metric_text(metric, one, decimals, signed=True) for one in interval)
    return f"{low.removesuffix(' points')} to {high}"


def relative_text(estimate: float | None, control: float | None) -> str:
    """A difference beside what the control has."""
    if estimate is None or not control:
        return ""
    share = 100 * estimate / abs(control)
    return f"{share:+,.0f} %" if abs(share) >= 100 else f"{share:+.3g} %"


def statistic_text(one: PlannedLook) -> str:
    """The statistic beside its boundary, or why there is none."""
    if one.statistic is None or one.boundary is None:
        return one.why_not or "not tested"
    return f"{one.statistic:+.2f} of ±{one.boundary:.2f}"


def ratio_text(look: LookReport) -> str:
    """Whether the arms have the accounts that their shares promise."""
    if look.sample_ratio is None:
        return ""
    evidence = evidence_text(look.sample_ratio)
    return f"against the planned shares speaks {evidence} to 1 (alarm at 1,000 to 1)"


def evidence_text(evidence: float) -> str:
    """So much to 1."""
    if evidence > _EVIDENCE_MAX:
        return f"more than {_EVIDENCE_MAX:,.0f}"
    return f"{evidence:,.0f}" if evidence >= 10 else f"{evidence:.2g}"


def counts_text(counts: Mapping[str, int], what: str) -> str:
    """So many of each arm."""
    return f"{what}: " + ", ".join(f"{count:,} {arm}" for arm, count in counts.items())


def shadow_lines(look: LookReport, decimals: int) -> list[str]:
    """What one model alone has found; nothing of a look that is of no shadow."""
    told = look.shadow
    if not told:
        return []
    money = told.get("money", {})
    total = float(money.get("total", 0.0)) / 10**decimals
    better, worse = float(told["better_count"]), float(told["worse_count"])
    theirs, ours = told["accounts"]
    alerts, common = int(told.get("alerts", 0)), int(told.get("in_common", 0))
    return [
        f"{int(told.get('transactions', 0)):,} transactions were scored by both; {common:,} of "
        f"{alerts:,} alerts would be the same",
        f"frauds that one model alone finds at the same number of alerts: {better:,.4g} the "
        f"challenger, {worse:,.4g} the champion; by the first of each account {theirs:,} and "
        f"{ours:,}",
        f"money of these frauds, the challenger's less the champion's: {total:+,.2f}",
        f"evidence that it finds more {_log_text(told, 'log_e_better')} to 1, that it finds fewer "
        f"{_log_text(told, 'log_e_worse')} to 1",
        f"{float(told.get('blind_count', 0)):,.4g} blocked in any case, so that nobody can know",
    ]


def _log_text(told: Mapping[str, object], name: str) -> str:
    value = told.get(name)
    return evidence_text(math.exp(min(value, 30.0)) if isinstance(value, float) else 0.0)


def started_text(one: StoredExperiment) -> str:
    """When it was started; empty of a draft."""
    return f"started {date_text(one.started_ms)[:16]} UTC" if one.started_ms else ""
