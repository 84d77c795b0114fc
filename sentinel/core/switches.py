"""Switches: a change gives others, and what the audit is told of it.

Who switches what is switched already changes nothing: the first word stays, with its reason.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from sentinel.records import AuditEntry
from sentinel.stored.switches import UNTOLD_COUNT_MAX, AppliedConfig, Switch, Switches, SwitchName

Telling = TypeVar("Telling", Switches, AppliedConfig)

PAUSED_BY_ALL: tuple[SwitchName, ...] = ("learning", "rollouts", "drift")


@dataclass(frozen=True, slots=True)
class Switched:
    """What came of a change.

    Attributes
    ----------
    changed
        What is otherwise now.
    unchanged
        What was so already.
    """

    switches: Switches
    changed: tuple[SwitchName, ...]
    unchanged: tuple[SwitchName, ...]


def switched_on(
    switches: Switches, names: Sequence[SwitchName], *, who: str, why: str, at_ms: int
) -> Switched:
    """With these paused, or in maintenance."""
    wanted = {name: Switch(who, why, at_ms) for name in names if switches.of(name) is None}
    return _changed(switches, names, wanted, who, why, at_ms)


def switched_off(
    switches: Switches, names: Sequence[SwitchName], *, who: str, why: str, at_ms: int
) -> Switched:
    """With these going on, or out of maintenance; other switches stay."""
    wanted = dict.fromkeys(name for name in names if switches.of(name) is not None)
    return _changed(switches, names, wanted, who, why, at_ms)


def told(document: Telling, entries: Sequence[AuditEntry]) -> Telling:
    """Without entries that the audit has by now: switches, or applied settings."""
    known = {entry.id for entry in entries}
    left = tuple(one for one in document.untold if one.id not in known)
    return replace(document, number=document.number + 1, untold=left)


def _changed(
    switches: Switches,
    names: Sequence[SwitchName],
    wanted: Mapping[SwitchName, Switch | None],
    who: str,
    why: str,
    at_ms: int,
) -> Switched:
    unchanged = tuple(name for name in names if name not in wanted)
    if not wanted:
        return Switched(switches, (), unchanged)
    number = switches.number + 1
    entries = [
        AuditEntry(
            id=f"switch-{number}-{name}",
            kind="switch",
            subject=name,
            who=who,
            at_ms=at_ms,
            before=_status_of(switches.of(name)),
            after={**_status_of(switch), "why": why},
        )
        for name, switch in wanted.items()
    ]
    untold = (*switches.untold, *entries)[-UNTOLD_COUNT_MAX:]
    after = replace(switches, number=number, untold=untold)
    for name, switch in wanted.items():
        after = replace(after, **{name: switch})  # type: ignore[arg-type]  # one of its switches
    return Switched(after, tuple(wanted), unchanged)


def _status_of(switch: Switch | None) -> dict[str, object]:
    if switch is None:
        return {"is_on": False}
    return {"is_on": True, "since_ms": switch.at_ms, "who": switch.who}
