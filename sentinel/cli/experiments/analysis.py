"""An analysed file of outcomes, for a person and for a program."""

import math
from datetime import UTC, datetime
from typing import Any

from rich.table import Table

from sentinel.cli.texts import PlainConsole
from sentinel.core.experiments.inference.comparison import ArmComparison
from sentinel.operations.experiments.files.analysis import AnalysedArm, AnalysedLook, Analysis

# Below so many characters of a line some columns are left out.
_WIDE = 130
_WIDE_ONLY = ("until", "control", "challenger", "valid at any time")
_DIGITS_MAX = 9
_DAY_MS_MAX = 253_402_300_800_000  # of the year 9999
Interval = tuple[float, float] | None


def analysis_object(found: Analysis) -> dict[str, Any]:
    """All of it for JSON."""
    return {
        "verdict": found.verdict.kind,
        "why": found.verdict.why,
        "decided_at_look": found.verdict.look,
        "control": found.control,
        "challenger": found.deciding.name,
        "better": found.better,
        "alpha": found.alpha,
        "primary": found.primary,
        "looks": [_look_object(found, one) for one in found.deciding.looks],
        "sample_ratio": _ratio_object(found),
        "arms": [_arm_object(found, arm) for arm in found.arms],
        "columns": _columns_object(found),
        "rows": found.rows.row_count,
        "accounts": found.rows.account_count,
        "accounts_in_two_arms": found.rows.crossed.count,
        "left_out": found.rows.left_out,
        "notes": found.notes,
    }


def _columns_object(found: Analysis) -> dict[str, str | None]:
    columns = found.rows.columns
    roles = ("account", "arm", "time", "outcome", "amount", "covariate")
    return {role: getattr(columns, role) for role in roles}


def _arm_object(found: Analysis, arm: AnalysedArm) -> dict[str, Any]:
    return {
        "name": arm.name,
        "verdict": arm.verdict.kind,
        "why": arm.verdict.why,
        "decided_at_look": arm.verdict.look,
        "looks": [_look_object(found, one) for one in arm.looks],
        "at_the_end": _comparison_object(arm.looks[-1].comparison),
        "other_metric": None
        if arm.other is None
        else {"name": found.other_metric, "p": arm.other_p} | _comparison_object(arm.other),
    }


def _look_object(found: Analysis, one: AnalysedLook) -> dict[str, Any]:
    look = one.look
    return {
        "look": look.number,
        "time": _time(found, one.time),
        "outcomes": one.row_count,
        "share": look.share,
        "estimate": look.estimate,
        "interval": look.interval,
        "boundary": look.boundary,
        "statistic": look.z,
        "interval_at_any_time": one.any_time,
        "level_spent": look.spent,
        "predictive_power": look.power,
        "naive_p": one.naive_p,
        "not_tested": look.why_not or None,
    }


def _comparison_object(one: ArmComparison | None) -> dict[str, Any]:
    if one is None:
        return {}
    names = ("control", "challenger")
    return {
        "estimate": one.estimate,
        "standard_error": one.pooled**0.5 if one.is_known else None,
        "rates": dict(zip(names, one.rates, strict=True)),
        "accounts": dict(zip(names, one.accounts, strict=True)),
        "accounts_with_the_rarer_outcome": dict(zip(names, one.positives, strict=True)),
    }


def _ratio_object(found: Analysis) -> dict[str, Any]:
    ratio = found.sample_ratio
    names = [found.control, *(arm.name for arm in found.arms)]
    return {
        "alarm": ratio.is_alarm,
        "e_value": ratio.e_value,
        "accounts": dict(zip(names, ratio.counts, strict=True)),
        "shares": dict(zip(names, ratio.shares, strict=True)),
    }


def show_analysis(console: PlainConsole, found: Analysis) -> None:
    """A verdict, the looks, and what one has to know to believe them."""
    for arm in found.arms:
        console.print(f"{arm.verdict.kind}: {arm.name} against {found.control}")
        console.print(arm.verdict.why, soft_wrap=True)
        console.print(_table(found, arm, is_wide=console.width >= _WIDE))
    for line in _footing(found):
        console.print(line, soft_wrap=True)


def _table(found: Analysis, arm: AnalysedArm, *, is_wide: bool) -> Table:
    table = Table()
    digits = _digits(arm)
    shown = [_cells(found, one, digits) for one in arm.looks]
    for row, one in zip(shown, arm.looks, strict=True):
        if one.look.number == arm.verdict.look:
            row["look"] += " *"
    headers = [name for name in shown[0] if is_wide or name not in _WIDE_ONLY]
    for header in headers:
        is_text = header in ("until", "look")
        table.add_column(header, justify="left" if is_text else "right", no_wrap=is_wide)
    for row in shown:
        table.add_row(*(row[header] for header in headers))
    return table


def _cells(found: Analysis, one: AnalysedLook, digits: int) -> dict[str, str]:
    look, comparison = one.look, one.comparison
    rates = ("", "")
    if comparison is not None:
        rates = (f"{comparison.rates[0]:,.{digits}f}", f"{comparison.rates[1]:,.{digits}f}")
    return {
        "look": f"{look.number}",
        "until": str(_time(found, one.time)),
        "outcomes": f"{one.row_count:,}",
        "control": rates[0],
        "challenger": rates[1],
        "difference": "" if look.estimate is None else f"{look.estimate:+,.{digits}f}",
        "interval": _between(look.interval, digits),
        "statistic": "" if look.z is None else f"{look.z:+.2f}",
        "boundary": "" if look.boundary is None else f"{look.boundary:.2f}",
        "valid at any time": _between(one.any_time, digits),
    }


def _digits(arm: AnalysedArm) -> int:
    """Behind the point: two digits of the last standard error that is known."""
    for one in reversed(arm.looks):
        if one.comparison is not None and one.comparison.is_known:
            error = math.sqrt(one.comparison.pooled)
            return min(max(1 - math.floor(math.log10(error)), 0), _DIGITS_MAX)
    return 4


def _footing(found: Analysis) -> list[str]:
    rows, ratio = found.rows, found.sample_ratio
    names = [found.control, *(arm.name for arm in found.arms)]
    lines = [
        f"{found.better} is better; equal arms are told apart in {_percent(found.alpha)} of "
        f"experiments at most, all {len(found.deciding.looks)} looks together"
    ]
    lines.append(
        "accounts: "
        + ", ".join(
            f"{count:,} {name} (share {_percent(share)})"
            for name, count, share in zip(names, ratio.counts, ratio.shares, strict=True)
        )
        + f"; evidence against the shares {min(ratio.e_value, 1e9):.3g} to 1, alarm at 1,000"
    )
    lines += [_other_metric(found, arm) for arm in found.arms if arm.other is not None]
    lines.append(_naive(found))
    if rows.left_out:
        lines.append(
            "left out: " + "; ".join(f"{n:,} rows {why}" for why, n in rows.left_out.items())
        )
    used = ", ".join(f"{role} {name}" for role, name in _columns_object(found).items() if name)
    lines.append(f"columns: {used}")
    return lines + [f"note: {note}" for note in found.notes]


def _other_metric(found: Analysis, arm: AnalysedArm) -> str:
    assert arm.other is not None
    what = "weighed by money" if found.other_metric == "amount" else "not weighed by money"
    p = "" if arm.other_p is None else f", p {arm.other_p:.2g}"
    return (
        f"{what}, {arm.name}: {_number(arm.other.rates[1])} against {_number(arm.other.rates[0])}, "
        f"difference {_number(arm.other.estimate, sign=True)}{p}; this decides nothing"
    )


def _naive(found: Analysis) -> str:
    p = [one.naive_p for one in found.deciding.looks if one.naive_p is not None]
    if not p:
        return "a plain test of rows: nothing to test"
    count = sum(one < found.alpha for one in p)
    return (
        f"for contrast: a plain test of rows, repeated, is below {found.alpha:g} at {count:,} of "
        f"{len(p):,} looks, and has p {p[-1]:.2g} at the end; it takes rows for independent and "
        "each look for the only one"
    )


def _time(found: Analysis, time: float) -> str | float:
    if not found.rows.is_date or abs(time) >= _DAY_MS_MAX:
        return time
    return datetime.fromtimestamp(time / 1000, UTC).strftime("%Y-%m-%d %H:%M")


def _between(interval: Interval, digits: int) -> str:
    if interval is None:
        return ""
    return " to ".join(f"{edge:+,.{digits}f}" for edge in interval)


def _number(value: float | None, *, sign: bool = False) -> str:
    if value is None:
        return ""
    text = f"{value:,.0f}" if abs(value) >= 100_000 else f"{value:.4g}"
    return f"+{text}" if sign and value > 0 else text


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
