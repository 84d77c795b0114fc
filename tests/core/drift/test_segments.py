"""Rows are counted by segment as one by one, and what changes in one is named with it."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sentinel.core.drift.counts.columns import CELL_COUNT, edges_of, numeric_column
from sentinel.core.drift.counts.counting import GROUP_COUNT, count, mark_cells, size_groups
from sentinel.core.drift.counts.segments import (
    COLUMN_COUNT_MAX,
    SIZE_COUNT,
    VALUE_COUNT_MAX,
    Segmentation,
    SegmentColumn,
    SegmentCounts,
    count_segments,
    of_segment,
)
from sentinel.core.drift.counts.spans import SpanCounts
from sentinel.core.drift.counts.steps import ClosedStep
from sentinel.core.drift.params import DriftParams, segmentation_of
from sentinel.core.drift.watch import (
    Found,
    HourEvent,
    ReferenceFound,
    StepEvent,
    Watch,
    without_scores,
)
from sentinel.core.drift.windows.explaining import Explanation, explained
from sentinel.core.drift.windows.segments import segment_standing_out
from sentinel.core.drift.windows.window_test import window_test
from sentinel.core.features.kernels.rows_in_hour import HOUR_MS
from sentinel.core.features.spec import FeatureParams
from sentinel.records import Floats
from tests.core.drift.samples import ARM, HOURLY, START_MS, VERSION
from tests.core.drift.segment_samples import (
    DE,
    FR,
    IT,
    OTHER,
    REFERENCE,
    SEGMENTATION,
    arm_of,
    features,
    reference,
    steps,
)

DAY = 24
CODES = st.sampled_from([0.0, 1.0, 2.0, 3.0, 17.0, -1.0, 0.5, np.nan, np.inf, -np.inf])


def segment_of(column: SegmentColumn, code: float) -> int:
    """Within its column."""
    whole = int(code) if np.isfinite(code) else -1
    return whole if 0 <= code < len(column.values) else len(column.values)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(CODES, CODES, st.integers(-(2**62), 2**62), st.booleans()), max_size=60),
    st.integers(0, 2**31),
)
def test_counts_by_segment_are_those_of_rows_one_by_one(
    rows: list[tuple[float, float, int, bool]], seed: int
) -> None:
    n = len(rows)
    values = np.zeros((n, 4))
    values[:, 2], values[:, 3] = [row[0] for row in rows], [row[1] for row in rows]
    cells = np.random.default_rng(seed).integers(0, CELL_COUNT, (5, n)).astype(np.uint8)
    groups = size_groups(np.array([row[2] for row in rows], dtype=np.int64))
    at = np.flatnonzero([row[3] for row in rows])

    found = count_segments(cells, SEGMENTATION.of_rows(values), at, groups)

    expected = np.zeros((5, GROUP_COUNT, CELL_COUNT), dtype=np.int64)
    sizes = np.zeros((SIZE_COUNT, GROUP_COUNT), dtype=np.int64)
    for i in at.tolist():
        begin = 0
        for column in SEGMENTATION.columns:
            segment = begin + segment_of(column, float(values[i, column.place]))
            begin += len(column.values) + 1
            sizes[groups[i] % SIZE_COUNT, segment] += 1
            for f in range(5):
                expected[f, segment, cells[f, i]] += 1
    assert found.cells.tobytes() == expected.tobytes()
    assert found.sizes.tobytes() == sizes.tobytes()
    for segment in range(len(SEGMENTATION.names)):
        one = of_segment(found, segment)
        assert one.row_count == expected[0, segment].sum()
        assert one.cells.tobytes() == expected[:, [segment]].tobytes()


def test_segments_are_named_as_people_say_them() -> None:
    assert SEGMENTATION.names == [
        'country "DE"', 'country "FR"', 'country "IT"', "other country",
        'channel "web"', 'channel "shop"', "other channel",
    ]  # fmt: skip
    assert SEGMENTATION.columns_of == ["country"] * 4 + ["channel"] * 3


def a_category(name: str, count: int) -> FeatureParams:
    return FeatureParams(name, "category", field=name, values=tuple(f"v{i}" for i in range(count)))


FEATURES = [
    FeatureParams("amount", "amount"), a_category("mcc", 40), a_category("a", 3),
    a_category("b", VALUE_COUNT_MAX), a_category("c", 2),
]  # fmt: skip


@pytest.mark.parametrize(
    ("wanted", "names"),
    [(("*",), ["a", "b"]), ((), []), (("c", "mcc"), ["mcc", "c"]), (("b",), ["b"])],
)
def test_the_stream_is_split_by_what_is_set(wanted: tuple[str, ...], names: list[str]) -> None:
    found = segmentation_of(FEATURES, DriftParams(segments=wanted))
    assert [one.name for one in found.columns] == names
    assert all(len(one.values) <= VALUE_COUNT_MAX for one in found.columns)
    assert [FEATURES[one.place].name for one in found.columns] == names
    assert len(found.names) <= GROUP_COUNT


def test_a_feature_that_is_no_category_is_refused_by_its_name() -> None:
    with pytest.raises(ValueError, match=r"segments \['amount'\] must be features of stat"):
        segmentation_of(FEATURES, DriftParams(segments=("amount", "a")))
    many = tuple("abcd"[: COLUMN_COUNT_MAX + 1])
    with pytest.raises(ValueError, match="at most"):
        DriftParams(segments=many)
    with pytest.raises(ValueError, match="alone"):
        DriftParams(segments=("*", "a"))


def test_digests_tell_segments_apart() -> None:
    some = [
        Segmentation(),
        SEGMENTATION,
        Segmentation(SEGMENTATION.columns[:1]),
        Segmentation((SegmentColumn("country", 2, ("DE", "FR")), SEGMENTATION.columns[1])),
    ]
    assert len({one.digest for one in some}) == len(some)
    moved = Segmentation((replace(SEGMENTATION.columns[0], place=7), SEGMENTATION.columns[1]))
    assert moved.digest == SEGMENTATION.digest, "another order of features, the same segments"


def test_segments_of_a_column_add_up_to_the_whole() -> None:
    split = REFERENCE.segments
    assert split is not None
    for begin, end in ((0, 4), (4, 7)):
        for segments, whole in (
            (split.features, REFERENCE.counts),
            (split.score, REFERENCE.scores),
        ):
            of_column = segments.cells[:, begin:end].sum(axis=1)
            assert of_column.tobytes() == whole.cells.sum(axis=1).tobytes()
    rng = np.random.default_rng(2)
    total = SpanCounts.empty(4)
    for step in steps(rng, 5):
        total.add(SpanCounts.of(step, VERSION, 4))
    assert total.segments is not None
    assert total.segments.row_count == 2 * total.features.row_count == 2 * 600
    first = total.segments.features.cells[:, :4].sum(axis=1)
    assert first.tobytes() == total.features.cells.sum(axis=1).tobytes()


def test_what_another_version_has_scored_is_counted_without_its_score() -> None:
    rng = np.random.default_rng(3)
    arm = arm_of(features(rng, 50), rng)
    step = ClosedStep(START_MS, {ARM: arm, ("0.9.0", "champion"): arm})
    found = SpanCounts.of(step, VERSION, 4).segments
    assert found is not None
    assert found.features.sizes.sum() == 2 * found.score.sizes.sum() == 2 * 2 * 50


# --- the watch ----------------------------------------------------------------------------------


def a_watch(**others: object) -> Watch:
    given = others.pop("reference", REFERENCE)
    return Watch(VERSION, given, HOURLY, segmentation=SEGMENTATION)  # type: ignore[arg-type]


def found_by(watch: Watch, some: object) -> list[Found]:
    return [found for step in some for found in watch.after(step)]  # type: ignore[attr-defined]


def events(found: list[Found]) -> list[StepEvent | HourEvent]:
    return [one for one in found if isinstance(one, StepEvent | HourEvent)]


@pytest.mark.parametrize("seed", range(3))
def test_no_segment_alarms_while_nothing_changes(seed: int) -> None:
    rng = np.random.default_rng(100 + seed)
    assert events(found_by(a_watch(), steps(rng, 5 * DAY))) == []


@pytest.mark.parametrize(("country", "share"), [(FR, 0.3), (IT, 0.4), (OTHER, 0.9)])
def test_what_changes_in_one_country_is_found_there(country: int, share: float) -> None:
    """Also where the whole hardly moves."""
    rng, watch = np.random.default_rng(country), a_watch()
    assert events(found_by(watch, steps(rng, DAY))) == []
    found = events(found_by(watch, steps(rng, DAY, first=DAY, missing_in=country, share=share)))
    of_segments = [one for one in found if one.segment is not None]
    first = of_segments[0]
    assert isinstance(first, StepEvent)
    assert (first.segment, first.event.column, first.event.part) == (country, "distance", "missing")
    assert first.event.side == "up"
    assert abs(first.since_ms - START_MS - DAY * HOUR_MS) <= 3 * HOUR_MS


def test_a_score_that_moves_in_one_channel_alarms_there_alone() -> None:
    rng, watch = np.random.default_rng(5), a_watch()
    moved = []
    for step in steps(rng, 3 * DAY):
        arm = step.arms[ARM]
        assert arm.segments is not None
        cells = arm.segments.cells.copy()
        cells[-1, 4] = np.roll(cells[-1, 4], 5)
        segments = replace(arm.segments, cells=cells)
        moved.append(replace(step, arms={ARM: replace(arm, segments=segments)}))
    found = events(found_by(watch, moved))
    assert {(one.segment, one.of_score) for one in found if isinstance(one, StepEvent)} == {
        (4, True)
    }
    assert len(found) > 0


def test_values_of_a_segment_are_judged_by_whole_days_from_the_eighth_on() -> None:
    rng, watch = np.random.default_rng(6), a_watch()
    found: list[StepEvent | HourEvent] = []
    for day in range(14):
        for hour in range(14):
            rows = features(rng, 300)
            if day >= 11:
                rows[rows[:, 2] == IT, 0] += 1.5
            step = ClosedStep(START_MS + (DAY * day + hour) * HOUR_MS, {ARM: arm_of(rows, rng)})
            found += events(found_by(watch, [step]))
    of_segments = [one for one in found if one.segment is not None]
    assert {type(one) for one in of_segments} == {HourEvent}
    assert isinstance(of_segments[0], HourEvent)
    assert of_segments[0].segment == IT, "what has moved most comes first"
    assert (of_segments[0].column, of_segments[0].event.span) == ("amount", "day")
    assert of_segments[0].at_ms == START_MS + 12 * DAY * HOUR_MS


def test_a_reference_without_segments_gets_them_from_a_day_of_the_stream() -> None:
    rng = np.random.default_rng(7)
    given = reference(segmentation=Segmentation())
    watch = a_watch(reference=given)
    some = list(steps(rng, DAY + 4))
    found = found_by(watch, some[: DAY - 1])
    assert not any(isinstance(one, ReferenceFound) for one in found)
    [gave] = [one for one in found_by(watch, some[DAY - 1 :]) if isinstance(one, ReferenceFound)]
    assert gave.reference.segmentation == SEGMENTATION.digest
    assert gave.reference.counts is given.counts
    assert gave.reference.scores is given.scores
    split = gave.reference.segments
    assert split is not None
    assert split.row_count == 2 * DAY * 120
    late = events(found_by(watch, steps(rng, DAY, first=2 * DAY, missing_in=IT, share=0.9)))
    assert IT in [one.segment for one in late]


def test_a_version_without_scores_keeps_its_segments_and_gets_their_scores() -> None:
    rng = np.random.default_rng(8)
    watch = a_watch(reference=without_scores(REFERENCE))
    found = found_by(watch, steps(rng, DAY, rows=60))
    [gave] = [one.reference for one in found if isinstance(one, ReferenceFound)]
    assert gave.segments is not None
    assert REFERENCE.segments is not None
    assert gave.segments.features is REFERENCE.segments.features
    assert gave.segments.score.sizes.sum() == 2 * gave.scores.row_count == 2 * DAY * 60


def test_rows_that_nobody_counts_by_segment_are_watched_in_whole() -> None:
    """Of an instance that does not know the segments yet."""
    rng, watch = np.random.default_rng(9), a_watch()
    some = [
        replace(step, arms={ARM: replace(step.arms[ARM], segments=None)})
        for step in steps(rng, DAY, missing_in=DE, share=0.9)
    ]
    found = events(found_by(watch, some))
    assert {one.segment for one in found} == {None}
    assert watch.spans["day"].segments is None


def test_more_detectors_share_the_same_run_length() -> None:
    whole, split = Watch(VERSION, REFERENCE, HOURLY), a_watch()
    assert split._minute_params.run_length_minutes == 2 * whole._minute_params.run_length_minutes
    assert split._season_params.level == whole._season_params.level / 2


# --- where a change stands ----------------------------------------------------------------------


def window(seed: int, change: object = None, n: int = 12_000) -> SpanCounts:
    """Of so many rows; `change` is made to their features."""
    rng = np.random.default_rng(seed)
    found = features(rng, n)
    if change is not None:
        change(found, rng)  # type: ignore[operator]
    return SpanCounts.of(ClosedStep(START_MS, {ARM: arm_of(found, rng)}), VERSION, 4)


def said(counts: SpanCounts, segments: tuple[str, ...] = ()) -> Explanation:
    return explained(counts, REFERENCE, segmentation=SEGMENTATION, segments=segments)


def shift_in_italy(rows: Floats, rng: np.random.Generator) -> None:
    rows[rows[:, 2] == IT, 0] += 1.0


def missing_on_the_web(rows: Floats, rng: np.random.Generator) -> None:
    rows[(rows[:, 3] == 0) & (rng.random(len(rows)) < 0.2), 1] = np.nan


def wider_elsewhere(rows: Floats, rng: np.random.Generator) -> None:
    rows[np.isnan(rows[:, 2]) | (rows[:, 2] > IT), 0] *= 5.0


@pytest.mark.parametrize(
    ("change", "column", "segment"),
    [
        (shift_in_italy, "amount", 'country "IT"'),
        (missing_on_the_web, "distance", 'channel "web"'),
        (wider_elsewhere, "amount", "other country"),
    ],
)
def test_a_change_in_one_segment_is_named_with_it(
    change: object, column: str, segment: str
) -> None:
    found = said(window(11, change)).of(column)
    assert found is not None
    assert (found.alarm, found.segment) == (True, segment)


def everywhere(rows: Floats, rng: np.random.Generator) -> None:
    rows[:, 0] += 0.3


def in_two_countries(rows: Floats, rng: np.random.Generator) -> None:
    rows[rows[:, 2] == IT, 0] += 1.0
    rows[rows[:, 2] == FR, 0] += 1.0


def other_mix(rows: Floats, rng: np.random.Generator) -> None:
    rows[rng.random(len(rows)) < 0.3, 2] = IT


@pytest.mark.parametrize("change", [everywhere, in_two_countries, other_mix])
@pytest.mark.parametrize("seed", range(3))
def test_a_change_that_stands_in_more_than_one_is_named_with_none(
    change: object, seed: int
) -> None:
    findings = [one for one in said(window(20 + seed, change)).findings if one.alarm]
    assert len(findings) >= 1
    assert {one.segment for one in findings if one.name != "country"} <= {""}


@pytest.mark.parametrize("factor", [0.0, 100.0, 1.5])
@pytest.mark.parametrize("segment", ["", 'country "FR"'])
def test_where_segments_differ_a_change_in_all_of_them_is_named_with_none(
    factor: float, segment: str
) -> None:
    """The cell that lost most rows is mostly of the country that had most of them in it."""
    rng, sides = np.random.default_rng(31), []
    for _ in range(2):
        rows = features(rng, 20_000)
        rows[:, 0] += 3 * np.nan_to_num(rows[:, 2])
        sides.append(rows)
    inside = sides[0][:, 2] == FR if segment else np.ones(20_000, dtype=np.bool_)
    sides[0][inside, 0] *= factor
    columns = [numeric_column("amount", sides[1][:, 0])]
    counts, split = [], []
    for rows in sides:
        hashes = rng.integers(0, 2**60, len(rows))
        counts.append(count(rows[:, :1], hashes, *edges_of(columns)))
        cells = np.empty((1, len(rows)), dtype=np.uint8)
        mark_cells(np.ascontiguousarray(rows[:, :1]), *edges_of(columns), cells)
        at = np.arange(len(rows))
        split.append(count_segments(cells, SEGMENTATION.of_rows(rows), at, size_groups(hashes)))
    tests = window_test(columns, *counts)
    assert tests[0].alarm
    found = segment_standing_out(tests, split[0], split[1], SEGMENTATION)
    assert found == ({"amount": segment} if segment else {})


def test_a_segment_that_is_asked_for_says_what_changed_in_it() -> None:
    counts = window(12, shift_in_italy)
    found = said(counts, ('country "IT"', 'country "DE"', "no such segment"))
    italy, germany = found.of("amount", 'country "IT"'), found.of("amount", 'country "DE"')
    assert italy is not None
    assert germany is not None
    assert (italy.alarm, italy.kind) == (True, "location")
    assert italy.words.startswith("median ")
    assert not germany.alarm
    assert found.of("amount", "no such segment") is None


def test_without_counts_by_segment_nothing_is_said_of_them() -> None:
    counts = window(13, shift_in_italy)
    counts.segments = None
    assert {one.segment for one in said(counts, ('country "IT"',)).findings} == {""}
    split = explained(window(13, shift_in_italy), reference(segmentation=Segmentation()),
                      segmentation=SEGMENTATION)  # fmt: skip
    assert {one.segment for one in split.findings} == {""}


def test_spans_leave_the_segments_of_their_steps_as_they_were() -> None:
    rng = np.random.default_rng(14)
    some = [SpanCounts.of(step, VERSION, 4) for step in steps(rng, 3)]
    before = [one.segments.features.cells.copy() for one in some if one.segments is not None]
    total = SpanCounts.empty(4)
    for one in some:
        total.add(one)
    for one, cells in zip(some, before, strict=True):
        assert isinstance(one.segments, SegmentCounts)
        assert one.segments.features.cells.tobytes() == cells.tobytes()
