"""Examples: what was decided, with what turned out to be true."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from sentinel.app.examples import current_labels, examples, horizons, span_ms
from sentinel.codec.archive import archive_rows, decode_archived
from sentinel.core.learning.maturity import MaturityParams
from sentinel.records import Record
from tests.app.test_archive import World, archive_of, decision, label
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
    archive_of(world).write(kind, 0, span, int(rows.position[-1]), rows, names)


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
