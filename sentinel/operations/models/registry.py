"""The model registry, from the command line: looked at, and changed by a person."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sentinel.adapters.registry import ModelDirectory
from sentinel.config import Config
from sentinel.core.registry.audit import audit_entry
from sentinel.core.registry.transitions import kind_of_change, next_version, registered, staged
from sentinel.errors import ConfigError, FencedError, ModelError, TransientError
from sentinel.operations.data.sender import tell_all
from sentinel.operations.stores import open_models, open_reports
from sentinel.ports import ModelStore
from sentinel.records import AuditEntry
from sentinel.serving_model import ready_model
from sentinel.stored.versions import Artifact, ModelEvent, RegistryState, ServingReport, parsed

Step = Callable[[RegistryState], tuple[RegistryState, ModelEvent]]


@dataclass(frozen=True, slots=True)
class Registry:
    """Where every version stands, and what it is; of a damaged one the manifest is missing.

    Attributes
    ----------
    reports
        What running instances say that they serve.
    """

    registry_state: RegistryState
    manifests: dict[str, dict[str, Any]]
    reports: list[ServingReport]

    @property
    def versions(self) -> list[str]:
        """All of them, lowest first."""
        return sorted(self.registry_state.stages, key=parsed)


@dataclass(frozen=True, slots=True)
class Changed:
    """What was changed.

    Attributes
    ----------
    unpublished
        Why the topics do not tell of it; empty when they do.
    notes
        What whoever changed it should know, in sentences.
    """

    events: list[ModelEvent]
    unpublished: str
    notes: tuple[str, ...] = ()


def now_ms() -> int:
    """Processing time: a person does it now."""
    return round(time.time() * 1000)


async def read_registry(config: Config) -> Registry:
    """All that there is."""
    async with open_models(config.redis) as store:
        registry_state = await store.registry_state()
        manifests = await store.manifests(list(registry_state.stages))
    async with open_reports(config.redis) as reports:
        return Registry(registry_state, manifests, await reports.reports())


async def served_at(config: Config, at_ms: int) -> list[ServingReport]:
    """What each instance has said that it served at a time, as far as that is still known.

    An instance that died without a word has left none.
    """
    async with open_reports(config.redis) as store:
        live, ended = await store.reports(), await store.ended()
    found = [one for one in live if one.since_ms <= at_ms]
    found += [one for one in ended if one.since_ms <= at_ms < one.until_ms]
    return sorted(found, key=lambda one: one.instance)


async def read_history(config: Config) -> list[ModelEvent]:
    """Every change, oldest first."""
    async with open_models(config.redis) as store:
        return await store.history()


async def artifact(config: Config, version: str) -> Artifact:
    """One version, whole. Raises ModelError."""
    async with open_models(config.redis) as store:
        return await store.load(version)


async def free_version(config: Config, manifest: Mapping[str, Any]) -> str:
    """The next version for a model that somebody brings, under which nothing is kept."""
    async with open_models(config.redis) as store:
        registry_state = await store.registry_state()
        taken = [*registry_state.stages, *ModelDirectory(config.model).versions()]
        parent = registry_state.champion
        known = {} if parent is None else await store.manifests([parent])
        change = kind_of_change(known.get(parent or ""), manifest)
        while True:
            version = next_version(taken, parent, change)
            if version not in await store.manifests([version]):
                return version
            taken.append(version)


async def add(config: Config, given: Artifact, *, who: str, why: str) -> Changed:
    """Take a version in that has stood its trial, and stage it."""
    by: dict[str, Any] = {"who": who, "why": why, "at_ms": now_ms()}
    steps: list[Step] = [
        lambda registry_state: registered(registry_state, given.version, **by),
        lambda registry_state: staged(registry_state, given.version, **by),
    ]
    async with open_models(config.redis) as store:
        _applied(
            await store.registry_state(), steps
        )  # nothing is kept of what cannot be registered
        await store.add(given)
    return await change_registry(config, steps)


async def change_registry(config: Config, steps: Sequence[Step]) -> Changed:
    """Change where versions stand, then publish it; what cannot be is a ConfigError.

    A version that is to serve or to score beside must be one that instances can load: ModelError
    if it is not. Nobody tries again when another has changed something meanwhile, for what a person
    decides hangs on what there was.
    """
    async with open_models(config.redis) as store:
        before = await store.registry_state()
        found = _applied(before, steps)
        after = found[-1][0]
        notes = await _check_new(config, store, before, after)
        try:
            await store.change(before, after, [event for _, event in found])
        except FencedError as error:
            raise TransientError(
                f"nothing is done: {error}; look at `sentinel models list`, and say it again"
            ) from error
    if after.champion != before.champion:
        notes += await _pins(config)
    entries = []
    for registry_state, event in found:
        entries.append(audit_entry(before, registry_state, event))
        before = registry_state
    events = [event for _, event in found]
    return Changed(events, await _published(config, events, entries), tuple(notes))


def _applied(
    registry_state: RegistryState, steps: Sequence[Step]
) -> list[tuple[RegistryState, ModelEvent]]:
    found = []
    for step in steps:
        try:
            registry_state, event = step(registry_state)
        except ValueError as error:
            raise ConfigError(str(error)) from error
        found.append((registry_state, event))
    return found


async def _check_new(
    config: Config, store: ModelStore, before: RegistryState, after: RegistryState
) -> list[str]:
    """What is to be known of what begins to serve, or to score beside. Raises ModelError."""
    notes: list[str] = []
    pairs = ((after.champion, before.champion), (after.shadow, before.shadow))
    for version, until_now in pairs:
        if version is not None and version != until_now:
            notes += _check(config, await store.load(version))
    return notes


def _check(config: Config, given: Artifact) -> list[str]:
    """Whether an instance of this configuration could serve it, and what is to be known of it.

    Raises ModelError if it could not.
    """
    serving = ready_model(given, [feature.name for feature in config.features])
    nothing = np.zeros((1, len(config.features)))
    if np.isnan(serving.model.raw_scores(nothing)).any():
        raise ModelError(given.version, "it has no score for a transaction of zeros")
    try:
        serving.model.contributions(nothing)
    except ModelError as error:
        return [f"alerts that {given.version} decides go out without reasons: {error.detail}"]
    return []


async def _pins(config: Config) -> list[str]:
    """Who does not follow the registry: whoever has this configuration, and what has reported."""
    pinned = config.model.version
    notes = [pin_note(pinned)] if pinned else []
    try:
        async with open_reports(config.redis) as store:
            reports = await store.reports()
    except TransientError as error:
        return [*notes, f"which instances follow is not known: {error}"]
    return notes + [
        f"{one.instance} goes on serving {one.version}, which its configuration names"
        for one in reports
        if one.is_pinned and one.version != pinned
    ]


def pin_note(version: str) -> str:
    """What `model.version` means for all that is asked of the registry."""
    return (
        f'model.version = "{version}" is configured: an instance with this configuration goes on '
        f"serving {version} and makes no updates, whatever the registry says"
    )


async def _published(
    config: Config, events: Sequence[ModelEvent], entries: Sequence[AuditEntry]
) -> str:
    """Why it could not be; empty when it was."""
    return await tell_all(config, lambda sender: sender.models(events, entries))


def differences(
    one: Mapping[str, Any], other: Mapping[str, Any], *, under: str = ""
) -> dict[str, tuple[Any, Any]]:
    """Where two manifests differ: the value of each, by its name in them, such as `metrics.auc`.

    None stands for what is missing.
    """
    found: dict[str, tuple[Any, Any]] = {}
    for name in [*one, *(name for name in other if name not in one)]:
        left, right = one.get(name), other.get(name)
        if left == right:
            continue
        if isinstance(left, dict) and isinstance(right, dict):
            found |= differences(left, right, under=f"{under}{name}.")
        else:
            found[under + name] = (left, right)
    return found


def found_in(found: Registry, version: str) -> dict[str, Any]:
    """The manifest of a version. Raises ConfigError without the version, ModelError without it."""
    if version not in found.registry_state.stages:
        there = ", ".join(found.versions) or "none"
        raise ConfigError(f"version {version} is not in the registry; there: {there}")
    if version not in found.manifests:
        raise ModelError(version, "its manifest is missing or damaged")
    return found.manifests[version]
