"""Examples: what was decided, with what turned out to be true."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from sentinel.codec.archive import archive_rows, decode_archived
from sentinel.core.exploration import is_explored
from sentinel.core.features.hashing import hash64
from sentinel.core.learning.maturity import MaturityParams
from sentinel.engine.archive.examples import examples, horizons, span_ms
from sentinel.engine.archive.labels import current_labels
from sentinel.records import Record
from tests.app.test_archive import World, archive_of, decision, label, log_files_of
from tests.engine.samples import DAY_MS, NAMES, START_MS

PARAMS = MaturityParams(
    horizon_min_s=86_400.0, horizon_max_s=30 * 86_400.0, label_count_min=10, genuine_share=1.0
)


def write(world: World, kind: Any, values: list[dict[str, Any]], first: int = 0) -> None:
    """Archive these values as one file."""
    records = [
        Record(first + i, START_MS, None, json.dumps(value).encode())
        for i, value in enumerate(values)
    ]
    rows = archive_rows(records, [decode_archived(kind, record) for record in records])
    span = (records[0].offset, records[-1].offset)
    names = NAMES if kind == "decisions" else []
    written = log_files_of(world, kind)
    written.write(0, span, ("", int(rows.position[-1])), rows, names)


def at_day(offset: int, day: float, **others: Any) -> dict[str, Any]:
    return decision(offset, event_time_ms=START_MS + round(day * DAY_MS), **others)


def said(offset: int, feedback: int, name: str, day: float, delay: float) -> dict[str, Any]:
    """A label of the transaction at an offset, so many days after it."""
    happened_ms = START_MS + round(day * DAY_MS)
    return {
        **label(offset, name),
        "feedback_offset": feedback,
        "event_time_ms": happened_ms,
        "observed_ms": happened_ms + round(delay * DAY_MS),
    }


def joined(world: World, params: MaturityParams = PARAMS) -> pl.DataFrame:
    return pl.concat(examples(archive_of(world), params)).sort("transaction_id")


def test_a_known_truth_is_an_example_whatever_its_age(tmp_path: Path) -> None:
    world = World(tmp_path)
    write(world, "decisions", [at_day(0, 0), at_day(1, 9), at_day(2, 9)])
    write(world, "labels", [said(1, 0, "fraud", 9, 2.5), said(2, 1, "genuine", 9, 1)])

    found = joined(world)

    assert found["transaction_id"].to_list() == ["t1", "t2"]
    assert found["label"].to_list() == [1, 0]
    assert found["label_delay_ms"].to_list() == [2.5 * DAY_MS, DAY_MS]
    assert found["weight"].to_list() == [1.0, 1.0]
    assert found[f"feature_{NAMES[0]}"].to_list() == [0.1 + 0.2] * 2


def test_a_later_label_supersedes_the_one_before(tmp_path: Path) -> None:
    world = World(tmp_path)
    write(world, "decisions", [at_day(0, 0)])
    write(world, "labels", [said(0, 3, "fraud", 0, 1)])
    assert joined(world)["label"].to_list() == [1]

    write(world, "labels", [said(0, 9, "genuine", 0, 4)], first=1)

    assert joined(world)["label"].to_list() == [0]
    assert len(current_labels(archive_of(world))) == 1


def test_silence_means_genuine_only_behind_the_horizon_and_never_for_what_was_blocked(
    tmp_path: Path,
) -> None:
    world = World(tmp_path)
    days = [at_day(i, i) for i in range(0, 60, 2)]
    blocked = at_day(100, 1, action="block")
    write(world, "decisions", [*days, blocked])

    found = joined(world)

    newest_ms = START_MS + 58 * DAY_MS
    assert horizons(current_labels(archive_of(world)), newest_ms, PARAMS).mature_ms == (
        START_MS + 28 * DAY_MS
    )
    assert set(found["source"].to_list()) == {"presumed"}
    assert found["event_time_ms"].max() == START_MS + 28 * DAY_MS
    assert "t100" not in found["transaction_id"].to_list()
    assert found["posterior"].to_list() == [0.0] * 15


def test_the_horizon_follows_the_slowest_source(tmp_path: Path) -> None:
    world = World(tmp_path)
    write(world, "decisions", [at_day(i, i) for i in range(100)])
    quick = [{**said(i, i, "fraud", i, 2), "source": "investigator"} for i in range(40)]
    slow = [said(i, 100 + i, "fraud", i, 20) for i in range(40, 60)]
    write(world, "labels", [*quick, *slow])
    files = archive_of(world)

    newest_ms = span_ms(files, files.segments("decisions")[0])[1]
    found = horizons(current_labels(files), newest_ms, PARAMS)

    assert found.by_source_ms == {"chargeback": 20 * DAY_MS, "investigator": 2 * DAY_MS}
    assert found.mature_ms == newest_ms - 20 * DAY_MS


def test_a_share_of_the_genuine_stands_for_all_of_them(tmp_path: Path) -> None:
    world = World(tmp_path)
    write(world, "decisions", [at_day(i, 0) for i in range(4_000)] + [at_day(4_000, 130)])

    found = joined(world, MaturityParams(genuine_share=0.1))

    assert 300 < len(found) < 500
    assert set(found["propensity"].to_list()) == {0.1}
    assert found["weight"].sum() == pytest.approx(4_000, rel=0.15)
    again = joined(world, MaturityParams(genuine_share=0.1))
    assert np.array_equal(found["transaction_id"].to_numpy(), again["transaction_id"].to_numpy())


def test_the_explored_stand_for_all_that_were_at_stake(tmp_path: Path) -> None:
    world = World(tmp_path)
    at_stake = {"explore_share": 0.02}
    blocked = [at_day(i, 0, action="block", **at_stake, explored=False) for i in range(2)]
    explored = [at_day(i, 0, action="review", **at_stake, explored=True) for i in range(2, 4)]
    others = [at_day(4, 0, action="review"), at_day(5, 0, action="block"), at_day(6, 40)]
    write(world, "decisions", [*blocked, *explored, *others])
    labelled = [said(i, i, "fraud", 0, 3) for i in (0, 2, 4, 5)]
    write(world, "labels", labelled)

    found = joined(world)

    shown = found.select("transaction_id", "source", "propensity", "is_selective")
    assert shown.rows() == [
        ("t0", "chargeback", 1.0, True),  # blocked though exploring, and heard of all the same
        ("t2", "chargeback", 0.02, False),
        ("t3", "presumed", 0.02, False),
        ("t4", "chargeback", 1.0, False),
        ("t5", "chargeback", 1.0, True),  # was not at stake
    ]
    assert found["weight"].to_list() == [1.0, 50.0, 50.0, 1.0, 1.0]


def test_an_explored_one_that_is_presumed_genuine_had_to_be_sampled_as_well(tmp_path: Path) -> None:
    """What is at stake is worth as much as it is many, though most of it is blocked."""
    world = World(tmp_path)
    count, share, sampled = 100_000, 0.1, 0.5
    chosen = is_explored(hash64([f"t{i}" for i in range(count)]), share)
    values = [
        at_day(i, 0, action="review", explore_share=share, explored=True)
        for i in np.flatnonzero(chosen).tolist()
    ]
    write(world, "decisions", [*values, at_day(count, 130)])

    found = joined(world, MaturityParams(genuine_share=sampled))

    assert set(found["propensity"].to_list()) == {share * sampled}
    assert found["weight"].sum() == pytest.approx(count, rel=0.06)


def test_files_of_before_there_was_exploration_give_examples(tmp_path: Path) -> None:
    world = World(tmp_path)
    write(world, "decisions", [at_day(0, 0), at_day(1, 0, action="block")])
    (path,) = world.files()
    pl.read_parquet(path).drop("explore_share", "explored").write_parquet(path)
    write(world, "decisions", [at_day(2, 0, action="review", explore_share=0.1, explored=True)], 2)
    write(world, "labels", [said(i, i, "fraud", 0, 1) for i in range(3)])

    found = joined(world)

    assert found["propensity"].to_list() == [1.0, 1.0, 0.1]
    assert found["explore_share"].to_list() == [None, None, 0.1]
    assert found["is_selective"].to_list() == [False, True, False]


def test_a_transaction_that_came_again_is_the_example_that_it_was_at_first(tmp_path: Path) -> None:
    world = World(tmp_path)
    again = {"transaction_id": "t1", "degraded": ["state", "duplicate"], "probability": 0.9}
    write(world, "decisions", [at_day(1, 9), at_day(2, 9), at_day(7, 9, **again)])
    write(world, "labels", [said(1, 0, "fraud", 9, 2.5)])

    found = joined(world)
    placed = archive_of(world).matching(archive_of(world).segments("decisions"), ["t1"])

    assert found["transaction_id"].to_list() == ["t1"]
    assert found["decision_id"].to_list() == ["transactions-0-1"]
    assert placed["decision_id"].to_list() == ["transactions-0-1"]
