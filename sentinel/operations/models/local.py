"""The registry with a copy of its artifacts on this machine."""

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from sentinel.adapters.pool import ExplainerPool
from sentinel.adapters.registry import ModelDirectory
from sentinel.config import Config
from sentinel.core.registry import transitions
from sentinel.engine.registry.registrar import Registrar
from sentinel.engine.registry.wrapping import WrappedModels
from sentinel.errors import ConfigError, FencedError, ModelError, TransientError
from sentinel.operations.stores import open_models
from sentinel.ports import Explainer, ModelStore
from sentinel.serving_model import ready_model
from sentinel.stored.versions import Artifact

log = logging.getLogger(__name__)

FIRST_WHO = "sentinel run"  # brings an empty registry its first model


@dataclass(frozen=True, slots=True)
class LocalModels(WrappedModels):
    """`ports.ModelStore` that reads a version from the model directory if it is the same one there.

    The same in every word of its manifest, the SHA-256 of the text among them: two versions may
    have the same trees and another calibration.

    What it reads from the registry it writes there: `sentinel why --replay` needs it later, and a
    start while the registry is away.
    """

    directory: ModelDirectory

    async def load(self, version: str) -> Artifact:
        manifest = (await self.store.manifests([version])).get(version, {})
        try:
            local = await asyncio.to_thread(self.directory.load, version)
        except ModelError:
            local = None
        if local is not None and local.manifest == manifest:
            return local
        artifact = await self.store.load(version)
        if local is None:
            try:
                await asyncio.to_thread(self.directory.keep, artifact)
            except ConfigError as error:  # it serves all the same
                log.warning("%s", error)
        return artifact

    async def copy(self, version: str) -> Artifact | None:
        """What the model directory has of it; None if that is nothing whole."""
        try:
            return await asyncio.to_thread(self.directory.load, version)
        except ModelError:
            return None


async def adopt(store: ModelStore, artifact: Artifact) -> None:
    """Make a model the registry's first champion, if the registry is empty; then `tell_adopted`."""
    registry_state = await store.registry_state()
    if registry_state.stages:
        return
    await store.add(artifact)
    at_ms = time.time_ns() // 1_000_000  # when people did something is a time of the clock
    before, events = registry_state, []
    promoted = partial(transitions.promoted, approval_needed=False)
    for step in (transitions.registered, transitions.staged, promoted):
        registry_state, event = step(
            registry_state, artifact.version, who=FIRST_WHO, why="the first model", at_ms=at_ms
        )
        events.append(event)
    try:
        await store.change(before, registry_state, events)
    except FencedError:
        log.info("another instance has put the first model into the registry")


async def tell_adopted(store: ModelStore, registrar: Registrar) -> None:
    """Tell how the first model came to serve, as long as no other has taken its place.

    Each start says it again, in the same words: who has put it there may not have lived to.
    """
    registry_state = await store.registry_state()
    if registry_state.champion is not None and not registry_state.before:
        await registrar.repeat(registry_state.champion)


async def fetch_champion(config: Config) -> None:
    """Bring what the registry has to serve into the model directory, if that has no model at all.

    So that an instance on a new machine serves what the others serve, and trains no first model.
    """
    directory = ModelDirectory(config.model)
    if await asyncio.to_thread(directory.champion) is not None:
        return
    names = [feature.name for feature in config.features]
    try:
        async with open_models(config.redis) as store, ExplainerPool(config.pool) as pool:
            found = await usable_champion(store, pool, names)
        if found is not None:
            await asyncio.to_thread(directory.add, found.version, found.text, found.manifest)
    except TransientError as error:
        log.warning("the model registry has nothing to begin with: %s", error)


async def usable_champion(
    store: ModelStore, explainer: Explainer, features: Sequence[str]
) -> Artifact | None:
    """The registry's champion, or the newest one before it that serves; None if there is none.

    The explainer tries each first: one that ends the process that loads it would end this one at
    each start. Raises TransientError.
    """
    registry_state = await store.registry_state()
    for version in registry_state.to_serve():
        try:
            artifact = await store.load(version)
            explainer.register(version, artifact.text)
            await explainer.warm(version)
            await asyncio.to_thread(ready_model, artifact, features)
        except ModelError as error:
            log.warning("it cannot be begun with: %s", error)
        else:
            return artifact
    return None
