"""Each row is in one step, once, whatever is replayed, handed over, silent or stopped."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sentinel.core.drift.counts import steps as steps_module
from sentinel.core.drift.counts.columns import CELL_COUNT
from sentinel.core.drift.counts.counting import GROUP_COUNT, SIZE_GROUP_COUNT, GroupCounts
from sentinel.core.drift.counts.noting import SCORE_SUMS
from sentinel.core.drift.counts.open_steps import ArmPiece, SparseCounts
from sentinel.core.drift.counts.steps import SILENT_MS, Arrival, BookPosition, ClosedStep, StepBook

STEP_MS, GRACE_MS = 60_000, 120_000
COMMIT_MS = 5_000  # between two summaries of a partition
T0 = 28_000_000 * STEP_MS

Row = tuple[int, int]  # its step, and a number that tells it from others


def piece(rows: Sequence[int]) -> ArmPiece:
    """Counts that tell which rows were counted how often: of each the cell by its number."""
    cells = np.zeros((1, GROUP_COUNT, CELL_COUNT), dtype=np.int64)
    scores = np.zeros((CELL_COUNT, len(SCORE_SUMS)), dtype=np.int64)
    for row in rows:
        cells[0].ravel()[row % cells.size] += 1
        scores[row % CELL_COUNT] += row
    sizes = np.bincount([row % SIZE_GROUP_COUNT for row in rows], minlength=SIZE_GROUP_COUNT)
    counts = SparseCounts.of(GroupCounts(cells, sizes.astype(np.int64)))
    return ArmPiece(len(rows), {"approve": len(rows)}, counts, scores)


def rows_of(steps: Sequence[ClosedStep]) -> Counter[tuple[int, int]]:
    """How often each row is in which step."""
    found: Counter[tuple[int, int]] = Counter()
    for step in steps:
        for arm in step.arms.values():
            flat = arm.counts.cells.ravel()
            for cell in np.flatnonzero(flat).tolist():
                found[step.at_ms, cell] += int(flat[cell])
            assert arm.row_count == flat.sum() == arm.counts.sizes.sum()
            assert arm.actions == {"approve": arm.row_count}
    return found


def told(steps: Sequence[ClosedStep]) -> list[tuple[object, ...]]:
    """Steps as what can be compared bit for bit."""
    return [
        (step.at_ms, name, arm.row_count, dict(arm.actions), arm.counts.cells.tobytes(),
         arm.counts.sizes.tobytes(), arm.scores.tobytes())
        for step in steps
        for name, arm in step.arms.items()
    ]  # fmt: skip


def arrival(
    source: str, begin: int, rows: Sequence[Row], offset: int, at_ms: int, *, end: int | None = None
) -> Arrival:
    """A summary of rows that follow each other."""
    by_step: dict[int, list[int]] = {}
    for step_ms, number in rows:
        by_step.setdefault(step_ms, []).append(number)
    steps = {step_ms: {("1.0.0", "a"): piece(found)} for step_ms, found in by_step.items()}
    return Arrival(source, begin, begin + len(rows) if end is None else end, offset, at_ms, steps)


@dataclass
class Partition:
    """An input partition, its rows in the order of their offsets, and its committed offset."""

    name: str
    rows: list[Row]
    committed: int = 0


@dataclass
class Topic:
    """The topic of summaries, written by owners that crash."""

    log: list[Arrival] = field(default_factory=list)
    now_ms: int = T0

    def publish(self, partition: Partition, begin: int, end: int) -> None:
        rows = partition.rows[begin:end]
        if rows:
            self.log.append(
                arrival(partition.name, begin, rows, len(self.log), self.now_ms, end=end)
            )


def stream(
    rng: np.random.Generator, partitions: int, minutes: int, per_minute: int
) -> list[Partition]:
    """Partitions that go on side by side; event times are up to half a minute out of order."""
    found, number = [], 0
    for p in range(partitions):
        rows = []
        for minute in range(minutes):
            for i in range(per_minute):
                at_ms = T0 + minute * STEP_MS + i * STEP_MS // per_minute
                at_ms -= int(rng.integers(0, STEP_MS // 2))
                rows.append((at_ms // STEP_MS * STEP_MS, number))
                number += 1
        found.append(Partition(f"p{p}", rows))
    assert number < GROUP_COUNT * CELL_COUNT  # each row has a cell of its own
    return found


def published(rng: np.random.Generator, partitions: list[Partition], trouble: float) -> Topic:
    """What owners publish: some commits fail, some are of an owner that is none any more."""
    topic = Topic()
    stale: list[tuple[Partition, int, int]] = []
    while any(one.committed < len(one.rows) for one in partitions):
        topic.now_ms += COMMIT_MS
        for one in partitions:
            begin = one.committed
            if begin == len(one.rows):
                continue
            end = min(len(one.rows), begin + int(rng.integers(1, 7)))
            topic.publish(one, begin, end)
            if rng.random() < trouble:
                kind = rng.integers(0, 3)
                if kind == 0:  # the commit failed; whoever goes on replays
                    continue
                if kind == 1:  # it was lost to another owner, who is further or not
                    topic.publish(one, begin, min(len(one.rows), begin + int(rng.integers(1, 7))))
                    continue
                stale.append((one, begin, min(len(one.rows), end + 2)))
            one.committed = end
        if stale and rng.random() < 0.3:  # an owner of before wakes up, and others are awake
            one, begin, end = stale.pop()
            if one.committed < len(one.rows):
                topic.publish(one, begin, end)
    return topic


def finished(topic: Topic, partitions: list[Partition]) -> list[Arrival]:
    """The log, and behind it rows of a time when all of it is closed."""
    log = list(topic.log)
    for turn in range(4):
        for one in partitions:
            at_ms = topic.now_ms + (turn + 1) * COMMIT_MS
            rows = [(T0 + 10_000 * STEP_MS, 0)]
            log.append(arrival(one.name, len(one.rows) + turn, rows, len(log), at_ms))
    return log


def fresh(position: BookPosition | None = None) -> StepBook:
    return StepBook(position or BookPosition(), step_ms=STEP_MS, grace_ms=GRACE_MS)


def read(book: StepBook, log: Sequence[Arrival]) -> list[ClosedStep]:
    return [step for one in log for step in book.take(one)]


SEEDS = st.integers(0, 2**32 - 1)


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS, partitions=st.integers(1, 4), trouble=st.sampled_from([0.0, 0.1, 0.5]))
def test_each_row_is_in_its_step_once_whatever_is_replayed(
    seed: int, partitions: int, trouble: float
) -> None:
    rng = np.random.default_rng(seed)
    all_of = stream(rng, partitions, minutes=12, per_minute=10)
    log = finished(published(rng, all_of, trouble), all_of)
    book = fresh()

    closed = read(book, log)

    times = [step.at_ms for step in closed]
    assert times == sorted(set(times))
    expected = Counter(row for one in all_of for row in one.rows)
    assert book.late_row_count == 0
    assert rows_of(closed) == expected


@settings(max_examples=60, deadline=None)
@given(
    seed=SEEDS,
    partitions=st.integers(1, 3),
    trouble=st.sampled_from([0.0, 0.4]),
    silence=st.booleans(),
    jump=st.booleans(),
)
def test_a_reader_that_is_stopped_anywhere_goes_on_to_the_bit(
    seed: int, partitions: int, trouble: float, silence: bool, jump: bool
) -> None:
    """Also behind silences, late rows, and clocks that jump and come back."""
    rng = np.random.default_rng(seed)
    all_of = stream(rng, partitions, minutes=10, per_minute=8)
    for one in all_of if jump else []:
        for at in range(len(one.rows) // 3, len(one.rows) // 2):
            one.rows[at] = one.rows[at][0] + 7 * 3_600_000, one.rows[at][1]
    topic = published(rng, all_of, trouble)
    if silence:
        pause = len(topic.log) // 2
        topic.log[pause:] = [
            replace(one, appended_ms=one.appended_ms + int(rng.integers(0, 3)) * SILENT_MS)
            for one in topic.log[pause:]
        ]
    log = finished(topic, all_of)
    whole = fresh()
    expected = told(read(whole, log))

    book, found, at = fresh(), [], 0
    while at < len(log):
        stop = min(len(log), at + int(rng.integers(1, 12)))
        found += told(read(book, log[at:stop]))
        position = book.position()
        assert position.next_offset == stop
        book = fresh(position)
        assert read(book, log[position.reads_from : stop]) == []
        at = stop

    assert found == expected
    assert replace(book.position(), reads_from=0) == replace(whole.position(), reads_from=0)


def shifted(one: Arrival, by_ms: int) -> Arrival:
    return replace(one, steps={at_ms + by_ms: arms for at_ms, arms in one.steps.items()})


def simple(count: int, source: str = "p0", first: int = 0) -> list[Arrival]:
    """A summary a minute, each of the one row of its minute."""
    return [
        arrival(source, i, [(T0 + i * STEP_MS, i % 2000)], i, T0 + i * 20_000)
        for i in range(first, first + count)
    ]


def numbered(log: Sequence[Arrival]) -> list[Arrival]:
    return [replace(one, offset=offset) for offset, one in enumerate(log)]


def test_a_step_waits_for_the_grace_and_for_what_is_held() -> None:
    book = fresh()
    closed = [(i, step.at_ms) for i, one in enumerate(simple(9)) for step in book.take(one)]

    # Summary 5 enters 4; the middle of 2, 3, 4 is 3: what ends two minutes before it is closed.
    assert closed[0] == (5, T0)
    assert [at_ms for _, at_ms in closed] == [T0 + i * STEP_MS for i in range(len(closed))]


def test_a_slow_partition_holds_up_the_others() -> None:
    slow = [arrival("slow", i, [(T0, 1000 + i)], 0, T0 + i * 20_000) for i in range(40)]
    fast = simple(40)
    both = numbered([one for pair in zip(slow, fast, strict=True) for one in pair])
    assert read(fresh(), both) == []


def test_a_silent_partition_does_not_hold_up_the_others_and_its_rows_are_counted() -> None:
    said = arrival("silent", 0, [(T0, 1999)], 0, T0)
    log = numbered([said, *simple(12)])
    closed = read(fresh(), log)
    assert rows_of(closed)[T0, 1999] == 1
    assert len(closed) > 3


def test_a_partition_that_comes_back_and_replays_is_counted_once() -> None:
    """It had crashed between what it published and its commit, for longer than a silence."""
    said = arrival("p1", 0, [(T0 + 3 * STEP_MS, 1998), (T0 + 4 * STEP_MS, 1999)], 0, T0)
    again = arrival(
        "p1", 0, [(T0 + 3 * STEP_MS, 1998), (T0 + 4 * STEP_MS, 1999), (T0 + 4 * STEP_MS, 1997)],
        0, T0 + 90_000,
    )  # fmt: skip
    after = [
        arrival("p1", 3 + i, [(T0 + (5 + i) * STEP_MS, 1900 + i)], 0, T0 + 100_000 + i * 20_000)
        for i in range(9)
    ]
    others = simple(14)
    log = numbered(
        [said, *others[:5], again, *(x for p in zip(others[5:], after, strict=True) for x in p)]
    )

    found = rows_of(read(fresh(), log))

    assert found[T0 + 3 * STEP_MS, 1998] == 1
    assert found[T0 + 4 * STEP_MS, 1999] == 1
    assert found[T0 + 4 * STEP_MS, 1997] == 1


def test_a_partition_that_is_only_in_the_position_does_not_hold_up_the_others_for_ever() -> None:
    """Its summaries have been deleted from the topic since."""
    book = fresh()
    log = numbered([arrival("gone", 0, [(T0, 1999)], 0, T0), *simple(30)])
    read(book, log[:2])
    late = [replace(one, appended_ms=one.appended_ms + 60_000) for one in log[3:]]
    assert len(read(fresh(book.position()), late)) > 20


def test_two_weeks_of_silence_are_no_end() -> None:
    before, pause_ms = simple(10), 14 * 24 * 3_600_000
    after = [
        replace(shifted(one, pause_ms), appended_ms=one.appended_ms + pause_ms)
        for one in simple(12, first=10)
    ]
    book = fresh()
    closed = read(book, [*before, *after])
    found = [step.at_ms for step in closed]
    assert found[:10] == [T0 + i * STEP_MS for i in range(10)]
    assert found[10] == T0 + pause_ms + 10 * STEP_MS
    assert book.late_row_count == 0


@pytest.mark.parametrize("rogue_rows", [1, 3])
def test_a_row_from_another_year_silences_nothing(rogue_rows: int) -> None:
    """One among others, or a whole summary."""
    year_ms = 365 * 24 * 3_600_000
    log = simple(60)
    rogue = [(T0 + year_ms, 1999)] * (rogue_rows - 2 or 1)
    own = [] if rogue_rows == 3 else [(T0 + 20 * STEP_MS, 20), (T0 + 20 * STEP_MS, 1500)]
    log[20] = arrival("p0", 20, [*own, *rogue], 20, T0 + 20 * 20_000, end=21)
    book = fresh()
    closed = read(book, log)
    assert book.late_row_count == 0
    missing = {20} if rogue_rows == 3 else set()
    expected = [T0 + i * STEP_MS for i in range(len(closed) + len(missing)) if i not in missing]
    assert [step.at_ms for step in closed] == expected
    assert len(closed) > 50


def test_a_clock_that_is_ahead_for_a_while_and_comes_back_silences_nothing() -> None:
    hours_ms = 7 * 3_600_000
    log = [shifted(one, hours_ms) if 20 <= one.begin < 40 else one for one in simple(100)]
    book = fresh()
    closed = read(book, log)
    assert book.late_row_count < 10
    found = Counter(number for _, number in rows_of(closed).elements())
    assert set(found.values()) == {1}
    assert len(found) > 85
    assert closed[-1].at_ms > T0 + 90 * STEP_MS


def test_rows_that_come_when_their_step_is_closed_are_said() -> None:
    log = simple(20)
    log.insert(10, arrival("p1", 0, [(T0, 1999)], 0, log[10].appended_ms))
    log.insert(12, arrival("p1", 1, [(T0 + 11 * STEP_MS, 1998)], 0, log[12].appended_ms))
    book = fresh()
    closed = read(book, numbered(log))
    assert book.late_row_count == 1
    assert rows_of(closed)[T0, 1999] == 0


def test_what_is_open_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """One partition is far behind the other: its rows come late, and no memory is used up."""
    one = 2_000 + simple(1)[0].steps[T0]["1.0.0", "a"].scores.nbytes
    monkeypatch.setattr(steps_module, "OPEN_BYTES_MAX", 15 * one)
    slow = [arrival("slow", i, [(T0, 1000 + i)], 0, T0 + i * 20_000) for i in range(100)]
    both = numbered([x for pair in zip(slow, simple(100), strict=True) for x in pair])
    book = fresh()
    closed = read(book, both)
    assert 50 < len(closed) < 100
    assert book.late_row_count > 0


def test_parts_of_a_summary_stay_together() -> None:
    parts = [
        replace(arrival("p0", 0, [(T0 + i * STEP_MS, 100 + i)], 0, T0, end=3), part=i)
        for i in range(3)
    ]
    replayed = [replace(one, end=4) for one in parts]
    after = [arrival("p0", 4 + i, [(T0 + (4 + i) * STEP_MS, 200 + i)], 0, T0 + 20_000 * i)
             for i in range(12)]  # fmt: skip
    expected = {100: 1, 101: 1, 102: 1}
    for first in ([], parts, parts[:2], parts[:1]):
        log = numbered([*first, *replayed, *after])
        for stop in range(len(log)):
            book = fresh()
            closed = read(book, log[:stop])
            again = fresh(book.position())
            closed += read(again, log[book.position().reads_from :])
            found = Counter(number for _, number in rows_of(closed).elements())
            assert {k: found[k] for k in expected} == expected
