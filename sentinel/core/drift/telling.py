"""What is told of alarms in few words, and in which order."""

from collections.abc import Iterable
from dataclasses import dataclass

from sentinel.stored.drift import Alarm, Severity

# The worst first.
_SEVERITIES: tuple[Severity, ...] = ("critical", "warning", "info")
_PARTS = {"missing": "missing values of ", "unseen": "unseen values of "}


@dataclass(frozen=True, slots=True)
class DriftView:
    """How the watch for drift stands, for whoever looks at an instance that runs.

    Attributes
    ----------
    open_count
        Alarms that are not over.
    first
        The worst of them, as `moved` tells it; empty without one.
    first_since_ms
        When its change began; without an alarm, since when there has been none.
    is_reference_missing
        Whether the stream has yet to give what it is compared with.
    """

    open_count: int = 0
    first: str = ""
    first_since_ms: int | None = None
    is_reference_missing: bool = False


def moved(alarm: Alarm) -> str:
    """What went where, such as "missing values of amount up"; and in which segment."""
    place = f" in {alarm.segment}" if alarm.segment else ""
    return f"{_PARTS.get(alarm.part, '')}{alarm.column} {alarm.side}{place}"


def worst_first(alarms: Iterable[Alarm]) -> list[Alarm]:
    """By severity; of the same, those that are told before those that are not, the newest first."""
    return sorted(
        alarms,
        key=lambda one: (
            _SEVERITIES.index(one.severity),
            one.is_suppressed,
            -one.opened_ms,
            one.id,
        ),
    )


def drift_view(
    alarms: Iterable[Alarm], *, quiet_since_ms: int | None, is_reference_missing: bool
) -> DriftView:
    """The view of these alarms, whatever became of them.

    Parameters
    ----------
    quiet_since_ms
        Since when there is no alarm, where there is none.
    """
    found = worst_first(one for one in alarms if not one.is_over)
    if not found:
        return DriftView(0, "", quiet_since_ms, is_reference_missing)
    return DriftView(len(found), moved(found[0]), found[0].since_ms, is_reference_missing)
