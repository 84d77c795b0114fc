"""From a probability to an action, a severity and its reasons."""

from typing import Any

import numpy as np
import pytest

from sentinel.core.decision import (
    ACTIONS,
    SEVERITIES,
    PolicyParams,
    Usual,
    account_range,
    actions,
    reasons,
    severities,
)

POLICY = PolicyParams()
USUAL = Usual(low=np.array([1.0, 2.0, np.nan]), high=np.array([10.0, 20.0, np.nan]))
NAMES = ["amount", "count", "risk"]


def below(value: float) -> float:
    return float(np.nextafter(value, 0.0))


@pytest.mark.parametrize(
    ("probability", "action", "severity"),
    [
        (0.0, "approve", "low"),
        (below(0.2), "approve", "low"),
        (0.2, "review", "medium"),
        (below(0.5), "review", "medium"),
        (0.5, "review", "high"),
        (below(0.8), "review", "high"),
        (0.8, "block", "high"),
        (below(0.9), "block", "high"),
        (0.9, "block", "critical"),
        (1.0, "block", "critical"),
    ],
)
def test_a_threshold_belongs_to_what_is_above_it(
    probability: float, action: str, severity: str
) -> None:
    values = np.array([probability])

    assert ACTIONS[actions(values, POLICY)[0]] == action
    assert SEVERITIES[severities(values, POLICY)[0]] == severity


def test_equal_thresholds_leave_nothing_between_them() -> None:
    policy = PolicyParams(review_min=0.5, block_min=0.5, medium_min=0.5, high_min=0.5)
    values = np.array([below(0.5), 0.5])

    assert [ACTIONS[i] for i in actions(values, policy)] == ["approve", "block"]
    assert [SEVERITIES[i] for i in severities(values, policy)] == ["low", "high"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"review_min": 0.9}, "review_min <= block_min"),
        ({"review_min": 0.0}, "0 < review_min"),
        ({"block_min": 1.1}, "block_min <= 1"),
        ({"medium_min": float("nan")}, "0 < medium_min"),
        ({"high_min": 0.95}, "high_min <= critical_min"),
        ({"reason_count_max": 11}, r"reason_count_max must be in 0\.\.10, got 11"),
        ({"explore_share": 0.11}, r"explore_share must be in 0\.\.0\.1, got 0\.11"),
        ({"explore_share": -0.01}, "explore_share must be in"),
        ({"explore_share": float("nan")}, "explore_share must be in"),
        ({"explore_amount_minor_max": -1}, "explore_amount_minor_max must not be negative"),
        ({"explore_share": 0.01}, "explore_share needs explore_amount_minor_max"),
        ({"recommended": {"urgent": ()}}, r"unknown severities \['urgent'\]; known: .*critical"),
    ],
)
def test_a_policy_that_contradicts_itself_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PolicyParams(**values)


def why(
    contributions: list[float],
    own: dict[int, tuple[float, float]] | None = None,
    count_max: int = 3,
) -> list[dict[str, Any]]:
    features = np.array([100.0, np.nan, 0.5])
    return reasons(NAMES, features, np.array(contributions), USUAL, own or {}, count_max=count_max)


def test_the_strongest_reason_comes_first_and_none_that_speaks_against() -> None:
    assert [reason["feature"] for reason in why([0.5, 1.5, -2.0])] == ["count", "amount"]
    assert why([0.0, -1.0, -2.0]) == []


def test_of_equal_reasons_the_first_column_comes_first() -> None:
    assert [reason["feature"] for reason in why([1.0, 1.0, 1.0])] == NAMES


def test_there_are_no_more_reasons_than_asked_for() -> None:
    assert [reason["feature"] for reason in why([1.0, 2.0, 3.0], count_max=1)] == ["risk"]
    assert why([1.0, 2.0, 3.0], count_max=0) == []


def test_a_reason_says_what_is_usual_and_for_whom() -> None:
    amount, count = why([2.0, 1.23456789, 0.0], own={0: (3.0, 4.0)})

    assert amount == {
        "feature": "amount",
        "value": 100.0,
        "contribution": 2.0,
        "usual_low": 3.0,
        "usual_high": 4.0,
        "usual_of": "account",
    }
    assert np.isnan(count.pop("value"))
    assert count == {
        "feature": "count",
        "contribution": 1.234568,
        "usual_low": 2.0,
        "usual_high": 20.0,
        "usual_of": "population",
    }


def test_an_accounts_range_is_two_deviations_wide_and_not_negative() -> None:
    assert account_range(10.0, 2.0) == (6.0, 14.0)
    assert account_range(10.0, 20.0) == (0.0, 50.0)
    assert account_range(10.0, 0.0) == (10.0, 10.0)


@pytest.mark.parametrize(("mean", "std"), [(np.nan, 1.0), (1.0, np.nan), (np.inf, 1.0)])
def test_an_account_without_a_past_has_no_range(mean: float, std: float) -> None:
    assert account_range(mean, std) is None
