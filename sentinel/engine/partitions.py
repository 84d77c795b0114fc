"""What the engine knows of each input partition that it owns."""

from collections import deque
from dataclasses import dataclass, field, replace

import numpy as np

from sentinel.codec.records import decode_object, encode
from sentinel.errors import RecordError
from sentinel.records import Commit, Ints, Label, TopicPartition

# How far decisions went, when whoever owned the partition before did not say so at its end.
UNKNOWN = -1


@dataclass(frozen=True, slots=True)
class Position:
    """Where a partition stood at a cut, and which labels open from which record on."""

    offset: int
    labels: int  # labels below this offset were applied
    opened: int  # labels below this offset are open
    promised: int  # labels below this offset open with the record at `opens_at`
    opens_at: int
    watermark_ms: int
    decided_to: int  # no decision goes further; or UNKNOWN, while decisions go on

    def commit(self) -> Commit:
        """What is committed, to start again from there."""
        position = {
            "labels": self.labels,
            "open": self.opened,
            "promised": self.promised,
            "opens_at": self.opens_at,
            "watermark_ms": self.watermark_ms,
            "decided_to": self.decided_to,
        }
        return Commit(self.offset, encode(position).decode())


class Trail:
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


@dataclass(slots=True)
class InputPartition:
    """Positions of one owned partition of the transactions topic.

    A label is applied before the first record at which the partition's event time reaches the time
    it was observed, in the order of the labels' log, once it is open. Labels open only by a commit
    that says from which record on, and no record from there on is decided before that commit is
    done, nor was by a predecessor: so what a decision knew follows from the last commit and the
    logs alone, and a replay knows the same.
    """

    at: TopicPartition
    epoch: int
    next_offset: int
    live_from: int  # what is below was decided before: it is folded silently
    busy_to: int = 0  # what is below is decided, or is being decided
    watermark_ms: int = 0  # newest event time folded
    labels_next: int = 0  # at the last cut, labels below this offset were applied
    labels_open: int = 0  # labels below this offset are open
    labels_promised: int = 0  # labels below this offset open with the record at `opens_at`
    opens_at: int = 0
    is_opening: bool = False  # whether the commit with that promise is still under way
    labels_read: int = 0  # labels below this offset have been read
    labels_owed: int = 0  # after a restart: labels below this offset come before going live
    is_caught_up: bool = False  # whether the labels owed are applied
    decided_to: int = 0  # how far a predecessor may have decided
    is_announced: bool = False  # whether the last commit says that decisions go on
    waiting: deque[tuple[int, Label]] = field(default_factory=deque)
    trail: Trail = field(default_factory=Trail)

    @property
    def is_recovering(self) -> bool:
        """Whether the partition still catches up silently."""
        return self.next_offset < self.live_from

    @property
    def is_live(self) -> bool:
        """Whether its state is that of the last commit or later, so that it may commit."""
        return self.is_caught_up and not self.is_recovering

    def cut(self, *, is_last: bool = False) -> Position:
        """Where it stands now, between two batches or before the batch in hand is folded.

        `is_last` promises that nothing more is decided.
        """
        waits_from = self.waiting[0][0] if self.waiting else self.labels_read
        self.labels_next = max(waits_from, self.labels_next)
        if self.next_offset >= self.opens_at:
            self.labels_open = max(self.labels_promised, self.labels_open)
        return Position(
            offset=self.next_offset,
            labels=self.labels_next,
            opened=self.labels_open,
            promised=self.labels_promised,
            opens_at=self.opens_at,
            watermark_ms=self.watermark_ms,
            decided_to=self.next_offset if is_last else UNKNOWN,
        )

    def promise(self, position: Position, *, count_max: int) -> Position:
        """Open the labels read so far, from behind the batch in hand on, by committing this.

        At most `count_max` labels are open and wait, since all may fall due at one record.
        """
        readable = self.labels_read
        if len(self.waiting) > count_max:
            readable = self.waiting[count_max][0]
        opens_at = max(self.next_offset, self.busy_to)
        if readable <= self.labels_promised or position.offset < self.opens_at:
            return position  # nothing new, or the promise before is still to be kept
        if self.decided_to == UNKNOWN or opens_at < self.decided_to:
            return position  # what comes next may have been decided before, without them
        self.labels_promised = readable
        self.opens_at = opens_at
        self.is_opening = True
        return replace(position, promised=readable, opens_at=opens_at)

    def read_metadata(self, text: str) -> None:
        """Take over what a predecessor stored beside its commit; a foreign text is ignored."""
        try:
            position = decode_object(text.encode())
        except RecordError:
            return
        if not all(isinstance(value, int) for value in position.values()):
            return
        self.labels_owed = position.get("labels", 0)
        self.labels_open = position.get("open", 0)
        self.labels_promised = position.get("promised", 0)
        self.opens_at = position.get("opens_at", 0)
        self.watermark_ms = position.get("watermark_ms", 0)
        self.decided_to = position.get("decided_to", 0)
        self.is_announced = self.decided_to == UNKNOWN

    def due_labels(self, event_time_ms: Ints, offsets: Ints) -> list[tuple[int, int, Label]]:
        """Labels to apply among the next records: (before which of them, offset, label).

        They stay in `waiting` until `take`.
        """
        running_ms = np.maximum.accumulate(np.maximum(event_time_ms, self.watermark_ms))
        opening = int(np.searchsorted(offsets, self.opens_at, side="left"))
        found: list[tuple[int, int, Label]] = []
        row = 0
        for offset, label in self.waiting:
            at = int(np.searchsorted(running_ms, label.observed_ms, side="left"))
            if offset >= self.labels_open:
                at = max(at, opening)
            if offset >= max(self.labels_open, self.labels_promised) or at == running_ms.size:
                break
            row = max(row, at)
            found.append((row, offset, label))
        return found

    def take(self, offset: int) -> None:
        """The label at the head of `waiting` is applied now."""
        head, _ = self.waiting.popleft()
        assert head == offset

    def owed_labels(self) -> list[tuple[int, Label]]:
        """The labels that had been applied before the commit this partition goes on from."""
        return [(offset, label) for offset, label in self.waiting if offset < self.labels_owed]
