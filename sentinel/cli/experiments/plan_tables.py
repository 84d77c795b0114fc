"""A plan, for a person and for a program."""

from dataclasses import asdict
from typing import Any

from rich.table import Table

from sentinel.cli.texts import PlainConsole
from sentinel.core.experiments.planning.designs import DAYS_MAX, DesignPlan
from sentinel.core.experiments.planning.history import HistoryRates
from sentinel.operations.experiments.plan import ExperimentPlan

_METRICS = {"fraud_missed": "frauds", "fraud_loss": "money"}


def plan_as_object(found: ExperimentPlan) -> dict[str, Any]:
    """All of it for JSON."""
    rates = found.rates
    return {
        "asked": asdict(found.params),
        "history": {
            "days": rates.days,
            "transactions": rates.transaction_count,
            "accounts": rates.account_count,
            "frauds": rates.fraud_count,
            "fraud_rate": rates.fraud_rate,
            "recall": rates.recall,
            "alert_rate": rates.alert_rate,
            "large_loss_minor": rates.large_loss,
            "rows_per_account": rates.windows[-1].rows_per_account,
            "correlation": {
                "fraud_missed": rates.missed.correlation,
                "fraud_loss": rates.missed_money.correlation,
            },
        },
        "maturity_days": found.maturity_days,
        "designs": [_design(one, found) for one in found.designs],
        "warnings": found.warnings,
    }


def _design(one: DesignPlan, found: ExperimentPlan) -> dict[str, Any]:
    effects = zip(found.params.days, one.least_effects, strict=True)
    return {
        **asdict(one),
        "verdict_days": None if one.days is None else one.days + found.maturity_days,
        "least_effects": [{"days": days, "effect": effect} for days, effect in effects],
    }


def show_plan(console: PlainConsole, found: ExperimentPlan) -> None:
    """What was seen, a line a design, and what one has to know to believe it."""
    params = found.params
    for line in _seen(found.rates):
        console.print(line, soft_wrap=True)
    table = Table(box=None, padding=(0, 1, 0, 0))  # eighty columns are enough for it
    table.add_column("design", no_wrap=True)
    table.add_column("of", no_wrap=True)
    for header in ("days", "verdict", "accounts", "trans.", "frauds"):
        table.add_column(header, justify="right", no_wrap=True)
    for days in params.days:
        table.add_column(f"{days:g}d", justify="right", no_wrap=True)
    for one in found.designs:
        table.add_row(*_cells(one, found.maturity_days))
    console.print(table)
    for line in _footing(found):
        console.print(line, soft_wrap=True)


def _seen(rates: HistoryRates) -> list[str]:
    last = rates.windows[-1]
    return [
        f"seen: {rates.transaction_count:,} transactions of {rates.account_count:,} accounts in "
        f"{rates.days:.0f} days, {rates.fraud_count:,} known frauds ({rates.fraud_rate:.3%}), "
        f"{rates.recall:.0%} of them alerted on",
        f"alike: {last.rows_per_account:.1f} transactions an account, weighted by them; frauds let "
        f"through correlate by {rates.missed.correlation:.3f}, their money by "
        f"{rates.missed_money.correlation:.3f}",
    ]


def _cells(one: DesignPlan, maturity_days: float) -> list[str]:
    name = (
        f"split {1 - one.setting:.0%}/{one.setting:.0%}".replace("%", "")
        if one.design == "split"
        else f"paired {one.setting:.0%}"
    )
    times = (
        ["never", "-", "-", "-", "-"]
        if one.days is None
        else [
            _days(one.days),
            _days(one.days + maturity_days),
            *(_short(count or 0) for count in (one.accounts, one.transactions, one.labels)),
        ]
    )
    effects = ["-" if effect is None else _percent(effect) for effect in one.least_effects]
    return [name, _METRICS[one.metric], *times, *effects]


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.0995 else f"{share:.1%}"


def _short(count: float) -> str:
    for unit, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= 0.9995 * unit:
            return f"{count / unit:.3g}{letter}"
    return f"{count:.0f}"


def _days(days: float) -> str:
    return f"{days:,.1f}" if days < 10 else f"{days:,.0f}"


def _footing(found: ExperimentPlan) -> list[str]:
    params = found.params
    lines = [
        f"days: of traffic, until {params.effect:.1%} less fraud let through is found with a "
        f"probability of {params.power:.0%} (two-sided {params.alpha:g}, {params.looks} looks); "
        f"never: not within three years; verdict: with the {found.maturity_days:.0f} days that "
        "labels take",
        "of: how many frauds are let through, or how much money; frauds: that must be known, of a "
        "paired design those that one model alone alerts on",
        f"{', '.join(f'{days:g}d' for days in params.days)}: the least change that so much traffic "
        "finds as probably; -: not even if all of it went away",
        "paired 60%: on the same transactions, with as many alerts; of the frauds that the "
        "champion alerts on the challenger alerts on so many, too",
    ]
    longest = max((one.days or 0.0 for one in found.designs), default=0.0)
    if found.rates.days < longest <= DAYS_MAX:
        lines.append(
            f"beyond the {found.rates.days:.0f} days that were seen accounts are assumed to come "
            "and to be busy as they were towards the end"
        )
    return lines + [f"note: {warning}" for warning in found.warnings]
