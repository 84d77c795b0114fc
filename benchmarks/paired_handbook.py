"""Two trained models on the Handbook's simulated stream: paired, and split by customers."""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.random import Generator

from benchmarks.handbook_features import PUBLISHED_NAMES, published_features
from benchmarks.handbook_file import DAY_MS, LABEL_DELAY_DAYS, Payments
from sentinel.core.experiments.inference.spending import boundaries
from sentinel.core.experiments.shadow.capacity import alerts_at_capacity
from sentinel.core.experiments.shadow.comparison import PairedComparison, compare
from sentinel.core.experiments.shadow.pairs import PairColumns
from sentinel.core.learning.params import FitParams
from sentinel.core.learning.training_data.examples import Bools
from sentinel.model import Model, fit
from sentinel.records import Floats, Ints
from sentinel.simulation.handbook import SimulationParams, days

CAPACITY = 0.01
LOOKS = 20
TRAIN_END = 100  # the test begins when the labels of its last day are there
_WEEK = FitParams(tree_count=200, leaf_count_max=8, learning_rate=0.1, leaf_row_count_min=1)

# Of each model the first day that it learns from, and how.
CHAMPION = (TRAIN_END - 7, _WEEK)
CHALLENGERS = {
    "four weeks instead of one": (TRAIN_END - 28, _WEEK),
    "nine weeks, larger trees": (TRAIN_END - 63, replace(_WEEK, leaf_count_max=16)),
    "the same week, other draws": (
        TRAIN_END - 7,
        replace(_WEEK, seed=7, row_share=0.7, feature_share=0.7),
    ),
}


@dataclass(frozen=True, eq=False, slots=True)
class Tested:
    """The test days, (n,) each: day from 0, customer, amount in cents, and what is fraud."""

    day: Ints
    customer: Ints
    amount: Ints
    is_fraud: Bools


def on_handbook(rng: Generator, quick: bool) -> list[dict[str, Any]]:
    """Every challenger against the champion."""
    rows = payments(
        SimulationParams(
            customer_count=500 if quick else 5_000, terminal_count=1_000 if quick else 10_000
        )
    )
    features = published_features(rows)
    at = np.flatnonzero(rows.days(TRAIN_END + LABEL_DELAY_DAYS, rows.day_count))
    tested = Tested(
        rows.day[at] - rows.day[at[0]],
        rows.customer[at],
        np.round(100 * rows.amount[at]).astype(np.int64),
        rows.label[at] == 1,
    )
    first = _alerts(rows, features, at, tested, CHAMPION)
    found = []
    for name, recipe in CHALLENGERS.items():
        second = _alerts(rows, features, at, tested, recipe)
        figures = _compared(tested, first, second, rng, 20 if quick else 200)
        found.append({"challenger": name, **figures})
        print(f"  … {name}", flush=True)
    return found


def payments(params: SimulationParams) -> Payments:
    """The whole stream of a simulation."""
    simulated = list(days(params))
    time = np.concatenate([one.event_time_ms for one in simulated])
    amount = np.concatenate([one.amount_minor for one in simulated]) / 100
    return Payments(
        transaction=np.concatenate([one.transaction_id for one in simulated]),
        customer=np.concatenate([one.customer_id for one in simulated]),
        terminal=np.concatenate([one.terminal_id for one in simulated]),
        event_time_ms=time,
        day=time // DAY_MS - time[0] // DAY_MS,
        amount=amount,
        label=np.concatenate([one.is_fraud for one in simulated]).astype(np.int64),
    )


def _alerts(
    rows: Payments, features: Floats, at: Ints, tested: Tested, recipe: tuple[int, FitParams]
) -> Bools:
    """The highest scores of each day, as many as the capacity."""
    first_day, params = recipe
    known = np.flatnonzero(rows.days(first_day, TRAIN_END))
    text = fit(features[known], rows.label[known], params=params, feature_names=PUBLISHED_NAMES)
    scores = Model.from_text("trained", text).raw_scores(features[at])
    found = np.zeros(at.size, dtype=np.bool_)
    for day in range(int(tested.day[-1]) + 1):
        of_day = np.flatnonzero(tested.day == day)
        count = round(CAPACITY * of_day.size)
        found[of_day] = alerts_at_capacity(scores[of_day], rows.transaction[at[of_day]], count)
    return found


def _compared(
    tested: Tested,
    first: Bools,
    second: Bools,
    rng: Generator,
    repeats: int,
) -> dict[str, Any]:
    frauds = tested.is_fraud.astype(np.float64)
    money = frauds * tested.amount
    common = float((first & second).sum() / first.sum())
    recalls = [float((alert * frauds).sum() / frauds.sum()) for alert in (first, second)]
    by_count, count_error = _ratio(tested.customer, first * frauds, second * frauds, rng)
    by_money, money_error = _ratio(tested.customer, first * money, second * money, rng)
    found = float(((first.astype(float) + second) / 2 * frauds).sum())
    alone = float(((first != second) * frauds).sum())
    looks = _looks(tested, first, second)
    return {
        "alerts in common": common,
        "recall": " / ".join(f"{one:.3f}" for one in recalls),
        "transactions": by_count,
        "transactions s.e.": count_error,
        "of money": by_money,
        "of money s.e.": money_error,
        "known frauds": by_count * found / alone,
        "reviews": by_count / (2 * (1 - common)),
        **_paired_days(looks),
        **_split_days(tested, first * frauds, second * frauds, rng, repeats),
    }


def _ratio(
    customer: Ints, first: Floats, second: Floats, rng: Generator, repeats: int = 200
) -> tuple[float, float]:
    """Transactions of a split over those of a pair, by customer, and a bootstrap of customers."""
    _, at = np.unique(customer, return_inverse=True)
    n, a, b = (np.bincount(at, weights=w).astype(float) for w in (np.ones(at.size), first, second))

    def of(w: Floats) -> float:
        total = float(w @ n)

        def spread(y: Floats) -> float:
            return float(w @ (y - (w @ y) / total * n) ** 2)

        return 2 * (spread(a) + spread(b)) / spread(b - a)

    many = [
        of(rng.multinomial(n.size, np.full(n.size, 1 / n.size)).astype(float))
        for _ in range(repeats)
    ]
    return of(np.ones(n.size)), float(np.std(many))


def _looks(tested: Tested, first: Bools, second: Bools) -> list[PairedComparison]:
    """At the end of each day, labels known after a week."""
    at = np.flatnonzero(first != second)
    pairs = PairColumns(
        account=tested.customer[at],
        event_time_ms=tested.day[at] * DAY_MS,
        side=np.where(second[at], 1.0, -1.0),
        value=tested.amount[at].astype(np.float64),
        weight=np.ones(at.size),
        is_fraud=tested.is_fraud[at],
        is_blind=np.zeros(at.size, dtype=np.bool_),
    )
    matured_ms = LABEL_DELAY_DAYS * DAY_MS
    of_day = np.bincount(
        tested.customer * (int(tested.day[-1]) + 1) + tested.day,
        weights=tested.amount * tested.is_fraud,
    )
    large = float(np.quantile(of_day[of_day > 0], 0.999))
    return [
        compare(pairs, day * DAY_MS + matured_ms, maturity_ms=matured_ms, large_minor=large)
        for day in range(int(tested.day[-1]) + 1)
    ]


def _paired_days(looks: list[PairedComparison]) -> dict[str, Any]:
    """After how many days of traffic counts, and money by twenty looks, have told."""
    enough = [day + 1 for day, one in enumerate(looks) if one.log_e_better >= math.log(20)]
    at = np.round(np.arange(1, LOOKS + 1) / LOOKS * len(looks)).astype(int) - 1
    edges = boundaries(((at + 1) / len(looks)).tolist(), [looks[i].money.information for i in at])
    told = [int(i) + 1 for i, edge in zip(at, edges, strict=True) if looks[i].money.z >= edge]
    last = looks[-1]
    return {
        "alone, by account": f"{last.accounts[1]} / {last.accounts[0]}",
        "e-process day": enough[0] if enough else "never",
        "money day": told[0] if told else "never",
        "money z": last.money.z,
        "without the large loss": replace(last.money, large=0.0).z,
    }


def _split_days(
    tested: Tested, first: Floats, second: Floats, rng: Generator, repeats: int
) -> dict[str, Any]:
    """Customers by chance to either model: in how many of these the split tells, and when."""
    customers, at = np.unique(tested.customer, return_inverse=True)
    day_count = int(tested.day[-1]) + 1
    ends = np.round(np.arange(1, LOOKS + 1) / LOOKS * day_count).astype(int)
    look = np.searchsorted(ends, tested.day, side="right")
    cell = look * customers.size + at
    shape = (LOOKS, customers.size)

    def cumulated(values: Floats) -> Floats:
        sums = np.bincount(cell, weights=values, minlength=LOOKS * customers.size)
        return np.cumsum(sums.reshape(shape), axis=0)

    n, a, b = cumulated(np.ones(at.size)), cumulated(first), cumulated(second)
    told = []
    for _ in range(repeats):
        in_b = rng.random(customers.size) < 0.5
        y = np.where(in_b, b, a)
        n1, n0 = n[:, in_b].sum(axis=1), n[:, ~in_b].sum(axis=1)
        rate = y.sum(axis=1) / (n1 + n0)
        variance = ((y - rate[:, None] * n) ** 2).mean(axis=1) * (
            in_b.sum() / n1**2 + (~in_b).sum() / n0**2
        )
        z = (y[:, in_b].sum(axis=1) / n1 - y[:, ~in_b].sum(axis=1) / n0) / np.sqrt(variance)
        edges = boundaries((ends / day_count).tolist(), (1 / variance).tolist())
        beyond = np.flatnonzero(z >= edges)
        told.append(ends[beyond[0]] if beyond.size else math.inf)
    share = float(np.isfinite(told).mean())
    middle = float(np.median(told))
    return {
        "split tells": f"{share:.0%} of {repeats}",
        "split day": "never" if math.isinf(middle) else middle,
    }
