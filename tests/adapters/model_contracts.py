"""What every model store must do; `test_models.py` runs it on the real one and on its twin."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace

import pytest

from sentinel.core.registry.transitions import approved, promoted, registered, shadowed, staged
from sentinel.errors import FencedError, ModelError
from sentinel.ports import ModelStore
from sentinel.stored.versions import Artifact, ModelEvent, RegistryState


@dataclass(frozen=True)
class Registry:
    """Stores on the same data, and a hand that damages what they keep.

    Attributes
    ----------
    put
        Writes bytes in the place of an "artifact" or a "manifest"; None removes it.
    """

    open: Callable[[], AbstractAsyncContextManager[ModelStore]]
    put: Callable[[str, str, bytes | None], Awaitable[None]]


TEXT = "tree é\nleaf_value=0.1 -2e-05\n"
MANIFEST = {"features": ["amount"], "metrics": {"auc": 0.9}, "usual": {"low": [None, 1.5]}}
ARTIFACT = Artifact("1.0.0", TEXT, MANIFEST)
TEXT_SHA256 = "78634fa96e93f859ce8cbbbbc1651182cef0bd09ced2a2c2c095e8436161a4fe"


def on_registry_state(
    before: RegistryState, *versions: str
) -> tuple[RegistryState, list[ModelEvent]]:
    """Versions registered and staged, and the events of that."""
    events = []
    for version in versions:
        for change in (registered, staged):
            before, event = change(before, version, who="é \n", why="better", at_ms=7)
            events.append(event)
    return before, events


async def a_version_comes_back_whole_with_its_checksum(registry: Registry) -> None:
    async with registry.open() as store:
        await store.add(ARTIFACT)
        await store.add(replace(ARTIFACT, version="1.0.1", manifest={"version": "9.9.9"}))

    async with registry.open() as store:
        found = await store.load("1.0.0")
        assert (found.version, found.text) == ("1.0.0", TEXT)
        assert found.manifest == {**MANIFEST, "version": "1.0.0", "sha256": TEXT_SHA256}
        manifests = await store.manifests(["1.0.1", "0.0.1", "1.0.0"])
        assert manifests.keys() == {"1.0.0", "1.0.1"}
        assert manifests["1.0.0"] == found.manifest
        assert manifests["1.0.1"]["version"] == "1.0.1"
        assert await store.manifests([]) == {}


async def an_unknown_version_is_a_model_error(registry: Registry) -> None:
    async with registry.open() as store:
        for version in ("2.0.0", "no version"):
            with pytest.raises(ModelError, match=f"model {version}: is not there"):
                await store.load(version)
        with pytest.raises(ModelError, match="is not a version"):
            await store.add(replace(ARTIFACT, version="new"))


async def a_version_is_kept_once_and_never_changed(registry: Registry) -> None:
    async with registry.open() as store, registry.open() as another:
        await store.add(ARTIFACT)
        await another.add(ARTIFACT)
        await another.add(await store.load("1.0.0"))

        with pytest.raises(ModelError, match="another text"):
            await another.add(replace(ARTIFACT, text=TEXT + "x"))
        with pytest.raises(ModelError, match="another manifest"):
            await another.add(replace(ARTIFACT, manifest={**MANIFEST, "metrics": {"auc": 0.91}}))

        found = await store.load("1.0.0")
        assert (found.text, found.manifest["metrics"]) == (TEXT, {"auc": 0.9})


async def a_registry_state_outlives_its_store(registry: Registry) -> None:
    after, events = on_registry_state(RegistryState(), "1.0.0", "1.0.1")
    async with registry.open() as store:
        assert await store.registry_state() == RegistryState()
        assert await store.history() == []
        await store.change(RegistryState(), after, events)

    async with registry.open() as store:
        assert await store.registry_state() == after
        assert await store.history() == events


async def every_part_of_a_registry_state_is_kept(registry: Registry) -> None:
    """Also as what a change starts from: a store that reads it otherwise refuses every change."""
    registry_state, events = on_registry_state(RegistryState(), "1.0.0", "1.0.1", "1.0.2")
    for version in ("1.0.0", "1.0.1"):
        registry_state, said = approved(
            registry_state, version, who="ann", why="", at_ms=1_700_000_000_000
        )
        registry_state, done = promoted(
            registry_state, version, who="ann", why="", at_ms=8, approval_needed=True
        )
        events += [said, done]
    after, last = shadowed(registry_state, "1.0.2", who="ann", why="", at_ms=0)
    assert after.before
    assert after.approvals.keys() == {"1.0.0", "1.0.1"}
    assert (after.champion, after.challenger, after.shadow) == ("1.0.1", "1.0.2", "1.0.2")
    async with registry.open() as store:
        await store.change(RegistryState(), registry_state, events)
        await store.change(await store.registry_state(), after, [last])

        assert await store.registry_state() == after
        assert await store.history() == [*events, last]


async def only_who_knows_the_registry_state_may_change_it(registry: Registry) -> None:
    """Nothing of a refused change is there afterwards."""
    first, events = on_registry_state(RegistryState(), "1.0.0")
    ours, our_events = on_registry_state(first, "1.1.0")
    theirs, their_events = on_registry_state(first, "1.2.0")
    async with registry.open() as store, registry.open() as another:
        await store.change(RegistryState(), first, events)
        await store.change(first, ours, our_events)

        for before in (first, RegistryState(), theirs, replace(ours, challenger=None)):
            after = replace(theirs, number=9)
            with pytest.raises(FencedError):
                await another.change(before, after, their_events)

        assert await another.registry_state() == ours
        assert await another.history() == [*events, *our_events]


async def of_two_at_once_one_changes_the_registry_state(registry: Registry) -> None:
    changes = [on_registry_state(RegistryState(), f"1.{number}.0") for number in range(8)]
    async with registry.open() as store:
        outcomes = await asyncio.gather(
            *(store.change(RegistryState(), *change) for change in changes), return_exceptions=True
        )

        (winner,) = [i for i, outcome in enumerate(outcomes) if outcome is None]
        assert {type(one) for one in outcomes} == {type(None), FencedError}
        assert await store.registry_state() == changes[winner][0]
        assert await store.history() == changes[winner][1]


async def a_long_history_is_read_whole(registry: Registry) -> None:
    _, (event, _) = on_registry_state(RegistryState(), "1.0.0")
    events = [replace(event, number=number) for number in range(1, 3001)]
    async with registry.open() as store:
        await store.change(RegistryState(), RegistryState(number=1000), events[:1000])
        assert await store.history() == events[:1000]
        await store.change(RegistryState(number=1000), RegistryState(number=3000), events[1000:])

        assert await store.history() == events


async def an_update_is_noted_by_who_knows_how_it_stands(registry: Registry) -> None:
    binary = bytes(range(256))
    async with registry.open() as store, registry.open() as another:
        assert await store.update() is None
        with pytest.raises(FencedError):
            await store.note_update(b"", b"lost")
        await store.note_update(None, binary)
        assert await another.update() == binary
        for before in (None, b"", binary[1:]):
            with pytest.raises(FencedError):
                await another.note_update(before, b"lost")
        await another.note_update(binary, b"")

        assert await store.update() == b""
        with pytest.raises(FencedError):
            await store.note_update(None, b"lost")
        await store.note_update(b"", b"done")

    async with registry.open() as store:
        assert await store.update() == b"done"


async def what_an_update_waits_for_is_as_whoever_noted_it_last(registry: Registry) -> None:
    async with registry.open() as store, registry.open() as another:
        assert await store.outlook() is None
        await store.note_outlook(bytes(range(256)))
        await another.note_outlook(b"{}")

        assert await store.outlook() == b"{}"
        assert await store.update() is None, "it is not the update itself"


async def a_model_that_was_changed_is_refused(registry: Registry) -> None:
    whole = TEXT.encode()
    damaged = {
        "manifest's SHA-256": whole.replace(b"0.1", b"0.2"),
        "does not have": whole[:-1],
        "model 1.0.0": b"",
        "text is missing": None,
    }
    async with registry.open() as store:
        await store.add(ARTIFACT)
        for words, data in damaged.items():
            await registry.put("artifact", "1.0.0", data)
            with pytest.raises(ModelError, match=words):
                await store.load("1.0.0")
            with pytest.raises(ModelError, match=words):
                await store.add(ARTIFACT)

        await registry.put("artifact", "1.0.0", whole)
        assert (await store.load("1.0.0")).text == TEXT


async def a_manifest_that_was_changed_is_refused(registry: Registry) -> None:
    damaged = {
        "cannot be read": b'{"version": "1.0.0"',
        "expected an object": b"[]",
        "that of version 1.0.1": b'{"version": "1.0.1", "sha256": "%s"}' % TEXT_SHA256.encode(),
        "SHA-256": b'{"version": "1.0.0"}',
        "manifest is missing": None,
    }
    async with registry.open() as store:
        await store.add(ARTIFACT)
        await store.add(replace(ARTIFACT, version="1.1.0"))
        for words, data in damaged.items():
            await registry.put("manifest", "1.0.0", data)
            with pytest.raises(ModelError, match=words):
                await store.load("1.0.0")

        await registry.put("manifest", "1.0.0", b"{")
        assert (await store.manifests(["1.0.0", "1.1.0"])).keys() == {"1.1.0"}


CONTRACTS = (
    a_version_comes_back_whole_with_its_checksum,
    an_unknown_version_is_a_model_error,
    a_version_is_kept_once_and_never_changed,
    a_model_that_was_changed_is_refused,
    a_manifest_that_was_changed_is_refused,
    a_registry_state_outlives_its_store,
    every_part_of_a_registry_state_is_kept,
    only_who_knows_the_registry_state_may_change_it,
    of_two_at_once_one_changes_the_registry_state,
    a_long_history_is_read_whole,
    an_update_is_noted_by_who_knows_how_it_stands,
    what_an_update_waits_for_is_as_whoever_noted_it_last,
)
