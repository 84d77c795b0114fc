"""Record batches to publish, written from columns by one kernel for all records."""

from collections.abc import Callable, Iterator

import numba
import numpy as np
from aiokafka import codec

from sentinel.adapters.kafka.client import Compression
from sentinel.adapters.kafka.internals import built
from sentinel.adapters.kafka.records.crc32c import crc32c
from sentinel.adapters.kafka.records.crc32c import warm as warm_crc32c
from sentinel.adapters.kafka.records.record_batches import (
    ATTRIBUTES_AT,
    CRC_AT,
    HEADER,
    LENGTH_END,
    TRANSACTIONAL,
    unpacked,
)
from sentinel.record_blocks import OutputBlock
from sentinel.records import Ints
from sentinel.texts import Bytes, Texts

CODECS: dict[Compression, int] = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
ENCODERS: dict[int, Callable[[bytes], bytes]] = {
    1: codec.gzip_encode,
    2: codec.snappy_encode,
    3: codec.lz4_encode,
    4: codec.zstd_encode,
}


class WrittenBatch:
    """One batch; it stands where aiokafka expects its own `BatchBuilder`.

    The header and its CRC come last: they hold what the producer knows only when it sends.
    """

    def __init__(
        self,
        buffer: bytearray,
        record_count: int,
        *,
        now_ms: int,
        compression: Compression,
        is_transactional: bool,
    ) -> None:
        self._buffer = buffer
        self._record_count = record_count
        self._now_ms = now_ms
        self._codec = CODECS[compression]
        self._attributes = self._codec | (TRANSACTIONAL if is_transactional else 0)
        self._producer_state = (-1, -1, 0)  # id, epoch, base sequence
        self._is_built = False

    def record_count(self) -> int:
        return self._record_count

    def size(self) -> int:
        return len(self._buffer)

    def closed(self) -> bool:
        return True  # nothing can be appended

    def close(self) -> None:
        pass

    def append(self, **_: object) -> None:
        """Refuse a record, as a builder does that is full."""

    def _set_producer_state(self, producer_id: int, producer_epoch: int, sequence: int) -> None:
        assert not self._is_built
        self._producer_state = (producer_id, producer_epoch, sequence)

    def _build(self) -> bytearray:
        """The bytes to send. A batch that is sent again stays as it is."""
        if not self._is_built:
            self._compress()
            self._write_header()
            self._is_built = True
        return self._buffer

    def _compress(self) -> None:
        if self._codec:
            records = bytes(memoryview(self._buffer)[HEADER.size :])
            self._buffer[HEADER.size :] = ENCODERS[self._codec](records)

    def _write_header(self) -> None:
        buffer = self._buffer
        HEADER.pack_into(
            buffer,
            0,
            0,  # base offset: the broker's
            len(buffer) - LENGTH_END,
            -1,  # leader epoch: the broker's
            2,
            0,  # CRC
            self._attributes,
            self._record_count - 1,
            self._now_ms,
            self._now_ms,
            *self._producer_state,
            self._record_count,
        )
        crc = crc32c(memoryview(buffer)[ATTRIBUTES_AT:])
        buffer[CRC_AT:ATTRIBUTES_AT] = crc.to_bytes(4, "big")


def written_batches(
    records: OutputBlock,
    *,
    now_ms: int,
    bytes_max: int,
    compression: Compression,
    is_transactional: bool = False,
) -> Iterator[WrittenBatch]:
    """The records as batches below `bytes_max` before compression; one at least in each."""
    keys, values = records.keys, records.values
    begin = 0
    while begin < len(records):
        count, size = _fitting(keys.length[begin:], values.length[begin:], bytes_max - HEADER.size)
        end = begin + count
        buffer = bytearray(HEADER.size + size)
        _write(
            keys.data,
            keys.start[begin:end],
            keys.length[begin:end],
            values.data,
            values.start[begin:end],
            values.length[begin:end],
            np.frombuffer(buffer, dtype=np.uint8)[HEADER.size :],
        )
        yield WrittenBatch(
            buffer,
            count,
            now_ms=now_ms,
            compression=compression,
            is_transactional=is_transactional,
        )
        begin = end


@numba.njit(cache=True, nogil=True)
def _fitting(key_lengths: Ints, value_lengths: Ints, size_max: int) -> tuple[int, int]:
    """How many records fit in fewer bytes, and how many bytes they take."""
    size = 0
    for i in range(key_lengths.size):
        body = _body_size(i, key_lengths[i], value_lengths[i])
        grown = size + _varint_size(body) + body
        if i > 0 and grown >= size_max:  # where aiokafka ends a batch, too
            return i, size
        size = grown
    return key_lengths.size, size


@numba.njit(cache=True, nogil=True)
def _body_size(place: int, key_length: int, value_length: int) -> int:
    """Bytes of a record behind its length; attributes, time and header count are zeros."""
    size = 3 + _varint_size(place) + _varint_size(key_length) + _varint_size(value_length)
    return size + max(key_length, 0) + max(value_length, 0)


@numba.njit(cache=True, nogil=True)
def _write(
    key_data: Bytes,
    key_start: Ints,
    key_length: Ints,
    value_data: Bytes,
    value_start: Ints,
    value_length: Ints,
    out: Bytes,
) -> None:
    at = 0
    for i in range(key_start.size):
        at = _put_varint(out, at, _body_size(i, key_length[i], value_length[i]))
        at = _put_varint(out, at, 0)  # attributes
        at = _put_varint(out, at, 0)  # all are of one time
        at = _put_varint(out, at, i)
        at = _put_span(out, at, key_data, key_start[i], key_length[i])
        at = _put_span(out, at, value_data, value_start[i], value_length[i])
        at = _put_varint(out, at, 0)  # headers


@numba.njit(cache=True, nogil=True)
def _put_span(out: Bytes, at: int, data: Bytes, start: int, length: int) -> int:
    at = _put_varint(out, at, length)  # -1 for a missing one, as in `Texts`
    if length > 0:
        to, source = out[at : at + length], data[start : start + length]
        for i in range(to.size):  # counted from 0 it is compiled to wide moves: 8 times as fast
            to[i] = source[i]
    return at + max(length, 0)


@numba.njit(cache=True, nogil=True)
def _put_varint(out: Bytes, at: int, value: int) -> int:
    """Write a small number, not below -1, and tell where it ends."""
    rest = (value << 1) ^ (value >> 63)
    while rest > 0x7F:
        out[at] = 0x80 | (rest & 0x7F)
        at += 1
        rest >>= 7
    out[at] = rest
    return at + 1


@numba.njit(cache=True, nogil=True)
def _varint_size(value: int) -> int:
    rest = (value << 1) ^ (value >> 63)
    size = 1
    while rest > 0x7F:
        size += 1
        rest >>= 7
    return size


def warm() -> None:
    """Compile the kernels that write and read batches, or load them from numba's cache."""
    warm_crc32c()
    one = OutputBlock(Texts.of(["k"]), Texts.of(["v"]))
    [batch] = written_batches(one, now_ms=0, bytes_max=1024, compression="none")
    found = unpacked(built(batch), 0, lambda head, packed: False)
    assert list(found.block.values) == ["v"]
