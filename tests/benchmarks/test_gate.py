"""What the benchmark of the gate shows, on few trials."""

from dataclasses import replace

from numpy.random import default_rng

from benchmarks.gate import SCENARIOS, rates, weighted_training
from sentinel.core.learning.gate.judging import GateParams

PARAMS = GateParams(replicate_count=100)


def test_frauds_that_weigh_as_much_as_all_the_rest_are_refused_for_their_calibration() -> None:
    plain, weighted = weighted_training(PARAMS, default_rng(7))

    assert plain["mean ratio"] < 1.1
    assert "calibration" not in plain["failed"]
    assert weighted["outcome"] == "refuse"
    assert weighted["mean ratio"] > 3
    assert "calibration_mean" in weighted["failed"]
    assert "calibration_error" in weighted["failed"]


def test_what_is_far_better_is_promoted_and_the_shares_say_so() -> None:
    far_better = replace(SCENARIOS[0], name="large", challenger_auc=0.93)

    row = rates(far_better, 2, PARAMS, default_rng(3))

    assert row["promoted"] == row["AUC higher"] == row["DeLong"] == 1.0
    assert row["failed"] == ""
