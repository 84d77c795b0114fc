"""An alarm's life: opened once, brought up to date, closed when it is over; told at each turn."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace

from sentinel.codec.stored import encode_stored
from sentinel.codec.times import date_text
from sentinel.core.drift.counts.columns import SCORE
from sentinel.core.drift.telling import moved
from sentinel.core.drift.watch import HourEvent, StepEvent
from sentinel.core.drift.windows.explaining import Explanation
from sentinel.core.features.kernels.rows_in_hour import HOUR_MS
from sentinel.engine.audit import AuditLog
from sentinel.errors import FencedError
from sentinel.metrics import Metrics
from sentinel.ports import Broker, DriftStore
from sentinel.records import AuditEntry, OutputRecord
from sentinel.stored.drift import Alarm, Detector, Severity

log = logging.getLogger(__name__)

_KNOWN_COUNT = 1_000
WHO = "drift"
# As long as no window says more: what the detector of a part sees.
_KINDS = {
    "value": "location", "missing": "missing", "unseen": "new_category", "rate": "performance",
}  # fmt: skip
_RANK: dict[Severity, int] = {"info": 0, "warning": 1, "critical": 2}
_SPAN_HOURS = {"hour": 1, "hours": 6, "day": 24}  # of what the season is compared by


@dataclass(frozen=True, slots=True)
class DetectedChange:
    """What a detector says, whichever it is.

    Attributes
    ----------
    is_over
        Whether what had changed is as it was.
    segment
        In which it was found; empty in the whole stream.
    """

    detector: Detector
    column: str
    part: str
    side: str
    since_ms: int
    at_ms: int
    effect: float
    change: float
    is_over: bool
    segment: str = ""


def change_of(event: StepEvent | HourEvent, segments: Sequence[str]) -> DetectedChange:
    """What an event of the watch says; `segments` are the names of all."""
    one = event.event
    segment = "" if event.segment is None else segments[event.segment]
    is_over = one.kind == "over"
    if isinstance(event, StepEvent):
        column = SCORE if event.of_score else event.event.column
        part, change = event.event.part, event.event.change
        return DetectedChange(
            "steps",
            column,
            part,
            one.side,
            event.since_ms,
            event.at_ms,
            one.effect,
            change,
            is_over,
            segment,
        )
    since_ms = event.at_ms - _SPAN_HOURS[event.event.span] * HOUR_MS
    return DetectedChange(
        "season", event.column, event.part, one.side, since_ms, event.at_ms, one.effect, 0.0,
        is_over, segment,
    )  # fmt: skip


@dataclass(frozen=True, eq=False, slots=True)
class _Held:
    """What would have opened an alarm, but for a pause."""

    change: DetectedChange
    version: str
    explanation: Explanation


class AlarmDesk:
    """Keeps alarms and tells of them.

    There is one open alarm of a column and part at most: the detector that speaks first opens it,
    of the whole stream or of a segment, and it is over when that one says so.

    Attributes
    ----------
    is_paused
        Whether nothing is opened now: it is when that is over, unless it is over itself by then.
    """

    def __init__(
        self,
        store: DriftStore,
        broker: Broker,
        topic: str,
        audit: AuditLog,
        metrics: Metrics,
        *,
        is_paused: Callable[[], bool] = lambda: False,
    ) -> None:
        self.is_paused = is_paused
        self._held: dict[tuple[str, str], _Held] = {}  # what would have been opened meanwhile
        self._store = store
        self._broker = broker
        self._topic = topic
        self._audit = audit
        self._metrics = metrics
        self._open: dict[tuple[str, str], Alarm] = {}  # by column and part
        self._ended: set[tuple[str, str, Detector, int | None]] = set()  # before this one kept them
        self._told: list[Alarm] = []  # that ask for a candidate
        self._quiet: frozenset[str] = frozenset()  # columns that are suppressed
        self.quiet_since_ms: int | None = None  # when the last alarm was over

    @property
    def open(self) -> list[Alarm]:
        """What is not over, the oldest first."""
        return sorted(self._open.values(), key=lambda alarm: alarm.opened_ms)

    @property
    def performance_open_of(self) -> str:
        """The version whose outcomes are worse than they were; empty where none, or suppressed."""
        versions = (
            one.version
            for one in self._open.values()
            if one.detector == "examples" and one.column not in self._quiet
        )
        return next(versions, "")

    @property
    def segments(self) -> list[str]:
        """In which something was found that is not over."""
        return list(dict.fromkeys(one.segment for one in self.open if one.is_of_segment))

    def opened_ms(self, *, of_performance: bool, is_critical: bool = False) -> list[int]:
        """Event times of the alarms that were told: of examples, or of what comes; of all, or of
        those that are critical.
        """
        return [
            one.opened_ms
            for one in self._told
            if (one.detector == "examples") == of_performance
            and one.column not in self._quiet
            and (one.severity == "critical" or not is_critical)
        ]

    @property
    def is_holding(self) -> bool:
        """Whether something waits for the end of a pause: it is known nowhere else."""
        return bool(self._held)

    async def look(self) -> None:
        """See what people have suppressed: that asks for no candidate any more."""
        self._quiet = frozenset(one.column for one in await self._store.suppressions())

    async def go_on(self) -> None:
        """Behind a pause: open what has begun in it and is not over."""
        while self._held and not self.is_paused():
            held = self._held.pop(next(iter(self._held)))
            await self.take(held.change, held.version, held.explanation)

    async def take_up(self, saved_to_ms: int) -> None:
        """Go on where whoever kept alarms before has stopped.

        What changed behind the last saved state may have been kept and not told: it is told again.
        """
        self._held.clear()
        known = await self._store.alarms(_KNOWN_COUNT)
        self._open = {(one.column, one.part): one for one in known if not one.is_over}
        self._told = [alarm for alarm in known if not alarm.is_suppressed]
        self._ended = {(one.column, one.part, one.detector, one.closed_ms) for one in known}
        await self.look()
        over_ms = (one.closed_ms for one in known if one.closed_ms is not None)
        self.quiet_since_ms = max(over_ms, default=None)
        for alarm in known:
            if alarm.changed_ms >= saved_to_ms:
                await self._tell(None, alarm)

    async def take(self, change: DetectedChange, version: str, explanation: Explanation) -> None:
        """One change, told and kept. `explanation` is of the day so far."""
        key = (change.column, change.part)
        before = self._open.get(key)
        if change.is_over:
            # What is read again may be the end of one before it, which is known.
            held = self._held.get(key)
            if held is not None and _is_of(held.change, change):
                del self._held[key]
            is_known = (*key, change.detector, change.at_ms) in self._ended
            if before is not None and _is_by(before, change) and not is_known:
                await self._close(key, before, before, change.at_ms)
            return
        if before is not None:
            return  # it is open: the windows bring it up to date
        if self.is_paused():
            self._held.setdefault(key, _Held(change, version, explanation))
            return
        alarm = _opened(change, version, explanation)
        await self.look()
        alarm = replace(alarm, is_suppressed=change.column in self._quiet)
        if not await self._store.put_alarm(None, alarm):
            # It was opened before a crash; what became of it since, the store knows.
            alarm = await self._store.alarm(alarm.id) or alarm
            if alarm.is_over:
                return
        self._open[key] = alarm
        await self._tell(None, alarm)
        if alarm.is_suppressed:
            return
        self._metrics.drift_alarms += 1
        self._told = [*self._told, alarm][-_KNOWN_COUNT:]
        log.warning(
            "drift: %s since %s UTC: %s", moved(alarm), date_text(alarm.since_ms),
            alarm.words or f"{alarm.effect:+.2f} sd",
        )  # fmt: skip

    async def explained(
        self, explanation: Explanation, at_ms: int, *, is_short: bool = False
    ) -> None:
        """A window was closed: what it says of columns whose alarms are open.

        A short one has few rows, and says something else each time: it tells what was not known,
        and what is worse. The rest is left to longer ones, or an alarm would be told each hour.
        """
        for key, before in list(self._open.items()):
            found = explanation.of(before.column, _found_in(before))
            if found is None or not found.alarm or at_ms <= before.changed_ms:
                continue  # nothing, or a window that is read again
            now = replace(
                before, kind=found.kind, words=found.words, harm=explanation.harm,
                severity=explanation.severity, changed_ms=at_ms,
                segment=before.segment if before.is_of_segment else found.segment,
            )  # fmt: skip
            if is_short and before.words:
                now = replace(now, kind=before.kind, words=before.words, segment=before.segment)
            if is_short and _RANK[now.severity] < _RANK[before.severity]:
                now = replace(now, severity=before.severity, harm=before.harm)
            if _said(now) != _said(before):
                await self._put(key, before, now)

    async def supersede(self, at_ms: int, *, keep: Callable[[Alarm], bool]) -> None:
        """Close what nobody goes on judging: another reference is compared with from now on."""
        for key, held in list(self._held.items()):
            if not keep(_opened(held.change, held.version, held.explanation)):
                del self._held[key]
        for key, before in list(self._open.items()):
            if not keep(before):
                superseded = replace(before, is_superseded=True)
                await self._close(key, before, superseded, max(at_ms, before.changed_ms + 1))

    async def _close(self, key: tuple[str, str], before: Alarm, after: Alarm, at_ms: int) -> None:
        after = replace(after, status="closed", closed_ms=at_ms, changed_ms=at_ms)
        await self._put(key, before, after)
        self.quiet_since_ms = at_ms
        log.info("drift: %s is over", moved(before))

    async def _put(self, key: tuple[str, str], before: Alarm, after: Alarm) -> None:
        """A person may have spoken meanwhile: what they said stays."""
        if not await self._store.put_alarm(before, after):
            stored = await self._store.alarm(before.id)
            if stored is None:
                raise FencedError(f"the alarm {before.id} has vanished from the store")
            after = replace(
                after, acknowledged_by=stored.acknowledged_by, note=stored.note,
                is_suppressed=stored.is_suppressed,
            )  # fmt: skip
            if stored.status == "acknowledged" and after.status == "open":
                after = replace(after, status="acknowledged")
            if not await self._store.put_alarm(stored, after):
                raise FencedError(f"the alarm {before.id} is changed by another just now")
            before = stored
        await self._tell(before, after)
        if after.is_over:
            del self._open[key]
        else:
            self._open[key] = after

    async def _tell(self, before: Alarm | None, after: Alarm) -> None:
        record = OutputRecord(after.id.encode(), encode_stored(after))
        await self._broker.publish(self._topic, 0, [record])
        entry = AuditEntry(
            id=f"{after.id} {after.changed_ms}",
            kind="drift alarm",
            subject=after.id,
            who=WHO,
            at_ms=after.changed_ms,
            before=None if before is None else _entry(before),
            after=_entry(after),
        )
        await self._audit.write([entry])


def _opened(change: DetectedChange, version: str, explanation: Explanation) -> Alarm:
    found = explanation.of(change.column, change.segment)
    if found is None or not found.alarm:  # the window says nothing of it
        found, explanation = None, Explanation()
    placed = "" if found is None else found.segment
    return Alarm(
        id=f"{version}-{change.detector}-{change.column}-{change.part}-{change.at_ms}",
        detector=change.detector,
        column=change.column,
        part=change.part,
        side=change.side,
        version=version,
        since_ms=change.since_ms,
        opened_ms=change.at_ms,
        changed_ms=change.at_ms,
        effect=change.effect,
        change=change.change,
        severity=_severity(change, explanation),
        kind=_KINDS[change.part] if found is None else found.kind,
        words="" if found is None else found.words,
        harm=explanation.harm,
        segment=change.segment or placed,
        is_of_segment=change.segment != "",
    )


def _found_in(alarm: Alarm) -> str:
    return alarm.segment if alarm.is_of_segment else ""


def _is_of(held: DetectedChange, change: DetectedChange) -> bool:
    return (held.detector, held.segment) == (change.detector, change.segment)


def _is_by(alarm: Alarm, change: DetectedChange) -> bool:
    """Whether the one that has opened an alarm says something of it."""
    return (alarm.detector, _found_in(alarm)) == (change.detector, change.segment)


def _severity(change: DetectedChange, explanation: Explanation) -> Severity:
    """By what it costs: that decisions are worse is known of examples, else it is an estimate."""
    return "critical" if change.detector == "examples" else explanation.severity


def _said(alarm: Alarm) -> Sequence[object]:
    """What is worth telling of when it changes; words change with each window."""
    return alarm.kind, alarm.severity, alarm.status, alarm.segment, bool(alarm.words)


def _entry(alarm: Alarm) -> dict[str, object]:
    told = asdict(alarm)
    names = ("column", "part", "side", "status", "severity", "kind", "segment")
    return {name: told[name] for name in names}
