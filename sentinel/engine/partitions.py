"""What the engine knows of each input partition that it owns."""

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from sentinel.codec.records import decode_object, encode
from sentinel.errors import RecordError
from sentinel.records import Ints, Label, TopicPartition


@dataclass(slots=True)
class InputPartition:
    """Positions of one owned partition of the transactions topic.

    A label is applied before the first record at which the partition's event time reaches the time
    it was observed, in the order of the labels' log. Only labels that had been read by the last cut
    are applied before the next one, and each commit says which those are: so what a decision knew
    follows from the last commit and the logs alone, and a replay knows the same.
    """

    at: TopicPartition
    epoch: int
    next_offset: int
    live_from: int  # what is below was decided before: it is folded silently
    watermark_ms: int = 0  # newest event time folded
    labels_next: int = 0  # at the last cut, labels below this offset were applied
    labels_open: int = 0  # labels below this offset may be applied before the next cut
    labels_read: int = 0  # labels below this offset have been read
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

    def note_cut(self) -> None:
        """A cut is taken now: what is applied is applied, what is read may be applied next."""
        waits_from = self.waiting[0][0] if self.waiting else self.labels_read
        self.labels_next = max(waits_from, self.labels_next)
        self.labels_open = max(self.labels_read, self.labels_open)

    def commit_metadata(self) -> str:
        """What is stored beside the committed offset, to start again from there."""
        position = {
            "labels": self.labels_next,
            "open": self.labels_open,
            "watermark_ms": self.watermark_ms,
            "feedback": self.feedback_seen,
        }
        return encode(position).decode()

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
        self.watermark_ms = position.get("watermark_ms", 0)
        self.feedback_seen = position.get("feedback", -1)

    def due_labels(self, event_time_ms: Ints) -> list[tuple[int, int, Label]]:
        """Labels to apply among the next records: (before which of them, offset, label).

        They stay in `waiting` until `take`.
        """
        running_ms = np.maximum.accumulate(np.maximum(event_time_ms, self.watermark_ms))
        found: list[tuple[int, int, Label]] = []
        row = 0
        for offset, label in self.waiting:
            at = int(np.searchsorted(running_ms, label.observed_ms, side="left"))
            if offset >= self.labels_open or at == running_ms.size:
                break
            row = max(row, at)
            found.append((row, offset, label))
        return found

    def take(self, offset: int) -> bool:
        """The label at the head of `waiting` is applied now. False if it is a repetition.

        Feedback that was read again after a restart gives the same label again.
        """
        head, label = self.waiting.popleft()
        assert head == offset
        if 0 <= label.feedback_offset <= self.feedback_seen:
            return False
        self.feedback_seen = max(self.feedback_seen, label.feedback_offset)
        return True

    def owed_labels(self) -> list[tuple[int, Label]]:
        """Take the labels that had been applied before the commit this partition goes on from."""
        owed = []
        while self.waiting and self.waiting[0][0] < self.labels_owed:
            owed.append(self.waiting.popleft())
        return owed
