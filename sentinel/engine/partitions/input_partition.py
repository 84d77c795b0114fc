"""What the engine knows of each input partition that it owns."""

from collections import deque
from dataclasses import dataclass, field, replace

from sentinel.codec.records import decode_object, encode
from sentinel.engine.partitions.label_gate import FOREVER_MS, LabelGate, Opened, WaitingLabel
from sentinel.errors import RecordError
from sentinel.ports import Fence
from sentinel.records import Commit, Ints, TopicPartition

# How far decisions went, when whoever owned the partition before did not say so at its end.
UNKNOWN = -1


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
        opened=Opened(found.get("open", 0), found.get("open_until_ms", FOREVER_MS)),
        promised=Opened(found.get("promised", 0), found.get("promised_until_ms", FOREVER_MS)),
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


@dataclass(slots=True)
class InputPartition:
    """Positions of one owned partition of the transactions topic."""

    at: TopicPartition
    fence: Fence
    next_offset: int
    live_from: int  # what is below was decided before: it is folded silently
    log: str = ""  # names the log of these offsets
    busy_to: int = 0  # what is below is decided, or is being decided
    busy_ms: int = 0  # newest event time of that
    watermark_ms: int = 0  # newest event time folded
    gate: LabelGate = field(default_factory=LabelGate)
    is_caught_up: bool = False  # whether the labels that had been applied are
    decided_to: int = 0  # how far a predecessor may have decided
    is_announced: bool = False  # whether the last commit says that decisions go on
    offset_history: OffsetHistory = field(default_factory=OffsetHistory)

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
        self.gate.pass_by(self.next_offset)
        return Position(
            log=self.log,
            offset=self.next_offset,
            opened=self.gate.opened,
            promised=self.gate.promised,
            opens_at=self.gate.opens_at,
            watermark_ms=self.watermark_ms,
            decided_to=self.next_offset if is_last else UNKNOWN,
        )

    def promise(self, position: Position, *, count_max: int) -> Position:
        """Open more labels, from behind the batch in hand on, by committing this.

        At most about `count_max` labels are open and wait, since all may fall due at one record.
        """
        opens_at = max(self.next_offset, self.busy_to)
        if self.decided_to == UNKNOWN or opens_at < self.decided_to:
            return position  # what comes next may have been decided before, without them
        gate, watermark_ms = self.gate, max(self.watermark_ms, self.busy_ms)
        if not gate.promise(
            opens_at, cut_at=position.offset, watermark_ms=watermark_ms, count_max=count_max
        ):
            return position
        return replace(position, promised=gate.promised, opens_at=opens_at)

    def go_on(self, position: Position) -> None:
        """Take over what a predecessor stored beside its commit."""
        gate = self.gate
        gate.opened, gate.promised = position.opened, position.promised
        gate.opens_at = position.opens_at
        self.watermark_ms = position.watermark_ms
        self.decided_to = position.decided_to
        self.is_announced = self.decided_to == UNKNOWN

    def due_labels(self, event_time_ms: Ints, offsets: Ints) -> list[tuple[int, WaitingLabel]]:
        """Labels to apply among the next records, with the record that each is applied before."""
        return self.gate.due(event_time_ms, offsets, self.watermark_ms)

    def owed_labels(self) -> list[WaitingLabel]:
        """The labels that had been applied before the commit this partition goes on from."""
        return self.gate.owed(self.watermark_ms)
