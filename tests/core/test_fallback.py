"""Rules of thumb against one row at a time."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.core.decision import ACTIONS, SEVERITIES
from sentinel.core.fallback import FallbackAction, FallbackParams, ruled

AMOUNTS = st.integers(-1_000, 1_000)
LEAST = st.integers(0, 1_000)


def by_hand(amount: int, params: FallbackParams) -> tuple[str, str, list[str]]:
    if 0 < params.block_amount_minor_min <= abs(amount) and params.action != "block":
        return "block", "high", ["fallback_block_amount"]
    if 0 < params.review_amount_minor_min <= abs(amount) and params.action == "approve":
        return "review", "medium", ["fallback_review_amount"]
    return params.action, {"approve": "low", "review": "medium", "block": "high"}[params.action], []


@given(
    st.lists(AMOUNTS, max_size=30), st.sampled_from(["approve", "review", "block"]), LEAST, LEAST
)
def test_a_rule_raises_the_default_action_and_never_lowers_it(
    amounts: list[int], action: FallbackAction, one: int, other: int
) -> None:
    review, block = (min(one, other), max(one, other)) if min(one, other) else (one, other)
    if block and block < review:
        review = 0
    params = FallbackParams("rules", action, review, block)

    found = ruled(np.array(amounts, dtype=np.int64), params)

    told = [
        (
            ACTIONS[int(found.action[i])],
            SEVERITIES[int(found.severity[i])],
            [found.hits[i]] if i in found.hits else [],
        )
        for i in range(len(amounts))
    ]
    assert told == [by_hand(amount, params) for amount in amounts]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"after": "stop"}, r"after must be one of .*refuse"),
        ({"action": "decline"}, r"action must be one of .*approve"),
        ({"review_amount_minor_min": -1}, "must not be negative"),
        (
            {"review_amount_minor_min": 200, "block_amount_minor_min": 100},
            "must not be above block_amount_minor_min",
        ),
    ],
)
def test_rules_that_make_no_sense_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FallbackParams(**settings)  # type: ignore[arg-type]
