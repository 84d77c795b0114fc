"""What is watched for change, and how rarely it may be a false alarm."""

from collections.abc import Sequence
from dataclasses import dataclass

from sentinel.core.drift.counts.segments import COLUMN_COUNT_MAX, VALUE_COUNT_MAX, Segmentation
from sentinel.core.features.kernels.rows_in_hour import IN_HOUR_MAX
from sentinel.core.features.spec import CALENDAR_STATS, FeatureParams, duration_ms

_MINUTE_MS = 60_000
_HOUR_MS = 60 * _MINUTE_MS
FIRST_FEW = "*"
_FEW = 2  # of at most VALUE_COUNT_MAX values


@dataclass(frozen=True, slots=True)
class DriftParams:
    """The watch for change. All durations are of event time."""

    enabled: bool = True
    # So much is looked at together. With few transactions a minute "1h" sees smaller changes.
    step: str = "1m"
    grace: str = "2m"  # how long a step waits for other input partitions
    # Of an account in a clock hour, more rows are not counted: one busy account is no change.
    rows_per_account_max: int = 5
    run_length: str = "30d"  # of the whole stream: one false alarm in so long
    floor: float = 0.03  # shifts below it do not alarm; in standard deviations of the feature
    window_rows: int = 100_000  # of the window that is counted in rows
    reference_rows_min: int = 10_000  # a version without a reference gets it from so many rows
    ignored_features: tuple[str, ...] = ()  # are counted and shown, and never alarm
    # Features of stat "category" by whose values the stream is split; "*": the first few of them.
    segments: tuple[str, ...] = (FIRST_FEW,)
    # Of examples: one false alarm in so many.
    example_run_length: int = 100_000
    # Of alerts and of frauds, before what becomes of them is watched: of fewer the usual rates are
    # less sure.
    example_base_count: int = 500

    def __post_init__(self) -> None:
        step_ms, grace_ms = duration_ms(self.step), duration_ms(self.grace)
        if not _MINUTE_MS <= step_ms <= _HOUR_MS or _HOUR_MS % step_ms:
            raise ValueError(
                f'step must be whole minutes that divide an hour, "1m" to "1h", got "{self.step}"'
            )
        if grace_ms > 24 * _HOUR_MS:
            raise ValueError(f'grace must be at most "24h", got "{self.grace}"')
        if not 1 <= self.rows_per_account_max <= IN_HOUR_MAX:
            raise ValueError(f"rows_per_account_max must be in 1..{IN_HOUR_MAX}")
        if duration_ms(self.run_length) < 100 * step_ms:
            raise ValueError("run_length must be at least a hundred steps")
        if not 0 < self.floor <= 1:
            raise ValueError("floor must be in (0, 1]")
        if not 1_000 <= self.window_rows <= 100_000_000:
            raise ValueError("window_rows must be in 1000..100000000")
        if not 1_000 <= self.reference_rows_min <= 100_000_000:
            raise ValueError("reference_rows_min must be in 1000..100000000")
        if not 1_000 <= self.example_run_length <= 1_000_000_000:
            raise ValueError("example_run_length must be in 1000..1000000000")
        if not 100 <= self.example_base_count <= 1_000_000:
            raise ValueError("example_base_count must be in 100..1000000")
        self._check_segments()

    def _check_segments(self) -> None:
        if len(set(self.segments)) > COLUMN_COUNT_MAX:
            raise ValueError(f"segments must be {COLUMN_COUNT_MAX} features at most")
        if FIRST_FEW in self.segments and len(self.segments) > 1:
            raise ValueError(f'segments must be "{FIRST_FEW}" alone, or name features')

    @property
    def step_ms(self) -> int:
        """Width of a step in milliseconds."""
        return duration_ms(self.step)

    @property
    def grace_ms(self) -> int:
        """How long a step waits, in milliseconds."""
        return duration_ms(self.grace)


def silent_features(features: Sequence[FeatureParams], params: DriftParams) -> frozenset[str]:
    """Those whose values never alarm: the calendar changes by itself, others are to be ignored."""
    calendar = [feature.name for feature in features if feature.stat in CALENDAR_STATS]
    return frozenset({*calendar, *params.ignored_features})


def segmentation_of(features: Sequence[FeatureParams], params: DriftParams) -> Segmentation:
    """By what the stream is split. Raises ValueError of a feature that is no category."""
    categories = [feature for feature in features if feature.stat == "category"]
    if FIRST_FEW in params.segments:
        few = [one.name for one in categories if len(one.values) <= VALUE_COUNT_MAX]
        return Segmentation.of(features, few[:_FEW])
    names = [one.name for one in categories]
    if unknown := [name for name in params.segments if name not in names]:
        raise ValueError(
            f'[drift] segments {unknown} must be features of stat "category"; there: {names}'
        )
    return Segmentation.of(features, params.segments)
