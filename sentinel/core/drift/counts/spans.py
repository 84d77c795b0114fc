"""What was decided in a span of event time, added up from its steps."""

from dataclasses import dataclass, field

import numpy as np

from sentinel.core.drift.counts.columns import CELL_COUNT
from sentinel.core.drift.counts.counting import GroupCounts
from sentinel.core.drift.counts.noting import SCORE_SUMS
from sentinel.core.drift.counts.segments import SegmentCounts
from sentinel.core.drift.counts.steps import ClosedStep
from sentinel.records import Ints


@dataclass(eq=False, slots=True)
class SpanCounts:
    """What was decided in a span; it is added to in place.

    Attributes
    ----------
    features
        GroupCounts of the features, whoever decided.
    score
        GroupCounts of the score of the version that is watched.
    scores
        int64 (CELL_COUNT, len(SCORE_SUMS)) of that version: of `noting.score_sums`.
    segments
        The features and the score by segment; None as long as nobody has counted so.
    """

    features: GroupCounts
    score: GroupCounts
    scores: Ints
    row_count: int = 0
    actions: dict[str, int] = field(default_factory=dict)
    begin_ms: int = 0
    segments: SegmentCounts | None = None

    @classmethod
    def empty(cls, feature_count: int) -> "SpanCounts":
        """Of no rows."""
        scores = np.zeros((CELL_COUNT, len(SCORE_SUMS)), dtype=np.int64)
        return cls(GroupCounts.empty(feature_count), GroupCounts.empty(1), scores)

    @classmethod
    def of(cls, step: ClosedStep, version: str, feature_count: int) -> "SpanCounts":
        """Of one step; arms that were counted in other cells are left out."""
        found = cls.empty(feature_count)
        found.begin_ms = step.at_ms
        for (of_version, _), arm in step.arms.items():
            if len(arm.counts.cells) != feature_count + 1:
                continue
            found.row_count += arm.row_count
            for action, count in arm.actions.items():
                found.actions[action] = found.actions.get(action, 0) + count
            found.features.add(arm.counts.cells[:-1], arm.counts.sizes)
            if of_version == version:
                found.score.add(arm.counts.cells[-1:], arm.counts.sizes)
                found.scores += arm.scores
            if arm.segments is not None:
                found._add_segments(_split(arm.segments, has_score=of_version == version))
        return found

    def add(self, other: "SpanCounts") -> None:
        """Count the other's rows, too."""
        if self.row_count == 0:
            self.begin_ms = other.begin_ms
        self.features.add(other.features.cells, other.features.sizes)
        self.score.add(other.score.cells, other.score.sizes)
        self.scores += other.scores
        self.row_count += other.row_count
        for action, count in other.actions.items():
            self.actions[action] = self.actions.get(action, 0) + count
        if other.segments is not None:
            self._add_segments(other.segments)

    def _add_segments(self, segments: SegmentCounts) -> None:
        if self.segments is None:
            self.segments = SegmentCounts.empty(len(self.features.cells))
        self.segments.add(segments)


def _split(counts: GroupCounts, *, has_score: bool) -> SegmentCounts:
    """Counts of features and, behind them, of a score."""
    features = GroupCounts(counts.cells[:-1], counts.sizes)
    score = GroupCounts(counts.cells[-1:], counts.sizes) if has_score else GroupCounts.empty(1)
    return SegmentCounts(features, score)
