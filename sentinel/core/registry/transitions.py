"""Where model versions stand: a change gives another state, and the event that tells of it.

A version is registered in development, staged when nothing was found against it, promoted to
production, and archived when another takes its place, or when it is turned down. Of a change that
is not possible a ValueError says in a sentence what stands in its way.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from sentinel.stored.versions import Approval, EventKind, ModelEvent, RegistryState, Stage, parsed

Change = Literal["major", "minor", "patch"]

# Strategies that go on with the parent's trees, or leave them as they are.
INCREMENTAL = frozenset({"recalibrate", "continue"})

_NEVER_SERVED = "it is archived and was refused, withdrawn or rolled back"


def registered(
    registry_state: RegistryState, version: str, *, who: str, why: str, at_ms: int
) -> tuple[RegistryState, ModelEvent]:
    """A new version, in development."""
    parsed(version)
    if version in registry_state.stages:
        raise ValueError(
            f"version {version} cannot be registered: it is in "
            f"{registry_state.stages[version]} already, and a version is registered once"
        )
    after = _placed(registry_state, version, "development")
    return _changed(registry_state, after, "registered", version, who, why, at_ms)


def staged(
    registry_state: RegistryState, version: str, *, who: str, why: str, at_ms: int
) -> tuple[RegistryState, ModelEvent]:
    """From development to staging, where it is the one to be tried: the challenger.

    A challenger before it stays in staging.
    """
    _check_stage(registry_state, version, "staged", ["development"])
    after = replace(_placed(registry_state, version, "staging"), challenger=version)
    return _changed(registry_state, after, "staged", version, who, why, at_ms)


def approved(
    registry_state: RegistryState, version: str, *, who: str, why: str, at_ms: int
) -> tuple[RegistryState, ModelEvent]:
    """A person says that the version may serve. It holds until the version is turned down."""
    _check_stage(registry_state, version, "approved", ["development", "staging", "archived"])
    approvals = {**registry_state.approvals, version: Approval(who, at_ms)}
    return _changed(
        registry_state,
        replace(registry_state, approvals=approvals),
        "approved",
        version,
        who,
        why,
        at_ms,
    )


def promoted(
    registry_state: RegistryState,
    version: str,
    *,
    who: str,
    why: str,
    at_ms: int,
    approval_needed: bool,
    force: bool = False,
) -> tuple[RegistryState, ModelEvent]:
    """From staging to production; the champion until then is archived, and can be gone back to.

    Parameters
    ----------
    approval_needed
        Whether nothing may serve without an approval.
    force
        Promote what is archived, too: for a person who has a reason.
    """
    stage = registry_state.stages.get(version)
    if stage == "archived" and not force:
        served = "it is archived, and served before: a rollback goes back to it"
        because = served if version in registry_state.before else _NEVER_SERVED
        raise ValueError(
            f"version {version} cannot be promoted: {because}; by force, a named person with a "
            "reason can"
        )
    if stage == "archived" and not (who.strip() and why.strip()):
        raise ValueError(
            f"version {version} cannot be promoted by force without who does it, and a reason"
        )
    _check_stage(
        registry_state, version, "promoted", ["staging", "archived"] if force else ["staging"]
    )
    if approval_needed and version not in registry_state.approvals:
        raise ValueError(f"version {version} cannot be promoted: nobody has approved it yet")
    after = _succeeded(registry_state, version)
    if registry_state.champion is not None:
        after = replace(after, before=(*after.before, registry_state.champion))
    return _changed(registry_state, after, "promoted", version, who, why, at_ms)


def rolled_back(
    registry_state: RegistryState, *, who: str, why: str, at_ms: int, to: str | None = None
) -> tuple[RegistryState, ModelEvent]:
    """The champion is archived as a bad one, and a champion before it serves again.

    The event is about the bad one, and names the other as the champion.

    Parameters
    ----------
    to
        Which one; None for the last that there is.
    """
    bad = registry_state.champion
    if bad is None:
        raise ValueError("nothing can be rolled back: no version serves")
    there = [version for version in registry_state.before if version in registry_state.stages]
    if not there:
        raise ValueError(f"version {bad} cannot be rolled back: no other version served before it")
    if to is not None and to not in there:
        raise ValueError(
            f"version {bad} cannot be rolled back to {to}: only to one that served before it, "
            f"{_either(there)}"
        )
    after = _succeeded(registry_state, there[-1] if to is None else to)
    return _changed(registry_state, _turned_down(after, bad), "rolled_back", bad, who, why, at_ms)


def refused(
    registry_state: RegistryState, version: str, *, who: str, why: str, at_ms: int
) -> tuple[RegistryState, ModelEvent]:
    """Something speaks against it: archived without having served."""
    _check_stage(registry_state, version, "refused", ["development", "staging"])
    after = _turned_down(_placed(registry_state, version, "archived"), version)
    return _changed(registry_state, after, "refused", version, who, why, at_ms)


def archived(
    registry_state: RegistryState, version: str, *, who: str, why: str, at_ms: int
) -> tuple[RegistryState, ModelEvent]:
    """Withdrawn: archived without having served, though nothing need speak against it."""
    _check_stage(registry_state, version, "archived", ["development", "staging"])
    after = _turned_down(_placed(registry_state, version, "archived"), version)
    return _changed(registry_state, after, "archived", version, who, why, at_ms)


def shadowed(
    registry_state: RegistryState, version: str | None, *, who: str, why: str, at_ms: int
) -> tuple[RegistryState, ModelEvent]:
    """The version scores beside the champion and decides nothing; None: none does.

    The event is about the version that begins, or the one that ends.
    """
    about = registry_state.shadow if version is None else version
    if about is None:
        raise ValueError("the shadow cannot be taken away: no version is one")
    if version == registry_state.shadow:
        raise ValueError(f"version {version} cannot be the shadow: it is the shadow already")
    if version is not None:
        _check_stage(registry_state, version, "the shadow", ["development", "staging", "archived"])
    return _changed(
        registry_state, replace(registry_state, shadow=version), "shadowed", about, who, why, at_ms
    )


def serving_at(history: Iterable[ModelEvent], at_ms: int) -> str | None:
    """Which champion served at a time; None where none did.

    Parameters
    ----------
    history
        Every event, oldest first. Where clocks differ, the later change counts.
    """
    champion = None
    for event in history:
        if event.at_ms <= at_ms:
            champion = event.champion
    return champion


def replayed_registry(
    history: Iterable[ModelEvent],
) -> Iterator[tuple[RegistryState, RegistryState, ModelEvent]]:
    """Each event with the registry before and behind it.

    Raises ValueError where the history does not follow from what was before, as where one of its
    events is missing.

    Parameters
    ----------
    history
        Every event, oldest first.
    """
    before = RegistryState()
    for event in history:
        after, found = _again(before, event)
        if found != event:
            raise ValueError(f"change {event.number} does not follow from those before it")
        yield before, after, event
        before = after


def _again(registry_state: RegistryState, event: ModelEvent) -> tuple[RegistryState, ModelEvent]:
    """The change that an event tells of, made once more."""
    version = event.version
    stated: dict[str, Any] = {"who": event.who, "why": event.why, "at_ms": event.at_ms}
    match event.kind:
        case "promoted":
            return promoted(registry_state, version, **stated, approval_needed=False, force=True)
        case "rolled_back":
            return rolled_back(registry_state, **stated, to=event.champion)
        case "shadowed":
            return shadowed(registry_state, event.shadow, **stated)
    return _SIMPLE[event.kind](registry_state, version, **stated)


def next_version(versions: Iterable[str], parent: str | None, change: Change) -> str:
    """The number of a version that is made from `parent`; none that there was, ever.

    Semantic versioning (semver.org, 2.0.0) of what a model takes and does: "major" when it needs
    other features or another engine, "minor" when it was trained anew, "patch" when it goes on from
    the parent. Where the next number is taken, the one behind the highest.
    """
    there = [parsed(version) for version in versions]
    if parent is None or change == "major":
        major, minor, patch = (0, 0, 0) if parent is None else parsed(parent)
        return f"{max([major, *(one[0] for one in there)]) + 1}.0.0"
    major, minor, patch = parsed(parent)
    if change == "minor":
        taken = [one[1] for one in there if one[0] == major]
        return f"{major}.{max([minor, *taken]) + 1}.0"
    taken = [one[2] for one in there if one[:2] == (major, minor)]
    return f"{major}.{minor}.{max([patch, *taken]) + 1}"


def kind_of_change(parent: Mapping[str, Any] | None, manifest: Mapping[str, Any]) -> Change:
    """How much a version differs from its parent, by what their manifests say.

    Major: without a parent, with other features or their order, or a forest that another engine
    has to score. Patch: an incremental strategy with the parent's hyper-parameters; how many trees
    there are is none of them then, as each update adds some. Minor: everything else.
    """
    if parent is None or manifest.get("strategy") == "first":
        return "major"
    if any(parent.get(name) != manifest.get(name) for name in ("features", "engine")):
        return "major"
    if manifest.get("strategy") in INCREMENTAL and _fit(parent) == _fit(manifest):
        return "patch"
    return "minor"


def _fit(manifest: Mapping[str, Any]) -> dict[str, Any]:
    fit = manifest.get("fit") or {}
    return {name: value for name, value in fit.items() if name != "tree_count"}


def _check_stage(
    registry_state: RegistryState, version: str, what: str, allowed: Sequence[Stage]
) -> None:
    """Whether there is such a version, in one of these stages."""
    stage = registry_state.stages.get(version)
    if stage is None:
        there = sorted(registry_state.stages, key=parsed)
        raise ValueError(
            f"version {version} cannot be {what}: there is no such version; "
            f"there {f'are {_either(there[-5:])}' if there else 'is none'}"
        )
    if stage not in allowed:
        raise ValueError(
            f"version {version} cannot be {what}: it is in {stage}, must be in {_either(allowed)}"
        )


def _either(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


def _placed(registry_state: RegistryState, version: str, stage: Stage) -> RegistryState:
    return replace(registry_state, stages={**registry_state.stages, version: stage})


def _succeeded(registry_state: RegistryState, version: str) -> RegistryState:
    """The version as champion in the place of the one until now, which is archived."""
    stages: dict[str, Stage] = {**registry_state.stages, version: "production"}
    if registry_state.champion is not None:
        stages[registry_state.champion] = "archived"
    return replace(
        registry_state,
        stages=stages,
        champion=version,
        challenger=_unless(registry_state.challenger, version),
        shadow=_unless(registry_state.shadow, version),
        before=tuple(one for one in registry_state.before if one != version),
    )


def _turned_down(registry_state: RegistryState, version: str) -> RegistryState:
    """Nothing is to be tried of the version any more, and what spoke for it is void."""
    return replace(
        registry_state,
        challenger=_unless(registry_state.challenger, version),
        shadow=_unless(registry_state.shadow, version),
        approvals={name: one for name, one in registry_state.approvals.items() if name != version},
    )


def _unless(name: str | None, version: str) -> str | None:
    return None if name == version else name


def _changed(
    before: RegistryState,
    after: RegistryState,
    kind: EventKind,
    version: str,
    who: str,
    why: str,
    at_ms: int,
) -> tuple[RegistryState, ModelEvent]:
    after = replace(after, number=before.number + 1)
    event = ModelEvent(
        number=after.number,
        at_ms=at_ms,
        kind=kind,
        version=version,
        champion=after.champion,
        champion_before=before.champion,
        shadow=after.shadow,
        who=who,
        why=why,
    )
    return after, event


_SIMPLE = {
    "registered": registered,
    "staged": staged,
    "approved": approved,
    "refused": refused,
    "archived": archived,
}
