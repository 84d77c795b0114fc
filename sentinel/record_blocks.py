"""Records as columns over the bytes that they came in, and those that are to go out."""

from collections.abc import Sequence
from typing import Self, overload

import numpy as np

from sentinel.records import InputRecord, Ints, OutputRecord, Record
from sentinel.texts import Bytes, Texts


class RecordBlock(Sequence[InputRecord]):
    """Consecutive records of one partition as columns over the bytes they came in.

    Taken as a sequence it gives records one by one, for those who need few of them.

    Attributes
    ----------
    offset, timestamp
        int64 (n,).
    keys, values
        Spans of the same buffer.
    headers
        int64 (n,): where the headers of each record begin in that buffer, as Kafka writes them
        (a varint count, then for each a varint length and the bytes of its name and its value).
    """

    __slots__ = ("headers", "keys", "offset", "timestamp", "values")

    def __init__(
        self, offset: Ints, timestamp: Ints, keys: Texts, values: Texts, headers: Ints
    ) -> None:
        assert offset.shape == timestamp.shape == headers.shape
        assert len(keys) == len(values) == offset.size
        self.offset = offset
        self.timestamp = timestamp
        self.keys = keys
        self.values = values
        self.headers = headers

    @classmethod
    def of(cls, records: Sequence[InputRecord]) -> Self:
        """Pack records."""
        pieces: list[bytes | None] = []
        for record in records:
            pieces += (record.key, record.value, packed_headers(record.headers))
        texts = Texts.of_bytes(pieces)
        return cls(
            np.array([record.offset for record in records], dtype=np.int64),
            np.array([record.timestamp for record in records], dtype=np.int64),
            Texts(texts.data, texts.start[0::3].copy(), texts.length[0::3].copy()),
            Texts(texts.data, texts.start[1::3].copy(), texts.length[1::3].copy()),
            texts.start[2::3].copy(),
        )

    def __len__(self) -> int:
        return self.offset.size

    @overload
    def __getitem__(self, i: int) -> InputRecord: ...
    @overload
    def __getitem__(self, i: slice) -> "RecordBlock": ...
    def __getitem__(self, i: int | slice) -> "InputRecord | RecordBlock":
        if isinstance(i, slice):
            columns = (self.offset[i], self.timestamp[i], self.keys[i], self.values[i])
            return RecordBlock(*columns, self.headers[i])
        return Record(
            offset=int(self.offset[i]),
            timestamp=int(self.timestamp[i]),
            key=self.keys.bytes_at(i),
            value=self.values.bytes_at(i),
            headers=headers_at(self.values.data, int(self.headers[i])),
        )


def timestamps(records: Sequence[InputRecord]) -> Ints:
    """When each record was written, epoch milliseconds, int64 (n,)."""
    if isinstance(records, RecordBlock):
        return records.timestamp
    return np.array([record.timestamp for record in records], dtype=np.int64)


def headers_at(data: Bytes, begin: int) -> list[tuple[str, bytes]]:
    """The headers of a record, read from where their varint count stands."""
    at = begin

    def varint() -> int:
        nonlocal at
        raw = shift = 0
        while True:
            byte = int(data[at])
            at += 1
            raw |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return (raw >> 1) ^ -(raw & 1)

    def text() -> bytes:
        nonlocal at
        length = max(varint(), 0)
        at += length
        return data[at - length : at].tobytes()

    return [(text().decode(errors="replace"), text()) for _ in range(varint())]


def packed_headers(headers: Sequence[tuple[str, bytes]]) -> bytes:
    """Headers as Kafka writes them: what `headers_at` reads."""
    packed = bytearray()

    def put_varint(value: int) -> None:
        rest = value << 1  # zigzag; nothing here is negative
        while rest > 0x7F:
            packed.append(0x80 | (rest & 0x7F))
            rest >>= 7
        packed.append(rest)

    put_varint(len(headers))
    for name, value in headers:
        for part in (name.encode(), value or b""):
            put_varint(len(part))
            packed.extend(part)
    return bytes(packed)


class OutputBlock(Sequence[OutputRecord]):
    """Records to publish as columns, without headers; taken as a sequence it gives each."""

    __slots__ = ("keys", "values")

    def __init__(self, keys: Texts, values: Texts) -> None:
        assert len(keys) == len(values)
        self.keys = keys
        self.values = values

    def __len__(self) -> int:
        return len(self.values)

    @overload
    def __getitem__(self, i: int) -> OutputRecord: ...
    @overload
    def __getitem__(self, i: slice) -> "OutputBlock": ...
    def __getitem__(self, i: int | slice) -> "OutputRecord | OutputBlock":
        if isinstance(i, slice):
            return OutputBlock(self.keys[i], self.values[i])
        return OutputRecord(self.keys.bytes_at(i), self.values.bytes_at(i))
