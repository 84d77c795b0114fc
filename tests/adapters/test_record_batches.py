"""Record batches, read and written as columns, against aiokafka's own reader and builder."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest
from aiokafka.consumer import fetcher as library
from aiokafka.errors import CorruptRecordException, UnsupportedCodecError
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.legacy_records import LegacyRecordBatchBuilder
from aiokafka.record.util import calc_crc32c
from aiokafka.structs import TopicPartition as ClientPartition
from hypothesis import given
from hypothesis import strategies as st

from sentinel.adapters.kafka.client import Compression
from sentinel.adapters.kafka.fetching import FetchedBytes, PartitionBlocks
from sentinel.adapters.kafka.records.batch_writer import CODECS, warm, written_batches
from sentinel.adapters.kafka.records.record_batches import (
    APPEND_TIME,
    ATTRIBUTES_AT,
    CONTROL,
    CRC_AT,
    HEADER,
    TRANSACTIONAL,
    BatchHead,
    unpacked,
)
from sentinel.record_blocks import OutputBlock
from sentinel.records import InputRecord
from sentinel.texts import Texts

PARTITION = ClientPartition("t", 0)
EVERYTHING = 1 << 20
ABORT, COMMIT = struct.pack(">hh", 0, 0), struct.pack(">hh", 0, 1)


class Written(NamedTuple):
    """A record of a batch; `gap` offsets before it were compacted away."""

    key: bytes | None = None
    value: bytes | None = b"v"
    headers: tuple[tuple[str, bytes], ...] = ()
    ms: int = 1_700_000_000_000
    gap: int = 0


@dataclass
class Spec:
    """A batch; `gap` offsets behind its last record were compacted away."""

    records: Sequence[Written] = (Written(),)
    codec: int = 0
    append_ms: int | None = None
    gap: int = 0
    attributes: int = 0
    producer_id: int = -1


def packed(spec: Spec, base_offset: int) -> bytes:
    """A batch as the broker would hand it out."""
    codec = spec.codec if spec.records else 0  # as compaction leaves a batch without any
    builder = DefaultRecordBatchBuilder(2, codec, 0, spec.producer_id, 0, 0, 1 << 30)
    delta = -1
    for record in spec.records:
        delta += 1 + record.gap
        headers = list(record.headers)
        builder.append(delta, record.ms, record.key, record.value, headers)
    raw = builder.build()
    head = BatchHead._make(HEADER.unpack_from(raw))
    head = head._replace(
        base_offset=base_offset,
        last_offset_delta=delta + spec.gap,
        attributes=head.attributes | spec.attributes,
    )
    if spec.append_ms is not None:
        attributes = head.attributes | APPEND_TIME
        head = head._replace(attributes=attributes, max_ms=spec.append_ms)
    return sealed(head, bytes(raw[HEADER.size :]))


def sealed(head: BatchHead, records: bytes) -> bytes:
    """The header with a length and a CRC that fit, and the records."""
    head = head._replace(length=HEADER.size + len(records) - 12)
    raw = bytearray(HEADER.pack(*head) + records)
    raw[CRC_AT:ATTRIBUTES_AT] = calc_crc32c(bytes(raw[ATTRIBUTES_AT:])).to_bytes(4, "big")
    return bytes(raw)


def fetch_of(specs: Sequence[Spec], base_offset: int = 0) -> bytes:
    raw = b""
    for spec in specs:
        raw += packed(spec, base_offset)
        base_offset = BatchHead._make(
            HEADER.unpack_from(raw, len(raw) - len_of_last(raw))
        ).next_offset
    return raw


def len_of_last(raw: bytes) -> int:
    begin = 0
    while True:
        [length] = struct.unpack_from(">i", raw, begin + 8)
        if begin + 12 + length == len(raw):
            return 12 + int(length)
        begin += 12 + length


def theirs(raw: bytes, offset: int = 0, aborted: Any = None, isolation: int = 0) -> Any:
    memory = library.MemoryRecords(raw)
    return library.PartitionRecords(PARTITION, memory, aborted, offset, None, None, True, isolation)


def ours(raw: bytes, offset: int = 0, aborted: Any = None, isolation: int = 0) -> PartitionBlocks:
    return PartitionBlocks(
        PARTITION, FetchedBytes(raw), aborted, offset, None, None, True, isolation
    )


def parts(record: InputRecord) -> tuple[object, ...]:
    return (record.offset, record.timestamp, record.key, record.value, tuple(record.headers))


written_records = st.builds(
    Written,
    key=st.none() | st.binary(max_size=70),
    value=st.none() | st.binary(max_size=70),
    headers=st.lists(st.tuples(st.text(max_size=3), st.binary(max_size=3)), max_size=2).map(tuple),
    ms=st.integers(0, 1 << 45),
    gap=st.integers(0, 2),
)
plain_specs = st.builds(
    Spec,
    records=st.lists(written_records, max_size=5),
    codec=st.sampled_from(list(CODECS.values())),
    append_ms=st.none() | st.integers(0, 1 << 45),
    gap=st.integers(0, 2),
    attributes=st.sampled_from([0, TRANSACTIONAL]),
    producer_id=st.integers(-1, 2),
)
markers = st.builds(
    Spec,
    records=st.sampled_from([[Written(key=ABORT)], [Written(key=COMMIT)]]),
    attributes=st.just(CONTROL | TRANSACTIONAL),
    producer_id=st.integers(1, 2),
)


@given(
    specs=st.lists(plain_specs | markers, min_size=1, max_size=6),
    aborted=st.none() | st.lists(st.tuples(st.integers(1, 2), st.integers(0, 20)), max_size=3),
    isolation=st.sampled_from([library.READ_UNCOMMITTED, library.READ_COMMITTED]),
    cut=st.integers(0, 30),
    data=st.data(),
)
def test_a_fetch_is_read_as_aiokafka_reads_it(
    specs: list[Spec], aborted: Any, isolation: int, cut: int, data: st.DataObject
) -> None:
    """Compacted batches, control batches, aborted transactions, and a last batch cut off."""
    raw = fetch_of(specs, base_offset=5)
    raw = raw[: len(raw) - cut]
    offset = data.draw(st.integers(5, 15))
    expected = theirs(raw, offset, aborted, isolation)
    found = ours(raw, offset, aborted, isolation)

    while not found.is_drained:
        for record in found.take(data.draw(st.integers(1, 4))):
            assert parts(record) == parts(next(expected))
        if not found.is_drained:
            assert found.next_fetch_offset == expected.next_fetch_offset

    assert list(expected) == []
    assert found.next_fetch_offset == expected.next_fetch_offset


def test_a_transaction_that_was_aborted_is_not_seen() -> None:
    transactional = Spec([Written(), Written()], attributes=TRANSACTIONAL, producer_id=7)
    marker = Spec([Written(key=ABORT)], attributes=CONTROL | TRANSACTIONAL, producer_id=7)
    raw = fetch_of([Spec(), transactional, marker, transactional])

    committed = ours(raw, 0, [(7, 1)], library.READ_COMMITTED).take(EVERYTHING)

    assert list(committed.offset) == [0, 4, 5]
    assert list(ours(raw).take(EVERYTHING).offset) == [0, 1, 2, 4, 5]


def test_large_and_many_records_are_read() -> None:
    records = [Written(b"k", b"x" * 1_000_000), *[Written(value=None)] * 20_000]
    raw = fetch_of([Spec(records)])

    block = ours(raw).take(EVERYTHING)

    assert [parts(r) for r in block] == [parts(r) for r in theirs(raw)]


def test_what_lies_before_a_corrupt_batch_is_read_before_it_is_complained_of() -> None:
    raw = bytearray(fetch_of([Spec([Written()] * 3), Spec()]))
    raw[-1] ^= 1
    reader = ours(bytes(raw))

    assert len(reader.take(2)) == 2
    assert len(reader.take(2)) == 1
    assert reader.next_fetch_offset == 3
    assert not reader.is_drained
    with pytest.raises(CorruptRecordException, match="CRC of the batch at offset 3"):
        reader.take(2)
    assert reader.is_drained
    assert reader.next_fetch_offset == 3


@given(st.binary(max_size=60), st.integers(-1, 9))
def test_no_bytes_lead_the_reader_astray(records: bytes, record_count: int) -> None:
    """With a CRC that fits: either they are records, or they are said to be malformed."""
    good = packed(Spec(), 0)
    head = BatchHead._make(HEADER.unpack_from(good))
    bad = sealed(head._replace(base_offset=1, record_count=record_count), records)

    found = unpacked(good + bad, 0, lambda head, packed: False)

    assert list(found.block.offset[:1]) == [0]
    if found.failure is not None:
        assert isinstance(found.failure, CorruptRecordException)
        assert found.next_offset == len(found.block) == 1


@given(st.binary(max_size=100))
def test_whatever_is_no_batch_at_all_is_refused_or_left(raw: bytes) -> None:
    raw = raw[:16] + b"\2" + raw[17:] if len(raw) > 16 else raw

    found = unpacked(raw, 3, lambda head, packed: False)

    assert len(found.block) == 0
    assert found.next_offset == 3


def test_an_unknown_compression_is_named() -> None:
    head = BatchHead._make(HEADER.unpack_from(packed(Spec(), 0)))
    raw = sealed(head._replace(attributes=6), b"x" * 20)

    with pytest.raises(UnsupportedCodecError, match="compression 6"):
        ours(raw).take(1)


@pytest.mark.parametrize("magic", [0, 1])
def test_batches_of_old_logs_are_left_to_aiokafka(magic: int) -> None:
    builder = LegacyRecordBatchBuilder(magic, 0, 1 << 20)
    for offset in range(3):
        builder.append(offset, 9, b"k", b"v")
    reader = ours(bytes(builder.build()), 1)

    block = reader.take(EVERYTHING)

    ms = 9 if magic else -1
    assert [parts(r) for r in block[:2]] == [(1, ms, b"k", b"v", ()), (2, ms, b"k", b"v", ())]
    assert len(block) == 2
    assert reader.next_fetch_offset == 3
    assert reader.is_drained


# The writer.

NOW_MS = 1_700_000_000_123
STATE = (9, 2, 77)
pairs = st.tuples(st.none() | st.binary(max_size=80), st.none() | st.binary(max_size=80))


def block_of(rows: Sequence[tuple[bytes | None, bytes | None]]) -> OutputBlock:
    return OutputBlock(
        Texts.of_bytes(key for key, _ in rows), Texts.of_bytes(value for _, value in rows)
    )


def built_by_aiokafka(
    rows: Sequence[tuple[bytes | None, bytes | None]],
    bytes_max: int,
    compression: Compression,
    is_transactional: bool = False,
) -> list[bytes]:
    builders: list[Any] = []
    for key, value in rows:
        if not builders or not _append(builders[-1], key, value):
            builders.append(
                BatchBuilder(bytes_max, CODECS[compression], is_transactional=is_transactional)
            )
            assert _append(builders[-1], key, value)
    for builder in builders:
        builder._set_producer_state(*STATE)
    return [bytes(builder._build()) for builder in builders]


def _append(builder: Any, key: bytes | None, value: bytes | None) -> bool:
    return builder.append(timestamp=NOW_MS, key=key, value=value) is not None


def built(
    rows: Sequence[tuple[bytes | None, bytes | None]],
    bytes_max: int,
    compression: Compression,
    is_transactional: bool = False,
) -> list[bytes]:
    batches = list(
        written_batches(
            block_of(rows),
            now_ms=NOW_MS,
            bytes_max=bytes_max,
            compression=compression,
            is_transactional=is_transactional,
        )
    )
    assert sum(batch.record_count() for batch in batches) == len(rows)
    for batch in batches:
        batch._set_producer_state(*STATE)
    return [bytes(batch._build()) for batch in batches]


@given(
    rows=st.lists(pairs, max_size=30),
    bytes_max=st.integers(100, 3000),
    # gzip writes the present time into its header.
    compression=st.sampled_from(["none", "snappy", "lz4", "zstd"]),
    is_transactional=st.booleans(),
)
def test_a_batch_is_written_as_aiokafka_writes_it(
    rows: list[tuple[bytes | None, bytes | None]],
    bytes_max: int,
    compression: Compression,
    is_transactional: bool,
) -> None:
    expected = built_by_aiokafka(rows, bytes_max, compression, is_transactional)

    assert built(rows, bytes_max, compression, is_transactional) == expected


@pytest.mark.parametrize("compression", list(CODECS))
def test_large_and_many_records_are_written_and_read_back(compression: Compression) -> None:
    many = [(None if i % 3 else b"k%d" % i, b"" if i % 5 else b"x" * i) for i in range(20_000)]
    rows = [*many[:9000], (b"k", bytes(range(256)) * 4000), *many[9000:]]

    batches = built(rows, 1_000_000, compression)

    found = [record for batch in batches for record in theirs(batch)]
    assert [(record.key, record.value) for record in found] == rows
    assert {record.timestamp for record in found} == {NOW_MS}
    if compression != "gzip":
        assert batches == built_by_aiokafka(rows, 1_000_000, compression)


def test_a_batch_that_is_sent_again_stays_as_it_is() -> None:
    [batch] = written_batches(
        block_of([(b"k", b"v")]), now_ms=1, bytes_max=1024, compression="none"
    )
    batch._set_producer_state(*STATE)

    once = bytes(batch._build())

    assert bytes(batch._build()) == once
    assert batch.size() == len(once)
    assert batch.closed()


def test_the_kernels_can_be_made_ready() -> None:
    warm()
