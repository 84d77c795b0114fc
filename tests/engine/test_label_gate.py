"""The label gate: what a decision knew follows from the last commit and the logs alone."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sentinel.engine.partitions.input_partition import InputPartition
from sentinel.engine.partitions.label_gate import FOREVER_MS, NOTHING, LabelGate, Opened
from sentinel.ports import Fence
from sentinel.records import Label, TopicPartition

LABELS_MAX, RECORDS_MAX = 30, 40


def a_label(number: int) -> Label:
    return Label(f"t{number}", "fraud", 1.0, 1, "", 0, 0, {}, feedback_offset=number)


def with_labels(due_ms: Sequence[int], *, gate: LabelGate | None = None) -> LabelGate:
    gate = gate or LabelGate()
    for offset, due in enumerate(due_ms, gate.read_to):
        gate.waiting.add(due, offset, a_label(offset), frozenset())
        gate.read_to = offset + 1
    return gate


def due(gate: LabelGate, times_ms: Sequence[int], *, first: int = 0) -> list[tuple[int, int]]:
    """Which record comes behind which label."""
    times = np.array(times_ms, dtype=np.int64)
    offsets = first + np.arange(times.size)
    return [(first + at, one.offset) for at, one in gate.due(times, offsets, 0)]


def opened_at(gate: LabelGate, opens_at: int = 0, **others: int) -> LabelGate:
    given = {"cut_at": opens_at, "watermark_ms": 0, "count_max": 100, **others}
    assert gate.promise(opens_at, **given)
    return gate


def test_a_gate_that_nobody_has_opened_lets_nothing_through() -> None:
    gate = with_labels([1, 2, 3])

    assert due(gate, [5, 6, 7]) == []
    assert gate.owed(10) == []
    assert gate.needed_to == 0
    assert len(gate.waiting) == 3


def test_a_label_comes_before_the_first_record_that_reaches_its_time() -> None:
    gate = opened_at(with_labels([5, 1, 6, 9]))

    assert due(gate, [1, 4, 4, 6, 5]) == [(0, 1), (3, 0), (3, 2)]


def test_time_does_not_go_back_with_a_late_record() -> None:
    gate = opened_at(with_labels([5]))

    assert due(gate, [7, 1]) == [(0, 0)]
    times = np.array([1], dtype=np.int64)
    assert [at for at, _ in gate.due(times, np.array([0]), 6)] == [0], "7 was folded before"


def test_what_is_promised_is_open_from_the_record_that_was_named_and_no_sooner() -> None:
    gate = opened_at(with_labels([1, 2]), opens_at=3)

    assert due(gate, [9, 9, 9]) == []
    assert due(gate, [9] * 5) == [(3, 0), (3, 1)]


def test_what_was_promised_is_open_when_its_record_is_folded() -> None:
    gate = opened_at(with_labels([1]), opens_at=3)
    gate.pass_by(3)
    assert gate.opened == NOTHING
    gate.pass_by(4)
    assert gate.opened == gate.promised == Opened(1, FOREVER_MS)


def test_a_promise_is_kept_before_another_is_given() -> None:
    gate = opened_at(with_labels([1]), opens_at=3)
    with_labels([2], gate=gate)

    assert not gate.promise(5, cut_at=2, watermark_ms=0, count_max=100)
    assert (gate.promised.offset, gate.opens_at) == (1, 3)
    gate.pass_by(5)
    assert gate.promise(5, cut_at=5, watermark_ms=0, count_max=100)
    assert (gate.opened.offset, gate.promised.offset, gate.opens_at) == (1, 2, 5)


def test_nothing_is_promised_while_there_is_nothing_to_open() -> None:
    gate = LabelGate()
    assert not gate.promise(0, cut_at=0, watermark_ms=0, count_max=1)
    assert not gate.is_opening

    opened_at(with_labels([1], gate=gate))
    gate.pass_by(1)
    assert not gate.promise(1, cut_at=1, watermark_ms=1, count_max=1)


def test_a_promise_is_under_way_until_it_is_committed() -> None:
    gate = opened_at(with_labels([1]))
    assert gate.is_opening
    gate.confirm()
    assert not gate.is_opening


def test_a_label_that_a_wall_clock_has_dated_opens_only_when_time_comes_near_it() -> None:
    day_ms = 86_400_000
    gate = opened_at(with_labels([2 * day_ms, 400 * day_ms]), watermark_ms=day_ms)
    gate.pass_by(1)
    assert gate.needed_to == 2
    assert [one.offset for one in gate.owed(500 * day_ms)] == [0]

    assert not gate.promise(1, cut_at=1, watermark_ms=2 * day_ms, count_max=100)
    assert gate.promise(1, cut_at=1, watermark_ms=399 * day_ms, count_max=100)


def test_no_more_labels_are_open_than_may_fall_due_at_one_record() -> None:
    gate = opened_at(with_labels([3, 1, 2, 5, 4]), count_max=2)
    assert due(gate, [9]) == [(0, 1), (0, 2)]

    gate = opened_at(with_labels([7] * 5), count_max=2)
    assert len(due(gate, [9])) <= 2


def test_the_oldest_that_is_not_applied_is_one_that_waits_or_has_no_home_or_was_not_read() -> None:
    gate = LabelGate(read_to=4)
    assert gate.first_unapplied == 4
    with_labels([1, 1], gate=gate)
    assert (gate.read_to, gate.first_unapplied) == (6, 4)
    gate.waiting.take(4)
    assert gate.first_unapplied == 5
    gate.homeless = 2
    assert gate.first_unapplied == 2


def test_of_a_topic_that_is_no_more_nothing_is_open() -> None:
    gate = opened_at(with_labels([1]))
    gate.pass_by(1)

    gate.close()

    assert gate.needed_to == 0
    assert gate.owed(9) == []


@dataclass
class Cut:
    """What is committed, and what was applied up to there."""

    offset: int
    watermark_ms: int
    opened: Opened
    promised: Opened
    opens_at: int
    applied: dict[int, int]  # by label, the record that it was applied before


@dataclass
class Owner:
    """Folds records behind their labels, as the owner of a partition does."""

    times_ms: list[int]
    gate: LabelGate
    next_offset: int = 0
    watermark_ms: int = 0
    applied: dict[int, int] = field(default_factory=dict)

    def fold(self, count: int) -> None:
        first = self.next_offset
        times = np.array(self.times_ms[first : first + count], dtype=np.int64)
        if not times.size:
            return
        offsets = first + np.arange(times.size)
        for at, one in self.gate.due(times, offsets, self.watermark_ms):
            assert one.offset not in self.applied
            self.gate.waiting.take(one.offset)
            self.applied[one.offset] = first + at
        self.watermark_ms = max(self.watermark_ms, int(times.max()))
        self.next_offset += times.size

    def commit(self, busy_count: int, *, count_max: int) -> Cut:
        """With so many records in hand, which are decided already."""
        first = self.next_offset
        self.gate.pass_by(first)
        busy_ms = max(self.times_ms[first : first + busy_count], default=0)
        self.gate.promise(
            first + busy_count,
            cut_at=first,
            watermark_ms=max(self.watermark_ms, busy_ms),
            count_max=count_max,
        )
        self.gate.confirm()
        gate = self.gate
        return Cut(
            self.next_offset,
            self.watermark_ms,
            gate.opened,
            gate.promised,
            gate.opens_at,
            dict(self.applied),
        )


def successor(cut: Cut, times_ms: list[int], due_ms: Sequence[int]) -> Owner:
    """Whoever goes on from a cut, with the labels of the log alone."""
    gate = LabelGate(cut.opened, cut.promised, cut.opens_at)
    with_labels(due_ms[: gate.needed_to], gate=gate)
    owner = Owner(times_ms, gate, cut.offset, cut.watermark_ms)
    owed = [one.offset for one in gate.owed(cut.watermark_ms)]
    assert owed == sorted(cut.applied), "no more and no less than had been applied"
    for offset in owed:
        gate.waiting.take(offset)
        owner.applied[offset] = cut.applied[offset]
    return owner


@settings(max_examples=300, deadline=None)
@given(
    steps=st.lists(st.tuples(st.integers(0, 6), st.integers(0, 4), st.booleans()), max_size=12),
    times=st.lists(st.integers(1, 50), min_size=RECORDS_MAX, max_size=RECORDS_MAX),
    due_ms=st.lists(st.integers(0, 60), min_size=LABELS_MAX, max_size=LABELS_MAX),
    count_max=st.sampled_from([2, 5, 100]),
    batch=st.integers(1, 7),
)
def test_whoever_goes_on_from_a_commit_applies_each_label_before_the_same_record(
    steps: list[tuple[int, int, bool]],
    times: list[int],
    due_ms: list[int],
    count_max: int,
    batch: int,
) -> None:
    owner, cuts = Owner(times, LabelGate()), []
    for read_count, fold_count, is_busy in steps:
        read_to = owner.gate.read_to
        with_labels(due_ms[read_to : read_to + read_count], gate=owner.gate)
        cuts.append(owner.commit(fold_count if is_busy else 0, count_max=count_max))
        owner.fold(fold_count)

    for cut, after in zip(cuts, [*cuts, None][1:], strict=True):
        until = owner.next_offset if after is None else max(after.offset, cut.offset)
        next_owner = successor(cut, times, due_ms)
        while next_owner.next_offset < until:
            next_owner.fold(min(batch, until - next_owner.next_offset))
        expected = owner.applied if after is None else after.applied
        assert next_owner.applied == expected


@pytest.mark.parametrize("count", [1, 100])
def test_every_label_comes_at_last_each_once(count: int) -> None:
    rng = np.random.default_rng(count)
    due_ms = rng.integers(0, 900, 300).tolist()
    owner = Owner(list(range(1, 2_001)), with_labels(due_ms))

    while owner.next_offset < 2_000:
        owner.commit(0, count_max=count)
        owner.fold(7)

    assert sorted(owner.applied) == list(range(300))
    assert all(at + 1 >= due_ms[offset] for offset, at in owner.applied.items())


def test_a_label_that_the_batch_in_hand_may_let_in_stays_open_behind_it() -> None:
    """Else a successor would not know that it was applied, and would decide without it."""
    partition = InputPartition(TopicPartition("t", 0), Fence(1, 0), 1, 0, watermark_ms=1)
    partition.gate = with_labels([2, 0, 0], gate=LabelGate(Opened(1, FOREVER_MS)))
    partition.busy_to, partition.busy_ms = 5, 2

    position = partition.promise(partition.cut(), count_max=2)
    partition.next_offset, partition.watermark_ms = 6, 2

    assert position.opens_at == 5
    assert position.promised.until_ms >= 2
    partition.cut()
    assert 0 in [one.offset for one in partition.owed_labels()]
