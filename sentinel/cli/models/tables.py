"""How versions, their manifests and their history are shown."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from sentinel.cli.texts import plain
from sentinel.codec.times import date_text
from sentinel.operations.models.registry import Registry
from sentinel.stored.versions import ModelEvent, RegistryState, ServingReport

# Of a manifest, what nobody wants to read, and what a list of versions has room for.
_LONG = ("version", "golden", "reference", "scale", "usual")
_LISTED = {"auc": "AUC", "average_precision": "AP", "expected_calibration_error": "ECE"}


def roles(registry_state: RegistryState, version: str) -> list[str]:
    """What a version is at the moment."""
    return [
        role
        for role in ("champion", "challenger", "shadow")
        if getattr(registry_state, role) == version
    ]


def facts(found: Registry, version: str) -> dict[str, Any]:
    """A version in short, for a script."""
    manifest = found.manifests.get(version, {})
    approval = found.registry_state.approvals.get(version)
    return {
        "version": version,
        "stage": found.registry_state.stages[version],
        "roles": roles(found.registry_state, version),
        "approved_by": None if approval is None else approval.who,
        "approved_ms": None if approval is None else approval.at_ms,
        "served_by": [one.instance for one in found.reports if one.version == version],
        "is_readable": version in found.manifests,
        "parent": manifest.get("parent"),
        "strategy": manifest.get("strategy"),
        "trees": manifest.get("trees"),
        "feature_count": len(manifest.get("features", [])),
        "metrics": manifest.get("metrics"),
        "is_measured": bool(manifest.get("metrics")),
    }


def version_table(found: Registry) -> Table:
    """A line for each version."""
    count = len(found.versions)
    table = Table(title="1 version" if count == 1 else f"{count:,} versions")
    is_approved = bool(found.registry_state.approvals)
    for name in ("version", "stands as", *(["approved by"] if is_approved else []), "made by"):
        table.add_column(name)
    if found.reports:
        table.add_column("serves on", justify="right")
    for name in ("trees", *_LISTED.values()):
        table.add_column(name, justify="right")
    for version in found.versions:
        one = facts(found, version)
        metrics = one["metrics"] or {}
        table.add_row(
            version,
            ", ".join(one["roles"]) or one["stage"],
            *([one["approved_by"] or ""] if is_approved else []),
            _made_by(one),
            *([_instance_count(len(one["served_by"]))] if found.reports else []),
            "" if one["trees"] is None else f"{one['trees']:,}",
            *(value_text(metrics.get(name), absent="") for name in _LISTED),
        )
    return table


def _made_by(one: Mapping[str, Any]) -> str:
    if not one["is_readable"]:
        return "its manifest is damaged"
    return f"{one['strategy'] or ''}{'' if one['is_measured'] else ', unmeasured'}"


def _instance_count(count: int) -> str:
    if count == 0:
        return ""
    return "1 instance" if count == 1 else f"{count:,} instances"


def serving_lines(
    reports: Sequence[ServingReport], champion: str | None, *, was: bool = False
) -> list[str]:
    """What is not as the registry says, a line for each instance and each thing.

    What instances have sent is made safe to show.
    """
    lines = []
    for one in reports:
        told = [_difference(one, champion, was=was)]
        if one.shadow_why:
            told.append(f"its shadow does not score: {one.shadow_why}")
        if one.unexplained:
            told.append(f"its alerts go out without reasons: {one.unexplained}")
        lines += [plain(f"{one.instance}: {text}") for text in told if text]
    return lines


def _difference(one: ServingReport, champion: str | None, *, was: bool) -> str:
    if one.version == champion:
        return one.why if one.champion == champion else ""
    told = f"{'served' if was else 'serves'} {one.version}"
    if champion is None:
        return f"{told}, the registry {'had' if was else 'has'} no champion"
    because = "its configuration names it" if one.is_pinned else one.why
    return f"{told}, not {champion}: {because or 'it has not heard of it yet'}"


def version_line(found: Registry, version: str) -> str:
    """Where a version stands, in a line."""
    approval = found.registry_state.approvals.get(version)
    words = [found.registry_state.stages[version], *roles(found.registry_state, version)]
    if version in found.manifests and not found.manifests[version].get("metrics"):
        words.append("unmeasured")
    if version in found.registry_state.before:
        words.append("served before")
    if approval is not None:
        words.append(f"approved by {approval.who} {date_text(approval.at_ms)}")
    return f"{version}: {', '.join(words)}"


def manifest_table(manifest: Mapping[str, Any]) -> Table:
    """What a version is, by the names that its manifest has."""
    table = Table(show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in dotted_values(
        {name: manifest[name] for name in manifest if name not in _LONG}
    ):
        table.add_row(name, value_text(value))
    return table


def dotted_values(values: Mapping[str, Any], under: str = "") -> list[tuple[str, Any]]:
    """Every value with its dotted name."""
    found: list[tuple[str, Any]] = []
    for name, value in values.items():
        if isinstance(value, dict):
            found += dotted_values(value, f"{under}{name}.")
        else:
            found.append((under + name, value))
    return found


def difference_table(one: str, other: str, differing: Mapping[str, tuple[Any, Any]]) -> Table:
    """What is not the same, side by side; of lists of names what only one of them has."""
    table = Table(title=None if differing else "they are the same")
    for name in ("", one, other):
        table.add_column(name, overflow="fold")
    for name, (left, right) in differing.items():
        table.add_row(name, *_sides(left, right))
    return table


def _sides(left: Any, right: Any) -> tuple[str, str]:
    if not (_are_names(left) and _are_names(right)):
        return value_text(left), value_text(right)
    if sorted(left) == sorted(right):
        return "the same", "in another order"
    only = [[name for name in a if name not in b] for a, b in ((left, right), (right, left))]
    first, second = (f"only {', '.join(names)}" if names else "" for names in only)
    return first, second


def _are_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def value_text(value: Any, *, absent: str = "none") -> str:
    """A value of a manifest: numbers to 4 digits, lists of numbers by their length."""
    if value is None:
        return absent
    if _are_names(value):
        return ", ".join(value)
    if isinstance(value, list):
        return f"{len(value):,} values"
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)


def event_table(events: Sequence[ModelEvent]) -> Table:
    """When, what, by whom, and what served from then on."""
    table = Table()
    for name in ("#", "when", "what", "by"):
        table.add_column(name)
    table.add_column("why", overflow="fold")
    for event in events:
        when = date_text(event.at_ms)
        table.add_row(str(event.number), when, sentence(event), event.who, event.why)
    return table


def concerns(event: ModelEvent, version: str) -> bool:
    """Whether a change is one of this version: also where it serves again, or no more."""
    if event.version == version:
        return True
    is_another = event.champion != event.champion_before
    return is_another and version in (event.champion, event.champion_before)


def last_change(history: Sequence[ModelEvent], at_ms: int) -> ModelEvent | None:
    """The change that made the champion of a time."""
    past = [one for one in history if one.at_ms <= at_ms and one.champion != one.champion_before]
    return past[-1] if past else None


def champion_line(champion: str | None, since: ModelEvent | None, at_ms: int) -> str:
    """Which version served at a time, and since when."""
    if champion is None or since is None:
        return f"no version of the registry served at {date_text(at_ms)}"
    return (
        f"{champion} served at {date_text(at_ms)}: {since.kind.replace('_', ' ')} "
        f"{date_text(since.at_ms)} by {since.who}{f', {since.why}' if since.why else ''}"
    )


def sentence(event: ModelEvent) -> str:
    """What was done, as a person is told."""
    version, until_now = event.version, event.champion_before
    match event.kind:
        case "registered":
            return f"{version} is in the registry"
        case "staged":
            return f"{version} is in staging"
        case "approved":
            return f"{version} is approved by {event.who}"
        case "promoted":
            return f"{version} is the champion" + (f", after {until_now}" if until_now else "")
        case "rolled_back":
            return f"{event.champion} is the champion again, {version} is archived"
        case "shadowed" if event.shadow is None:
            return f"{version} scores beside the champion no more"
        case "shadowed":
            return f"{version} scores beside the champion"
        case _:
            return f"{version} is archived"
