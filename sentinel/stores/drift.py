"""What is kept of drift, in a database of its own.

columns               StoredColumns, JSON: in whose cells all instances count; kept
progress              DriftProgress, JSON; kept
reference:{version}   StoredReference, JSON, of a version whose manifest has none; 400 days
alarm:{id}            Alarm, JSON; 400 days
alarms                index: ids of alarms by when they last changed; the newest 1,000
window:{scale}:{ms}   WindowReport, JSON, by the window's end; 60 days
windows:{scale}       index: the names of these by their end; the newest 250
day:{digest}:{ms}     counts of a day, packed, for the week's window; 10 days
suppressed:{column}   Suppression, JSON; until then
suppressions          index: columns that are suppressed, by until when; the newest 1,000
"""

from collections.abc import Sequence
from typing import TypeVar, get_args

from sentinel.codec.stored import encode_stored
from sentinel.documents import LIFETIME_S_MIN, Change, Documents
from sentinel.errors import FencedError
from sentinel.stored.drift import (
    ALARM_COUNT_MAX,
    WINDOW_COUNT_MAX,
    Alarm,
    DriftProgress,
    Scale,
    Suppression,
    WindowReport,
)
from sentinel.stored.references import StoredColumns, StoredReference
from sentinel.stores.reading import readable, undamaged

Kept = TypeVar("Kept")

_DAY_S = 86_400.0
_KEPT_S = 400 * _DAY_S
_WINDOW_S = 60 * _DAY_S
_DAY_COUNTS_S = 10 * _DAY_S
_COLUMNS, _PROGRESS = "columns", "progress"
_SUPPRESSED_COUNT_MAX = 1_000


class StoredDrift:
    """`ports.DriftStore` on documents."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self._read: bytes | None = None  # the progress, as it was read or written last

    async def columns(self) -> StoredColumns | None:
        return await self._one(StoredColumns, _COLUMNS, doing="read in which cells is counted")

    async def set_columns(self, before: StoredColumns | None, after: StoredColumns) -> bool:
        change = Change(
            expected={_COLUMNS: None if before is None else encode_stored(before)},
            puts={_COLUMNS: encode_stored(after)},
        )
        return await self._documents.change(change, doing="write in which cells is counted")

    async def progress(self) -> DriftProgress | None:
        [found] = await self._documents.get([_PROGRESS], doing="read how far drift is watched")
        self._read = found
        return None if found is None else undamaged(DriftProgress, _PROGRESS, found)

    async def save(self, progress: DriftProgress) -> None:
        after = encode_stored(progress)
        change = Change(expected={_PROGRESS: self._read}, puts={_PROGRESS: after})
        if not await self._documents.change(change, doing="write how far drift is watched"):
            raise FencedError("another watches for drift by now, or the store went back")
        self._read = after

    async def reference(self, version: str) -> StoredReference | None:
        return await self._one(StoredReference, f"reference:{version}", doing="read a reference")

    async def keep_reference(self, version: str, reference: StoredReference) -> None:
        name = f"reference:{version}"
        change = Change(puts={name: encode_stored(reference)}, lifetimes={name: _KEPT_S})
        await self._documents.change(change, doing="keep a reference")

    async def forget_reference(self, version: str) -> None:
        await self._documents.change(
            Change(removed=[f"reference:{version}"]), doing="forget a reference"
        )

    async def alarms(self, count: int) -> list[Alarm]:
        doing = "list alarms"
        ids = await self._documents.newest("alarms", 0, count, doing=doing)
        names = [f"alarm:{one.decode()}" for one in ids]
        found = await self._documents.get(names, doing=doing) if names else []
        return list(readable(Alarm, names, found).values())

    async def alarm(self, name: str) -> Alarm | None:
        return await self._one(Alarm, f"alarm:{name}", doing="read an alarm")

    async def put_alarm(self, before: Alarm | None, after: Alarm) -> bool:
        name = f"alarm:{after.id}"
        change = Change(
            expected={name: None if before is None else encode_stored(before)},
            puts={name: encode_stored(after)},
            lifetimes={name: _KEPT_S},
            indexed={"alarms": {after.id.encode(): after.changed_ms}},
            newest={"alarms": ALARM_COUNT_MAX},
        )
        return await self._documents.change(change, doing="keep an alarm")

    async def keep_window(self, report: WindowReport) -> None:
        name = f"window:{report.scale}:{report.end_ms}"
        change = Change(
            puts={name: encode_stored(report)},
            lifetimes={name: _WINDOW_S},
            # Of each scale, or windows of rows, some a minute, would soon have displaced all days.
            indexed={f"windows:{report.scale}": {name.encode(): report.end_ms}},
            newest={f"windows:{report.scale}": WINDOW_COUNT_MAX},
        )
        await self._documents.change(change, doing="keep a window")

    async def windows(self, count: int) -> list[WindowReport]:
        doing = "list windows"
        names: list[str] = []
        for scale in get_args(Scale):
            newest = await self._documents.newest(f"windows:{scale}", 0, count, doing=doing)
            names += [name.decode() for name in newest]
        names = sorted(names, key=lambda name: int(name.rsplit(":", 1)[1]), reverse=True)[:count]
        found = await self._documents.get(names, doing=doing) if names else []
        return list(readable(WindowReport, names, found).values())

    async def keep_day(self, columns: str, begin_ms: int, counts: bytes) -> None:
        name = f"day:{columns}:{begin_ms}"
        change = Change(puts={name: counts}, lifetimes={name: _DAY_COUNTS_S})
        await self._documents.change(change, doing="keep the counts of a day")

    async def days(self, columns: str, begins_ms: Sequence[int]) -> list[bytes | None]:
        names = [f"day:{columns}:{begin_ms}" for begin_ms in begins_ms]
        return await self._documents.get(names, doing="read the counts of days")

    async def suppress(
        self, before: Suppression | None, after: Suppression, *, now_ms: int
    ) -> bool:
        name = f"suppressed:{after.column}"
        lifetime_s = max((after.until_ms - now_ms) / 1000.0, LIFETIME_S_MIN)
        change = Change(
            expected={name: None if before is None else encode_stored(before)},
            puts={name: encode_stored(after)},
            lifetimes={name: lifetime_s},
            indexed={"suppressions": {after.column.encode(): after.until_ms}},
            newest={"suppressions": _SUPPRESSED_COUNT_MAX},
        )
        return await self._documents.change(change, doing="suppress a column")

    async def suppressions(self) -> list[Suppression]:
        doing = "read what is suppressed"
        found = await self._documents.newest("suppressions", 0, _SUPPRESSED_COUNT_MAX, doing=doing)
        names = [f"suppressed:{column.decode()}" for column in found]
        values = await self._documents.get(names, doing=doing) if names else []
        return list(readable(Suppression, names, values).values())

    async def _one(self, kind: type[Kept], name: str, *, doing: str) -> Kept | None:
        [found] = await self._documents.get([name], doing=doing)
        return None if found is None else undamaged(kind, name, found)
