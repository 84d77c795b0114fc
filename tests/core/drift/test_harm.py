"""Estimated and known performance, and harm, against plain sums."""

import math

import numpy as np
import pytest
from numpy.random import Generator, default_rng
from numpy.typing import NDArray

from sentinel.core.drift.counts.counting import GROUP_COUNT
from sentinel.core.drift.outcomes.estimated import (
    MEASURES,
    PerformanceSums,
    replaced,
)
from sentinel.core.drift.outcomes.harm import HarmInterval, HarmParams, harms, severity
from sentinel.records import Floats, Ints

PARAMS = HarmParams()


class Rows:
    """Transactions with honest probabilities."""

    def __init__(self, rng: Generator, n: int, *, logit: float = -4.0, rows: int = 1) -> None:
        k = n // rows
        self.accounts: Ints = np.repeat(rng.integers(2**62, size=k), rows)
        of_account = np.repeat(rng.normal(size=k), rows)
        z = logit + 1.5 * (math.sqrt(0.5) * of_account + math.sqrt(0.5) * rng.normal(size=n))
        self.probabilities: Floats = 1 / (1 + np.exp(-z))
        self.labels: Floats = (rng.random(n) < self.probabilities).astype(np.float64)
        self.alerts: NDArray[np.bool_] = self.probabilities > 0.1
        self.amounts: Floats = np.exp(rng.normal(4, 1, size=n))

    def sums(self, of: Floats | None = None, at: slice = slice(None)) -> PerformanceSums:
        frauds = self.probabilities if of is None else of
        return PerformanceSums.of_rows(
            frauds[at], self.alerts[at], self.amounts[at], self.accounts[at]
        )


def test_sums_of_rows_are_those_of_a_plain_loop() -> None:
    rows = Rows(default_rng(1), 500)
    rows.amounts[3] = np.nan
    rows.amounts[4] = np.inf
    plain = np.zeros((GROUP_COUNT, len(MEASURES)))
    for p, alert, amount, account in zip(
        rows.probabilities, rows.alerts, rows.amounts, rows.accounts, strict=True
    ):
        money = p * amount if math.isfinite(amount) else 0.0
        plain[account % GROUP_COUNT] += [
            1,
            p,
            alert,
            p if alert else 0,
            money,
            0 if alert else money,
        ]

    found = rows.sums()

    assert found.of_groups == pytest.approx(plain)
    assert found.precision == pytest.approx(rows.probabilities[rows.alerts].mean())
    assert found.fraud_share == pytest.approx(rows.probabilities.mean())


def test_weighted_rows_count_as_so_many() -> None:
    rows = Rows(default_rng(2), 200)
    arguments = (rows.probabilities, rows.alerts, rows.amounts, rows.accounts)

    doubled = PerformanceSums.of_rows(*arguments, weights=np.full(200, 2.0))

    assert doubled.of_groups == pytest.approx((rows.sums() + rows.sums()).of_groups)


def test_honest_probabilities_estimate_what_labels_say_later() -> None:
    rows = Rows(default_rng(3), 100_000)

    estimated, known = rows.sums(), rows.sums(rows.labels)

    for name in ("precision", "recall", "missed_money"):
        assert getattr(estimated, name) == pytest.approx(getattr(known, name), rel=0.05)


def test_labels_take_the_place_of_the_estimate_as_they_mature() -> None:
    rows = Rows(default_rng(5), 20_000)
    rows.labels[:] = rng_labels(rows.probabilities * 1.75)
    old, young = slice(0, 15_000), slice(15_000, None)

    found = replaced(rows.sums(), rows.sums(at=old), rows.sums(rows.labels, at=old))

    together = rows.sums(rows.labels, at=old) + rows.sums(at=young)
    assert found.of_groups == pytest.approx(together.of_groups)
    assert replaced(rows.sums(), rows.sums(), rows.sums(rows.labels)).recall == pytest.approx(
        rows.sums(rows.labels).recall
    )


def rng_labels(probabilities: Floats) -> Floats:
    return (default_rng(6).random(probabilities.size) < probabilities).astype(np.float64)


def test_without_rows_there_is_nothing_to_say() -> None:
    nothing = PerformanceSums(np.zeros((GROUP_COUNT, len(MEASURES))))

    assert (nothing.precision, nothing.recall, nothing.fraud_share) == (None, None, None)
    assert harms(nothing, Rows(default_rng(7), 1_000).sums(), PARAMS) == ()
    assert severity((), PARAMS) == "info"


@pytest.mark.parametrize("rows", [1, 20])
def test_intervals_cover_no_change_as_often_as_they_say_also_when_accounts_are_alike(
    rows: int,
) -> None:
    rng, missed = default_rng(8), {"precision": 0, "recall": 0, "missed_money": 0}
    for _ in range(200):
        sides = [Rows(rng, 4_000, rows=rows) for _ in range(2)]
        before, now = (side.sums(side.labels) for side in sides)
        for harm in harms(before, now, PARAMS):
            missed[harm.name] += not harm.low <= 0 <= harm.high

    # 5 per cent of 200; money has heavy tails.
    assert max(missed.values()) <= 22


def test_a_precision_from_few_alerts_is_no_figure() -> None:
    rows = Rows(default_rng(9), 2_000)
    rows.alerts[np.flatnonzero(rows.alerts)[4:]] = False

    assert "precision" not in {harm.name for harm in harms(rows.sums(), rows.sums(), PARAMS)}


@pytest.mark.parametrize(
    ("low", "change", "high", "expected"),
    [
        (-10.0, 40.0, 90.0, "info"),  # may be chance
        (1.0, 4.0, 7.0, "info"),  # is not, but small
        (1.0, 6.0, 11.0, "warning"),
        (24.0, 50.0, 76.0, "warning"),
        (25.0, 50.0, 75.0, "critical"),
        (-90.0, -50.0, -30.0, "info"),  # for the better
    ],
)
def test_how_grave_a_change_is_follows_from_what_it_costs_at_least(
    low: float, change: float, high: float, expected: str
) -> None:
    money = HarmInterval("missed_money", 100.0, 100.0 + change, change, low, high)
    recall = HarmInterval("recall", 1.0, 1.0 - change / 100, -change / 100, -high / 100, -low / 100)

    assert severity((money,), PARAMS) == expected
    assert severity((recall,), PARAMS) == expected


@pytest.mark.parametrize(
    "wrong", [{"warning": 0.0}, {"warning": 0.5}, {"critical": 0.01}, {"level": 1.0}]
)
def test_parameters_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"must be|expected"):
        HarmParams(**wrong)
