"""Settings that are applied to all instances: a change, and what the audit is told of it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sentinel.records import AuditEntry
from sentinel.stored.switches import UNTOLD_COUNT_MAX, AppliedConfig

SUBJECT = "settings"


def applied_config(
    before: AppliedConfig,
    values: Mapping[str, Any],
    base: Mapping[str, Any],
    *,
    who: str,
    why: str,
    at_ms: int,
) -> AppliedConfig:
    """These settings in the place of those applied before; the same where nothing differs.

    Parameters
    ----------
    values
        Empty: what was applied goes, and every instance's own file holds again.
    base
        What a file says that was not applied: the audit names what differs from it.
    """
    if before.values == values:
        return before
    was, now = before.values or base, values or base
    number = before.number + 1
    entry = settings_entry(
        f"config-{number}", {path: (was.get(path), now.get(path)) for path in {**was, **now}},
        who=who, why=why, at_ms=at_ms, what="applied" if values else "reset",
    )  # fmt: skip
    untold = (*before.untold, entry)[-UNTOLD_COUNT_MAX:]
    return replace(
        before, values=dict(values), who=who, why=why, at_ms=at_ms, number=number, untold=untold
    )


def settings_entry(
    name: str,
    pairs: Mapping[str, tuple[Any, Any]],
    *,
    who: str,
    why: str,
    at_ms: int,
    what: str,
) -> AuditEntry:
    """What has changed, key by key; of a setting that is the same on both sides nothing."""
    differing = {path: pair for path, pair in pairs.items() if pair[0] != pair[1]}
    return AuditEntry(
        id=name,
        kind="config",
        subject=SUBJECT,
        who=who,
        at_ms=at_ms,
        before={path: pair[0] for path, pair in differing.items()},
        after={**{path: pair[1] for path, pair in differing.items()}, "change": what, "why": why},
    )
