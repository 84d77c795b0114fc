"""The listener over real sockets: what it answers, and what hostile clients cannot do to it."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import NamedTuple

import pytest
import uvloop

from sentinel.adapters.http import HttpParams, PageAnswer
from sentinel.adapters.http import listener as listener_module
from sentinel.adapters.http.listener import Listener
from sentinel.adapters.http.protocol import (
    CONNECTION_COUNT_MAX,
    HEAD_BYTES_MAX,
    BoundedProtocol,
)
from tests.children import WAIT_S_MAX

LARGE = b"x" * 20_000_000  # more than the sockets of both sides take


class Asked(NamedTuple):
    status: int
    head: str
    body: bytes


@asynccontextmanager
async def listening(bind: str = ":0") -> AsyncIterator[tuple[Listener, int]]:
    """A listener with a few pages, and its port."""
    bound: asyncio.Queue[str] = asyncio.Queue()
    pages = {
        "/ok": lambda: PageAnswer(b"fine\n", "text/plain"),
        "/not": lambda: PageAnswer(b"{}", "application/json", 503),
        "/large": lambda: PageAnswer(LARGE, "text/plain"),
        "/fails": failing,
    }
    listener = Listener(HttpParams(bind), pages, bound.put_nowait)
    task = asyncio.create_task(listener.run())
    try:
        async with asyncio.timeout(WAIT_S_MAX):
            address = await bound.get()
        yield listener, int(address.rsplit(":", 1)[1])
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def failing() -> PageAnswer:
    raise KeyError("4929123456789012")


async def ask(port: int, path: str = "/ok", *, raw: bytes | None = None) -> Asked:
    """One request, and all that comes until the end."""
    async with asyncio.timeout(WAIT_S_MAX):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(raw if raw is not None else f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        try:
            data = await reader.read()
        except ConnectionError:
            data = b""
        writer.close()
    head, _, body = data.partition(b"\r\n\r\n")
    words = head.decode("latin-1")
    return Asked(int(words.split()[1]) if words else 0, words, body)


async def until_ended(reader: asyncio.StreamReader) -> None:
    """Read what there is, until the other side has gone."""
    try:
        async with asyncio.timeout(WAIT_S_MAX):
            while await reader.read(65_536):
                pass
    except ConnectionError:
        pass


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_S_MAX):
        while not is_so():  # noqa: ASYNC110 - no event
            await asyncio.sleep(0.005)


@contextmanager
def taken_port() -> Iterator[tuple[socket.socket, int]]:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other, other.getsockname()[1]


# --- answers ------------------------------------------------------------------------------------


async def test_pages_are_read_and_nothing_else_is_there() -> None:
    async with listening() as (listener, port):
        assert listener.trouble == ""
        fine = await ask(port)
        assert (fine.status, fine.body) == (200, b"fine\n")
        assert (await ask(port, "/not")).status == 503
        for path in ("/", "/ok/", "/OK", "//ok", "/../ok", "/ok%00", "/favicon.ico"):
            assert (await ask(port, path)).status == 404, path
        assert (await ask(port, "/%6fk?a=1")).status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
async def test_nothing_can_be_changed(method: str) -> None:
    async with listening() as (_, port):
        raw = f"{method} /ok HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc".encode()
        assert (await ask(port, raw=raw)).status == 405


async def test_a_page_that_fails_says_nothing_of_it() -> None:
    async with listening() as (_, port):
        asked = await ask(port, "/fails")
        assert asked.status == 500
        assert b"4929" not in asked.body
        assert (await ask(port)).status == 200


async def test_an_answer_says_what_it_is_and_nothing_of_the_server() -> None:
    async with listening() as (_, port):
        names = {line.split(":")[0] for line in (await ask(port)).head.splitlines()[1:]}
        assert names == {"connection", "cache-control", "content-length", "content-type"}


@pytest.mark.parametrize("bind", ["[::1]:0", "localhost:0", "127.0.0.1:0"])
async def test_it_listens_where_it_is_told(bind: str) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("there is no IPv6 here")
    async with listening(bind) as (_, port):
        host = bind.rsplit(":", 1)[0].strip("[]")
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(b"GET /ok HTTP/1.0\r\n\r\n")
        assert (await reader.read()).endswith(b"fine\n")
        writer.close()


# --- hostile ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "raw",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS
        b"GET\r\n\r\n",
        b"GET /ok HTTP/9.9\r\n\r\n",
        b"GET \xff\xfe HTTP/1.1\r\n\r\n",
        b"GET http:// HTTP/1.1\r\n\r\n",
        b"CONNECT * HTTP/1.1\r\n\r\n",
        b"GET /ok HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET /ok HTTP/1.1\r\nA\x00B: c\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
async def test_what_is_no_request_is_refused_and_not_told_to_the_log(
    raw: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with listening() as (_, port):
        assert (await ask(port, raw=raw)).status in (0, 400, 404, 405)
        assert (await ask(port)).status == 200
    assert caplog.text == ""


async def test_a_head_of_any_length_takes_no_memory() -> None:
    async with listening() as (_, port):
        small = b"GET /ok HTTP/1.1\r\n" + b"a: b\r\n" * 1_000 + b"\r\n"
        assert (await ask(port, raw=small)).status == 200
        raw = b"GET /ok HTTP/1.1\r\n" + b"a: " + b"b" * HEAD_BYTES_MAX
        assert (await ask(port, raw=raw)).status in (0, 431)
        raw = b"GET /" + b"a" * 10_000_000
        assert (await ask(port, raw=raw)).status in (0, 431)
        assert (await ask(port)).status == 200


async def test_a_body_of_any_length_is_not_read() -> None:
    async with listening() as (_, port):
        raw = b"GET /ok HTTP/1.1\r\nContent-Length: 1000000000\r\n\r\n" + b"x" * 10_000_000
        assert (await ask(port, raw=raw)).status in (0, 200, 431)
        assert (await ask(port)).status == 200


async def test_a_connection_has_one_request() -> None:
    async with listening() as (_, port):
        asked = await ask(port, raw=b"GET /ok HTTP/1.1\r\nHost: a\r\n\r\n" * 100)
        assert asked.status in (200, 400)
        assert asked.body.count(b"fine") <= 1


@pytest.mark.parametrize(
    "sent", [b"", b"GET /ok HTTP/1.1\r\nHost:", b"GET /large HTTP/1.1\r\n\r\n"]
)
async def test_who_says_nothing_or_never_reads_is_left(
    sent: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bytes of an answer that nobody takes wait in memory; not for long."""
    monkeypatch.setattr(BoundedProtocol, "connection_s_max", 0.2)
    async with listening() as (listener, port):
        loop = asyncio.get_running_loop()
        with socket.socket() as client:
            client.setblocking(False)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            await loop.sock_connect(client, ("127.0.0.1", port))
            await loop.sock_sendall(client, sent)
            await until(lambda: listener.connection_count == 1)
            await until(lambda: listener.connection_count == 0)  # though nobody has read
        assert (await ask(port)).status == 200


async def test_who_holds_connections_open_keeps_nobody_out() -> None:
    async with listening() as (_, port):
        held = [
            await asyncio.open_connection("127.0.0.1", port) for _ in range(CONNECTION_COUNT_MAX)
        ]
        held += [await asyncio.open_connection("127.0.0.1", port) for _ in range(10)]

        assert (await ask(port)).status == 200

        for reader, _ in held[:10]:  # the oldest went
            await until_ended(reader)
        _, newest = held[-1]
        newest.write(b"GET /ok HTTP/1.1\r\n\r\n")
        assert (await held[-1][0].read()).endswith(b"fine\n")
        for _, writer in held:
            writer.close()


async def test_many_who_ask_at_once_are_all_answered() -> None:
    async with listening() as (_, port):
        for _ in range(10):
            asked = await asyncio.gather(*(ask(port) for _ in range(CONNECTION_COUNT_MAX // 2)))
            assert {one.status for one in asked} == {200}


@pytest.mark.parametrize("sent", [b"", b"GET /large HTTP/1.1\r\n\r\n"])
def test_all_of_it_holds_on_uvloop(sent: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(test_who_holds_connections_open_keeps_nobody_out())
        runner.run(test_a_head_of_any_length_takes_no_memory())
        runner.run(test_a_body_of_any_length_is_not_read())
        runner.run(test_a_connection_has_one_request())
        runner.run(test_at_its_end_the_port_is_free_and_nobody_is_waited_for())
        runner.run(test_who_says_nothing_or_never_reads_is_left(sent, monkeypatch))


# --- begin and end ------------------------------------------------------------------------------


async def test_a_port_that_is_taken_is_said_once_and_tried_again(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener_module, "_BACKOFF_S_MIN", 0.01)
    monkeypatch.setattr(listener_module, "_BACKOFF_S_MAX", 0.02)
    bound: asyncio.Queue[str] = asyncio.Queue()
    with taken_port() as (_, port):
        pages = {"/ok": lambda: PageAnswer(b"fine\n", "text/plain")}
        listener = Listener(HttpParams(f"127.0.0.1:{port}"), pages, bound.put_nowait)
        task = asyncio.create_task(listener.run())
        await asyncio.sleep(0.2)
        assert listener.trouble == (f"no listener at 127.0.0.1:{port} ([http] bind): it is taken")
        assert len(caplog.records) == 1
    async with asyncio.timeout(WAIT_S_MAX):
        assert await bound.get() == f"127.0.0.1:{port}"
    assert listener.trouble == ""
    assert (await ask(port)).status == 200
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("bind", ["192.0.2.1:8600", "no.such.host.invalid:8600"])
async def test_an_address_that_is_none_of_ours_is_a_trouble(bind: str) -> None:
    listener = Listener(HttpParams(bind), {}, lambda _: None)
    task = asyncio.create_task(listener.run())
    await until(lambda: listener.trouble != "")
    assert listener.trouble.startswith(f"no listener at {bind} ([http] bind): ")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_at_its_end_the_port_is_free_and_nobody_is_waited_for() -> None:
    async with listening() as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /large HTTP/1.1\r\n\r\n")  # and is not read
        await reader.read(10)
    await until_ended(reader)
    writer.close()
    async with listening(f"127.0.0.1:{port}") as (_, again):
        assert again == port


@pytest.mark.parametrize(
    "bind", ["8600", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "::1:8600", "a b:1", "x" * 999]
)
def test_an_address_that_is_none_is_refused(bind: str) -> None:
    with pytest.raises(ValueError, match='bind must be "HOST:PORT"'):
        HttpParams(bind)


def test_without_a_host_it_is_this_machine_alone() -> None:
    assert HttpParams(":0").address() == ("127.0.0.1", 0)
    assert HttpParams("[::1]:8600").address() == ("::1", 8600)
