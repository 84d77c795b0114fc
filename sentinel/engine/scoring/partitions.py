"""What the engine knows of each input partition that it owns."""

import heapq
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import NamedTuple

import numpy as np

from sentinel.codec.records import decode_object, encode
from sentinel.errors import RecordError
from sentinel.ports import Fence
from sentinel.records import Commit, Ints, Label, TopicPartition

# How far decisions went, when whoever owned the partition before did not say so at its end.
UNKNOWN = -1

_FOREVER_MS = 1 << 62
# So far ahead of the partition's event time labels open: one that a wall clock has dated years
# after the transactions that are being played does not keep others from it.
_AHEAD_MS = 30 * 86_400_000


class Opened(NamedTuple):
    """Which labels are open: those below an offset of their log that are due by a time."""

    offset: int = 0
    until_ms: int = 0

    def has(self, waiting: "WaitingLabel") -> bool:
        """Whether the label is one of these."""
        return waiting.offset < self.offset and waiting.due_ms <= self.until_ms


NOTHING = Opened()


class WaitingLabel(NamedTuple):
    """A label that is to be applied when the event time of its partition comes to it.

    `applied` names the kinds of entities whose state includes it already.
    """

    due_ms: int
    offset: int
    label: Label
    applied: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Position:
    """Where a partition stood at a cut, and which labels are open from which record on.

    `log` names the log of all offsets but those of labels.
    """

    log: str
    offset: int
    opened: Opened
    promised: Opened  # these are open in the place of those, from the record at `opens_at` on
    opens_at: int
    watermark_ms: int
    decided_to: int  # no decision goes further; or UNKNOWN, while decisions go on

    def commit(self) -> Commit:
        """What is committed, to start again from there."""
        position = {
            "log": self.log,
            "open": self.opened.offset,
            "open_until_ms": self.opened.until_ms,
            "promised": self.promised.offset,
            "promised_until_ms": self.promised.until_ms,
            "opens_at": self.opens_at,
            "watermark_ms": self.watermark_ms,
            "decided_to": self.decided_to,
        }
        return Commit(self.offset, encode(position).decode())


def position_of(commit: Commit) -> Position | None:
    """What a predecessor stored beside its commit; None of a text that is not ours.

    One of before offsets had names has none.
    """
    try:
        found = decode_object(commit.metadata.encode())
    except RecordError:
        return None
    log = found.pop("log", "")
    if not isinstance(log, str) or not all(isinstance(value, int) for value in found.values()):
        return None
    return Position(
        log=log,
        offset=commit.offset,
        opened=Opened(found.get("open", 0), found.get("open_until_ms", _FOREVER_MS)),
        promised=Opened(found.get("promised", 0), found.get("promised_until_ms", _FOREVER_MS)),
        opens_at=found.get("opens_at", 0),
        watermark_ms=found.get("watermark_ms", 0),
        decided_to=found.get("decided_to", 0),
    )


class OffsetHistory:
    """Which offset a partition had come to, over the last seconds."""

    def __init__(self) -> None:
        self._steps: deque[tuple[float, int]] = deque()

    def note(self, now_s: float, offset: int, *, kept_s: float) -> None:
        """It has come to this offset; what is older than `kept_s` is summed up."""
        self._steps.append((now_s, offset))
        while len(self._steps) > 1 and self._steps[1][0] <= now_s - kept_s:
            self._steps.popleft()

    def at(self, time_s: float) -> int:
        """The offset it had come to at that time, or some time before; 0 when nothing is known."""
        found = 0
        for noted_s, offset in self._steps:
            if noted_s > time_s:
                break
            found = offset
        return found


class WaitingLabels:
    """The labels of one partition that are read and not applied, each with its own time.

    A later word on the same transaction does not come before an earlier one.
    """

    def __init__(self) -> None:
        self._by_offset: dict[int, WaitingLabel] = {}  # in the order of their log
        self._later: list[tuple[int, int]] = []  # a heap of (due, offset)
        self._reached: dict[int, WaitingLabel] = {}  # those whose time has come once
        self._newest_of: dict[str, WaitingLabel] = {}  # by transaction

    def __len__(self) -> int:
        return len(self._by_offset)

    def __iter__(self) -> Iterator[WaitingLabel]:
        return iter(self._by_offset.values())

    @property
    def first_offset(self) -> int | None:
        """The oldest label of their log that waits."""
        return next(iter(self._by_offset), None)

    @property
    def next_due_ms(self) -> int | None:
        """When the next one is due that was not due before."""
        while self._later and self._later[0][1] not in self._by_offset:
            heapq.heappop(self._later)
        return self._later[0][0] if self._later else None

    def add(self, due_ms: int, offset: int, label: Label, applied: frozenset[str]) -> None:
        """Labels come in the order of their log."""
        before = self._newest_of.get(label.transaction_id)
        if before is not None:
            due_ms = max(due_ms, before.due_ms)
        one = WaitingLabel(due_ms, offset, label, applied)
        self._by_offset[offset] = self._newest_of[label.transaction_id] = one
        heapq.heappush(self._later, (due_ms, offset))

    def due(self, time_ms: int) -> list[WaitingLabel]:
        """Those that are due by then."""
        while self._later and self._later[0][0] <= time_ms:
            _, offset = heapq.heappop(self._later)
            if offset in self._by_offset:
                self._reached[offset] = self._by_offset[offset]
        return list(self._reached.values())

    def take(self, offset: int) -> None:
        """A label is applied now."""
        one = self._by_offset.pop(offset)
        self._reached.pop(offset, None)
        if self._newest_of.get(one.label.transaction_id) is one:
            del self._newest_of[one.label.transaction_id]

    def openable(self, watermark_ms: int, read_to: int, *, count_max: int) -> Opened:
        """Those to open now: about the next `count_max`, since all may fall due at one record."""
        until_ms = watermark_ms + _AHEAD_MS if watermark_ms else _FOREVER_MS
        if len(self) <= count_max:
            return Opened(read_to, until_ms)
        due = np.fromiter((one.due_ms for one in self), np.int64, len(self))
        until_ms = min(until_ms, int(np.partition(due, count_max)[count_max]) - 1)
        until_ms = max(until_ms, watermark_ms)  # what is due may have been applied
        excess = (one.offset for one in self if one.due_ms <= until_ms)
        return Opened(next(islice(excess, count_max, None), read_to), until_ms)


@dataclass(slots=True)
class InputPartition:
    """Positions of one owned partition of the transactions topic.

    A label is applied before the first record at which the partition's event time reaches the time
    it was observed, once it is open. Labels open only by a commit that says from which record on,
    and no record from there on is decided before that commit is done, nor was by a predecessor: so
    what a decision knew follows from the last commit and the logs alone, and a replay knows the
    same. Labels that are applied before the same record go in the order of their log.
    """

    at: TopicPartition
    fence: Fence
    next_offset: int
    live_from: int  # what is below was decided before: it is folded silently
    log: str = ""  # names the log of these offsets
    busy_to: int = 0  # what is below is decided, or is being decided
    watermark_ms: int = 0  # newest event time folded
    opened: Opened = NOTHING
    promised: Opened = NOTHING  # open in the place of those, from the record at `opens_at` on
    opens_at: int = 0
    is_opening: bool = False  # whether the commit with that promise is still under way
    labels_read: int = 0  # labels below this offset have been read
    labels_homeless: int | None = None  # the oldest label of an account that nobody knows yet
    labels_old_to: int = 0  # labels below this offset may have been applied before
    is_caught_up: bool = False  # whether the labels that had been applied are
    decided_to: int = 0  # how far a predecessor may have decided
    is_announced: bool = False  # whether the last commit says that decisions go on
    waiting: WaitingLabels = field(default_factory=WaitingLabels)
    offset_history: OffsetHistory = field(default_factory=OffsetHistory)

    @property
    def is_recovering(self) -> bool:
        """Whether the partition still catches up silently."""
        return self.next_offset < self.live_from

    @property
    def is_live(self) -> bool:
        """Whether its state is that of the last commit or later, so that it may commit."""
        return self.is_caught_up and not self.is_recovering

    @property
    def labels_from(self) -> int:
        """The oldest label that is not applied."""
        first = (self.labels_read, self.waiting.first_offset, self.labels_homeless)
        return min(offset for offset in first if offset is not None)

    def cut(self, *, is_last: bool = False) -> Position:
        """Where it stands now, between two batches or before the batch in hand is folded.

        `is_last` promises that nothing more is decided.
        """
        if self.next_offset > self.opens_at:
            self.opened = self.promised
        return Position(
            log=self.log,
            offset=self.next_offset,
            opened=self.opened,
            promised=self.promised,
            opens_at=self.opens_at,
            watermark_ms=self.watermark_ms,
            decided_to=self.next_offset if is_last else UNKNOWN,
        )

    def promise(self, position: Position, *, count_max: int) -> Position:
        """Open more labels, from behind the batch in hand on, by committing this.

        At most about `count_max` labels are open and wait, since all may fall due at one record.
        """
        opens_at = max(self.next_offset, self.busy_to)
        if self.promised != self.opened and position.offset <= self.opens_at < opens_at:
            return position  # the promise before is still to be kept
        if self.decided_to == UNKNOWN or opens_at < self.decided_to:
            return position  # what comes next may have been decided before, without them
        wanted = self.waiting.openable(self.watermark_ms, self.labels_read, count_max=count_max)
        wanted = wanted._replace(offset=max(wanted.offset, self.promised.offset))
        if wanted.offset == self.promised.offset and not self._opens_more(wanted):
            return position
        self.promised = wanted
        self.opens_at = opens_at
        self.is_opening = True
        return replace(position, promised=wanted, opens_at=opens_at)

    def _opens_more(self, wanted: Opened) -> bool:
        """Whether labels wait for a time that is open only then."""
        since_ms = self.promised.until_ms
        return any(since_ms < one.due_ms <= wanted.until_ms for one in self.waiting)

    def go_on(self, position: Position) -> None:
        """Take over what a predecessor stored beside its commit."""
        self.opened, self.promised = position.opened, position.promised
        self.opens_at = position.opens_at
        self.watermark_ms = position.watermark_ms
        self.decided_to = position.decided_to
        self.is_announced = self.decided_to == UNKNOWN

    def due_labels(self, event_time_ms: Ints, offsets: Ints) -> list[tuple[int, WaitingLabel]]:
        """Labels to apply among the next records, with the record that each is applied before.

        They stay in `waiting` until they are taken.
        """
        running_ms = np.maximum.accumulate(np.maximum(event_time_ms, self.watermark_ms))
        opening = int(np.searchsorted(offsets, self.opens_at, side="left"))
        found: list[tuple[int, WaitingLabel]] = []
        for one in self.waiting.due(int(running_ms[-1])):
            at = int(np.searchsorted(running_ms, one.due_ms, side="left"))
            if at >= opening or not self.opened.has(one):
                at = max(at, opening)
                if at == running_ms.size or not self.promised.has(one):
                    continue
            found.append((at, one))
        return sorted(found, key=lambda due: (due[0], due[1].offset))

    def owed_labels(self) -> list[WaitingLabel]:
        """The labels that had been applied before the commit this partition goes on from."""
        due = self.waiting.due(self.watermark_ms)
        return sorted((one for one in due if self.opened.has(one)), key=lambda one: one.offset)
