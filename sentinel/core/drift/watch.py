"""The watch: every step is compared with the reference, and steps add up to windows.

What alarms is the detector of steps, and that of the same hour of earlier weeks. Windows report and
explain, and never alarm.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from sentinel.core.drift.counts.columns import CELL_COUNT, BinnedColumn, score_column
from sentinel.core.drift.counts.counting import GroupCounts
from sentinel.core.drift.counts.noting import SCORE_SUMS
from sentinel.core.drift.counts.reference import Reference
from sentinel.core.drift.counts.segments import Segmentation, SegmentCounts
from sentinel.core.drift.counts.spans import SpanCounts
from sentinel.core.drift.counts.steps import ClosedStep
from sentinel.core.drift.detectors.minute_state import MinuteEvent, MinuteState
from sentinel.core.drift.detectors.minutes import (
    Expected,
    MinuteParams,
    after_minute,
    rows_per_account_of,
)
from sentinel.core.drift.detectors.seasons import (
    SeasonEvent,
    SeasonParams,
    SeasonState,
    after_hour,
    expected_now,
)
from sentinel.core.drift.detectors.series import MinuteReference
from sentinel.core.drift.params import DriftParams
from sentinel.core.drift.segment_watch import SegmentWatch
from sentinel.core.features.kernels.rows_in_hour import HOUR_MS
from sentinel.core.features.spec import duration_ms

DAY_MS = 24 * HOUR_MS
WindowScale = Literal["rows", "hour", "day"]
SCALES: tuple[WindowScale, ...] = ("rows", "hour", "day")
_WIDTHS: tuple[tuple[WindowScale, int], ...] = (("hour", HOUR_MS), ("day", DAY_MS))
_BLOCK_MS = HOUR_MS // 2  # between which is measured how alike steps are
_DAY_HOURS = DAY_MS // HOUR_MS
_DAY_BEGINS_MS_MAX = 2 * HOUR_MS  # of what begins later, hours are missing that are unlike others
# Detectors of steps that share the run length: of features and of the score, of segments as well.
_DETECTOR_COUNT, _WITH_SEGMENTS = 2, 4
_WHOLE = Segmentation()


@dataclass(frozen=True, eq=False, slots=True)
class ClosedWindow:
    """A window that is complete; it ends before `end_ms`."""

    scale: WindowScale
    end_ms: int
    counts: SpanCounts


@dataclass(frozen=True, slots=True)
class StepEvent:
    """An event of the detector of steps.

    Attributes
    ----------
    of_score
        Whether it is of the score; else of a feature.
    segment
        The number of its segment; None of the whole stream.
    """

    at_ms: int
    since_ms: int
    of_score: bool
    event: MinuteEvent
    segment: int | None = None


@dataclass(frozen=True, slots=True)
class HourEvent:
    """An event of the detector of seasons, of one of the features' series."""

    at_ms: int
    column: str
    part: str
    event: SeasonEvent
    segment: int | None = None


@dataclass(frozen=True, eq=False, slots=True)
class ReferenceFound:
    """The stream itself has given what the reference did not have."""

    reference: Reference


Found = ClosedWindow | StepEvent | HourEvent | ReferenceFound


class Watch:
    """Watches one version.

    Parameters
    ----------
    reference
        What it has no counts of is taken from the first rows that the version decides: a day of
        them at least, and no fewer than `reference_rows_min`.
    silent
        Features whose values never alarm.
    segmentation
        By what the stream is split; a reference that does not know it gets that from the stream.
    """

    def __init__(
        self,
        version: str,
        reference: Reference,
        params: DriftParams,
        *,
        silent: frozenset[str] = frozenset(),
        segmentation: Segmentation = _WHOLE,
    ) -> None:
        self.version = version
        self.feature_count = len(reference.features)
        self.params = params
        self.silent = silent
        self.segmentation = segmentation
        is_split = bool(segmentation.columns)
        self._minute_params, self._day_params = _detector_params(params, is_split=is_split)
        whole = SeasonParams()
        self._season_params = replace(whole, level=whole.level / 2) if is_split else whole
        self.segments = SegmentWatch(
            segmentation, self._minute_params, self._day_params, self._season_params, silent=silent
        )
        self.begin(reference)

    def begin(self, reference: Reference) -> None:
        """As if nothing had been seen yet, with a reference of the same features."""
        self._compare(reference)
        self.segments.begin(self.reference, self._features, self._score)
        self.minutes = MinuteState.fresh([self._features])
        self.score_days = MinuteState.fresh([self._score])
        self.seasons = SeasonState.fresh(self._features.series_count, self._season_params)
        self.spans = {scale: SpanCounts.empty(self.feature_count) for scale in SCALES}
        self.gathered = SpanCounts.empty(self.feature_count)

    def retune(self, params: DriftParams) -> None:
        """Judge by another floor or run length from the next step on; what was added up stays."""
        self.params = params
        is_split = bool(self.segmentation.columns)
        self._minute_params, self._day_params = _detector_params(params, is_split=is_split)
        self.segments.retune(self._minute_params, self._day_params)

    def _compare(self, reference: Reference) -> None:
        if reference.segmentation != self.segmentation.digest:
            reference = replace(reference, segments=None, segmentation="")
        self.reference = reference
        self._expected: tuple[int, Expected] | None = None  # of which hour
        self._features = MinuteReference.of(
            reference.features, reference.counts, silent=self.silent
        )
        self._are_values = np.array([part == "value" for part in self._features.parts], dtype=bool)
        # Without a row it has no series, and says nothing.
        self._score = MinuteReference.of([score_column()], reference.scores)

    @property
    def step_ms(self) -> int:
        """Width of the steps that it looks at."""
        return self.params.step_ms

    @property
    def is_gathering(self) -> bool:
        """Whether the reference lacks something that the stream is to give."""
        return min(self.reference.counts.row_count, self.reference.scores.row_count) == 0

    @property
    def _lacks_segments(self) -> bool:
        return bool(self.segmentation.columns) and self.reference.segments is None

    def after(self, step: ClosedStep) -> Iterator[Found]:
        """One step more, in the order of event time."""
        counts = SpanCounts.of(step, self.version, self.feature_count)
        if counts.row_count == 0:
            return
        yield from self._end_spans(step.at_ms)
        for span in self.spans.values():
            span.add(counts)
        yield from self._look(step.at_ms, counts)
        end_ms = step.at_ms + self.params.step_ms
        if self.spans["rows"].features.row_count >= self.params.window_rows:
            yield self._closed("rows", end_ms)
        if self.is_gathering or (self._lacks_segments and counts.segments is not None):
            yield from self._gather(counts, end_ms)

    def _look(self, at_ms: int, counts: SpanCounts) -> Iterator[StepEvent]:
        number, step_ms = at_ms // self.params.step_ms, self.params.step_ms
        expected = self._expected_at(at_ms // HOUR_MS)
        self.minutes, events = after_minute(
            self.minutes, [self._features], [counts.features], number, self._minute_params,
            expected=[expected],
        )  # fmt: skip
        for event in events:
            yield StepEvent(at_ms, event.since * step_ms, False, event)
        if counts.segments is not None:
            for event in self.segments.look(
                number, at_ms // HOUR_MS, counts.segments, self._rows_per_account
            ):
                yield StepEvent(at_ms, event.since * step_ms, False, event, event.segment)

    @property
    def _rows_per_account(self) -> float:
        """As the whole stream has just now."""
        return rows_per_account_of(self.minutes.sizes[0], float(self.minutes.squares[0]))

    def _end_day(self, day: int, span: SpanCounts) -> Iterator[StepEvent]:
        """The score of a whole day: from hour to hour it goes up and down by itself."""
        if span.begin_ms - day * DAY_MS > _DAY_BEGINS_MS_MAX or not span.score.row_count:
            return
        end_ms = (day + 1) * DAY_MS
        if self._score.series_count:
            self.score_days, events = after_minute(
                self.score_days, [self._score], [span.score], day, self._day_params
            )
            for event in events:
                yield StepEvent(end_ms, event.since * DAY_MS, True, event)
        if span.segments is not None:
            for event in self.segments.end_day(day, span.segments, self._rows_per_account):
                yield StepEvent(end_ms, event.since * DAY_MS, True, event, event.segment)

    def _expected_at(self, hour: int) -> Expected:
        if self._expected is None or self._expected[0] != hour:
            found = expected_now(self.seasons, self._features, hour, self._season_params)
            self._expected = hour, found
        return self._expected[1]

    def _end_spans(self, at_ms: int) -> Iterator[Found]:
        """What ends before a step that begins then: the hour, with the last of a day the day."""
        ended = -1  # the hour
        for scale, width_ms in _WIDTHS:
            span = self.spans[scale]
            number = span.begin_ms // width_ms
            if span.row_count == 0 or at_ms // width_ms == number:
                continue  # a clock may also have come back to before it
            if scale == "hour":
                ended = number
                yield from self._end_hour(number, span.features, span.segments)
            else:
                last = (number + 1) * _DAY_HOURS - 1
                if last != ended:
                    # Nothing came in the last hour of the day, with which the day is judged.
                    yield from self._end_hour(last, GroupCounts.empty(self.feature_count), None)
                yield from self._end_day(number, span)
            yield self._closed(scale, (number + 1) * width_ms)

    def _end_hour(
        self, hour: int, counts: GroupCounts, segments: SegmentCounts | None
    ) -> Iterator[HourEvent]:
        if self._features.series_count == 0:
            return
        end_ms = (hour + 1) * HOUR_MS
        rows, sums = self._features.sums(counts)
        # What is missing or unseen is rare: a few such rows in an hour are no normal law, and of
        # none at all for weeks rounding would be the variance. Steps judge it.
        rows = np.where(self._are_values, rows, 0.0)
        self.seasons, events = after_hour(self.seasons, hour, rows, sums, self._season_params)
        self._expected = None
        for event in events:
            column = self._features.columns[int(self._features.places[event.series])]
            part = self._features.parts[event.series]
            yield HourEvent(end_ms, column, part, event)
        for one in self.segments.end_hour(hour, segments):
            yield HourEvent(end_ms, one.column, "value", one.event, one.segment)

    def _closed(self, scale: WindowScale, end_ms: int) -> ClosedWindow:
        closed = ClosedWindow(scale, end_ms, self.spans[scale])
        self.spans[scale] = SpanCounts.empty(self.feature_count)
        return closed

    def _gather(self, counts: SpanCounts, end_ms: int) -> Iterator[ReferenceFound]:
        """Take what the reference lacks from the stream, once there is a day of it."""
        self.gathered.add(counts)
        found, needed = self.gathered, self.params.reference_rows_min
        if end_ms - found.begin_ms < DAY_MS or found.score.row_count < needed:
            return
        split = self._split_enough(found)
        if split is None and not self.is_gathering:
            return
        had_series = self._features.series_count, self._score.series_count
        self._compare(self._completed(found, split, end_ms))
        self.segments.compare(self.reference, self._features, self._score)
        if self._score.series_count != had_series[1]:
            self.score_days = MinuteState.fresh([self._score])
        if self._features.series_count != had_series[0]:
            self.minutes = MinuteState.fresh([self._features])
            self.seasons = SeasonState.fresh(self._features.series_count, self._season_params)
        self.gathered = SpanCounts.empty(self.feature_count)
        yield ReferenceFound(self.reference)

    def _split_enough(self, found: SpanCounts) -> SegmentCounts | None:
        """Counts by segment, if there are enough to compare with."""
        split, needed = found.segments, self.params.reference_rows_min
        if split is None or split.row_count < needed * len(self.segmentation.columns):
            return None
        return split

    def _completed(self, found: SpanCounts, split: SegmentCounts | None, end_ms: int) -> Reference:
        """The reference with what it lacks."""
        reference = self.reference
        lacks_score = reference.scores.row_count == 0
        if split is not None and (self._lacks_segments or lacks_score):
            known = None if self._lacks_segments else reference.segments
            features = split.features if known is None else known.features
            reference = replace(
                reference,
                segments=SegmentCounts(features, split.score),
                segmentation=self.segmentation.digest,
            )
        if lacks_score:
            reference = replace(reference, scores=found.score, score_sums=found.scores)
        if reference.counts.row_count == 0:
            reference = replace(
                reference,
                counts=found.features,
                first_ms=found.begin_ms,
                last_ms=end_ms,
                origin="stream",
            )
        return reference


def empty_reference(columns: Sequence[BinnedColumn]) -> Reference:
    """A reference of these columns that the stream is to give."""
    return Reference(
        features=tuple(columns),
        counts=GroupCounts.empty(len(columns)),
        scores=GroupCounts.empty(1),
        score_sums=np.zeros((CELL_COUNT, len(SCORE_SUMS)), dtype=np.int64),
        first_ms=0,
        last_ms=0,
        origin="stream",
    )


def without_scores(reference: Reference) -> Reference:
    """The features of a reference alone: its scores are those of another version."""
    nothing = empty_reference(reference.features)
    segments = reference.segments
    if segments is not None:
        segments = SegmentCounts(segments.features, nothing.scores)
    return replace(
        reference, scores=nothing.scores, score_sums=nothing.score_sums, segments=segments
    )


def _detector_params(params: DriftParams, *, is_split: bool) -> tuple[MinuteParams, MinuteParams]:
    """Of steps, and of the score's days."""
    sharing = _WITH_SEGMENTS if is_split else _DETECTOR_COUNT
    steps = MinuteParams(
        run_length_minutes=sharing * duration_ms(params.run_length) / params.step_ms,
        floor=params.floor,
        horizon_minutes=max(1.0, HOUR_MS / params.step_ms),
        block_minutes=max(2, _BLOCK_MS // params.step_ms),
    )
    days = MinuteParams(
        run_length_minutes=sharing * duration_ms(params.run_length) / DAY_MS,
        floor=params.floor,
        horizon_minutes=1.0,
        block_minutes=2,
    )
    return steps, days
