"""A batch that several arms decide is what each arm makes of its own rows, one by one."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.core.decision import ACTIONS, APPROVE, BLOCK, REVIEW, SEVERITIES, PolicyParams
from sentinel.core.exploration import exploration
from sentinel.core.fallback import FallbackParams
from sentinel.engine.scoring.counting import count_decisions
from sentinel.engine.scoring.deciding import Arm, decide
from sentinel.engine.scoring.judging import JudgedBatch
from sentinel.metrics import Metrics
from sentinel.records import Transactions, part
from sentinel.texts import Texts
from tests.engine.learning_world import artifact, model_of

CAUTIOUS = PolicyParams(
    review_min=0.1,
    block_min=0.3,
    explore_share=0.1,
    explore_amount_minor_max=500,
    recommended={"high": ("call",)},
)
BOLD = PolicyParams(review_min=0.6, block_min=0.9)
FIRST = model_of(artifact("1.0.0"))
SECOND = model_of(artifact("1.1.0", slope=0.5, intercept=0.5))
ARMS = (
    Arm(FIRST, CAUTIOUS),
    Arm(SECOND, BOLD, "challenger", 0.25, "fees@2"),
    Arm(FIRST, replace(CAUTIOUS, explore_share=0.05), "bold", 0.05, "fees@2"),
)


def rows_of(count: int, *, prefix: str = "T") -> Transactions:
    zero = np.zeros(count, dtype=np.int64)
    ids = Texts.of([f"{prefix}{i}" for i in range(count)])
    return Transactions(
        ids, zero, np.arange(count), zero, np.arange(count) % 1_000, {"account": ids}
    )


@given(
    st.lists(st.tuples(st.integers(0, 2), st.floats(-8, 8) | st.just(float("nan"))), max_size=60),
    st.integers(0, 1_000_000),
)
def test_a_row_is_decided_by_its_arm_whatever_stands_beside_it(
    drawn: list[tuple[int, float]], seed: int
) -> None:
    rows = rows_of(len(drawn), prefix=f"{seed}-")
    arm_of = np.array([arm for arm, _ in drawn], dtype=np.int64)
    raw = np.array([score for _, score in drawn], dtype=np.float64)
    features = np.arange(2.0 * len(drawn)).reshape(-1, 2)

    found = decide(rows, features, ARMS, arm_of, raw)

    assert found.arm is arm_of
    assert found.features is features
    for i, (number, score) in enumerate(drawn):
        arm = ARMS[number]
        one = slice(i, i + 1)
        alone = decide(part(rows, i, i + 1), features[one], [arm], np.zeros(1, int), raw[one])
        for name in ("score", "probability", "action", "severity"):
            np.testing.assert_equal(getattr(found, name)[i], getattr(alone, name)[0])
        assert found.explored.get(i) == alone.explored.get(0)
        assert ACTIONS[int(found.action[i])] == expected_action(part(rows, i, i + 1), score, arm)


def expected_action(row: Transactions, score: float, arm: Arm) -> str:
    p = 0.0 if np.isnan(score) else float(arm.model.probability(np.array([score]))[0])
    if p < arm.policy.review_min:
        return "approve"
    if p < arm.policy.block_min:
        return "review"
    explored = exploration(row.transaction_id, row.amount_minor, np.array([BLOCK]), arm.policy)
    return "review" if explored.get(0) else "block"


def test_what_has_no_score_is_decided_by_rules_of_thumb_and_has_no_probability() -> None:
    raw = np.array([np.nan, 9.0, np.nan, np.nan])
    found = decide(rows_of(4), np.zeros((4, 1)), ARMS[:1], np.zeros(4, int), raw)

    assert np.isnan(found.score).tolist() == np.isnan(found.probability).tolist()
    assert np.isnan(found.score).tolist() == [True, False, True, True]
    assert found.action.tolist() == [APPROVE, found.action[1], APPROVE, APPROVE]
    assert found.probability[1] > 0.9

    rules = FallbackParams(review_amount_minor_min=2, block_amount_minor_min=3)
    ruled = decide(rows_of(4), np.zeros((4, 1)), ARMS[:1], np.zeros(4, int), raw, rules)

    assert ruled.action.tolist() == [APPROVE, found.action[1], REVIEW, BLOCK]
    assert [SEVERITIES[i] for i in ruled.severity[[0, 2, 3]]] == ["low", "medium", "high"]
    assert ruled.rules == {2: "fallback_review_amount", 3: "fallback_block_amount"}
    assert ruled.explored.keys() == found.explored.keys() <= {1}, "what a rule blocks stays blocked"


def test_an_arm_says_what_its_decisions_have_in_common() -> None:
    stamp = ARMS[1].stamp()

    assert (stamp.name, stamp.model_version, stamp.propensity) == ("challenger", "1.1.0", 0.25)
    assert (stamp.experiment, stamp.explore_share) == ("fees@2", 0.0)
    assert ARMS[0].stamp().recommended == tuple(
        ("call",) if severity == "high" else () for severity in SEVERITIES
    )


def test_decisions_are_counted_by_the_version_that_made_them() -> None:
    """Two arms of one version count as one; what has no score is a decision, and has no bucket."""
    metrics, arm_of = Metrics(), np.array([0, 1, 1, 2, 0])
    raw = np.array([9.0, 9.0, -9.0, -9.0, np.nan])
    found = decide(rows_of(5), np.zeros((5, 1)), ARMS, arm_of, raw)

    count_decisions(metrics, JudgedBatch(found, ARMS, "", [4]))
    count_decisions(metrics, JudgedBatch(found, ARMS, "", [4]))

    assert metrics.decisions == 10
    assert metrics.version_decisions == {"1.0.0": 6, "1.1.0": 4}
    assert metrics.version_alerts == {"1.0.0": 2, "1.1.0": 2}
    assert sum(metrics.actions.values()) == 10
    assert metrics.scores.sum() == 8
    for version, numbers in (("1.0.0", [0, 3]), ("1.1.0", [1, 2])):
        expected = 2 * found.probability[numbers].sum()
        assert metrics.version_probability_sum[version] == pytest.approx(expected)
