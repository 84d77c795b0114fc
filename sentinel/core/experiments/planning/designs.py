"""How long each design takes to find a difference, and what it finds in a given time."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from sentinel.core.experiments.planning.history import Clustering, HistoryRates, MetricRates
from sentinel.core.experiments.planning.power import drift_needed

MetricName = Literal["fraud_missed", "fraud_loss"]

DAYS_MAX = 3 * 365
_BISECTION_STEPS = 50


@dataclass(frozen=True, slots=True)
class PlanParams:
    """What is asked of an experiment.

    Attributes
    ----------
    effect
        The least change worth finding, of the fraud that is let through: 0.1 is a tenth less.
    power
        How probably it is to be found.
    alpha
        Two-sided: how often equal arms may be told apart.
    looks
        How often outcomes are looked at until the planned end.
    shares
        Of the challenger: a design by accounts for each.
    overlaps
        Of the frauds that the champion alerts on, the share that the challenger alerts on, too: a
        paired design for each.
    days
        In which the least effect that can be found is told.
    """

    effect: float = 0.1
    power: float = 0.8
    alpha: float = 0.05
    looks: int = 20
    shares: tuple[float, ...] = (0.5, 0.1)
    overlaps: tuple[float, ...] = (0.6, 0.8)
    days: tuple[float, ...] = (7.0, 14.0, 28.0, 56.0)

    def __post_init__(self) -> None:
        within = [
            ("effect", self.effect, 0.001, 1.0),
            ("power", self.power, 0.5, 0.999),
            ("alpha", self.alpha, 0.001, 0.2),
            ("looks", self.looks, 1, 100),
            *(("share", one, 0.001, 0.999) for one in self.shares),
            *(("overlap", one, 0.0, 0.999) for one in self.overlaps),
            *(("days", one, 1.0, DAYS_MAX) for one in self.days),
        ]
        for name, value, low, high in within:
            if not low <= value <= high:
                raise ValueError(f"{name} must be in {low:g}..{high:g}, got {value:g}")
        if not self.shares and not self.overlaps:
            raise ValueError("there is no design to plan: give a share or an overlap")


@dataclass(frozen=True, slots=True)
class DesignPlan:
    """What a design takes.

    Attributes
    ----------
    design
        "split" by accounts, or "paired" on the same transactions.
    setting
        The share of the challenger; of a paired design the overlap.
    days
        Of traffic until the planned end; None if there are not enough days in three years.
    accounts, transactions, labels
        That take part in these days; frauds that must be known: all of them, or of a paired design
        those that one model alone alerts on.
    design_effect
        How many transactions weigh as one independent one, in these days.
    least_effects
        By the days that were asked for: what is found so probably in that time; None where it is
        more than all the fraud that is let through.
    """

    design: Literal["split", "paired"]
    metric: MetricName
    setting: float
    days: float | None
    accounts: float | None
    transactions: float | None
    labels: float | None
    design_effect: float | None
    least_effects: tuple[float | None, ...]


def plans(rates: HistoryRates, params: PlanParams) -> list[DesignPlan]:
    """All designs that were asked for, by metric; of a history in which frauds are let through."""
    assert rates.missed.mean > 0
    drift = drift_needed(params.looks, params.alpha, params.power)
    found = []
    for share in params.shares:
        found += [_split(rates, params, metric, share, drift) for metric in _METRICS]
    for overlap in params.overlaps:
        found += [_paired(rates, params, metric, overlap, drift) for metric in _METRICS]
    return found


_METRICS: tuple[MetricName, ...] = ("fraud_missed", "fraud_loss")


def clustering_after(rates: HistoryRates, days: float) -> Clustering:
    """Accounts and their rows after so many days: as they were, and on in a line beyond them."""
    known = [Clustering(0.0, 0.0, 1.0), *rates.windows]
    if days <= rates.days:
        at = [one.days for one in known]
        return Clustering(
            days,
            float(np.interp(days, at, [one.account_count for one in known])),
            max(float(np.interp(days, at, [one.rows_per_account for one in known])), 1.0),
        )
    middle, last = rates.windows[len(rates.windows) // 2 - 1], rates.windows[-1]
    more = (days - last.days) / (last.days - middle.days)
    return Clustering(
        days,
        last.account_count + more * max(last.account_count - middle.account_count, 0.0),
        last.rows_per_account + more * max(last.rows_per_account - middle.rows_per_account, 0.0),
    )


def _split(
    rates: HistoryRates, params: PlanParams, metric: MetricName, share: float, drift: float
) -> DesignPlan:
    of_metric = rates.missed if metric == "fraud_missed" else rates.missed_money

    def effect_after(days: float) -> float:
        n = rates.transactions_a_day * days
        effective = n / _design_effect(rates, of_metric, days)
        variance = of_metric.variance / effective * (1 / share + 1 / (1 - share))
        # With less fraud in one arm both together vary less: effect^2 = at_null (1 - share effect)
        at_null = drift**2 * variance / of_metric.mean**2
        return (math.sqrt((share * at_null) ** 2 + 4 * at_null) - share * at_null) / 2

    days = _days_until(params.effect, effect_after)
    clustered = None if days is None else clustering_after(rates, days)
    return DesignPlan(
        design="split",
        metric=metric,
        setting=share,
        days=days,
        accounts=None if clustered is None else clustered.account_count,
        transactions=None if days is None else rates.transactions_a_day * days,
        labels=None if days is None else rates.transactions_a_day * days * rates.fraud_rate,
        design_effect=None if days is None else _design_effect(rates, of_metric, days),
        least_effects=_possible(effect_after, params.days),
    )


def _design_effect(rates: HistoryRates, metric: MetricRates, days: float) -> float:
    return 1 + metric.correlation * (clustering_after(rates, days).rows_per_account - 1)


def _paired(
    rates: HistoryRates, params: PlanParams, metric: MetricName, overlap: float, drift: float
) -> DesignPlan:
    """Of the frauds a model finds alone, with as many alerts: the sum of signs, or of money.

    Of each fraud the challenger finds `gain` more than the champion, and one of them alone finds
    `alone`; by account the sum of these has `spread` times the variance of independent ones. Of
    money, one large loss more is taken for granted (`SignedSum`).
    """
    of_money = metric == "fraud_loss"
    spread = rates.money_spread if of_money else rates.fraud_spread
    large = rates.large_loss / rates.mean_loss if of_money else 0.0  # in mean frauds
    differing = 2 * rates.recall * (1 - overlap)
    missed = 1 - rates.recall

    def effect_after(days: float) -> float:
        # (frauds gain - large)^2 = drift^2 (frauds spread (differing + gain) + large^2)
        frauds = rates.transactions_a_day * days * rates.fraud_rate
        middle = large + drift**2 * spread / 2
        rest = large**2 * (1 - drift**2) - drift**2 * frauds * spread * differing
        return (middle + math.sqrt(middle**2 - rest)) / frauds / missed

    days = _days_until(params.effect, effect_after)
    clustered = None if days is None else clustering_after(rates, days)
    n = None if days is None else rates.transactions_a_day * days
    alone = differing + params.effect * missed
    return DesignPlan(
        design="paired",
        metric=metric,
        setting=overlap,
        days=days,
        accounts=None if clustered is None else clustered.account_count,
        transactions=n,
        labels=None if n is None else n * rates.fraud_rate * alone,
        design_effect=spread,
        least_effects=_possible(effect_after, params.days),
    )


def _days_until(effect: float, effect_after: Callable[[float], float]) -> float | None:
    """The first time at which no more than that effect is needed."""
    low, high = math.log(1 / 24), math.log(DAYS_MAX)
    if effect_after(DAYS_MAX) > effect:
        return None
    for _ in range(_BISECTION_STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if effect_after(math.exp(middle)) <= effect else (middle, high)
    return math.exp(high)


def _possible(
    effect_after: Callable[[float], float], days: Sequence[float]
) -> tuple[float | None, ...]:
    effects = [effect_after(one) for one in days]
    return tuple(effect if effect <= 1 else None for effect in effects)
