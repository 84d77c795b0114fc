"""A local copy of the registry is used where it is the same, and the first model is one."""

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from sentinel.adapters.memory import Faults, MemoryDocuments
from sentinel.adapters.registry import ModelDirectory, ModelParams
from sentinel.codec.models.artifacts import encode_artifact
from sentinel.core.registry.transitions import replayed_registry
from sentinel.errors import ModelError, TransientError
from sentinel.operations.models.local import LocalModels, adopt, usable_champion
from sentinel.stored.versions import Artifact, RegistryState
from sentinel.stores import StoredModels
from tests.engine.faults import Noted
from tests.engine.learning_world import artifact, put, serve
from tests.engine.samples import NAMES, serving
from tests.engine.world import InProcessExplainer
from tests.kept import KeptModels

ALL = ("1.3.0", "1.2.0", "1.1.0", "1.0.0")
TEXT = "tree\nleaf_value=0.1\n"
ONE = Artifact("1.0.0", TEXT, {"features": ["amount"], "calibration": {"slope": 1.1}})


def whole(one: Artifact) -> Artifact:
    """As it is kept: with the version and the checksum in its manifest."""
    facts = {"version": one.version, "sha256": hashlib.sha256(one.text.encode()).hexdigest()}
    return replace(one, manifest={**one.manifest, **facts})


def a_registry(*kept: Artifact) -> KeptModels:
    models = KeptModels()
    for one in kept:
        models.texts[one.version], models.manifests[one.version] = encode_artifact(one)
    return models


def copied(models: KeptModels, folder: Path, calls: Noted) -> tuple[LocalModels, ModelDirectory]:
    directory = ModelDirectory(ModelParams(directory=str(folder / "models")))
    return LocalModels(StoredModels(MemoryDocuments(models, faults=calls)), directory), directory


async def test_what_is_read_is_written_and_read_from_there_the_next_time(tmp_path: Path) -> None:
    calls = Noted()
    local, directory = copied(a_registry(ONE), tmp_path, calls)

    first = await local.load("1.0.0")
    assert directory.load("1.0.0") == first == whole(ONE)
    assert calls.names == ["read manifests", "load model 1.0.0"]
    assert await local.load("1.0.0") == first
    assert calls.names == ["read manifests", "load model 1.0.0", "read manifests"]
    assert directory.champion() is None, "which one serves is not for a copy to say"


@pytest.mark.parametrize(
    "other",
    [
        replace(ONE, text=TEXT + "x"),
        replace(ONE, manifest={**ONE.manifest, "calibration": {"slope": 0.9}}),
    ],
    ids=["text", "calibration"],
)
async def test_another_model_of_the_same_number_is_not_used(
    tmp_path: Path, other: Artifact
) -> None:
    calls = Noted()
    local, directory = copied(a_registry(ONE), tmp_path, calls)
    directory.keep(whole(other))

    assert await local.load("1.0.0") == whole(ONE)
    assert directory.load("1.0.0") == whole(other), "nor is it overwritten"
    assert await local.load("1.0.0") == whole(ONE)


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "model.txt").write_text("tree"),
        lambda folder: (folder / "manifest.json").write_text("{"),
        lambda folder: (folder / "model.txt").unlink(),
    ],
    ids=["truncated", "manifest", "missing"],
)
async def test_a_damaged_copy_is_not_used(tmp_path: Path, damage: Callable[[Path], object]) -> None:
    local, _ = copied(a_registry(ONE), tmp_path, Noted())
    await local.load("1.0.0")
    damage(tmp_path / "models" / "1.0.0")

    assert await local.load("1.0.0") == whole(ONE)


async def test_a_copy_of_what_the_registry_does_not_have_is_not_used(tmp_path: Path) -> None:
    local, directory = copied(a_registry(), tmp_path, Noted())
    directory.keep(whole(ONE))

    with pytest.raises(ModelError, match="is not there"):
        await local.load("1.0.0")


async def test_a_copy_does_not_stand_in_for_a_registry_that_is_away(tmp_path: Path) -> None:
    """Which one is meant is not known then."""
    models = StoredModels(MemoryDocuments(a_registry(ONE), faults=Faults(fail_at=1)))
    directory = ModelDirectory(ModelParams(directory=str(tmp_path)))
    directory.keep(whole(ONE))

    with pytest.raises(TransientError):
        await LocalModels(models, directory).load("1.0.0")


async def test_a_directory_that_cannot_be_written_costs_the_copy_only(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file is in the way")
    local, _ = copied(a_registry(ONE), tmp_path, Noted())

    assert await local.load("1.0.0") == whole(ONE)


async def test_the_first_model_of_an_empty_registry_serves() -> None:
    models = KeptModels()
    store = StoredModels(MemoryDocuments(models))

    await adopt(store, ONE)

    registry_state, history = await store.registry_state(), await store.history()
    assert (registry_state.champion, registry_state.stages) == ("1.0.0", {"1.0.0": "production"})
    assert [event.kind for event in history] == ["registered", "staged", "promoted"]
    assert [after for _, after, _ in replayed_registry(history)][-1] == registry_state
    assert await store.load("1.0.0") == whole(ONE)


async def test_a_registry_with_models_adopts_none() -> None:
    models = KeptModels()
    store = StoredModels(MemoryDocuments(models))
    await adopt(store, ONE)

    await adopt(store, Artifact("2.0.0", "other", {}))

    assert (await store.registry_state()).stages == {"1.0.0": "production"}
    assert models.texts.keys() == {"1.0.0"}


class Racing(StoredModels):
    """Both look at the registry before one of them changes it."""

    async def registry_state(self) -> RegistryState:
        found = await super().registry_state()
        await asyncio.sleep(0)
        return found


@pytest.mark.parametrize("first", [0, 1])
async def test_of_two_that_start_at_once_one_adopts(first: int) -> None:
    models = KeptModels()
    stores = [Racing(MemoryDocuments(models)), Racing(MemoryDocuments(models))]

    async with asyncio.TaskGroup() as tasks:
        for store in (stores[first], stores[1 - first]):
            tasks.create_task(adopt(store, ONE))

    history = await stores[0].history()
    assert [event.kind for event in history] == ["registered", "staged", "promoted"]
    assert (await stores[0].registry_state()).number == 3


@pytest.mark.parametrize(
    ("bad", "expected"),
    [((), "1.3.0"), (("1.3.0",), "1.2.0"), (("1.3.0", "1.2.0"), "1.1.0"), (ALL, None)],
)
async def test_a_new_machine_begins_with_the_newest_that_served_and_can_serve(
    bad: tuple[str, ...], expected: str | None
) -> None:
    """One has other golden rows, the next one ends the process that loads it, one is damaged."""
    models = KeptModels()
    for number in range(4):
        serve(models, artifact(f"1.{number}.0", number))
    explainer = Dying()
    if "1.3.0" in bad:
        put(models, replace(artifact("1.3.0", 3), text=artifact("1.2.0", 2).text))
    if "1.2.0" in bad:
        explainer.kills.add("1.2.0")
    if "1.1.0" in bad:
        models.texts["1.1.0"] = b"tree"
    if "1.0.0" in bad:
        del models.manifests["1.0.0"]

    found = await usable_champion(StoredModels(MemoryDocuments(models)), explainer, NAMES)

    assert (found and found.version) == expected


async def test_an_empty_registry_has_nothing_to_begin_with() -> None:
    assert (
        await usable_champion(StoredModels(MemoryDocuments(KeptModels())), Dying(), NAMES) is None
    )


class Dying(InProcessExplainer):
    """Does not survive some versions."""

    def __init__(self) -> None:
        super().__init__(serving(), Faults())
        self.kills: set[str] = set()

    async def warm(self, version: str) -> str:
        if version in self.kills:
            raise ModelError(version, "a process that loads it is lost")
        return await super().warm(version)
