"""What a change of the registry means to those who must be able to follow it later."""

from typing import Any

from sentinel.records import AuditEntry
from sentinel.stored.versions import ModelEvent, RegistryState


def audit_entry(before: RegistryState, after: RegistryState, event: ModelEvent) -> AuditEntry:
    """One change of the registry, named by its number: published again, it has the same name.

    Parameters
    ----------
    before, after
        The registry around the change; what they differ in beyond it is taken for its effect.
    """
    return AuditEntry(
        id=f"models-{event.number}-{event.kind}",
        kind="model",
        subject=event.version,
        who=event.who,
        at_ms=event.at_ms,
        before=_status_of(before, event.version) if event.version in before.stages else None,
        after={"change": event.kind, **_status_of(after, event.version), "why": event.why},
    )


def put_back_entry(
    found: RegistryState, seen: RegistryState, *, who: str, at_ms: int
) -> AuditEntry:
    """A later registry in the place of an earlier one, which the store had come back with."""
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
            "why": "the store came back with an earlier state of the registry",
        },
    )


def _status_of(registry_state: RegistryState, version: str) -> dict[str, Any]:
    approval = registry_state.approvals.get(version)
    return {
        "stage": registry_state.stages.get(version),
        "champion": registry_state.champion,
        "challenger": registry_state.challenger,
        "shadow": registry_state.shadow,
        "approved_by": None if approval is None else approval.who,
    }
