"""What came of the arms, against a slow reckoning row by row."""

from collections import defaultdict
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.random import Generator, default_rng

from sentinel.core.experiments.outcomes.cells import Cell, MetricSums
from sentinel.core.experiments.outcomes.sums import Outcome
from sentinel.engine.archive.arm_outcomes import (
    METRIC_NAMES,
    Costs,
    accounts_of,
    by_account,
    first_seen,
    of_experiment,
    sums_of,
    technical,
    with_truth,
)
from sentinel.engine.archive.paired_outcomes import paired, pairs_of, shadowed_by

COSTS = Costs(review_minor=300, block_minor=700)
DAY_MS = 86_400_000


def decisions(rng: Generator, count: int) -> pl.DataFrame:
    """Of a ramp of two steps, of other experiments beside it, of none."""
    rows: list[dict[str, Any]] = []
    for i in range(count):
        share = 0.25 if rng.random() < 0.3 else None
        explored = share is not None and bool(rng.random() < share)
        action = str(rng.choice(["approve", "review", "block"], p=[0.7, 0.2, 0.1]))
        if share is not None:
            action = "review" if explored else "block"
        step = int(i > count / 2)
        arm = str(rng.choice(["control", "a", "b"]))
        experiment, arm = [
            (f"fast@1.{step}", arm),
            (f"fast@1.{step}+cuts@2.0", f"{arm}+lower"),
            ("cuts@2.0", "lower"),
            ("breakfast@1.0", "control"),  # another one, whose name ends so
            (None, "champion"),
        ][int(rng.integers(5))]
        rows.append(
            {
                "transaction_id": f"t{i}",
                "event_time_ms": 1_000 * i,
                "account": f"a{rng.integers(12)}",
                "amount_minor": int(rng.integers(1, 100_000)),
                "score": float(rng.random()),
                "action": action,
                "explore_share": share,
                "explored": explored,
                "experiment": experiment,
                "arm": arm,
                "shadow_version": "1.1.0" if rng.random() < 0.5 else None,
                "shadow_score": float(rng.random()),
            }
        )
    return pl.DataFrame(rows, infer_schema_length=None)


def labels(rng: Generator, frame: pl.DataFrame) -> pl.DataFrame:
    ids = [name for name in frame["transaction_id"].to_list() if rng.random() < 0.4]
    said = [str(rng.choice(["fraud", "genuine", "withdrawn"], p=[0.6, 0.3, 0.1])) for _ in ids]
    return pl.DataFrame({"transaction_id": ids, "label": said})


def slow(row: dict[str, Any], said: str | None) -> dict[str, tuple[int, int]]:
    """y and n of each metric, of one transaction."""
    amount, action = row["amount_minor"], row["action"]
    truth = {"fraud": True, "genuine": False}.get(said or "")
    if truth is None and action != "block":
        truth = False
    is_fraud, is_genuine, flagged = truth is True, truth is False, action != "approve"
    genuine_blocked = 0
    if row["explored"] and is_genuine:
        genuine_blocked = round(amount / row["explore_share"])
    elif action == "block" and row["explore_share"] is None and is_genuine:
        genuine_blocked = amount
    loss = amount if is_fraud and action == "approve" else 0
    cost = loss + (300 if action == "review" else 0)
    cost += 700 if action == "block" and not is_fraud else 0
    return {
        "fraud_loss": (loss, 1),
        "fraud_missed": (int(is_fraud and action == "approve"), 1),
        "recall": (int(is_fraud and flagged), int(is_fraud)),
        "precision": (int(is_fraud and flagged), int(truth is not None and flagged)),
        "alert_rate": (int(flagged), 1),
        "block_rate": (int(action == "block"), 1),
        "bothered": (int(is_genuine and flagged), 1),
        "genuine_blocked": (genuine_blocked, 1),
        "cost": (cost, 1),
    }


@pytest.mark.parametrize("seed", range(5))
def test_sums_are_those_of_the_rows_one_by_one(seed: int) -> None:
    rng = default_rng(seed)
    frame = decisions(rng, 400)
    told = labels(rng, frame)
    said = dict(zip(told["transaction_id"].to_list(), told["label"].to_list(), strict=True))
    before: dict[str, int] = {f"a{i}": int(rng.integers(0, 5)) for i in range(0, 12, 2)}
    covariates = pl.DataFrame(
        {"account": list(before), **{f"y_{name}": list(before.values()) for name in METRIC_NAMES}}
    )

    own = with_truth(of_experiment(frame, "fast@1"), told)
    found = sums_of(by_account(own, COSTS, ("step", "arm", "account")), covariates)

    expected: dict[str, dict[str, dict[Cell, list[int]]]] = {
        name: defaultdict(dict) for name in METRIC_NAMES
    }
    for row in frame.to_dicts():
        tags, arms = (row["experiment"] or "").split("+"), row["arm"].split("+")
        for tag, arm in zip(tags, arms, strict=True):
            if not tag.startswith("fast@1."):
                continue
            cell = Cell(int(tag.rpartition(".")[2]), arm)
            for name, (y, n) in slow(row, said.get(row["transaction_id"])).items():
                sums = expected[name][row["account"]].setdefault(cell, [0, 0])
                sums[0] += y
                sums[1] += n
    for name in METRIC_NAMES:
        slowly = MetricSums()
        for account, cells in expected[name].items():
            x = before.get(account, 0)
            slowly.replace({}, {cell: Outcome(y, n, x) for cell, (y, n) in cells.items()})
        assert found[name].to_dict() == slowly.to_dict(), name


def test_an_account_counts_once_where_it_was_first_seen() -> None:
    frame = decisions(default_rng(9), 300)
    own = of_experiment(frame, "fast@1")
    first: dict[str, tuple[int, str]] = {}
    counts: dict[tuple[int, str], int] = defaultdict(int)
    for row in own.sort("event_time_ms").to_dicts():
        first.setdefault(row["account"], (row["step"], row["arm"]))
        counts[row["step"], row["arm"]] += 1
    found = accounts_of(first_seen(own))
    assert {(one.step, one.arm): one.transactions for one in found} == counts
    assert {(one.step, one.arm): one.accounts for one in found if one.accounts} == {
        place: list(first.values()).count(place) for place in set(first.values())
    }


def test_scores_are_judged_by_what_is_known() -> None:
    rng = default_rng(6)
    frame = decisions(rng, 300).with_columns(probability=pl.col("score"))
    own = with_truth(of_experiment(frame, "fast@1"), labels(rng, frame))
    found = technical(own)
    assert set(found) == {"control", "a", "b"}
    for arm, told in found.items():
        rows = own.filter(pl.col("arm") == arm, pl.col("is_fraud").is_not_null())
        frauds = rows.filter(pl.col("is_fraud"))["score"].to_list()
        others = rows.filter(~pl.col("is_fraud"))["score"].to_list()
        above = sum((a > b) + 0.5 * (a == b) for a in frauds for b in others)
        assert told["auc"] == pytest.approx(above / (len(frauds) * len(others)))
        assert told["frauds"] == len(frauds)
        assert told["frauds_expected"] == pytest.approx(sum(frauds) + sum(others))
    assert technical(own.filter(pl.col("is_fraud").is_null())) == {}


def test_nothing_at_all_has_no_sums() -> None:
    frame = decisions(default_rng(1), 50)
    none = of_experiment(frame, "nobody@1")
    assert none.is_empty()
    assert accounts_of(first_seen(none)) == []


def test_each_model_alerts_as_often_as_the_champion_stopped_day_by_day() -> None:
    rng = default_rng(4)
    frame = decisions(rng, 2_000).with_columns(
        event_time_ms=pl.Series(np.sort(rng.integers(0, 5 * DAY_MS, 2_000)))
    )
    told = labels(rng, frame)
    own = with_truth(shadowed_by(frame, "1.1.0"), told)
    pairs = pairs_of(own)
    day = pairs.event_time_ms // DAY_MS
    for one in range(5):
        side = pairs.side[day == one]
        assert (side > 0).sum() == (side < 0).sum() > 0  # as many gained as lost
    found = paired(own, 5 * DAY_MS, maturity_ms=0)
    signed = np.where(pairs.is_fraud, pairs.side * pairs.weight, 0.0)
    assert found["better_count"] == pytest.approx(signed[signed > 0].sum())
    assert found["worse_count"] == pytest.approx(-signed[signed < 0].sum())
    assert found["transactions"] == own.height
    assert 0 < found["in_common"] < found["alerts"]


def test_a_model_that_scores_as_the_champion_differs_in_nothing() -> None:
    frame = decisions(default_rng(2), 500).with_columns(shadow_score=pl.col("score"))
    own = with_truth(shadowed_by(frame, "1.1.0"), labels(default_rng(3), frame))
    assert len(pairs_of(own).side) == 0
    found = paired(own, DAY_MS, maturity_ms=0)
    assert (found["better_count"], found["log_e_better"]) == (0.0, 0.0)


def test_what_no_model_has_scored_says_nothing_of_how_well_an_arm_tells_frauds() -> None:
    rng = default_rng(5)
    frame = decisions(rng, 400).with_columns(probability=pl.col("score"))
    rows = with_truth(of_experiment(frame, "fast@1"), labels(rng, frame))
    nothing = pl.lit(None, pl.Float64)
    ruled = rows.with_columns(score=nothing, probability=nothing)

    both = pl.concat([rows, ruled])
    assert technical(both) == technical(rows)
    assert shadowed_by(both, "1.1.0").equals(shadowed_by(rows, "1.1.0"))
