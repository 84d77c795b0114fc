"""The proxy before a store passes on, holds back, and is pointed elsewhere."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from tests.children import WAIT_S_MAX
from tests.faults.operators.store import Proxy


class Server:
    """Answers every line with its name, and remembers what it was asked."""

    def __init__(self, name: str) -> None:
        self._name = name.encode() + b"\n"
        self.heard = b""
        self.port = 0
        self._is_cut = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while line := await reader.readline():
                self.heard += line
                writer.write(self._name)
        writer.close()
        self._is_cut.set()

    async def await_cut(self) -> None:
        await asyncio.wait_for(self._is_cut.wait(), WAIT_S_MAX)


@asynccontextmanager
async def serving(name: str) -> AsyncIterator[Server]:
    found = Server(name)
    listener = await asyncio.start_server(found.serve, "127.0.0.1", 0)
    found.port = listener.sockets[0].getsockname()[1]
    async with listener:
        yield found


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self.writer = reader, writer

    async def ask(self, line: bytes) -> bytes:
        """Its answer; empty when the connection was cut."""
        self.writer.write(line)
        with contextlib.suppress(ConnectionError):
            return await asyncio.wait_for(self._reader.readline(), WAIT_S_MAX)
        return b""


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[Client]:
    client = Client(*await asyncio.open_connection("127.0.0.1", port))
    try:
        yield client
    finally:
        client.writer.close()


async def test_who_is_connected_is_cut_off_and_comes_to_another_server() -> None:
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(serving("first"))
        second = await stack.enter_async_context(serving("second"))
        proxy = await stack.enter_async_context(Proxy(first.port))
        before = await stack.enter_async_context(connected(proxy.port))
        assert await before.ask(b"who\n") == b"first\n"

        proxy.point_to(second.port)

        await first.await_cut()
        assert await before.ask(b"who\n") == b""
        after = await stack.enter_async_context(connected(proxy.port))
        assert await after.ask(b"who\n") == b"second\n"


async def test_what_is_held_back_when_it_is_cut_never_arrives() -> None:
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(serving("primary"))
        proxy = await stack.enter_async_context(Proxy(server.port))
        client = await stack.enter_async_context(connected(proxy.port))
        assert await client.ask(b"a\n") == b"primary\n"

        proxy.stall()
        client.writer.write(b"b\n")
        await client.writer.drain()
        proxy.cut()

        await server.await_cut()
        assert await client.ask(b"c\n") == b""
        assert server.heard == b"a\n"
