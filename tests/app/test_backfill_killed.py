"""`sentinel backfill` killed half-way, on a real store: no start takes it, and a second one mends.

The command runs in a process of its own, which kills itself where the test says.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sentinel.adapters.kafka import KafkaBroker, KafkaParams
from sentinel.adapters.redis import RedisParams, RedisStateStore, connect
from sentinel.config import load
from sentinel.core.features.state import layout_of
from sentinel.core.topics import TopicSpec
from sentinel.engine.store.history import StoredHistory, noted_history
from tests.app import small
from tests.children import WAIT_S_MAX
from tests.cli.folder import Folder

pytestmark = pytest.mark.integration

CHILD = """
import os, signal, sys
from sentinel.adapters.redis import state
from sentinel.cli import app
from sentinel.operations.data import backfill, pending_labels

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

async def die_waiting(*_, **__):
    die()

def after(count, function):
    async def counted(*args, **kwargs):
        nonlocal count
        if count == 0:
            die()
        count -= 1
        return await function(*args, **kwargs)
    return counted

at = sys.argv.pop(1)
backfill._ROWS_A_SAVE = 7
if at == "noted":
    backfill._save = die_waiting
elif at == "saving":
    save = backfill._save
    backfill._save = lambda state, store, place, _: save(state, store, place, die)
elif at == "second partition":
    backfill._save = after(1, backfill._save)
elif at == "told":
    pending_labels.tell_or_keep = die_waiting
elif at == "almost whole":
    backfill.note_history = after(1, backfill.note_history)
elif at == "clearing":
    state.unlink_all = after(1, state.unlink_all)
app()
"""


@pytest.fixture(scope="module")
def undisturbed(
    tmp_path_factory: pytest.TempPathFactory, kafka_params: KafkaParams, redis_params: RedisParams
) -> Iterator[Folder]:
    """Where a backfill was left alone; the histories of all lie there."""
    path = tmp_path_factory.mktemp("backfill")
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(path)
        small.config_file(path)
        small.add_model(path)
        rows = [json.loads(value) | {"is_fraud": fraud} for value, fraud in small.flat()][:600]
        for name, part in (("history", rows), ("other", rows[:300])):
            Path(f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in part))
        found = Folder(kafka_params, redis_params)
        asyncio.run(_make_topics(found))
        assert "the entities of history.jsonl are stored" in found.said("backfill", "history.jsonl")
        yield found


@pytest.fixture
def folder(undisturbed: Folder) -> Folder:
    """Another one, with a store and topics of its own."""
    found = replace(undisturbed, name=uuid.uuid4().hex)
    asyncio.run(_make_topics(found))
    return found


async def _make_topics(folder: Folder) -> None:
    async with KafkaBroker(folder.kafka) as broker:
        await broker.ensure_topics([TopicSpec(f"{folder.name}-transactions", 2)])


def killed(folder: Folder, at: str) -> None:
    """Run a backfill that ends there."""
    command = [sys.executable, "-c", CHILD, at, "backfill", "history.jsonl", "-c", "small.toml"]
    child = subprocess.run(
        command, env=os.environ | folder.environment, capture_output=True, timeout=WAIT_S_MAX
    )
    assert child.returncode == -signal.SIGKILL, child.stderr.decode()


def stored(folder: Folder) -> dict[bytes, object]:
    """What is kept of entities, by key, and the note of the history."""

    async def main() -> dict[bytes, object]:
        params = replace(folder.redis, key_prefix=folder.name)
        config = load(Path("small.toml"), {})
        layout = layout_of(config.entities, config.features)
        found: dict[bytes, object] = {}
        async with RedisStateStore(params, layout=layout) as store:
            found[b"note"] = await noted_history(store)
        async with connect(params, db=0) as client:
            async for key in client.scan_iter(match=f"{folder.name}:s:*"):
                kind = await client.type(key)
                read = client.get if kind == b"string" else client.hgetall
                found[key.removeprefix(folder.name.encode())] = await read(key)
        return found

    return asyncio.run(main())


@pytest.mark.parametrize("at", ["noted", "saving", "told", "almost whole"])
def test_a_backfill_that_was_killed_is_not_whole_and_mended_by_another(
    folder: Folder, undisturbed: Folder, at: str
) -> None:
    killed(folder, at)

    note = stored(folder)[b"note"]
    folder.said("backfill", "history.jsonl")

    assert isinstance(note, StoredHistory)
    assert not note.is_whole, "no instance starts with it"
    assert len(stored(folder)) > 100
    assert stored(folder) == stored(undisturbed)
    # Repeated, a label says the same.
    assert {record.value for record in folder.published("feedback")} == {
        record.value for record in undisturbed.published("feedback")
    }


def test_an_earlier_history_that_was_half_cleared_is_not_taken_for_whole(
    folder: Folder, undisturbed: Folder
) -> None:
    folder.said("backfill", "other.jsonl")
    killed(folder, "clearing")

    note = stored(folder)[b"note"]
    folder.said("backfill", "history.jsonl")

    assert isinstance(note, StoredHistory)
    assert (note.source, note.is_whole) == ("other.jsonl", False)
    assert stored(folder) == stored(undisturbed), "nothing of the earlier one is left"


def test_what_is_half_stored_is_refused_at_the_start_and_can_be_forgotten(folder: Folder) -> None:
    killed(folder, "second partition")

    refused = folder.refusal("run", "--exit-when-idle", "1")
    folder.said("state", "reset", "--yes")

    assert refused == (
        "the history of history.jsonl is in the store in part: store it again with "
        "`sentinel backfill`, or forget it with `sentinel state reset`"
    )
    assert stored(folder) == {b"note": None}
