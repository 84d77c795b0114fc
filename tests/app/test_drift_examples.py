"""Transactions of an alarm are those of its time, its cells and its segment, and not too many."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sentinel.adapters.archive import ParquetArchive
from sentinel.codec.stored import encode_stored
from sentinel.core.drift.counts.columns import CELL_COUNT
from sentinel.core.drift.counts.reference import Reference, reference_of
from sentinel.operations.drift.examples import (
    ALARM_COUNT_MAX,
    EXAMPLE_COUNT_MAX,
    AlarmExamples,
    shown_transactions,
)
from sentinel.operations.drift.report import drift_report
from sentinel.stored.drift import Alarm, ColumnFinding, WindowReport
from tests.app.test_archive import decision
from tests.archive.samples import FIRST_MS, archive_at, write
from tests.cli.drift_samples import CONFIG, a_window, an_alarm, fill, stores
from tests.engine.samples import NAMES

MINUTE_MS = 60_000
AMOUNT, DISTANCE, CHANNEL = (NAMES.index(name) for name in ("amount", "distance", "channel"))


def reference() -> Reference:
    rng = np.random.default_rng(1)
    n = 2_000
    features = rng.normal(size=(n, len(NAMES)))
    features[:, CHANNEL] = rng.integers(0, 3, n)
    none = np.zeros(n, dtype=np.int64)
    probability = rng.random(n)
    return reference_of(
        NAMES, features, none, np.arange(n), probability, none, probability > 0.9,
        rows_per_account_max=5,
    )  # fmt: skip


REFERENCE = reference()


def decided(offset: int, **features: float | None) -> dict[str, Any]:
    """A decision a minute later than the one before."""
    values: list[float | None] = [0.0] * len(NAMES)
    for name, value in features.items():
        values[NAMES.index(name)] = value
    return decision(
        offset, event_time_ms=FIRST_MS + offset * MINUTE_MS, account=f"C{offset}", features=values
    )


def archived(folder: Path, values: Sequence[dict[str, Any]]) -> ParquetArchive:
    """In two files of a day each."""
    files = archive_at(folder)
    middle = len(values) // 2
    write(files, "decisions", values[:middle], names=NAMES)
    write(files, "decisions", values[middle:], first=middle, day=1, names=NAMES)
    return files


def alarm_of(**others: Any) -> Alarm:
    return an_alarm(**{"since_ms": FIRST_MS, "column": "distance", **others})


def found(files: ParquetArchive, alarm: Alarm, *windows: WindowReport) -> AlarmExamples:
    return shown_transactions(files, CONFIG, [alarm], windows, {"1.0.0": REFERENCE})[alarm.id]


def ids(one: AlarmExamples) -> list[int]:
    return [int(example.transaction_id.lstrip("t")) for example in one.found]


def test_missing_values_are_shown_of_the_time_of_the_alarm_the_newest_first(tmp_path: Path) -> None:
    values = [decided(i, distance=None if i % 3 == 0 else 1.0) for i in range(300)]
    files = archived(tmp_path, values)
    alarm = alarm_of(part="missing", since_ms=FIRST_MS + 100 * MINUTE_MS)
    one = found(files, alarm)
    assert ids(one) == [i for i in range(299, 100, -1) if i % 3 == 0][:EXAMPLE_COUNT_MAX]
    assert {(e.value, e.cell) for e in one.found} == {(None, "missing")}
    assert one.found[0].account == f"C{ids(one)[0]}"
    closed = replace(alarm, status="closed", closed_ms=FIRST_MS + 110 * MINUTE_MS)
    assert ids(found(files, closed)) == [108, 105, 102]


def window_of(cells: Sequence[float], before: Sequence[float], end_ms: int) -> WindowReport:
    finding = ColumnFinding("distance", 0.0, True, 0.5, cells=(list(cells), list(before)))
    return a_window("hour", end_ms, findings=[finding])


def test_the_cells_that_grew_most_come_first(tmp_path: Path) -> None:
    column = REFERENCE.features[DISTANCE]
    edges = column.edges[np.isfinite(column.edges)]
    values = [decided(i, distance=float(edges[i % 30])) for i in range(300)]
    before, now = np.full(CELL_COUNT, 1 / 33), np.full(CELL_COUNT, 1 / 33)
    now[[3, 7, 9]] += (0.1, 0.3, -0.2)
    one = found(
        archived(tmp_path, values),
        alarm_of(),
        window_of(now.tolist(), before.tolist(), FIRST_MS * 2),
    )
    assert [i % 30 for i in ids(one)] == [7] * 10 + [3] * 10
    assert ids(one)[:2] == [277, 247]
    assert one.found[0].value == edges[7]
    assert one.found[0].cell == f"{edges[6]:.5g} to {edges[7]:.5g}"


@pytest.mark.parametrize(("side", "expected"), [("up", 2.5), ("down", -2.5)])
def test_without_a_window_the_highest_or_the_lowest_are_shown(
    tmp_path: Path, side: str, expected: float
) -> None:
    values = [decided(i, distance=(-2.5, 0.0, 2.5)[i % 3]) for i in range(90)]
    one = found(archived(tmp_path, values), alarm_of(side=side))
    assert {example.value for example in one.found} == {expected}
    assert len(one.found) == EXAMPLE_COUNT_MAX


def test_rows_of_another_segment_are_not_shown(tmp_path: Path) -> None:
    values = [decided(i, distance=None, channel=(0.0, 1.0, 2.0, None)[i % 4]) for i in range(200)]
    files = archived(tmp_path, values)
    for segment, which in (('channel "web"', {0}), ('channel "shop"', {1}),
                           ("other channel", {2, 3}), ("", {0, 1, 2, 3})):  # fmt: skip
        one = found(files, alarm_of(part="missing", segment=segment))
        assert {i % 4 for i in ids(one)} == which


def test_one_account_does_not_fill_the_table_as_long_as_there_are_others(tmp_path: Path) -> None:
    values = [decided(i, distance=None) for i in range(100)]
    values = [one | {"account": "busy"} if i >= 10 else one for i, one in enumerate(values)]
    one = found(archived(tmp_path, values), alarm_of(part="missing"))
    accounts = [example.account for example in one.found]
    assert sorted(set(accounts)) == sorted(["busy", *(f"C{i}" for i in range(10))])
    assert accounts[:11].count("busy") == 1
    assert len(accounts) == EXAMPLE_COUNT_MAX


def test_a_category_is_told_by_its_name_and_a_score_by_its_probability(tmp_path: Path) -> None:
    values = [decided(i, channel=1.0) | {"probability": 0.99} for i in range(5)]
    files = archived(tmp_path, values)
    of_channel = found(files, alarm_of(column="channel"))
    assert {(e.value, e.cell) for e in of_channel.found} <= {(1.0, "shop")}
    before, now = np.full(CELL_COUNT, 1 / 33), np.full(CELL_COUNT, 1 / 33)
    now[1] += 0.2
    finding = ColumnFinding("channel", 0.0, True, 0.5, cells=(now.tolist(), before.tolist()))
    window = a_window("hour", FIRST_MS * 2, findings=[finding])
    assert {e.cell for e in found(files, alarm_of(column="channel"), window).found} == {"shop"}
    assert {e.value for e in found(files, alarm_of(column="score")).found} == {0.99}


def test_why_there_is_no_example_is_said(tmp_path: Path) -> None:
    files = archive_at(tmp_path)
    assert found(files, alarm_of()).why.startswith("no such decision is in the archive")
    unknown = found(files, alarm_of(version="9.9.9"))
    assert unknown.why == "the reference of version 9.9.9 is not there: no cell of it is known"
    of_labels = found(files, alarm_of(detector="examples", column="errors", part="rate"))
    assert of_labels.why == "it is about decisions whose labels have come, and about no column"
    many = [alarm_of(id=f"{i}") for i in range(50)]
    assert len(shown_transactions(files, CONFIG, many, [], {})) == ALARM_COUNT_MAX


def test_older_files_without_the_feature_count_as_missing_and_do_no_harm(tmp_path: Path) -> None:
    files = archive_at(tmp_path)
    old = [decided(i) | {"features": [1.0]} for i in range(5)]
    write(files, "decisions", old, names=["amount"])
    one = found(files, alarm_of(part="missing"))
    assert len(one.found) == 5
    assert {e.value for e in one.found} == {None}
    assert found(files, alarm_of(part="missing", segment='channel "web"')).found == []


@pytest.mark.parametrize("cells", [([0.0], [1.0]), ([], [])])
def test_a_window_of_other_cells_is_passed_over(
    tmp_path: Path, cells: tuple[list[float], list[float]]
) -> None:
    files = archived(tmp_path, [decided(i, distance=None) for i in range(4)])
    window = window_of(*cells, FIRST_MS * 2)
    assert len(found(files, alarm_of(part="missing"), window).found) == 4


async def test_the_report_has_examples_of_what_is_open(tmp_path: Path) -> None:
    drift, models = stores()
    await fill(drift)
    files = archived(tmp_path, [decided(i) for i in range(4)])
    report = await drift_report(drift, models, CONFIG, now_ms=1, files=files)
    open_alarms = {one.id for one in report.alarms if not one.is_over}
    assert report.examples.keys() == open_alarms
    told = json.loads(encode_stored(report))
    assert told["examples"].keys() == open_alarms
    alone = await drift_report(drift, models, CONFIG, alarm=report.alarms[0].id, now_ms=1,
                               files=files)  # fmt: skip
    assert list(alone.examples) == [report.alarms[0].id]
