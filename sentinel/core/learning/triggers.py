"""When it is time for an update.

Only whether one is due, and why: that there is one at a time, and what becomes of it, is the
caller's business. An alarm asks for a candidate, it never puts one to use.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from sentinel.core.learning.awaiting import Need

_HOUR_MS = 3_600_000
STILL_OPEN = "an alarm of performance is still open"

TriggerKind = Literal["demand", "performance", "drift", "scheduled", "continuous", "follow_up"]


@dataclass(frozen=True, slots=True)
class TriggerParams:
    """What makes an update due; 0 switches off what it is the number of.

    Attributes
    ----------
    after_example_count
        Continuous: so many new examples since the last update.
    every_s
        Scheduled: whenever event time passes a multiple of this since 1970, so that a schedule does
        not slip by how long updates take. Several that were passed at once are one.
    drift_alarm_count, performance_alarm_count
        So many alarms of that kind since the last update.
    gap_min_s
        In event time since the last update: before, nothing is due but on demand. What came
        meanwhile counts afterwards.
    example_count_min
        With fewer new examples there is nothing to learn, and nothing is due but on demand, or
        behind a recalibration.
    retry_s
        In event time: while an alarm of performance is open, another update is due so long after
        one that has not ended it, as labels go on coming; but never within `gap_min_s`.
    follows_up
        Whether an update is due behind a recalibration that has proven itself, for where one was
        enough nothing else was tried; whatever comes of it, none is due behind that one.
    """

    after_example_count: int = 50_000
    every_s: float = 86_400.0
    drift_alarm_count: int = 1
    performance_alarm_count: int = 1
    gap_min_s: float = 3_600.0
    example_count_min: int = 1_000
    retry_s: float = 86_400.0
    follows_up: bool = True

    def __post_init__(self) -> None:
        counts = (self.after_example_count, self.drift_alarm_count, self.performance_alarm_count)
        if min(counts) < 0 or self.example_count_min < 0:
            raise ValueError("counts must be at least 0")
        if 0 < self.after_example_count < self.example_count_min:
            raise ValueError("after_example_count must be 0 or at least example_count_min")
        if not (self.every_s == 0 or 1 <= self.every_s <= 1e10) or not 0 <= self.gap_min_s <= 1e10:
            raise ValueError("every_s must be 0 or in 1..1e10, gap_min_s in 0..1e10")
        if 0 < self.every_s < self.gap_min_s:
            raise ValueError("every_s must be 0 or at least gap_min_s")
        if not 0 <= self.retry_s <= 1e10:
            raise ValueError("retry_s must be in 0..1e10")


class AlarmTimes(NamedTuple):
    """Event times of alarms, in any order; `critical` of those among them that are.

    `open_of` is the version of which one of performance is not over; empty where none is open.
    """

    drift: Sequence[int] = ()
    performance: Sequence[int] = ()
    critical_drift: Sequence[int] = ()
    critical_performance: Sequence[int] = ()
    open_of: str = ""

    def is_critical(self, kind: str, *, since_ms: int) -> bool:
        """Whether there is a critical one of a kind of trigger after some time."""
        times = {"drift": self.critical_drift, "performance": self.critical_performance}
        return any(at_ms > since_ms for at_ms in times.get(kind, ()))


@dataclass(frozen=True, slots=True)
class Progress:
    """What happened since the last update.

    Attributes
    ----------
    now_ms
        Event time now.
    updated_ms
        Event time of the last update, or of the start where there was none; never after `now_ms`.
    example_count
        New examples since.
    drift_alarm_ms, performance_alarm_ms
        Event times of alarms, in any order; those up to the last update do not count any more.
    asked_by
        Who demands an update; None if nobody does.
    is_recalibrated
        Whether the last update ended with a recalibration that serves, and did not itself follow
        one up.
    is_alarm_open
        Whether an alarm of performance is not over.
    """

    now_ms: int
    updated_ms: int
    example_count: int
    drift_alarm_ms: Sequence[int] = ()
    performance_alarm_ms: Sequence[int] = ()
    asked_by: str | None = None
    is_recalibrated: bool = False
    is_alarm_open: bool = False

    def __post_init__(self) -> None:
        assert self.updated_ms <= self.now_ms
        assert self.example_count >= 0

    @property
    def elapsed_ms(self) -> int:
        """Event time since the last update."""
        return self.now_ms - self.updated_ms


@dataclass(frozen=True, slots=True)
class Trigger:
    """One reason for which an update is due."""

    kind: TriggerKind
    reason: str


def due_triggers(progress: Progress, params: TriggerParams) -> list[Trigger]:
    """All reasons for which an update is due, the most urgent first; empty if none is."""
    found = []
    if progress.asked_by is not None:
        found.append(Trigger("demand", f"asked for by {progress.asked_by}"))
    if progress.elapsed_ms < round(params.gap_min_s * 1000):
        return found
    if progress.example_count >= params.example_count_min:
        found += _of_what_is_new(progress, params)
    if params.follows_up and progress.is_recalibrated:
        found.append(Trigger("follow_up", "a recalibration serves, nothing else was tried"))
    return found


def trigger_needs(
    progress: Progress, params: TriggerParams
) -> tuple[tuple[Need, ...], tuple[Need, ...]]:
    """What makes the next update due: all of the first, and any one of the others.

    Alarms, demands and what follows up a recalibration come when they come.
    """
    elapsed_ms = progress.elapsed_ms
    both = (
        Need("new examples", progress.example_count, params.example_count_min),
        _hours(elapsed_ms, round(params.gap_min_s * 1000)),
    )
    either = []
    if (every_ms := round(params.every_s * 1000)) > 0:
        begun_ms = progress.updated_ms // every_ms * every_ms
        either.append(_hours(progress.now_ms - begun_ms, every_ms))
    if params.after_example_count > 0:
        either.append(Need("new examples", progress.example_count, params.after_example_count))
    return both, tuple(either)


def _hours(elapsed_ms: int, needed_ms: int) -> Need:
    """Rounded so that it is met exactly when it is."""
    hours = -(-needed_ms // _HOUR_MS)
    missing = -(-max(needed_ms - elapsed_ms, 0) // _HOUR_MS)
    return Need("hours of the examples' time", max(hours - missing, 0), hours)


def _of_what_is_new(progress: Progress, params: TriggerParams) -> list[Trigger]:
    found = _of_alarms(
        "performance", progress.performance_alarm_ms, progress, params.performance_alarm_count
    )
    retry_ms = round(params.retry_s * 1000)
    if not found and progress.is_alarm_open and 0 < retry_ms <= progress.elapsed_ms:
        found.append(Trigger("performance", STILL_OPEN))
    found += _of_alarms("drift", progress.drift_alarm_ms, progress, params.drift_alarm_count)
    if _is_scheduled(progress, params.every_s):
        found.append(Trigger("scheduled", f"every {params.every_s:g} s"))
    if 0 < params.after_example_count <= progress.example_count:
        found.append(Trigger("continuous", f"{progress.example_count} new examples"))
    return found


def _of_alarms(
    kind: TriggerKind, alarm_ms: Sequence[int], progress: Progress, count_min: int
) -> list[Trigger]:
    count = sum(progress.updated_ms < time <= progress.now_ms for time in alarm_ms)
    if count_min == 0 or count < count_min:
        return []
    return [Trigger(kind, f"{count} alarm{'s' * (count > 1)} of {kind} since the last update")]


def _is_scheduled(progress: Progress, every_s: float) -> bool:
    every_ms = round(every_s * 1000)
    if every_ms == 0:
        return False
    return progress.now_ms // every_ms > progress.updated_ms // every_ms
