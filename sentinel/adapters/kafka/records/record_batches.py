"""Kafka's record batches as columns: what a consumer fetched, read without an object a record.

The format is version 2 (https://kafka.apache.org/documentation/#recordbatch). Batches are walked in
Python, a microsecond each; their records in one kernel, some tens of nanoseconds each.
"""

import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numba
import numpy as np
from aiokafka import codec
from aiokafka.errors import CorruptRecordException, KafkaError, UnsupportedCodecError

from sentinel.adapters.kafka.records.crc32c import crc32c
from sentinel.record_blocks import RecordBlock
from sentinel.records import Ints
from sentinel.texts import NONE, Bytes, Texts

# Base offset, length behind these two, leader epoch, magic, CRC, attributes, last offset delta,
# first and largest timestamp, producer id, its epoch, base sequence, record count.
HEADER = struct.Struct(">qiibIhiqqqhii")
LENGTH_AT, MAGIC_AT, CRC_AT, ATTRIBUTES_AT = 8, 16, 17, 21
LENGTH_END = LENGTH_AT + 4
LENGTH = struct.Struct(">i")
LEGACY_LENGTH_MIN = 14  # of magic 0, behind the length

CODEC_MASK = 0x07
APPEND_TIME = 0x08
TRANSACTIONAL = 0x10
CONTROL = 0x20

RECORD_BYTES_MIN = 7  # each of its seven numbers takes a byte

DECODERS: dict[int, Callable[[bytes], bytes]] = {
    1: codec.gzip_decode,
    2: codec.snappy_decode,
    3: codec.lz4_decode,
    4: codec.zstd_decode,
}

# What the kernel is told of a batch. A record's time is the base plus its delta times the scale.
_BEGIN, _END, _COUNT, _BASE_OFFSET, _NEXT_OFFSET, _BASE_MS, _MS_SCALE = range(7)
# What it tells of a record.
_OFFSET, _MS, _KEY_START, _KEY_LENGTH, _VALUE_START, _VALUE_LENGTH, _HEADERS = range(7)


class BatchHead(NamedTuple):
    """The header of a batch."""

    base_offset: int
    length: int
    leader_epoch: int
    magic: int
    crc: int
    attributes: int
    last_offset_delta: int
    first_ms: int
    max_ms: int
    producer_id: int
    producer_epoch: int
    base_sequence: int
    record_count: int

    @property
    def next_offset(self) -> int:
        """Behind the batch, also when compaction took its last records."""
        return self.base_offset + self.last_offset_delta + 1

    @property
    def is_transactional(self) -> bool:
        return bool(self.attributes & TRANSACTIONAL)

    @property
    def is_control(self) -> bool:
        """Whether it ends a transaction; such records are nobody's to read."""
        return bool(self.attributes & CONTROL)


class Unpacked(NamedTuple):
    """What was read, where to go on, and what is wrong there."""

    block: RecordBlock
    next_offset: int
    failure: KafkaError | None


class LegacyFormatError(Exception):
    """Raised when a batch is of a version before 2, which only old logs still hold."""


def unpacked(
    raw: bytes, fetch_offset: int, is_hidden: Callable[[BatchHead, memoryview], bool]
) -> Unpacked:
    """The records from `fetch_offset` on in the answer to a fetch, as far as they are sound.

    `is_hidden` is asked in order of each batch and of its records' bytes. The last batch may be cut
    off: it is left for the next fetch. Raises LegacyFormatError.
    """
    parts: list[bytes | memoryview] = []
    rows: list[tuple[int, ...]] = []
    size = 0
    failure: KafkaError | None = None
    try:
        for head, packed in batches(raw):
            hidden = is_hidden(head, packed) or head.is_control
            part = b"" if hidden else _decompressed(head, packed)
            rows.append(_row(head, size, len(part), 0 if hidden else head.record_count))
            parts.append(part)
            size += len(part)
    except (CorruptRecordException, UnsupportedCodecError) as error:
        failure = error
    # Copied, because kernels are compiled anew for bytes that nobody may write.
    data = np.frombuffer(bytearray().join(parts), dtype=np.uint8)
    table = np.array(rows, dtype=np.int64).reshape(len(rows), 7)
    block, next_offset, sound_count = _records(data, table, fetch_offset)
    if sound_count < len(rows):
        failure = CorruptRecordException(f"malformed records at offset {next_offset}")
    return Unpacked(block, next_offset, failure)


def batches(raw: bytes) -> Iterator[tuple[BatchHead, memoryview]]:
    """Each whole batch: its header, and its records as they came.

    Raises CorruptRecordException and LegacyFormatError when it gets there.
    """
    view = memoryview(raw)
    begin, size = 0, len(raw)
    while size - begin >= LENGTH_END:
        [length] = LENGTH.unpack_from(raw, begin + LENGTH_AT)
        end = begin + LENGTH_END + length
        if length < LEGACY_LENGTH_MIN:
            raise CorruptRecordException(f"a batch of {length} bytes")
        if end > size:
            return
        if raw[begin + MAGIC_AT] < 2:
            raise LegacyFormatError
        if end - begin < HEADER.size:
            raise CorruptRecordException(f"a batch of {length} bytes")
        head = BatchHead._make(HEADER.unpack_from(raw, begin))
        if head.crc != crc32c(view[begin + ATTRIBUTES_AT : end]):
            raise CorruptRecordException(f"wrong CRC of the batch at offset {head.base_offset}")
        yield head, view[begin + HEADER.size : end]
        begin = end


def first_key(packed: memoryview) -> bytes | None:
    """The key of the first record of an uncompressed batch."""
    data = np.frombuffer(bytearray(packed), dtype=np.uint8)
    out = np.empty((7, 1), dtype=np.int64)
    if _record(data, 0, data.size, out, 0) < 0:
        raise CorruptRecordException("a malformed control record")
    return Texts(data, out[_KEY_START], out[_KEY_LENGTH]).bytes_at(0)


def _decompressed(head: BatchHead, packed: memoryview) -> bytes | memoryview:
    """The records of a batch; raises CorruptRecordException when there cannot be so many."""
    kind = head.attributes & CODEC_MASK
    if kind and kind not in DECODERS:
        raise UnsupportedCodecError(f"compression {kind}")
    part = DECODERS[kind](packed.tobytes()) if kind else packed
    if not 0 <= head.record_count <= len(part) // RECORD_BYTES_MIN:
        raise CorruptRecordException(f"{head.record_count} records in {len(part)} bytes")
    return part


def _row(head: BatchHead, begin: int, size: int, count: int) -> tuple[int, ...]:
    is_append_time = bool(head.attributes & APPEND_TIME)
    base_ms, scale = (head.max_ms, 0) if is_append_time else (head.first_ms, 1)
    return (begin, begin + size, count, head.base_offset, head.next_offset, base_ms, scale)


def _records(data: Bytes, table: Ints, fetch_offset: int) -> tuple[RecordBlock, int, int]:
    out = np.empty((7, int(table[:, _COUNT].sum())), dtype=np.int64)
    count, next_offset, sound_count = _unpack(data, table, fetch_offset, out)
    out = out[:, :count]
    block = RecordBlock(
        out[_OFFSET],
        out[_MS],
        Texts(data, out[_KEY_START], out[_KEY_LENGTH]),
        Texts(data, out[_VALUE_START], out[_VALUE_LENGTH]),
        out[_HEADERS],
    )
    return block, next_offset, sound_count


@numba.njit(cache=True, nogil=True)
def _unpack(data: Bytes, table: Ints, fetch_offset: int, out: Ints) -> tuple[int, int, int]:
    """Fill a column of `out` for each record; how many, where to go on, how many batches."""
    n = 0
    next_offset = fetch_offset
    for b in range(table.shape[0]):
        batch = table[b]
        at = batch[_BEGIN]
        first, first_offset = n, next_offset
        for _ in range(batch[_COUNT]):
            at = _record(data, at, batch[_END], out, n)
            if at < 0:
                break
            out[_OFFSET, n] += batch[_BASE_OFFSET]
            out[_MS, n] = batch[_BASE_MS] + batch[_MS_SCALE] * out[_MS, n]
            # A batch is sent whole: its first records may lie before what was asked for.
            if out[_OFFSET, n] >= next_offset:
                next_offset = out[_OFFSET, n] + 1
                n += 1
        if at != batch[_END]:
            return first, first_offset, b
        next_offset = batch[_NEXT_OFFSET]
    return n, next_offset, table.shape[0]


@numba.njit(cache=True, nogil=True)
def _record(data: Bytes, at: int, end: int, out: Ints, row: int) -> int:
    """Fill one column, with deltas for offset and time; where the record ends, -1 if malformed."""
    length, at = _varint(data, at, end)
    if at < 0 or length < 0 or length > end - at:
        return -1
    end = at + length
    _, at = _varint(data, at, end)  # attributes: none are defined
    out[_MS, row], at = _varint(data, at, end)
    out[_OFFSET, row], at = _varint(data, at, end)
    out[_KEY_START, row], out[_KEY_LENGTH, row], at = _span(data, at, end)
    out[_VALUE_START, row], out[_VALUE_LENGTH, row], at = _span(data, at, end)
    out[_HEADERS, row] = at
    header_count, at = _varint(data, at, end)
    if header_count < 0:
        return -1
    for _ in range(header_count):
        _, name_length, at = _span(data, at, end)
        _, _, at = _span(data, at, end)
        if at < 0 or name_length < 0:
            return -1
    return at if at == end else -1


@numba.njit(cache=True, nogil=True)
def _span(data: Bytes, at: int, end: int) -> tuple[int, int, int]:
    """Where bytes begin, how many they are, and where they end."""
    length, at = _varint(data, at, end)
    if at < 0 or length > end - at:
        return 0, NONE, -1
    if length < 0:
        return at, NONE, at
    return at, length, at + length


@numba.njit(cache=True, nogil=True)
def _varint(data: Bytes, at: int, end: int) -> tuple[int, int]:
    """A number, and where it ends: -1 when it does not, or when `at` was -1 already."""
    if at < 0:
        return 0, -1
    raw = shift = 0
    while at < end and shift < 64:
        byte = int(data[at])
        at += 1
        raw |= (byte & 0x7F) << shift
        if byte < 0x80:
            return ((raw >> 1) & 0x7FFF_FFFF_FFFF_FFFF) ^ -(raw & 1), at
        shift += 7
    return 0, -1
