"""A real server that is stopped and comes back with an older dump, under those who use it."""

import shutil
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from sentinel.adapters.memory import MemoryBroker, MemoryCluster
from sentinel.adapters.redis import RedisParams, connect
from sentinel.core.registry.transitions import promoted
from sentinel.engine.audit import AuditLog
from sentinel.engine.registry.registrar import Registrar
from sentinel.engine.registry.remembered import RegistryMemory, RememberedRegistry
from sentinel.errors import FencedError
from sentinel.operations.stores import open_cases, open_models, open_savepoints
from sentinel.ports import ModelStore
from sentinel.stored.versions import Artifact
from sentinel.stored.votes import CaseBatch, FeedbackProgress
from tests import children
from tests.adapters.conftest import await_server
from tests.adapters.contracts import CASE
from tests.adapters.model_contracts import ARTIFACT, on_registry_state
from tests.adapters.savepoint_contracts import a_savepoint, written

pytestmark = pytest.mark.integration


@dataclass
class Server:
    """Redis in a folder of its own, with its dump there."""

    folder: Path
    port: int = field(default_factory=lambda: children.free_ports(1)[0])
    _process: "subprocess.Popen[bytes] | None" = None

    @property
    def params(self) -> RedisParams:
        url = f"redis://127.0.0.1:{self.port}"
        return RedisParams(url, key_prefix="restored", request_timeout_s=30.0)

    async def start(self) -> None:
        binary = shutil.which("redis-server")
        assert binary is not None
        command = [binary, "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        command += ["--dir", str(self.folder), "--dbfilename", "dump.rdb"]
        self._process = children.start(command, self.folder / "redis.log", self.folder)
        await await_server(self.port)

    async def stop(self) -> None:
        assert self._process is not None
        self._process.kill()
        await children.exit_of(self._process)

    async def save(self) -> None:
        async with connect(self.params, db=0) as client:
            await client.save()

    async def come_back(self) -> None:
        """With what was saved last."""
        await self.stop()
        await self.start()


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed")
    server = Server(tmp_path)
    await server.start()
    yield server
    await server.stop()


SECOND = replace(ARTIFACT, version="1.1.0")


async def promote(store: ModelStore, one: Artifact) -> None:
    before = await store.registry_state()
    after, events = on_registry_state(before, one.version)
    after, event = promoted(after, one.version, who="ann", why="", at_ms=1, approval_needed=False)
    await store.add(one)
    await store.change(before, after, [*events, event])


async def test_a_registry_is_put_back_on_a_server_that_came_back_with_an_older_dump(
    server: Server,
) -> None:
    cluster = MemoryCluster()
    cluster.create_topic("audit", 1)
    broker = MemoryBroker(cluster)
    async with open_models(server.params) as store, open_models(server.params) as other:
        teller = Registrar(
            store,
            broker,
            update_topic="model-updates",
            audit=AuditLog(broker, "audit"),
            who="run",
            clock_ms=lambda: 7,
        )
        kept: dict[str, Artifact] = {}

        async def copy(version: str) -> Artifact | None:
            return kept.get(version)

        remembered = RememberedRegistry(RegistryMemory(), store, teller, copy)
        await promote(store, ARTIFACT)
        await server.save()
        await promote(store, SECOND)
        seen, history = await remembered.look(), await store.history()
        kept["1.1.0"] = await store.load("1.1.0")
        await server.come_back()

        assert (await other.registry_state()).champion == "1.0.0"
        assert await other.manifests(["1.1.0"]) == {}
        assert await remembered.look() == seen
        assert await other.registry_state() == seen
        assert await other.history() == history
        assert await other.load("1.1.0") == kept["1.1.0"]
        assert remembered.trouble == ""
    assert len(cluster.records("audit")) == 1


async def test_whoever_saved_before_is_fenced_off_by_a_server_that_came_back_with_an_older_dump(
    server: Server,
) -> None:
    first, second = (FeedbackProgress("log", number) for number in (1, 2))
    one, two, three = (a_savepoint(number) for number in (1, 2, 3))
    async with (
        open_cases(server.params) as cases,
        open_models(server.params) as models,
        open_savepoints(server.params) as savepoints,
    ):
        await cases.save(None, CaseBatch(first, {"t:1": CASE}))
        await models.note_update(None, b"1")
        await written(savepoints, one)
        await savepoints.keep(None, one)
        await server.save()
        await cases.save(first, CaseBatch(second, {"t:2": CASE}))
        await models.note_update(b"1", b"2")
        await written(savepoints, two)
        await savepoints.keep(one, two)
        await server.come_back()

        with pytest.raises(FencedError):
            await cases.save(second, CaseBatch(FeedbackProgress("log", 3)))
        with pytest.raises(FencedError):
            await models.note_update(b"2", b"3")
        await written(savepoints, three)
        with pytest.raises(FencedError):
            await savepoints.keep(two, three)

        assert await cases.progress() == first
        assert (await cases.cases(["t:1", "t:2"])).keys() == {"t:1"}
        assert await models.update() == b"1"
        assert await savepoints.savepoint() == one
        assert [await savepoints.piece(one, number) for number in (0, 1)] == [b"one", b""]
