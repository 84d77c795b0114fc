"""Which settings of the learner make sense."""

from typing import Any

import pytest

from sentinel.core.learning.gate.judging import GateParams
from sentinel.core.learning.training_data.memory import MemoryParams
from sentinel.learner.params import STRATEGIES, LearningParams


def test_the_defaults_make_sense() -> None:
    assert LearningParams().strategies == STRATEGIES


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"strategies": ()}, "strategies must be some of"),
        ({"strategies": ("retrain", "continue")}, "in this order"),
        ({"strategies": ("retrain", "retrain")}, "in this order"),
        ({"strategies": ("refit",)}, "strategies must be some of"),
        ({"gate_share_max": 0.0}, "gate_share_max must be in"),
        ({"gate_share_max": 1.0}, "gate_share_max must be in"),
        ({"old_share": 0.0}, "old_share must be in"),
        ({"old_share": 0.6}, "old_share must be in"),
        ({"memory": MemoryParams(stratum_count=11)}, "stratum_count must be at least 12"),
        ({"gate_fraud_count": 99}, "gate_fraud_count must be at least"),
        ({"window_row_count_max": 3_999}, "at least gate.example_count_min"),
        (
            {"window_row_count_max": 4_000, "gate_share_max": 0.9},
            "at least candidates.selection.row_count_min",
        ),
        ({"old_row_count_max": 199}, "twice gate.fraud_count_min"),
        ({"gate": GateParams(fraud_count_min=151)}, "gate_fraud_count must be at least"),
    ],
    ids=str,
)
def test_a_setting_that_makes_no_sense_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LearningParams(**changes)
