"""The watch of segments: in each the same series as in the whole stream, in one run length with it.

A segment has few rows, and so a high floor: what has changed in all of them the whole shows first.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from sentinel.core.drift.counts.columns import BinnedColumn, score_column
from sentinel.core.drift.counts.counting import GroupCounts
from sentinel.core.drift.counts.reference import Reference
from sentinel.core.drift.counts.segments import (
    SIZE_COUNT,
    Segmentation,
    SegmentCounts,
    of_segment,
)
from sentinel.core.drift.detectors.minute_state import MinuteEvent, MinuteState
from sentinel.core.drift.detectors.minutes import Expected, MinuteParams, after_minute
from sentinel.core.drift.detectors.seasons import (
    SeasonEvent,
    SeasonParams,
    SeasonState,
    after_hour,
    expected_of,
    usual_now,
)
from sentinel.core.drift.detectors.series import MinuteReference
from sentinel.records import Floats


@dataclass(frozen=True, slots=True)
class SegmentSeasonEvent:
    """An event of a segment's value: of which segment, and which column."""

    segment: int
    column: str
    event: SeasonEvent


class SegmentWatch:
    """Watches the segments of a reference; of one without segments nothing.

    Parameters
    ----------
    minutes, days
        Of steps of the features, and of days of the score.
    silent
        Features whose values never alarm.
    """

    def __init__(
        self,
        segmentation: Segmentation,
        minutes: MinuteParams,
        days: MinuteParams,
        seasons: SeasonParams,
        *,
        silent: frozenset[str],
    ) -> None:
        self.segmentation = segmentation
        self._minute_params = minutes
        self._day_params = days
        self._season_params = seasons
        self._silent = silent

    def retune(self, minutes: MinuteParams, days: MinuteParams) -> None:
        """Judge by others from the next step on."""
        self._minute_params, self._day_params = minutes, days

    def begin(
        self, reference: Reference, features: MinuteReference, score: MinuteReference
    ) -> None:
        """As if nothing had been seen yet.

        Parameters
        ----------
        features, score
            The reference of the whole stream.
        """
        self._features: list[MinuteReference] = []
        self._scores: list[MinuteReference] = []
        self.compare(reference, features, score)

    def compare(
        self, reference: Reference, features: MinuteReference, score: MinuteReference
    ) -> None:
        """Go on with a reference that has what the one before did not have."""
        had = len(self._features), sum(one.series_count for one in self._scores)
        self._features, self._scores = [], []
        if reference.segments is not None:
            self._features = self._of_segments(
                reference.features, reference.segments.features, features, reference.counts
            )
            self._scores = self._of_segments(
                [score_column()], reference.segments.score, score, reference.scores
            )
        self._values = [
            np.array([part == "value" for part in one.parts], dtype=bool) for one in self._features
        ]
        self._ends = np.cumsum([int(one.sum()) for one in self._values], dtype=np.int64).tolist()
        self._expected: tuple[int, list[Expected | None]] | None = None  # of which hour
        if not had[0]:
            self.minutes = MinuteState.fresh(self._features, size_count=SIZE_COUNT)
            self.seasons = SeasonState.fresh(self._value_count, self._season_params)
        if not had[1]:
            self.score_days = MinuteState.fresh(self._scores, size_count=SIZE_COUNT)

    def _of_segments(
        self,
        columns: Sequence[BinnedColumn],
        counts: GroupCounts,
        whole: MinuteReference,
        whole_counts: GroupCounts,
    ) -> list[MinuteReference]:
        """Of what a segment is split by it has one value, which is not watched."""
        return [
            MinuteReference.of(
                columns,
                of_segment(counts, segment),
                silent=self._silent | {column},
                whole=whole,
                rows_per_account_min=whole_counts.rows_per_account(),
            )
            for segment, column in enumerate(self.segmentation.columns_of)
        ]

    @property
    def _value_count(self) -> int:
        return self._ends[-1] if self._ends else 0

    def look(
        self, minute: int, hour: int, counts: SegmentCounts, rows_per_account: float
    ) -> Iterator[MinuteEvent]:
        """One step: events of segments' features.

        Parameters
        ----------
        rows_per_account
            Of the whole stream just now.
        """
        if self._features:
            self.minutes, events = after_minute(
                self.minutes, self._features, _split(counts.features, len(self._features)),
                minute, self._minute_params, expected=self._expected_at(hour),
                rows_per_account_min=rows_per_account,
            )  # fmt: skip
            yield from events

    def end_day(
        self, day: int, counts: SegmentCounts, rows_per_account: float
    ) -> Iterator[MinuteEvent]:
        """A whole day: events of segments' scores; parameters as of `look`."""
        if self._scores and counts.score.row_count:
            self.score_days, events = after_minute(
                self.score_days, self._scores, _split(counts.score, len(self._scores)), day,
                self._day_params, rows_per_account_min=rows_per_account,
            )  # fmt: skip
            yield from events

    def _expected_at(self, hour: int) -> list[Expected | None]:
        if self._expected is None or self._expected[0] != hour:
            self._expected = hour, self._usual(hour)
        return self._expected[1]

    def _usual(self, hour: int) -> list[Expected | None]:
        if not self._value_count:
            return [None] * len(self._features)
        found = usual_now(self.seasons, hour, self._season_params)
        begins = [0, *self._ends]
        return [
            expected_of(reference, found.difference[begin:end], found.error[begin:end])
            for reference, begin, end in zip(self._features, begins, self._ends, strict=False)
        ]

    def end_hour(self, hour: int, counts: SegmentCounts | None) -> Iterator[SegmentSeasonEvent]:
        """An hour is complete; None without rows. What has moved most comes first."""
        if not self._value_count:
            return
        rows, sums = self._hour(counts)
        self.seasons, events = after_hour(self.seasons, hour, rows, sums, self._season_params)
        self._expected = None
        for event in sorted(events, key=lambda one: one.p):
            segment = int(np.searchsorted(self._ends, event.series, side="right"))
            reference, begin = self._features[segment], [0, *self._ends][segment]
            place = reference.places[self._values[segment]][event.series - begin]
            yield SegmentSeasonEvent(segment, reference.columns[int(place)], event)

    def _hour(self, counts: SegmentCounts | None) -> tuple[Floats, Floats]:
        """Rows of each value's series, and the sum of their contrasts."""
        if counts is None:
            none = np.zeros(self._value_count)
            return none, none
        found = [
            [part[is_value] for part in reference.sums(of_segment(counts.features, segment))]
            for segment, (reference, is_value) in enumerate(
                zip(self._features, self._values, strict=True)
            )
        ]
        rows, sums = (np.concatenate(parts) for parts in zip(*found, strict=True))
        return rows, sums


def _split(counts: GroupCounts, segment_count: int) -> list[GroupCounts | None]:
    """The counts of each segment; None without a row."""
    found = [of_segment(counts, segment) for segment in range(segment_count)]
    return [one if one.row_count else None for one in found]
