"""Counts, references and summaries as bytes: as they were, or refused."""

import json
import struct
import tracemalloc
import zlib
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sentinel.adapters.memory import MemoryRecord
from sentinel.codec.drift.counts import (
    listed_sums,
    pack_counts,
    sums_as_listed,
    unpack_counts,
    unpack_sparse,
)
from sentinel.codec.drift.progress import book_values, position_of
from sentinel.codec.drift.references import (
    columns_of,
    from_manifest,
    manifest_entry,
    reference_from,
    stored_columns,
    stored_reference,
)
from sentinel.codec.drift.summaries import arrival_of, decode_summary, in_parts
from sentinel.codec.stored import decode_stored, encode_stored
from sentinel.core.drift.counts.columns import CELL_COUNT, digest, score_column
from sentinel.core.drift.counts.counting import GROUP_COUNT, SIZE_GROUP_COUNT, GroupCounts
from sentinel.core.drift.counts.noting import SCORE_SUMS, Binning
from sentinel.core.drift.counts.open_steps import summed
from sentinel.core.drift.counts.reference import Reference
from sentinel.core.drift.counts.segments import Segmentation
from sentinel.core.drift.counts.steps import BookPosition, Seen
from sentinel.errors import RecordError
from sentinel.stored.references import StoredColumn, StoredReference
from sentinel.stored.summaries import Summary, SummarySpan
from tests.core.drift import segment_samples as split_by
from tests.core.drift.samples import a_reference, arm_counts

SHAPE = (GROUP_COUNT, CELL_COUNT)


@st.composite
def counts(draw: st.DrawFn) -> GroupCounts:
    """Of any size: of none, of few, of all cells, up to the largest number."""
    columns = draw(st.integers(0, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    most = draw(st.sampled_from([1, 255, 256, 65_535, 65_536, 2**32 - 1, 2**32, 2**63 - 1]))
    share = draw(st.sampled_from([0.0, 0.001, 0.3, 1.0]))
    size = columns * GROUP_COUNT * CELL_COUNT
    flat = rng.integers(0, most, size + SIZE_GROUP_COUNT, endpoint=True)
    flat[rng.random(flat.size) >= share] = 0
    return GroupCounts(flat[:size].reshape(columns, *SHAPE), flat[size:])


@settings(max_examples=80, deadline=None)
@given(counts())
def test_counts_come_back_as_they_were(given: GroupCounts) -> None:
    packed = pack_counts(given)
    found = unpack_counts(packed)
    assert found.cells.dtype == found.sizes.dtype == np.int64
    assert found.cells.tobytes() == given.cells.tobytes()
    assert found.cells.shape == given.cells.shape
    assert found.sizes.tobytes() == given.sizes.tobytes()
    assert pack_counts(found) == packed, "the same counts give the same bytes"
    again = summed([unpack_sparse(packed)])
    assert again.cells.tobytes() == given.cells.tobytes()
    np.add(found.cells, 1, out=found.cells)  # it can be added to in place
    np.add(found.sizes, 1, out=found.sizes)


def test_a_busy_second_takes_few_bytes() -> None:
    rng = np.random.default_rng(1)
    groups, rows = rng.integers(0, SIZE_GROUP_COUNT, 60_000), np.arange(60_000)
    cells = np.zeros((25, *SHAPE), dtype=np.int64)
    for column in range(25):
        np.add.at(cells[column], (groups[rows] % GROUP_COUNT, rng.integers(0, 32, 60_000)), 1)
    busy = GroupCounts(cells, np.bincount(groups, minlength=SIZE_GROUP_COUNT))
    assert len(pack_counts(busy)) <= 45_000
    assert len(pack_counts(GroupCounts.empty(25))) < 30


def packed(
    raw: bytes, *, gap_width: int = 1, width: int = 1, columns: int = 1, level: int = 1
) -> bytes:
    return struct.pack("<BBQ", gap_width, width, columns) + zlib.compress(raw, level)


SIZE = GROUP_COUNT * CELL_COUNT + SIZE_GROUP_COUNT  # of one column
GOOD = pack_counts(arm_counts(np.random.default_rng(2), Binning([]), 40).counts)

HOSTILE = {
    "nothing": b"",
    "half a head": GOOD[:5],
    "only a head": GOOD[:10],
    "cut off": GOOD[:-3],
    "more behind it": packed(b"\0\1") + b"\0",
    "half a number": packed(b"\0\0\1"),
    "no such width": packed(b"\0\0\0\1\1\1", gap_width=3, width=3),
    "a width of 0": packed(b"\0\1", gap_width=0, width=2),
    "huge widths": packed(b"\0" * 510, gap_width=255, width=255),
    "too many columns": packed(b"\0\1", columns=10_001),
    "columns without an end": packed(b"\0\1", columns=2**64 - 1),
    "behind the last": packed(struct.pack("<Hb", SIZE, 1), gap_width=2),
    "a gap without an end": packed(struct.pack("<Qb", 2**64 - 1, 1), gap_width=8),
    "gaps that come round": packed(
        struct.pack("<4Q4b", *[2**62] * 3, 2**62 - 5, 1, 1, 1, 1), gap_width=8
    ),
    "less than none": packed(struct.pack("<bQ", 0, 2**63), width=8),
    "more counts than cells": packed(b"\0" * SIZE + b"\0" + b"\1" * (SIZE + 1)),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_counts_is_refused(name: str) -> None:
    if name == "more behind it":
        assert unpack_counts(HOSTILE[name]).cells.sum() == 1
        return
    with pytest.raises(RecordError, match="not_counts"):
        unpack_counts(HOSTILE[name])


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.integers(0, len(GOOD) - 1), st.integers(1, 255))
def test_bytes_of_strangers_are_counts_or_refused(raw: bytes, at: int, turned: int) -> None:
    body = GOOD[:at] + bytes([GOOD[at] ^ turned]) + GOOD[at + 1 :]
    for data in (raw, GOOD[:10] + raw, packed(raw), body, GOOD[:at]):
        try:
            found = unpack_counts(data)
        except RecordError:
            continue
        assert found.cells.shape[1:] == SHAPE
        assert found.cells.min(initial=0) >= 0


def test_a_bomb_takes_no_more_memory_than_counts_do() -> None:
    bombs = [packed(b"\0" * 20_000_000, level=9), packed(b"\1" * 20_000_000, width=8, level=9)]
    assert max(map(len, bombs)) < 30_000
    for bomb in bombs:
        tracemalloc.start()
        with pytest.raises(RecordError, match="too many"):
            unpack_counts(bomb)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert most < 1_000_000


def test_sums_come_back_as_they_were() -> None:
    sums = np.zeros((CELL_COUNT, len(SCORE_SUMS)), dtype=np.int64)
    sums[0], sums[5], sums[-1] = 1, 2**63 - 1, [3, 0, -(2**63), 0, 0, 0, 7]
    listed = json.loads(json.dumps(sums_as_listed(sums)))
    assert len(listed) == 3
    assert listed_sums(listed).tobytes() == sums.tobytes()
    one = [0] * len(SCORE_SUMS)
    for wrong in ([-1, *one], [CELL_COUNT, *one], [0], [], [0, *one, 0], [0, 2**63, *one[1:]]):
        with pytest.raises(RecordError, match="not_counts"):
            listed_sums([wrong])


@pytest.mark.parametrize("is_scored", [True, False])
def test_a_reference_comes_back_as_it_was(is_scored: bool) -> None:
    reference = a_reference(np.random.default_rng(3), 3_000, is_scored=is_scored)
    data = encode_stored(stored_reference(reference))
    manifest = json.loads(json.dumps({"reference": manifest_entry(reference)}))
    for found in (reference_from(decode_stored(StoredReference, data)), from_manifest(manifest)):
        assert found is not None
        assert digest(found.features) == digest(reference.features)
        assert encode_stored(stored_reference(found)) == data
        assert found.counts.cells.tobytes() == reference.counts.cells.tobytes()
        assert found.scores.sizes.tobytes() == reference.scores.sizes.tobytes()
        assert found.score_sums.tobytes() == reference.score_sums.tobytes()
        assert (found.first_ms, found.last_ms, found.origin) == (
            reference.first_ms, reference.last_ms, "history",
        )  # fmt: skip
    columns = stored_columns(reference.features)
    assert columns.digest == digest([*reference.features, score_column()])
    assert digest(columns_of(columns.columns)) == digest(reference.features)


GOOD_REFERENCE: dict[str, Any] = manifest_entry(a_reference(np.random.default_rng(4), 1_000))


@pytest.mark.parametrize(
    "change",
    [
        {"counts": GOOD_REFERENCE["scores"]},
        {"scores": GOOD_REFERENCE["counts"]},
        {"counts": "AAAA"},
        {"counts": "no base64 !"},
        {"counts": None},
        {"score_sums": [[99] * 8]},
        {"score_sums": [[]]},
        {"score_sums": [["a"]]},
        {"origin": "rumour"},
        {"first_ms": "yesterday"},
        {"columns": []},
        {"columns": [*GOOD_REFERENCE["columns"], GOOD_REFERENCE["columns"][0]]},
        {"columns": "none"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_damaged_reference_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(RecordError):
        from_manifest({"reference": {**GOOD_REFERENCE, **change}})


@pytest.mark.parametrize("told", [[], 5, "x", True, {}, {"v": 1}])
def test_a_foreign_reference_is_refused(told: object) -> None:
    with pytest.raises(RecordError, match="not_a_reference"):
        from_manifest({"reference": told})


def test_a_manifest_from_before_there_were_references_has_none() -> None:
    assert from_manifest({}) is None
    assert from_manifest({"reference": None, "metrics": {}}) is None


@pytest.mark.parametrize(
    ("kind", "edges"),
    [
        ("numeric", [1.0, 1.0]),
        ("numeric", [2.0, 1.0]),
        ("numeric", [float(i) for i in range(32)]),
        ("values", [float("nan")]),
        ("values", [float("inf")]),
        ("colour", [1.0]),
        ("", []),
    ],
)
def test_columns_that_cannot_be_counted_in_are_refused(kind: str, edges: list[float]) -> None:
    with pytest.raises(RecordError, match="not_a_column"):
        columns_of([StoredColumn("amount", kind, edges)])


def a_summary(span_count: int = 3) -> Summary:
    rng, binning = (
        np.random.default_rng(5),
        Binning(a_reference(np.random.default_rng(6), 500).features),
    )
    spans = []
    for i in range(span_count):
        one = arm_counts(rng, binning, 30 + i)
        spans.append(
            SummarySpan(
                60_000 * (i // 2), "1.0.0", f"arm {i % 2}", one.row_count, dict(one.actions),
                pack_counts(one.counts), sums_as_listed(one.scores),
            )
        )  # fmt: skip
    return Summary("transactions", "log", 3, 10, 200, binning.digest, 60_000, spans)


def record(value: bytes | None, offset: int = 7) -> MemoryRecord:
    return MemoryRecord(offset, 99, None, value, ())


def test_a_summary_comes_back_as_it_was() -> None:
    summary = a_summary()
    taken = record(encode_stored(summary))
    arrival = arrival_of(decode_summary(taken), taken)
    assert decode_summary(taken) == summary
    assert (arrival.source, arrival.begin, arrival.end) == ("transactions log 3", 10, 200)
    assert (arrival.offset, arrival.appended_ms, arrival.part) == (7, 99, 0)
    assert {at_ms: list(arms) for at_ms, arms in arrival.steps.items()} == {
        0: [("1.0.0", "arm 0"), ("1.0.0", "arm 1")],
        60_000: [("1.0.0", "arm 0")],
    }
    span, piece = summary.spans[0], arrival.steps[0]["1.0.0", "arm 0"]
    assert (piece.row_count, piece.actions) == (span.row_count, span.actions)
    assert pack_counts(summed([piece.counts])) == span.counts
    assert sums_as_listed(piece.scores) == span.scores


def split_summary() -> Summary:
    rng = np.random.default_rng(8)
    rows = split_by.features(rng, 60)
    arm = split_by.arm_of(rows, rng)
    assert arm.segments is not None
    span = SummarySpan(
        0, "1.0.0", "champion", 60, dict(arm.actions), pack_counts(arm.counts),
        sums_as_listed(arm.scores), pack_counts(arm.segments),
    )  # fmt: skip
    digest = split_by.SEGMENTATION.digest
    return Summary("t", "log", 0, 0, 60, "cells", 60_000, [span], segmentation=digest)


def test_counts_by_segment_come_back_for_whoever_splits_alike() -> None:
    summary = split_summary()
    taken = record(encode_stored(summary))
    arrival = arrival_of(decode_summary(taken), taken, segmentation=summary.segmentation)
    piece = arrival.steps[0]["1.0.0", "champion"]
    assert piece.segments is not None
    assert pack_counts(summed([piece.segments])) == summary.spans[0].segments
    for other in ("", "others"):
        arrival = arrival_of(decode_summary(taken), taken, segmentation=other)
        whole = arrival.steps[0]["1.0.0", "champion"]
        assert whole.segments is None
        assert whole.counts.values.tobytes() == piece.counts.values.tobytes()


def test_a_summary_from_before_there_were_segments_is_read() -> None:
    told = json.loads(encode_stored(a_summary(1)))
    del told["segmentation"], told["spans"][0]["segments"]
    taken = record(json.dumps(told).encode())
    arrival = arrival_of(decode_summary(taken), taken, segmentation="any")
    assert arrival.steps[0]["1.0.0", "arm 0"].segments is None


@pytest.mark.parametrize("wrong", [b"\0" * 30, pack_counts(GroupCounts.empty(2))])
def test_segments_of_other_columns_are_refused(wrong: bytes) -> None:
    summary = split_summary()
    summary = replace(summary, spans=[replace(summary.spans[0], segments=wrong)])
    taken = record(encode_stored(summary))
    with pytest.raises(RecordError):
        arrival_of(decode_summary(taken), taken, segmentation=summary.segmentation)


@pytest.mark.parametrize(
    "reference", [split_by.REFERENCE, split_by.reference(2_000, segmentation=Segmentation())]
)
def test_a_reference_comes_back_with_its_segments_and_without_any(reference: Reference) -> None:
    told = json.loads(json.dumps(manifest_entry(reference)))
    found = from_manifest({"reference": told})
    assert found is not None
    assert found.segmentation == reference.segmentation
    assert manifest_entry(found) == manifest_entry(reference)
    assert (found.segments is None) == (reference.segments is None)
    for name in ("segments", "segment_scores", "segmentation"):
        del told[name]  # as it was before there were segments
    before = from_manifest({"reference": told})
    assert before is not None
    assert before.segments is None


def test_a_reference_whose_segments_count_other_columns_is_refused() -> None:
    told = manifest_entry(split_by.REFERENCE)
    with pytest.raises(RecordError, match="it counts 1 columns, not 4"):
        from_manifest({"reference": {**told, "segments": told["segment_scores"]}})


def test_a_large_summary_is_told_in_parts() -> None:
    summary = a_summary(40)
    whole = len(encode_stored(summary))
    assert in_parts(summary, whole).encoded == [encode_stored(summary)]
    for bytes_max in (whole - 1, whole // 2, whole // 7):
        found = in_parts(summary, bytes_max)
        assert found.left_out == 0
        assert max(map(len, found.encoded)) <= bytes_max
        parts = [decode_summary(record(one)) for one in found.encoded]
        assert len(parts) >= whole / bytes_max
        assert [one.part for one in parts] == list(range(len(parts)))
        assert [span for one in parts for span in one.spans] == summary.spans
        assert all(replace(one, spans=[], part=0) == replace(summary, spans=[]) for one in parts)


def test_a_span_that_no_record_takes_is_left_out() -> None:
    summary = a_summary(3)
    sizes = [len(encode_stored(span)) for span in summary.spans]
    large = replace(summary.spans[1], version="v" * 10_000)
    summary = replace(summary, spans=[summary.spans[0], large, summary.spans[2]])
    found = in_parts(summary, max(sizes) + 1_000)
    assert found.left_out == large.row_count
    assert sum(len(decode_summary(record(one)).spans) for one in found.encoded) == 2


def changed(**change: Any) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(encode_stored(a_summary(1)))
    told["spans"][0].update(change)
    return told


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"{",
        b"[]",
        b"\xff",
        json.dumps({"topic": "t"}).encode(),
        *(
            json.dumps(changed(**change)).encode()
            for change in (
                {"at_ms": 10**30},
                {"at_ms": 1.5},
                {"at_ms": 2**60},
                {"row_count": -1},
                {"row_count": 0},
                {"counts": "AAAA"},
                {"counts": "!"},
                {"scores": [[1, 2]]},
                {"scores": [[40, 1, 1, 1, 1, 1, 1, 1]]},
                {"actions": {"approve": "many"}},
            )
        ),
    ],
)
def test_what_is_no_summary_is_refused(value: bytes | None) -> None:
    taken = record(value)
    with pytest.raises(RecordError):
        arrival_of(decode_summary(taken), taken)


def a_bomb(column_count: int) -> bytes:
    """A count in every cell, in next to no bytes."""
    size = column_count * GROUP_COUNT * CELL_COUNT + SIZE_GROUP_COUNT
    return struct.pack("<BBQ", 1, 8, column_count) + zlib.compress(b"\0" * size + b"\1" * 8 * size)


def bombed(count: int, column_count: int) -> Summary:
    summary, packed = a_summary(1), a_bomb(column_count)
    spans = [replace(summary.spans[0], at_ms=i, counts=packed) for i in range(count)]
    return replace(summary, spans=spans)


def test_a_summary_that_would_unfold_to_more_than_memory_is_refused() -> None:
    many = bombed(2_000, 25)
    taken = record(encode_stored(many))
    assert len(taken.value or b"") < 16_000_000
    tracemalloc.start()
    with pytest.raises(RecordError, match="unfolds to more"):
        arrival_of(many, taken, column_count=25)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 300 << 20


def test_a_summary_of_other_columns_is_refused_before_it_is_unfolded() -> None:
    large = bombed(1, 9_000)
    tracemalloc.start()
    with pytest.raises(RecordError, match="it counts 9000 columns, not 3"):
        arrival_of(large, record(b""), column_count=3)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 1 << 20


def test_a_position_comes_back_as_it_was() -> None:
    position = BookPosition(9, 4, 60_000, 99, 3, [5, 6], {"t log 0": Seen(1, 2, (3, 4, 5))})
    assert position_of(json.loads(json.dumps(book_values(position)))) == position
    assert position_of({}) == BookPosition()
    damaged: list[dict[str, Any]] = [
        {"seen": {"a": {}}},
        {"next_offset": "x"},
        {"ignored": 5},
    ]
    for wrong in damaged:
        with pytest.raises(RecordError, match="not_a_position"):
            position_of(wrong)
    assert msgspec.json.encode(position)
