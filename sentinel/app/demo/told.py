"""What records of the system say, in a line for a person who watches."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sentinel.core.drift.telling import moved
from sentinel.stored.drift import Alarm
from sentinel.stored.rollouts import StoredRollout
from sentinel.stored.versions import ModelEvent

Told = tuple[str, str, dict[str, Any]]  # its kind, the line, and facts
_WORDS_MAX = 200


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that happened.

    Attributes
    ----------
    at_ms
        Event time: where the clock stood when it was heard of.
    kind
        In one word, for programs.
    what
        In a line, for people.
    """

    at_ms: int
    kind: str
    what: str
    facts: Mapping[str, Any] = field(default_factory=dict)


def of_model(event: ModelEvent) -> Told | None:
    """A change of the registry."""
    facts = {"version": event.version, "champion": event.champion, "who": event.who}
    because = f": {_short(event.why)}" if event.why else ""
    match event.kind:
        case "promoted":
            what = f"{event.version} is promoted by {event.who}{because}"
        case "rolled_back":
            what = f"{event.version} is rolled back to {event.champion} by {event.who}{because}"
        case "refused" | "staged" | "shadowed":
            what = f"{event.version} is {event.kind} by {event.who}{because}"
        case _:
            return None
    return event.kind, what, facts


def of_alarm(alarm: Alarm, before: Alarm | None) -> Told | None:
    """An alarm that was opened, became graver, or is over; None where nothing is new."""
    facts = {"alarm": alarm.id, "column": alarm.column, "side": alarm.side,
             "severity": alarm.severity, "detector": alarm.detector,
             "since_ms": alarm.since_ms}  # fmt: skip
    if alarm.is_over:
        is_new = before is not None and not before.is_over and not alarm.is_superseded
        return ("alarm_over", f"over: {moved(alarm)}", facts) if is_new else None
    if before is not None:
        return None
    is_of_outcomes = alarm.detector == "examples"
    kind = "performance_alarm" if is_of_outcomes else "drift_alarm"
    return kind, f"alarm: {moved(alarm)}{_cause(alarm)}", facts


def of_update(entry: Mapping[str, Any]) -> Told | None:
    """What training is at."""
    after, before = entry.get("after") or {}, entry.get("before") or {}
    facts = {"update": entry["subject"], "version": after.get("version", "")}
    if str(entry["id"]).endswith("-begun"):
        return "training", f"training begins: {_short(after.get('reason', ''))}", facts
    if str(entry["id"]).endswith("-judged"):
        outcome = str(after.get("outcome", "")).replace("_", " ")
        said = _short(after.get("reason", ""))
        return "gate", f"the gate says {outcome}: {said}", {**facts, "outcome": outcome}
    return None if not before else ("update", _short(after.get("outcome", "")), facts)


def of_rollout(one: StoredRollout) -> Told:
    """Where a rollout stands."""
    match one.status:
        case "running":
            where = f"{one.next_place} begins"
        case "waiting":
            where = f"{one.next_place} is next"
        case status:
            where = status.replace("_", " ")
    why = one.waits_for or one.why
    because = f": {_short(why)}" if why else ""
    facts = {"version": one.version, "status": one.status, "step": one.next_place,
             "is_urgent": one.is_urgent}  # fmt: skip
    return "rollout", f"rollout of {one.version}, {where}{because}", facts


def _cause(alarm: Alarm) -> str:
    if alarm.detector == "examples":
        return f", {alarm.effect:+.2f}; no feature need have moved: fraud itself has changed"
    return f" ({alarm.words or alarm.kind or f'{alarm.effect:+.2f} standard deviations'})"


def _short(words: str) -> str:
    return words if len(words) <= _WORDS_MAX else f"{words[: _WORDS_MAX - 1]}…"
