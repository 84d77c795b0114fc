"""As much of Kafka's protocol as a load generator needs: produce ready batches, read batch headers.

A client library spends more on a record than the generator may on a machine of two cores. Records
are packed by the library's compiled builder; a read looks at nothing but the head of each batch.
"""

import asyncio
import struct
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

PRODUCE, FETCH = 0, 1
# The oldest versions that brokers of 4.x still speak; Tansu speaks them, too.
PRODUCE_VERSION, FETCH_VERSION = 3, 4
ANSWER_S_MAX = 30.0
FETCH_BYTES_MAX = 4 << 20

_SIZE = struct.Struct(">i")
_HEADER = struct.Struct(">hhi")
_BATCH_HEAD = struct.Struct(">qiibIhiqq")  # up to the newest timestamp
_BATCH_FRAME = 12  # offset and length stand before what the length counts
_LOG_APPEND_TIME = 0x08


class BatchHead(NamedTuple):
    """What the head of a record batch says."""

    first_offset: int
    last_offset: int
    timestamp_ms: int  # the newest of its records
    is_append_time: bool  # the broker's clock, not the producer's


class Connection(asyncio.Protocol):
    """One connection to one broker. Requests are answered in their order."""

    def __init__(self) -> None:
        self._transport: Any = None  # uvloop's are none of asyncio's classes
        self._buffer = bytearray()
        self._waiting: deque[asyncio.Future[bytes]] = deque()
        self._correlation = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_exception(ConnectionError(f"the broker has hung up: {exc}"))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        begin = 0
        while len(self._buffer) - begin >= _SIZE.size:
            (size,) = _SIZE.unpack_from(self._buffer, begin)
            end = begin + _SIZE.size + size
            if len(self._buffer) < end:
                break
            future = self._waiting.popleft()
            if not future.done():
                future.set_result(bytes(self._buffer[begin + 2 * _SIZE.size : end]))
            begin = end
        del self._buffer[:begin]

    def send(self, api: int, version: int, body: bytes) -> "asyncio.Future[bytes]":
        """Write a request; the future brings the answer behind its header."""
        assert self._transport is not None
        self._correlation += 1
        head = _HEADER.pack(api, version, self._correlation) + _text("benchmark")
        self._transport.write(_SIZE.pack(len(head) + len(body)) + head + body)
        future = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        return future

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


async def connect(address: str) -> Connection:
    """Open a connection to "host:port"."""
    host, port = address.rsplit(":", 1)
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(ANSWER_S_MAX):
        _, connection = await loop.create_connection(Connection, host, int(port))
    return connection


def produce_request(topic: str, batches: Mapping[int, bytes]) -> bytes:
    """The body that appends one batch to each of some partitions, acknowledged by all replicas."""
    body = [struct.pack(">hhii", -1, -1, int(ANSWER_S_MAX * 1000), 1), _text(topic)]
    body.append(_SIZE.pack(len(batches)))
    for partition, batch in batches.items():
        body += [struct.pack(">ii", partition, len(batch)), batch]
    return b"".join(body)


def produced(answer: bytes) -> None:
    """Raise ConnectionError when any partition refused its batch."""
    for _, at in _partitions(answer, 0, tail=22):
        partition, error = struct.unpack_from(">ih", answer, at)
        if error:
            raise ConnectionError(f"partition {partition} refuses a batch with error {error}")


def fetch_request(topic: str, offsets: Sequence[int], *, wait_ms: int) -> bytes:
    """The body that reads every partition of a topic from its offset."""
    body = [struct.pack(">iiiibi", -1, wait_ms, 1, FETCH_BYTES_MAX, 0, 1), _text(topic)]
    body.append(_SIZE.pack(len(offsets)))
    for partition, offset in enumerate(offsets):
        body.append(struct.pack(">iqi", partition, offset, FETCH_BYTES_MAX))
    return b"".join(body)


def fetched(answer: bytes) -> dict[int, list[BatchHead]]:
    """The batches that came, by partition."""
    found = {}
    for _, at in _partitions(answer, 4, tail=None):
        partition, error = struct.unpack_from(">ih", answer, at)
        if error:
            raise ConnectionError(f"partition {partition} cannot be read: error {error}")
        begin, size = _records(answer, at)
        found[partition] = list(batch_heads(answer[begin : begin + size]))
    return found


def batch_heads(records: bytes) -> Iterator[BatchHead]:
    """The heads of consecutive batches; one that is cut off at the end is left out."""
    at = 0
    while at + _BATCH_HEAD.size <= len(records):
        first, length, _, magic, _, attributes, last, _, newest = _BATCH_HEAD.unpack_from(
            records, at
        )
        assert magic == 2, "older formats are not spoken here"
        if at + _BATCH_FRAME + length > len(records):
            return
        is_append_time = bool(attributes & _LOG_APPEND_TIME)
        yield BatchHead(first, first + last, newest, is_append_time)
        at += _BATCH_FRAME + length


def _partitions(answer: bytes, at: int, *, tail: int | None) -> Iterator[tuple[str, int]]:
    """Where each partition's answer begins, which is `tail` bytes long or ends in records."""
    (topic_count,) = _SIZE.unpack_from(answer, at)
    at += _SIZE.size
    for _ in range(topic_count):
        (length,) = struct.unpack_from(">h", answer, at)
        name = answer[at + 2 : at + 2 + length].decode()
        at += 2 + length
        (partition_count,) = _SIZE.unpack_from(answer, at)
        at += _SIZE.size
        for _ in range(partition_count):
            yield name, at
            at = at + tail if tail is not None else sum(_records(answer, at))


def _records(answer: bytes, at: int) -> tuple[int, int]:
    """Where the records of a fetched partition begin, and how many bytes they are."""
    at += 4 + 2 + 8 + 8  # partition, error, high watermark, last stable offset
    (aborted_count,) = _SIZE.unpack_from(answer, at)
    at += _SIZE.size + 16 * max(aborted_count, 0)
    (size,) = _SIZE.unpack_from(answer, at)
    return at + _SIZE.size, max(size, 0)


def _text(value: str) -> bytes:
    encoded = value.encode()
    return struct.pack(">h", len(encoded)) + encoded
