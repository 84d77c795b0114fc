"""What a person says of alarms: seen, not to be told for a while, compared with something else."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

from sentinel.config import Config
from sentinel.core.drift.counts.columns import SCORE
from sentinel.core.features.spec import duration_ms
from sentinel.errors import ConfigError, TransientError
from sentinel.operations.data.sender import Sender
from sentinel.operations.drift.references import found_reference
from sentinel.operations.said import checked_text
from sentinel.operations.stores import open_drift, open_models
from sentinel.ports import DriftStore, ModelStore
from sentinel.records import AuditEntry
from sentinel.stored.drift import ALARM_COUNT_MAX, Alarm, AlarmStatus, Suppression

SUPPRESSED_MS_MAX = 366 * 86_400_000
_ATTEMPT_COUNT_MAX = 5  # somebody else changes the same alarm: nobody does so often for long


@dataclass(frozen=True, slots=True)
class Acted:
    """What was done.

    Attributes
    ----------
    alarms
        As they are now, of those that were changed.
    entries
        What the audit is told.
    """

    alarms: list[Alarm]
    entries: list[AuditEntry]


@dataclass(frozen=True, slots=True)
class ActedAndTold:
    """What was done, and why the topics do not tell of it; empty when they do."""

    acted: Acted
    unpublished: str


async def act_and_publish(
    config: Config, act: Callable[[DriftStore, ModelStore], Awaitable[Acted]]
) -> ActedAndTold:
    """Do it, then publish it."""
    async with open_drift(config.redis) as drift, open_models(config.redis) as models:
        acted = await act(drift, models)
    try:
        async with Sender(config) as sender:
            await sender.alarms(acted.alarms)
            await sender.audit(acted.entries)
            await sender.flush()
    except (ConfigError, TransientError) as error:
        return ActedAndTold(acted, str(error))
    return ActedAndTold(acted, "")


async def acknowledge(drift: DriftStore, name: str, *, who: str, note: str, at_ms: int) -> Acted:
    """Somebody has seen an alarm; of one that is over, too, which stays so.

    Raises ConfigError if there is no such alarm.
    """
    name = checked_text("the alarm", name, is_needed=True)
    who, note = checked_text("--who", who, is_needed=True), checked_text("--note", note)
    for _ in range(_ATTEMPT_COUNT_MAX):
        before = await found_alarm(drift, name)
        status: AlarmStatus = before.status if before.is_over else "acknowledged"
        after = replace(before, status=status, acknowledged_by=who, note=note)
        if await drift.put_alarm(before, after):
            entry = AuditEntry(
                id=f"alarm-{after.id}-acknowledged-{at_ms}",
                kind="drift alarm",
                subject=after.id,
                who=who,
                at_ms=at_ms,
                before=_told(before),
                after={"change": "acknowledged", **_told(after)},
            )
            return Acted([after], [entry])
    raise TransientError(f"alarm {name} changes at the moment, and nothing is done: say it again")


async def found_alarm(drift: DriftStore, name: str) -> Alarm:
    """The alarm of this id, or the only one that begins so. Raises ConfigError."""
    if (exact := await drift.alarm(name)) is not None:
        return exact
    alarms = await drift.alarms(ALARM_COUNT_MAX)
    found = [one for one in alarms if name and one.id.startswith(name)]
    if len(found) == 1:
        return found[0]
    if found:
        raise ConfigError(f'{len(found):,} alarms begin with "{name}": give all of its name')
    there = f"; the newest is {alarms[0].id}" if alarms else ": there is none yet"
    raise ConfigError(f'there is no alarm "{name}"{there}')


async def suppress(
    drift: DriftStore, config: Config, suppression: Suppression, *, at_ms: int
) -> Acted:
    """A column's alarms are not told for a while; what was said of it before is replaced.

    Raises ConfigError of a column that nobody counts, or of too long a time.
    """
    column = suppression.column
    if column not in (known := await watched_columns(drift, config)):
        there = ", ".join(known[:12]) + (", …" if len(known) > 12 else "")
        raise ConfigError(f'"{column}" is not watched; there: {there}')
    if not 0 < suppression.until_ms - at_ms <= SUPPRESSED_MS_MAX:
        raise ConfigError('--for must be between "1s" and "366d"')
    who = checked_text("--who", suppression.who, is_needed=True)
    after = replace(suppression, who=who, why=checked_text("--why", suppression.why))
    return await _suppressed(drift, after, who=who, at_ms=at_ms, change="suppressed")


async def end_suppression(drift: DriftStore, column: str, *, who: str, at_ms: int) -> Acted:
    """A column's alarms are told again. Raises ConfigError if they are not suppressed."""
    before = await _suppression(drift, column)
    if before is None or before.until_ms <= at_ms:
        raise ConfigError(f'"{column}" is not suppressed')
    after = replace(before, until_ms=at_ms)
    who = checked_text("--who", who, is_needed=True)
    return await _suppressed(drift, after, who=who, at_ms=at_ms, change="ended")


async def _suppressed(
    drift: DriftStore, after: Suppression, *, who: str, at_ms: int, change: str
) -> Acted:
    for _ in range(_ATTEMPT_COUNT_MAX):
        before = await _suppression(drift, after.column)
        if await drift.suppress(before, after, now_ms=at_ms):
            break
    else:
        raise TransientError(
            f'somebody else suppresses "{after.column}" just now, and nothing is done: say it again'
        )
    alarms = await _marked(drift, after.column, is_suppressed=after.until_ms > at_ms)
    if before is not None and before.until_ms <= at_ms:
        before = None
    entry = AuditEntry(
        id=f"suppression-{after.column}-{change}-{at_ms}",
        kind="drift suppression",
        subject=after.column,
        who=who,
        at_ms=at_ms,
        before=None if before is None else {"until_ms": before.until_ms, "why": before.why},
        after={"change": change, "until_ms": after.until_ms, "why": after.why},
    )
    return Acted(alarms, [entry])


async def _suppression(drift: DriftStore, column: str) -> Suppression | None:
    """What was said last of a column, as long as it is kept."""
    told = await drift.suppressions()
    return next((one for one in told if one.column == column), None)


async def _marked(drift: DriftStore, column: str, *, is_suppressed: bool) -> list[Alarm]:
    """The column's alarms that are open, marked; what the watch says of them meanwhile stays."""
    marked = []
    for alarm in await drift.alarms(ALARM_COUNT_MAX):
        before: Alarm | None = alarm
        for _ in range(_ATTEMPT_COUNT_MAX):
            if before is None or before.is_over or before.column != column:
                break
            after = replace(before, is_suppressed=is_suppressed)
            if before == after or await drift.put_alarm(before, after):
                marked += [after] if before != after else []
                break
            before = await drift.alarm(alarm.id)
    return marked


async def watched_columns(drift: DriftStore, config: Config) -> list[str]:
    """Whatever may alarm: features that are configured or counted, the score, what has alarmed."""
    counted = await drift.columns()
    alarms = await drift.alarms(ALARM_COUNT_MAX)
    names = [
        SCORE,
        *(feature.name for feature in config.features),
        *(one.name for one in (counted.columns if counted is not None else ())),
        *(one.column for one in alarms),
    ]
    return list(dict.fromkeys(names))


async def forget_reference(
    drift: DriftStore, models: ModelStore, version: str, *, who: str, at_ms: int
) -> Acted:
    """Forget what the stream gave. Raises ConfigError if it has given nothing."""
    who = checked_text("--who", who, is_needed=True)
    found = await found_reference(drift, models, version)
    if found is None:
        raise ConfigError(f"version {version} has no reference")
    if found.kept_in == "manifest":
        raise ConfigError(
            f"the reference of version {version} was made with it, and stays with it; "
            "only one that the stream gave can be forgotten"
        )
    await drift.forget_reference(version)
    entry = AuditEntry(
        id=f"reference-{version}-forgotten-{at_ms}",
        kind="drift reference",
        subject=version,
        who=who,
        at_ms=at_ms,
        before={
            "origin": found.reference.origin,
            "first_ms": found.reference.first_ms,
            "last_ms": found.reference.last_ms,
            "row_count": found.reference.row_count,
        },
        after={"change": "forgotten"},
    )
    return Acted([], [entry])


def until_ms(duration: str, at_ms: int) -> int:
    """The end of a duration such as "7d" that begins now. Raises ConfigError."""
    try:
        return at_ms + duration_ms(duration)
    except ValueError as error:
        raise ConfigError(f"--for: {error}") from error


def _told(alarm: Alarm) -> dict[str, Any]:
    return {
        "status": alarm.status,
        "column": alarm.column,
        "acknowledged_by": alarm.acknowledged_by,
        "note": alarm.note,
    }
