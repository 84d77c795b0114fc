"""One request a connection, of few bytes and little time: what hostile clients cannot hold up.

uvicorn limits neither how long the head of a request is nor how long a connection may take, nor how
many there are.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_BYTES_MAX = 16_384
CONNECTION_S_MAX = 10.0
CONNECTION_COUNT_MAX = 64

_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-length: 0\r\nconnection: close\r\n\r\n"
)


class BoundedProtocol(HttpToolsProtocol):
    """A connection that ends: with its answer, with its time, or when there are too many.

    The newest goes before the oldest: whoever holds connections open keeps nobody out.
    """

    connection_s_max = CONNECTION_S_MAX

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._byte_count = 0
        self._begun_s = self.loop.time()
        self._limit: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        if len(self.connections) >= CONNECTION_COUNT_MAX:
            oldest = min(self.connections, key=_begun_s)
            oldest.transport.abort()
            self.connections.discard(oldest)  # that it is lost is told in another turn of the loop
        super().connection_made(transport)
        self._limit = self.loop.call_later(self.connection_s_max, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._limit is not None:
            self._limit.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        self._byte_count += len(data)
        if self._byte_count > HEAD_BYTES_MAX:
            self.transport.write(_TOO_LARGE)
            self.transport.close()
            return
        super().data_received(data)

    def on_message_begin(self) -> None:
        if self.cycle is not None:
            raise ValueError("one request a connection")  # answered as what is no HTTP
        super().on_message_begin()


def _begun_s(connection: Any) -> float:
    assert isinstance(connection, BoundedProtocol)
    return connection._begun_s
