"""What a change of the shelf means to those who must be able to follow it later."""

from typing import Any

from sentinel.records import AuditEntry
from sentinel.stored.versions import ModelEvent, Shelf


def audit_entry(before: Shelf, after: Shelf, event: ModelEvent) -> AuditEntry:
    """One change of the shelf, named by its number: published again, it has the same name.

    Parameters
    ----------
    before, after
        The shelf around the change; what they differ in beyond it is taken for its effect.
    """
    return AuditEntry(
        id=f"models-{event.number}-{event.kind}",
        kind="model",
        subject=event.version,
        who=event.who,
        at_ms=event.at_ms,
        before=_standing(before, event.version) if event.version in before.stages else None,
        after={"change": event.kind, **_standing(after, event.version), "why": event.why},
    )


def put_back_entry(found: Shelf, seen: Shelf, *, who: str, at_ms: int) -> AuditEntry:
    """A later shelf in the place of an earlier one, which the store had come back with."""
    return AuditEntry(
        id=f"models-{seen.number}-put-back-{at_ms}",
        kind="model",
        subject=seen.champion or "registry",
        who=who,
        at_ms=at_ms,
        before={"number": found.number, "champion": found.champion},
        after={
            "change": "put_back",
            "number": seen.number,
            "champion": seen.champion,
            "why": "the store came back with an earlier shelf",
        },
    )


def _standing(shelf: Shelf, version: str) -> dict[str, Any]:
    approval = shelf.approvals.get(version)
    return {
        "stage": shelf.stages.get(version),
        "champion": shelf.champion,
        "challenger": shelf.challenger,
        "shadow": shelf.shadow,
        "approved_by": None if approval is None else approval.who,
    }
