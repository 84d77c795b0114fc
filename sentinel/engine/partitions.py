"""What the engine knows of each input partition that it owns."""

from collections import deque
from dataclasses import dataclass, field

from sentinel.codec.records import decode_object, encode
from sentinel.errors import RecordError
from sentinel.records import Label, TopicPartition


@dataclass(slots=True)
class InputPartition:
    """Positions of one owned partition of the transactions topic.

    Labels are applied right after a cut, in the order of their log, each once the partition's
    event time has reached the time at which it was observed. So what a decision knew follows from
    the last commit alone, and a replay knows the same.
    """

    at: TopicPartition
    epoch: int
    next_offset: int
    live_from: int  # what is below was decided before: it is folded silently
    watermark_ms: int = 0  # newest event time folded
    labels_next: int = 0  # labels below this offset are applied, or need not be
    labels_owed: int = 0  # after a restart: labels below this offset come before going live
    feedback_seen: int = -1  # newest feedback whose label is applied
    is_caught_up: bool = False  # whether the labels owed are applied
    waiting: deque[tuple[int, Label]] = field(default_factory=deque)

    @property
    def is_recovering(self) -> bool:
        """Whether the partition still catches up silently."""
        return self.next_offset < self.live_from

    @property
    def is_live(self) -> bool:
        """Whether its state is that of the last commit or later, so that it may commit."""
        return self.is_caught_up and not self.is_recovering

    def commit_metadata(self) -> str:
        """What is stored beside the committed offset, to start again from there."""
        position = {
            "labels": self.labels_next,
            "watermark_ms": self.watermark_ms,
            "feedback": self.feedback_seen,
        }
        return encode(position).decode()

    def due_labels(self) -> list[tuple[int, Label]]:
        """Take the labels whose time has come, in the order of their log."""
        due = []
        while self.waiting and self.waiting[0][1].observed_ms <= self.watermark_ms:
            offset, label = self.waiting.popleft()
            # Feedback that was read again after a restart gives the same label again.
            if label.feedback_offset < 0 or label.feedback_offset > self.feedback_seen:
                due.append((offset, label))
                self.feedback_seen = max(self.feedback_seen, label.feedback_offset)
        return due

    def owed_labels(self) -> list[tuple[int, Label]]:
        """Take the labels that had been applied before the commit this partition goes on from."""
        owed = []
        while self.waiting and self.waiting[0][0] < self.labels_owed:
            owed.append(self.waiting.popleft())
        return owed

    def read_metadata(self, text: str) -> None:
        """Take over what a predecessor stored beside its commit; a foreign text is ignored."""
        try:
            position = decode_object(text.encode())
        except RecordError:
            return
        for value in position.values():
            if not isinstance(value, int):
                return
        self.labels_owed = position.get("labels", 0)
        self.watermark_ms = position.get("watermark_ms", 0)
        self.feedback_seen = position.get("feedback", -1)
