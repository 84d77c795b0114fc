"""What the benchmark of updates computes: gaps, spans, and whether decisions are right."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.decided import Decision, checked, joined, takeovers
from benchmarks.spans import arrivals, longest_gap_ms, stalls
from benchmarks.swaps import Change, correctness
from benchmarks.update_examples import END_MS, FRAUD_SHARE, examples, intercept, material
from sentinel.core.decision import Usual
from sentinel.core.learning.calibration import Calibration
from sentinel.core.learning.params import FitParams
from sentinel.model import Model, fit
from sentinel.serving_model import ServingModel

NAMES = [*(f"f{i}" for i in range(3)), "amount", "device_sum_7d"]
PREFIX = "transactions-2-"


def serving(version: str, seed: int) -> ServingModel:
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(500, 2))
    labels = (features[:, 0] + rng.normal(0, 0.3, 500) > 0).astype(np.int64)
    text = fit(features, labels, params=FitParams(tree_count=5), feature_names=["a", "b"])
    usual = Usual(np.zeros(2), np.ones(2))
    return ServingModel(version, Model.from_text(version, text), Calibration(1.0, -1.0), usual)


@pytest.fixture(scope="module")
def models() -> dict[str, ServingModel]:
    return {version: serving(version, seed) for seed, version in enumerate(("1.0.0", "1.0.1"))}


def decision(models: dict[str, ServingModel], version: str, offset: int) -> Decision:
    features: list[float | None] = [0.1 * offset - 0.3, None if offset == 1 else 0.5]
    raw = models[version].model.raw_scores(np.array([features], dtype=np.float64))
    return Decision(
        decision_id=f"{PREFIX}{offset}",
        score=float(models[version].score(raw)[0]),
        probability=float(models[version].probability(raw)[0]),
        features=features,
        model_version=version,
    )


def test_a_decision_is_exact_if_it_is_what_the_version_it_names_says_bit_for_bit(
    models: dict[str, ServingModel],
) -> None:
    right = [decision(models, "1.0.0", 0), decision(models, "1.0.1", 1)]
    claimed = decision(models, "1.0.0", 2)
    claimed.model_version = "1.0.1"
    off_by_a_bit = decision(models, "1.0.1", 3)
    off_by_a_bit.probability = float(np.nextafter(off_by_a_bit.probability, 1))

    found = checked([*right, claimed, off_by_a_bit], range(4), PREFIX, models)

    assert found.code.tolist() == [0, 1, 1, 1]
    assert found.is_exact.tolist() == [True, True, False, False]
    assert found.is_in_place.all()
    assert found.is_telling[:2].all()


def test_a_version_that_nobody_knows_is_never_exact(models: dict[str, ServingModel]) -> None:
    strange = decision(models, "1.0.0", 0)
    strange.model_version = "9.0.0"

    found = checked([strange], [0], PREFIX, models)

    assert found.code.tolist() == [-1]
    assert not found.is_exact.any()


def test_a_repeated_decision_is_out_of_place_and_so_are_those_behind_it(
    models: dict[str, ServingModel],
) -> None:
    rows = [decision(models, "1.0.0", offset) for offset in (0, 1, 1, 2)]

    found = checked(rows, range(4), PREFIX, models)

    assert found.is_in_place.tolist() == [True, True, False, False]


def test_versions_take_over_once_each_in_the_order_of_the_changes() -> None:
    code = np.array([0, 0, 1, 1, 1, 0])

    assert takeovers(code, [1, 0]).tolist() == [2, 5]
    with pytest.raises(SystemExit, match="took over"):
        takeovers(code, [1])
    with pytest.raises(SystemExit, match="took over"):
        takeovers(np.array([0, 1, 0, 1, 0]), [1, 0])


def write_arrays(path: Path) -> None:
    np.savez(
        path,
        due_ms=np.array([1_000.0, 1_001.0, 2_000.0, 3_000.0]),
        partition=np.array([0, 1, 0, 0]),
        measured=np.array([False, True, True, True]),
        before=np.array([2, 0]),
        seen=np.array([(0, 3, 1_010.0), (1, 1, 1_011.0), (0, 4, 2_050.0), (0, 5, 3_030.0)]),
    )


def test_a_span_has_the_latencies_of_what_was_due_in_it(tmp_path: Path) -> None:
    write_arrays(tmp_path / "phase.npz")

    found = arrivals(tmp_path / "phase.npz", append_times=False)

    assert found.within(1.0, 2.0).tolist() == [10.0], "what fell into the warm-up is left out"
    assert found.within(2.0, 3.0).tolist() == [50.0]
    assert found.counts.tolist() == [5, 1]
    assert found.decided_s(0, np.array([2, 3, 4])).tolist() == [1.01, 2.05, 3.03]


def test_the_longest_gap_is_that_of_one_partition_though_others_go_on() -> None:
    seen = np.array(
        [(0, 1, 1_000.0), (1, 1, 1_010.0), (1, 2, 1_100.0), (1, 3, 1_200.0), (0, 2, 1_250.0)]
    )

    assert longest_gap_ms(seen, 1.0, 2.0) == 250.0
    assert longest_gap_ms(seen, 1.0, 1.21) == 100.0, "a gap counts where it ends"
    assert longest_gap_ms(seen, 5.0, 6.0) == 0.0


def test_a_stall_is_a_long_delay_within_the_span() -> None:
    def stall(at_s: float, late_ms: float) -> dict[str, Any]:
        return {"at_s": at_s, "late_ms": late_ms, "own_ms": 1.0}

    samples = [
        {"stalls": [stall(1.0, 30.0), stall(2.0, 12.0)]},
        {"stalls": [stall(3.0, 25.0), stall(9.0, 99.0)]},
    ]

    assert [one["at_s"] for one in stalls(samples, 0.0, 5.0)] == [1.0, 3.0]


def test_lost_doubled_and_wrong_decisions_are_counted(
    models: dict[str, ServingModel], tmp_path: Path
) -> None:
    write_arrays(tmp_path / "phase.npz")
    sent = arrivals(tmp_path / "phase.npz", append_times=False)
    versions = ("1.0.0", "1.0.1", "1.0.0", "1.0.0", "1.0.0")
    rows = [decision(models, version, at) for at, version in enumerate(versions)]
    rows[4].score += 1e-9
    alone = [decision(models, version, at) for at, version in enumerate(versions[:3])]
    changes = [Change("promoted", 0.0, 0.1), Change("rolled back", 1.0, 1.1)]
    whole = joined([checked(rows[:2], range(2), PREFIX, models),
                    checked(rows[2:], range(2, 5), PREFIX, models)])  # fmt: skip

    found = correctness([whole, checked(alone, range(3), PREFIX, models)], sent, changes)

    assert found["sent"] == 6
    assert found["decided"] == 8
    assert found["lost_or_doubled"] == 2, "two more than were sent to the second partition"
    assert found["inexact"] == 1
    assert found["decided_after_rollback"] == 4
    assert found["inexact_after_rollback"] == 1


def test_log_odds_are_shifted_to_the_share_of_frauds_asked_for() -> None:
    risk = np.random.default_rng(5).normal(0, 2, 10_000)

    assert (1 / (1 + np.exp(-risk - intercept(risk, 0.02)))).mean() == pytest.approx(0.02)


def test_examples_are_few_frauds_over_weeks_the_same_each_time() -> None:
    made = examples(NAMES, 20_000, end_ms=END_MS, has_changed=True, seed=3)

    times_ms = np.array([one.event_time_ms for one in made])
    frauds = sum(one.label == "fraud" for one in made)
    assert frauds / 20_000 == pytest.approx(FRAUD_SHARE, rel=0.15)
    assert np.all(np.diff(times_ms) >= 0)
    assert 29 * 86_400_000 < times_ms[-1] - times_ms[0] < 30 * 86_400_000
    assert times_ms[-1] <= END_MS
    assert made == examples(NAMES, 20_000, end_ms=END_MS, has_changed=True, seed=3)


def test_new_examples_are_of_other_transactions_and_later_ones() -> None:
    given = material(NAMES, old_count=300, new_count=200, seed=3)

    assert given.old[-1].event_time_ms < given.new[0].event_time_ms
    assert len({one.transaction_id for one in [*given.old, *given.new]}) == 500
