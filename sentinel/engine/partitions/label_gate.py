"""Which labels of a partition may apply, and from which of its records on."""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

import numpy as np

from sentinel.records import Ints, Label

FOREVER_MS = 1 << 62
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
        until_ms = watermark_ms + _AHEAD_MS if watermark_ms else FOREVER_MS
        if len(self) <= count_max:
            return Opened(read_to, until_ms)
        due = np.fromiter((one.due_ms for one in self), np.int64, len(self))
        until_ms = min(until_ms, int(np.partition(due, count_max)[count_max]) - 1)
        until_ms = max(until_ms, watermark_ms)  # what is due may have been applied
        excess = (one.offset for one in self if one.due_ms <= until_ms)
        return Opened(next(islice(excess, count_max, None), read_to), until_ms)


@dataclass(slots=True)
class LabelGate:
    """The labels of one partition: which wait, and which are open from which record on.

    A label is applied before the first record at which the partition's event time reaches the time
    it was observed, once it is open. Labels open only by a commit that says from which record on,
    and no record from there on is decided before that commit is done, nor was by a predecessor: so
    what a decision knew follows from the last commit and the logs alone, and a replay knows the
    same. Labels that are applied before the same record go in the order of their log.

    Attributes
    ----------
    opened
        The labels that are open.
    promised, opens_at
        Those that are in the place of these, from the record at that offset on.
    is_opening
        Whether the commit with that promise is still under way.
    read_to
        Labels below this offset have been read.
    homeless
        The oldest label of an account that nobody knows yet.
    old_to
        Labels below this offset may have been applied before.
    waiting
        Those that are read and not applied.
    """

    opened: Opened = NOTHING
    promised: Opened = NOTHING
    opens_at: int = 0
    is_opening: bool = False
    read_to: int = 0
    homeless: int | None = None
    old_to: int = 0
    waiting: WaitingLabels = field(default_factory=WaitingLabels)

    @property
    def needed_to(self) -> int:
        """Labels below this offset must have been read before a record is decided."""
        return max(self.opened.offset, self.promised.offset)

    @property
    def first_unapplied(self) -> int:
        """The oldest label that is not applied."""
        first = (self.read_to, self.waiting.first_offset, self.homeless)
        return min(offset for offset in first if offset is not None)

    def close(self) -> None:
        """No label is open, and none is promised."""
        self.opened = self.promised = NOTHING

    def pass_by(self, next_offset: int) -> None:
        """Records below this offset are folded: what was promised for one of them is open."""
        if next_offset > self.opens_at:
            self.opened = self.promised

    def promise(self, opens_at: int, *, cut_at: int, watermark_ms: int, count_max: int) -> bool:
        """Open more labels, from that record on; whether there are any to be opened now.

        It holds by the commit of a cut, and is under way until `confirm`.

        Parameters
        ----------
        opens_at
            Nothing from this record on is decided, or being decided.
        cut_at
            Where the cut stands that is to be committed.
        watermark_ms
            Newest event time of what is below that record; 0 before there is one. Labels may be
            applied up to it: a promise that left one of them out would have a successor forget it.
        count_max
            At most about so many labels are open and wait: all may fall due at one record.
        """
        if self.promised != self.opened and cut_at <= self.opens_at < opens_at:
            return False  # the promise before is still to be kept
        wanted = self.waiting.openable(watermark_ms, self.read_to, count_max=count_max)
        wanted = wanted._replace(offset=max(wanted.offset, self.promised.offset))
        if wanted.offset == self.promised.offset and not self._opens_more(wanted):
            return False
        self.promised, self.opens_at, self.is_opening = wanted, opens_at, True
        return True

    def confirm(self) -> None:
        """What was promised is committed."""
        self.is_opening = False

    def due(
        self, event_time_ms: Ints, offsets: Ints, watermark_ms: int
    ) -> list[tuple[int, WaitingLabel]]:
        """Labels to apply among the next records, with the record that each is applied before.

        They stay in `waiting` until they are taken.
        """
        running_ms = np.maximum.accumulate(np.maximum(event_time_ms, watermark_ms))
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

    def owed(self, watermark_ms: int) -> list[WaitingLabel]:
        """The labels that had been applied before the commit that this goes on from."""
        due = self.waiting.due(watermark_ms)
        return sorted((one for one in due if self.opened.has(one)), key=lambda one: one.offset)

    def _opens_more(self, wanted: Opened) -> bool:
        """Whether labels wait for a time that is open only then."""
        since_ms = self.promised.until_ms
        return any(since_ms < one.due_ms <= wanted.until_ms for one in self.waiting)
