"""A Redis in an operator's hands: dumped and rolled back, copied, cut off, failed over, evicted."""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import redis.asyncio
from redis.exceptions import RedisError

from sentinel.adapters import embedded
from tests import children
from tests.faults.world import Server

READY_S_MAX = 20.0
SYNC_S_MAX = 20.0


def command(port: int, folder: Path) -> list[str]:
    """`redis-server` where installed, else embedded mode's Valkey; it keeps only what is dumped."""
    binary = shutil.which("redis-server") or embedded._valkey(port, folder)[0]
    return [
        *(binary, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)),
        *("--appendonly", "no", "--save", "", "--repl-diskless-sync-delay", "0"),
        *("--repl-timeout", "60", "--repl-ping-replica-period", "1"),
    ]


class Redis:
    """One server, which keeps its port and its folder when it is started again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._server = Server("redis", command, folder)
        self.port = self._server.port

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.kill()

    async def start(self) -> None:
        await self._server.start()
        async with asyncio.timeout(READY_S_MAX):
            while True:
                with contextlib.suppress(RedisError, OSError):
                    await self.ask("PING")
                    return
                await asyncio.sleep(0.05)

    async def kill(self) -> None:
        await self._server.kill()

    async def ask(self, *words: str | int) -> Any:
        """One command."""
        async with self._client() as client:
            return await client.execute_command(*words)

    @asynccontextmanager
    async def _client(self) -> AsyncIterator[Any]:
        client: Any = redis.asyncio.Redis(host="127.0.0.1", port=self.port)
        try:
            yield client
        finally:
            await client.aclose()

    async def info(self, section: str) -> dict[str, Any]:
        async with self._client() as client:
            found: dict[str, Any] = await client.info(section)
            return found

    async def dump(self, to: Path) -> None:
        """What a nightly backup takes."""
        await self.ask("SAVE")
        await asyncio.to_thread(shutil.copy, self._folder / "dump.rdb", to)

    async def roll_back(self, to: Path) -> None:
        """Killed, and started again with an older dump."""
        await self.kill()
        await asyncio.to_thread(shutil.copy, to, self._folder / "dump.rdb")
        await self.start()

    async def follow(self, host: str, port: int) -> None:
        """Become a replica; of a port where nobody listens: readable, not writable, not emptied."""
        await self.ask("REPLICAOF", host, port)

    async def lead(self) -> None:
        await self.ask("REPLICAOF", "NO", "ONE")

    async def permit(self) -> None:
        """Give back what an administrator took away."""
        await self.ask("ACL", "SETUSER", "default", "+@all")

    async def await_copy_of(self, primary: "Redis") -> None:
        """Until this replica has all that its primary holds now."""
        wanted = (await primary.info("replication"))["master_repl_offset"]
        async with asyncio.timeout(SYNC_S_MAX):
            while True:
                found = await self.info("replication")
                is_up = found.get("master_link_status") == "up"
                if is_up and found.get("slave_repl_offset", 0) >= wanted:
                    return
                await asyncio.sleep(0.05)

    async def crowd_out(self, share: float) -> int:
        """Lower the memory so that about this share of what is stored goes; returns how many keys.

        What evicts is a write, so it happens with whoever writes next: a key of our own does.
        """
        memory = await self.info("memory")
        data = memory["used_memory_dataset"]
        floor = memory["used_memory"] - data
        before = (await self.info("stats"))["evicted_keys"]
        await self.ask("CONFIG", "SET", "maxmemory", int(floor + data * (1.0 - share)))
        with contextlib.suppress(RedisError):
            await self.ask("SET", "somebody-elses", "x", "EX", 1)
        return int((await self.info("stats"))["evicted_keys"] - before)


class Proxy:
    """A TCP proxy that can be pointed elsewhere, as the address of a failed-over primary is."""

    def __init__(self, port: int) -> None:
        self._to = port
        [self.port] = children.free_ports(1)
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._is_open = asyncio.Event()
        self._is_open.set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.cut()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def point_to(self, port: int) -> None:
        """From now on; who is connected is cut off."""
        self._to = port
        self.cut()

    def stall(self) -> None:
        """Pass nothing on, as a link does that is too slow."""
        self._is_open.clear()

    def cut(self) -> None:
        """What was held back is lost."""
        for writer in self._writers:
            writer.transport.abort()
        for task in self._tasks:
            task.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._writers.add(writer)
        with contextlib.suppress(OSError, asyncio.CancelledError):
            back, on = await asyncio.open_connection("127.0.0.1", self._to)
            self._writers.add(on)
            try:
                await asyncio.gather(self._pass(reader, on), self._pass(back, writer))
            finally:
                self._writers -= {on}
                on.transport.abort()
        self._writers -= {writer}
        writer.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            await self._is_open.wait()
            writer.write(data)
            await writer.drain()
        writer.transport.abort()
