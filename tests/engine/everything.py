"""A small world with everything switched on: drift, an experiment, a shadow, updates."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from sentinel.adapters.memory import Faults, MemoryDocuments
from sentinel.codec.drift.references import stored_columns, stored_reference
from sentinel.core.registry import transitions
from sentinel.engine.updates.savepoints import SavepointParams
from sentinel.stores import StoredDrift
from tests.engine.learning_world import (
    UPDATES,
    Script,
    a_learning_world,
    a_worker,
    artifact,
    candidate,
    change,
    send_examples,
    step,
)
from tests.engine.test_drift import PARAMS, a_reference
from tests.engine.test_experiments import POLICY, experimenting, stage, started
from tests.engine.world import MemoryInstance, World

SAVING = replace(UPDATES, savepoint=SavepointParams(after_example_count=20))


async def everything(**engine: object) -> World:
    """Drift is watched, accounts are split, 1.1.0 scores beside, and examples wait to be learnt."""
    world = experimenting(a_learning_world(updates=SAVING, **engine))  # type: ignore[arg-type]
    world.config = replace(world.config, drift=PARAMS)
    stage(world, artifact("1.1.0", slope=0.5))
    change(world.models, step(transitions.shadowed, "1.1.0"))
    reference, kept = a_reference(), StoredDrift(MemoryDocuments(world.drift))
    assert await kept.set_columns(None, stored_columns(reference.features))
    await kept.keep_reference("1.0.0", stored_reference(reference))
    await started(world, POLICY)
    send_examples(world, 50)
    return world


def a_script() -> Script:
    """A learner whose candidates are refused: what serves stays the same."""
    return Script([candidate(number, "refuse") for number in range(1, 40)])


@asynccontextmanager
async def switched_on(
    world: World,
    faults: Faults | None = None,
    *,
    store_faults: Faults | None = None,
    script: Script | None = None,
    **delays: float,
) -> AsyncIterator[MemoryInstance]:
    instance = world.instance(faults, store_faults=store_faults, **delays)
    instance.trainer = a_worker(script or a_script())
    async with instance:
        yield instance
