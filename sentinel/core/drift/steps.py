"""Summaries of many input partitions become steps of event time: each whole, once, in order.

A summary is held until it is certain that it stays: until the next one of its partition, which
nobody publishes before the offsets of the one before are committed. One that begins where it began,
or before, takes its place: what it counted was replayed.

A step is closed when every partition that is heard of has come a grace beyond its end. Whether a
partition is heard of is told by when its summaries were appended to their log, never by a clock, so
that whoever reads the log again closes the same steps.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from sentinel.core.drift.columns import CELL_COUNT
from sentinel.core.drift.counting import GroupCounts
from sentinel.core.drift.noting import SCORE_SUMS
from sentinel.records import Ints

# An input partition that has been silent for so long does not hold up the others.
SILENT_MS = 30_000

Arm = tuple[str, str]  # a model version, and the name of its arm


@dataclass(frozen=True, eq=False, slots=True)
class ArmCounts:
    """What one arm of one version has decided in a span of event time.

    Attributes
    ----------
    actions
        How many there were of each action.
    counts
        GroupCounts of each feature, behind them of the score.
    scores
        int64 (CELL_COUNT, len(SCORE_SUMS)): of `noting.score_sums`.
    """

    row_count: int
    actions: Mapping[str, int]
    counts: GroupCounts
    scores: Ints

    @classmethod
    def empty(cls, column_count: int) -> "ArmCounts":
        """Of no rows."""
        scores = np.zeros((CELL_COUNT, len(SCORE_SUMS)), dtype=np.int64)
        return cls(0, {}, GroupCounts.empty(column_count), scores)

    def __add__(self, other: "ArmCounts") -> "ArmCounts":
        names = sorted(self.actions.keys() | other.actions.keys())
        return ArmCounts(
            self.row_count + other.row_count,
            {name: self.actions.get(name, 0) + other.actions.get(name, 0) for name in names},
            self.counts + other.counts,
            self.scores + other.scores,
        )

    @property
    def features(self) -> GroupCounts:
        """The counts of the features alone."""
        return self.counts.of_columns(list(range(len(self.counts.cells) - 1)))

    @property
    def score(self) -> GroupCounts:
        """The counts of the score alone."""
        return self.counts.of_columns([len(self.counts.cells) - 1])


@dataclass(frozen=True, eq=False, slots=True)
class Step:
    """One step of event time, closed: nothing is added to it any more."""

    at_ms: int
    arms: Mapping[Arm, ArmCounts]

    @property
    def row_count(self) -> int:
        """Of all arms."""
        return sum(arm.row_count for arm in self.arms.values())


@dataclass(frozen=True, eq=False, slots=True)
class Arrival:
    """A summary as it was read.

    Attributes
    ----------
    source
        Names the input partition, and the log of its offsets.
    offset, appended_ms
        Of the summary itself: where it stands in its topic, and since when.
    """

    source: str
    begin: int
    end: int
    offset: int
    appended_ms: int
    steps: Mapping[int, Mapping[Arm, ArmCounts]]  # by the step's begin, epoch milliseconds


@dataclass(frozen=True, slots=True)
class Seen:
    """How far one input partition has come: its newest event time, and when it was heard of."""

    newest_ms: int
    appended_ms: int


@dataclass(frozen=True, slots=True)
class BookPosition:
    """What a book must know to go on elsewhere; the rest it reads again.

    Attributes
    ----------
    next_offset
        Summaries before it have been taken.
    reads_from
        From here on are those that are in no closed step.
    closed_to_ms
        Steps that begin before it are closed.
    """

    next_offset: int = 0
    reads_from: int = 0
    closed_to_ms: int = 0
    seen: dict[str, Seen] = field(default_factory=dict)


class StepBook:
    """Takes summaries in the order of their topic, and closes steps."""

    def __init__(self, position: BookPosition, *, step_ms: int, grace_ms: int) -> None:
        self._step_ms = step_ms
        self._grace_ms = grace_ms
        self._next_offset = position.next_offset
        self._closed_to_ms = position.closed_to_ms
        self._seen = dict(position.seen)
        self._held: dict[str, Arrival] = {}
        self._open: dict[int, dict[Arm, ArmCounts]] = {}
        self._from: dict[int, int] = {}  # by open step, the first summary with something of it
        self.late_row_count = 0  # of rows that came when their step was closed

    def position(self) -> BookPosition:
        """How far it is."""
        held = [one.offset for one in self._held.values()]
        first = min([*held, *self._from.values()], default=self._next_offset)
        return BookPosition(self._next_offset, first, self._closed_to_ms, dict(self._seen))

    def take(self, arrival: Arrival) -> Iterator[Step]:
        """The steps that this summary closes, in their order."""
        is_new = arrival.offset >= self._next_offset
        before = self._held.get(arrival.source)
        if before is not None and before.begin < arrival.begin:
            self._enter(before, is_new=is_new)
        self._held[arrival.source] = arrival
        if not is_new:
            return  # read again: what it closes is closed
        self._next_offset = arrival.offset + 1
        # What is held has not been counted: nothing of it may be closed yet.
        newest_ms = min(arrival.steps, default=0)
        seen = self._seen.get(arrival.source, Seen(newest_ms, 0))
        self._seen[arrival.source] = replace(seen, appended_ms=arrival.appended_ms)
        self._let_go_of_silent(arrival.appended_ms)
        yield from self._close()

    def _let_go_of_silent(self, now_ms: int) -> None:
        """Who has been silent for a while has committed what it last said, or is gone."""
        for source, arrival in list(self._held.items()):
            if now_ms - arrival.appended_ms > SILENT_MS:
                del self._held[source]
                self._enter(arrival, is_new=True)
                self._seen.pop(source, None)

    def _enter(self, arrival: Arrival, *, is_new: bool) -> None:
        """Count a summary that stays."""
        seen = self._seen.get(arrival.source)
        if seen is not None and arrival.steps:
            newest_ms = max(seen.newest_ms, *arrival.steps)
            self._seen[arrival.source] = replace(seen, newest_ms=newest_ms)
        for at_ms, arms in arrival.steps.items():
            if at_ms < self._closed_to_ms:
                if is_new:
                    self.late_row_count += sum(arm.row_count for arm in arms.values())
                continue
            step = self._open.setdefault(at_ms, {})
            self._from[at_ms] = min(self._from.get(at_ms, arrival.offset), arrival.offset)
            for arm, counts in arms.items():
                step[arm] = step[arm] + counts if arm in step else counts

    def _close(self) -> Iterator[Step]:
        slowest_ms = min((seen.newest_ms for seen in self._seen.values()), default=0)
        for at_ms in sorted(self._open):
            if at_ms + self._step_ms > slowest_ms - self._grace_ms:
                break
            self._closed_to_ms = at_ms + self._step_ms
            del self._from[at_ms]
            yield Step(at_ms, self._open.pop(at_ms))


def without_columns(step: Step, column_count: int) -> Step:
    """Only the arms that were counted in so many columns."""
    arms = {arm: c for arm, c in step.arms.items() if len(c.counts.cells) == column_count}
    return replace(step, arms=arms)
