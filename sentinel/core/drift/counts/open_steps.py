"""Steps that are open: many at a time where partitions are far apart, so in little memory."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from sentinel.core.drift.counts.columns import CELL_COUNT
from sentinel.core.drift.counts.counting import GROUP_COUNT, SIZE_GROUP_COUNT, GroupCounts
from sentinel.core.drift.counts.noting import SCORE_SUMS
from sentinel.records import Ints

# Of one column; behind all columns stand the counts of the small groups.
COLUMN_SIZE = GROUP_COUNT * CELL_COUNT

Arm = tuple[str, str]  # a model version, and the name of its arm


def flat_size(column_count: int) -> int:
    """How many counts there are of so many columns."""
    return column_count * COLUMN_SIZE + SIZE_GROUP_COUNT


@dataclass(frozen=True, eq=False, slots=True)
class SparseCounts:
    """`GroupCounts` without its zeros.

    Attributes
    ----------
    at
        int32 (m,), ascending: where the counts stand among those of all columns and small groups.
    values
        int64 (m,).
    """

    column_count: int
    at: NDArray[np.int32]
    values: Ints

    @classmethod
    def of(cls, counts: GroupCounts) -> Self:
        """The same counts."""
        flat = np.concatenate([counts.cells.ravel(), counts.sizes])
        at = np.flatnonzero(flat)
        return cls(len(counts.cells), at.astype(np.int32), flat[at])

    @property
    def byte_count(self) -> int:
        """In memory."""
        return self.at.nbytes + self.values.nbytes


def summed(pieces: Sequence[SparseCounts]) -> GroupCounts:
    """The sum of at least one, all of the same columns."""
    column_count = pieces[0].column_count
    flat = np.zeros(flat_size(column_count), dtype=np.int64)
    for piece in pieces:
        assert piece.column_count == column_count
        flat[piece.at] += piece.values  # no place stands twice in one of them
    end = column_count * COLUMN_SIZE
    return GroupCounts(flat[:end].reshape(column_count, GROUP_COUNT, CELL_COUNT), flat[end:])


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
    segments
        As `counts`, by segment; None where nobody has counted by segment.
    """

    row_count: int
    actions: Mapping[str, int]
    counts: GroupCounts
    scores: Ints
    segments: GroupCounts | None = None


@dataclass(frozen=True, eq=False, slots=True)
class ArmPiece:
    """A part of `ArmCounts`, as it was read: with the counts that are not 0."""

    row_count: int
    actions: Mapping[str, int]
    counts: SparseCounts
    scores: Ints
    segments: SparseCounts | None = None

    @property
    def byte_count(self) -> int:
        """In memory, about."""
        of_segments = 0 if self.segments is None else self.segments.byte_count
        return self.counts.byte_count + of_segments + self.scores.nbytes


class OpenStep:
    """What has been counted of a step so far."""

    def __init__(self, offset: int) -> None:
        self.offset = offset  # of the first summary with something of it
        self.byte_count = 0  # in memory, about
        self._pieces: dict[Arm, list[ArmPiece]] = {}

    def add(self, offset: int, arms: Mapping[Arm, ArmPiece]) -> None:
        """Count some more."""
        self.offset = min(self.offset, offset)
        for arm, piece in arms.items():
            pieces = self._pieces.setdefault(arm, [])
            self.byte_count -= _byte_count(pieces)
            if pieces and pieces[0].counts.column_count != piece.counts.column_count:
                pieces.clear()  # they are of cells that nobody counts in any more
            pieces.append(piece)
            # As many as are as large as all zeros would be are made one.
            if len(pieces) > 1 and _byte_count(pieces) > 8 * flat_size(piece.counts.column_count):
                pieces[:] = [_sparse(_whole(pieces))]
            self.byte_count += _byte_count(pieces)

    def arms(self) -> dict[Arm, ArmCounts]:
        """All that was counted, of arms that have decided something."""
        arms = {arm: _whole(pieces) for arm, pieces in sorted(self._pieces.items())}
        return {arm: counts for arm, counts in arms.items() if counts.row_count}


def _byte_count(pieces: Sequence[ArmPiece]) -> int:
    return sum(piece.byte_count for piece in pieces)


def _sparse(arm: ArmCounts) -> ArmPiece:
    segments = None if arm.segments is None else SparseCounts.of(arm.segments)
    return ArmPiece(arm.row_count, arm.actions, SparseCounts.of(arm.counts), arm.scores, segments)


def _whole(pieces: Sequence[ArmPiece]) -> ArmCounts:
    actions: Counter[str] = Counter()
    scores = np.zeros((CELL_COUNT, len(SCORE_SUMS)), dtype=np.int64)
    for piece in pieces:
        actions.update(piece.actions)
        scores += piece.scores
    split = [piece.segments for piece in pieces if piece.segments is not None]
    return ArmCounts(
        row_count=sum(piece.row_count for piece in pieces),
        actions={name: count for name, count in sorted(actions.items()) if count},
        counts=summed([piece.counts for piece in pieces]),
        scores=scores,
        segments=summed(split) if split else None,
    )


def taken_back(arms: Mapping[Arm, ArmPiece]) -> dict[Arm, ArmPiece]:
    """What undoes that these were counted."""
    return {
        arm: ArmPiece(
            -one.row_count,
            {name: -count for name, count in one.actions.items()},
            _negative(one.counts),
            -one.scores,
            None if one.segments is None else _negative(one.segments),
        )
        for arm, one in arms.items()
    }


def _negative(counts: SparseCounts) -> SparseCounts:
    return replace(counts, values=-counts.values)
