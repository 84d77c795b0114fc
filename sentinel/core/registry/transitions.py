"""Where model versions stand: each change gives another shelf and the event that tells of it.

A version is registered in development, staged when nothing was found against it, promoted to
production, and archived when another takes its place, or when it is turned down. Of a change that
is not possible a ValueError says in a sentence what stands in its way.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from sentinel.stored.versions import Approval, EventKind, ModelEvent, Shelf, Stage, parsed

Change = Literal["major", "minor", "patch"]

# Strategies that go on with the parent's trees, or leave them as they are.
INCREMENTAL = frozenset({"recalibrate", "continue"})

_NEVER_SERVED = "it is archived and was refused, withdrawn or rolled back"


def registered(
    shelf: Shelf, version: str, *, who: str, why: str, at_ms: int
) -> tuple[Shelf, ModelEvent]:
    """A new version, in development."""
    parsed(version)
    if version in shelf.stages:
        raise ValueError(
            f"version {version} cannot be registered: it is in {shelf.stages[version]} already, "
            "and a version is registered once"
        )
    after = _placed(shelf, version, "development")
    return _changed(shelf, after, "registered", version, who, why, at_ms)


def staged(
    shelf: Shelf, version: str, *, who: str, why: str, at_ms: int
) -> tuple[Shelf, ModelEvent]:
    """From development to staging, where it is the one to be tried: the challenger.

    A challenger before it stays in staging.
    """
    _check_stage(shelf, version, "staged", ["development"])
    after = replace(_placed(shelf, version, "staging"), challenger=version)
    return _changed(shelf, after, "staged", version, who, why, at_ms)


def approved(
    shelf: Shelf, version: str, *, who: str, why: str, at_ms: int
) -> tuple[Shelf, ModelEvent]:
    """A person says that the version may serve. It holds until the version is turned down."""
    _check_stage(shelf, version, "approved", ["development", "staging", "archived"])
    approvals = {**shelf.approvals, version: Approval(who, at_ms)}
    return _changed(
        shelf, replace(shelf, approvals=approvals), "approved", version, who, why, at_ms
    )


def promoted(
    shelf: Shelf,
    version: str,
    *,
    who: str,
    why: str,
    at_ms: int,
    approval_needed: bool,
    force: bool = False,
) -> tuple[Shelf, ModelEvent]:
    """From staging to production; the champion until then is archived, and can be gone back to.

    Parameters
    ----------
    approval_needed
        Whether nothing may serve without an approval.
    force
        Promote what is archived, too: for a person who has a reason.
    """
    stage = shelf.stages.get(version)
    if stage == "archived" and not force:
        served = "it is archived, and served before: a rollback goes back to it"
        because = served if version in shelf.before else _NEVER_SERVED
        raise ValueError(
            f"version {version} cannot be promoted: {because}; by force, a named person with a "
            "reason can"
        )
    if stage == "archived" and not (who.strip() and why.strip()):
        raise ValueError(
            f"version {version} cannot be promoted by force without who does it, and a reason"
        )
    _check_stage(shelf, version, "promoted", ["staging", "archived"] if force else ["staging"])
    if approval_needed and version not in shelf.approvals:
        raise ValueError(f"version {version} cannot be promoted: nobody has approved it yet")
    after = _succeeded(shelf, version)
    if shelf.champion is not None:
        after = replace(after, before=(*after.before, shelf.champion))
    return _changed(shelf, after, "promoted", version, who, why, at_ms)


def rolled_back(
    shelf: Shelf, *, who: str, why: str, at_ms: int, to: str | None = None
) -> tuple[Shelf, ModelEvent]:
    """The champion is archived as a bad one, and a champion before it serves again.

    The event is about the bad one, and names the other as the champion.

    Parameters
    ----------
    to
        Which one; None for the last that there is.
    """
    bad = shelf.champion
    if bad is None:
        raise ValueError("nothing can be rolled back: no version serves")
    there = [version for version in shelf.before if version in shelf.stages]
    if not there:
        raise ValueError(f"version {bad} cannot be rolled back: no other version served before it")
    if to is not None and to not in there:
        raise ValueError(
            f"version {bad} cannot be rolled back to {to}: only to one that served before it, "
            f"{_either(there)}"
        )
    after = _succeeded(shelf, there[-1] if to is None else to)
    return _changed(shelf, _turned_down(after, bad), "rolled_back", bad, who, why, at_ms)


def refused(
    shelf: Shelf, version: str, *, who: str, why: str, at_ms: int
) -> tuple[Shelf, ModelEvent]:
    """Something speaks against it: archived without having served."""
    _check_stage(shelf, version, "refused", ["development", "staging"])
    after = _turned_down(_placed(shelf, version, "archived"), version)
    return _changed(shelf, after, "refused", version, who, why, at_ms)


def archived(
    shelf: Shelf, version: str, *, who: str, why: str, at_ms: int
) -> tuple[Shelf, ModelEvent]:
    """Withdrawn: archived without having served, though nothing need speak against it."""
    _check_stage(shelf, version, "archived", ["development", "staging"])
    after = _turned_down(_placed(shelf, version, "archived"), version)
    return _changed(shelf, after, "archived", version, who, why, at_ms)


def shadowed(
    shelf: Shelf, version: str | None, *, who: str, why: str, at_ms: int
) -> tuple[Shelf, ModelEvent]:
    """The version scores beside the champion and decides nothing; None: none does.

    The event is about the version that begins, or the one that ends.
    """
    about = shelf.shadow if version is None else version
    if about is None:
        raise ValueError("the shadow cannot be taken away: no version is one")
    if version == shelf.shadow:
        raise ValueError(f"version {version} cannot be the shadow: it is the shadow already")
    if version is not None:
        _check_stage(shelf, version, "the shadow", ["development", "staging", "archived"])
    return _changed(shelf, replace(shelf, shadow=version), "shadowed", about, who, why, at_ms)


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


def replayed(history: Iterable[ModelEvent]) -> Iterator[tuple[Shelf, Shelf, ModelEvent]]:
    """Each event with the shelf before and behind it.

    Raises ValueError where the history does not follow from what was before, as where one of its
    events is missing.

    Parameters
    ----------
    history
        Every event, oldest first.
    """
    before = Shelf()
    for event in history:
        after, found = _again(before, event)
        if found != event:
            raise ValueError(f"change {event.number} does not follow from those before it")
        yield before, after, event
        before = after


def _again(shelf: Shelf, event: ModelEvent) -> tuple[Shelf, ModelEvent]:
    """The change that an event tells of, made once more."""
    version = event.version
    stated: dict[str, Any] = {"who": event.who, "why": event.why, "at_ms": event.at_ms}
    match event.kind:
        case "promoted":
            return promoted(shelf, version, **stated, approval_needed=False, force=True)
        case "rolled_back":
            return rolled_back(shelf, **stated, to=event.champion)
        case "shadowed":
            return shadowed(shelf, event.shadow, **stated)
    return _SIMPLE[event.kind](shelf, version, **stated)


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


def _check_stage(shelf: Shelf, version: str, what: str, allowed: Sequence[Stage]) -> None:
    """Whether there is such a version, in one of these stages."""
    stage = shelf.stages.get(version)
    if stage is None:
        there = sorted(shelf.stages, key=parsed)
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


def _placed(shelf: Shelf, version: str, stage: Stage) -> Shelf:
    return replace(shelf, stages={**shelf.stages, version: stage})


def _succeeded(shelf: Shelf, version: str) -> Shelf:
    """The version as champion in the place of the one until now, which is archived."""
    stages: dict[str, Stage] = {**shelf.stages, version: "production"}
    if shelf.champion is not None:
        stages[shelf.champion] = "archived"
    return replace(
        shelf,
        stages=stages,
        champion=version,
        challenger=_unless(shelf.challenger, version),
        shadow=_unless(shelf.shadow, version),
        before=tuple(one for one in shelf.before if one != version),
    )


def _turned_down(shelf: Shelf, version: str) -> Shelf:
    """Nothing is to be tried of the version any more, and what spoke for it is void."""
    return replace(
        shelf,
        challenger=_unless(shelf.challenger, version),
        shadow=_unless(shelf.shadow, version),
        approvals={name: one for name, one in shelf.approvals.items() if name != version},
    )


def _unless(name: str | None, version: str) -> str | None:
    return None if name == version else name


def _changed(
    before: Shelf, after: Shelf, kind: EventKind, version: str, who: str, why: str, at_ms: int
) -> tuple[Shelf, ModelEvent]:
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
