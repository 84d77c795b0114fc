"""What is kept of drift."""

from collections.abc import Sequence
from typing import Protocol

from sentinel.stored.drift import Alarm, DriftProgress, Suppression, WindowReport
from sentinel.stored.references import StoredColumns, StoredReference


class DriftStore(Protocol):
    """References, windows and alarms. Raises TransientError when out of reach."""

    async def columns(self) -> StoredColumns | None:
        """In whose cells all instances count; None before anybody has said so."""
        ...

    async def set_columns(self, before: StoredColumns | None, after: StoredColumns) -> bool:
        """Count in other cells from now on; False if it is not `before` any more."""
        ...

    async def progress(self) -> DriftProgress | None:
        """How far the watch is; None before the first time."""
        ...

    async def save(self, progress: DriftProgress) -> None:
        """Put it in the place of what was read or saved last; FencedError if that is not there."""
        ...

    async def reference(self, version: str) -> StoredReference | None:
        """Of a version whose manifest has none; None where there is none here, either."""
        ...

    async def keep_reference(self, version: str, reference: StoredReference) -> None:
        """Put it in the place of what there was."""
        ...

    async def forget_reference(self, version: str) -> None:
        """As if there had been none: the stream gives another."""
        ...

    async def alarms(self, count: int) -> list[Alarm]:
        """Those that changed last, the newest first; no more than ALARM_COUNT_MAX are kept."""
        ...

    async def alarm(self, name: str) -> Alarm | None:
        """One of them; None if there is none of that name."""
        ...

    async def put_alarm(self, before: Alarm | None, after: Alarm) -> bool:
        """Put one in the place of another; False if that is not there any more."""
        ...

    async def keep_window(self, report: WindowReport) -> None:
        """Keep a window; one of the same scale and end takes its place."""
        ...

    async def windows(self, count: int) -> list[WindowReport]:
        """The newest windows, whatever their scale; of each, WINDOW_COUNT_MAX are kept."""
        ...

    async def keep_day(self, columns: str, begin_ms: int, counts: bytes) -> None:
        """Keep the counts of a day in cells of this digest; the same day takes its place."""
        ...

    async def days(self, columns: str, begins_ms: Sequence[int]) -> list[bytes | None]:
        """The counts of days; None of those that are not there (any more)."""
        ...

    async def suppress(
        self, before: Suppression | None, after: Suppression, *, now_ms: int
    ) -> bool:
        """Alarms of a column are not told until then; a time that has passed ends that.

        False if what was said of it is not `before` any more.
        """
        ...

    async def suppressions(self) -> list[Suppression]:
        """What is suppressed now."""
        ...
