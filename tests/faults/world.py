"""Servers and instances that can be struck: processes of their own, on ports that stay."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Self

import redis.asyncio
from redis.exceptions import RedisError

from sentinel.adapters import embedded
from tests import children
from tests.kafka.cluster import KafkaCluster

READY_S_MAX = 120.0


class Server:
    """One server of embedded mode, which keeps its port and folder when it is started again."""

    def __init__(self, name: str, command: embedded.CommandLine, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        [self.port] = children.free_ports(1)
        self._command = command(self.port, folder)
        self._log = folder / f"{name}.log"
        self._folder = folder
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def start(self) -> None:
        self.process = children.start(self._command, self._log, self._folder)
        async with asyncio.timeout(READY_S_MAX):
            while not await children.connects(self.port):  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.02)

    def send(self, what: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(what)

    async def kill(self) -> None:
        process, self.process = self.process, None
        if process is not None:
            process.kill()
            await children.exit_of(process)


class Servers:
    """A broker and a store. `broker` is "tansu", "kafka" or, with three brokers, "kafka3"."""

    def __init__(self, broker: str, folder: Path) -> None:
        self._folder = folder
        self.store = Server("valkey", embedded._valkey, folder / "valkey")
        self.tansu = Server("tansu", embedded._tansu, folder / "tansu")
        self.kafka: KafkaCluster | None = None
        if broker != "tansu":
            settings = {"log.retention.ms": "-1"}  # what is played happened years ago
            count = 3 if broker == "kafka3" else 1
            self.kafka = KafkaCluster(folder / "kafka", count, settings=settings)
        self._resources = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self.store.kill)
            await self.store.start()
            if self.kafka is None:
                stack.push_async_callback(self.tansu.kill)
                await self.tansu.start()
            else:
                await stack.enter_async_context(self.kafka)
            self._resources = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._resources.aclose()

    @property
    def bootstrap_servers(self) -> str:
        return self.tansu.address if self.kafka is None else self.kafka.bootstrap_servers

    @property
    def redis_url(self) -> str:
        return f"redis://{self.store.address}"

    async def blobs(self, prefix: str) -> dict[str, bytes]:
        """All entity state under a prefix, by a name without the prefix."""
        found: dict[str, bytes] = {}
        client: Any = redis.asyncio.Redis.from_url(self.redis_url)
        try:
            async for key in client.scan_iter(match=f"{prefix}:s:*", count=5_000):
                name = key.decode().split(":", 3)[3]
                if ":account:" in key.decode():
                    found[name] = await client.get(key)
                else:
                    parts = await client.hgetall(key)
                    found |= {f"{name}/{part.decode()}": blob for part, blob in parts.items()}
        finally:
            await client.aclose()
        return found

    async def set_memory_max(self, byte_count: int) -> None:
        client = redis.asyncio.Redis.from_url(self.redis_url)
        try:
            await client.config_set("maxmemory", byte_count)
        finally:
            await client.aclose()

    async def await_store(self) -> None:
        """Until it has read its file and answers."""
        client = redis.asyncio.Redis.from_url(self.redis_url)
        try:
            async with asyncio.timeout(READY_S_MAX):
                while True:
                    try:
                        await client.ping()
                    except (RedisError, OSError):
                        await asyncio.sleep(0.05)
                    else:
                        return
        finally:
            await client.aclose()


class Instance:
    """One `sentinel run` after another, or another command, in a folder of its own."""

    def __init__(
        self,
        folder: Path,
        config: Path,
        environment: Mapping[str, str],
        command: Sequence[str] = ("run", "--no-stream", "--plain"),
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._command = [sys.executable, "-m", "sentinel", *command, "--config", str(config)]
        self._environment = {**os.environ, **environment}
        self._log = folder / "output.txt"
        self._read_from = 0
        self.process: subprocess.Popen[bytes] | None = None
        self.exit_codes: list[int] = []

    def start(self) -> None:
        assert not self.is_running
        self._read_from = self._log.stat().st_size if self._log.exists() else 0
        self.process = children.start(self._command, self._log, self.folder, self._environment)

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def output(self, *, since_start: bool = True) -> str:
        with self._log.open("rb") as file:
            file.seek(self._read_from if since_start else 0)
            return file.read().decode(errors="replace")

    @property
    def is_live(self) -> bool:
        """Whether it has come to own a partition since it was started."""
        return "live from" in self.output()

    async def await_live(self, timeout_s: float = 240.0) -> None:
        async with asyncio.timeout(timeout_s):
            while not self.is_live:
                assert self.is_running, self.output()[-4000:]
                await asyncio.sleep(0.05)

    def send(self, what: signal.Signals) -> None:
        """To the instance alone; its explaining process notices by itself."""
        assert self.process is not None
        self.process.send_signal(what)

    async def kill(self) -> None:
        """The whole session, as when a machine dies."""
        if self.process is not None:
            if self.process.poll() is None:
                os.killpg(self.process.pid, signal.SIGKILL)
            await children.exit_of(self.process)
            self.process = None

    async def terminate(self, timeout_s: float = 120.0) -> int:
        """Stop it in order; returns its exit code."""
        assert self.process is not None
        process = self.process
        process.terminate()
        await children.exit_of(process, timeout_s)
        await self.kill()  # what may be left of its session
        self.exit_codes.append(process.returncode)
        return int(process.returncode)
