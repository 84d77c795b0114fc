"""A dead letter: a record that could not be used, its bytes as they came, and headers that say why.

The first five headers are Sentinel's: `sentinel.topic`, `sentinel.partition`, `sentinel.offset`,
`sentinel.reason`, `sentinel.detail`. The record's own follow, whatever they are called.

A record that the topic would not take goes there shortened: the beginning of its value, without
headers of its own, and a sixth header, `sentinel.shortened`, with the length of the value and its
SHA-256. The whole is where it came from, as long as that is kept.

That a dead letter was sent back is noted in the same topic, behind it, by a record with nothing but
the header `sentinel.replayed`: the offset of that dead letter. So everybody sees it who sees the
dead letter, and it is kept as long.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sentinel.errors import RecordError
from sentinel.records import Header, InputRecord, OutputRecord, TopicPartition

DETAIL_LENGTH_MAX = 1000

REPLAY_OF = "sentinel.replay_of"  # on what was sent back: the offset of its dead letter
REPLAYED = "sentinel.replayed"
SHORTENED = "sentinel.shortened"

_KEY_LENGTH_MAX = 4096  # of a shortened one: no account is longer
_RECORD_BYTES, _HEADER_BYTES = 200, 10  # that Kafka adds at most: to a batch of one, to a header

_CAUSE = tuple(f"sentinel.{name}" for name in ("topic", "partition", "offset", "reason", "detail"))


class Shortened(NamedTuple):
    """What a record was that did not fit: bytes of its value, and their SHA-256."""

    length: int
    sha256: str


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One record of the dead-letters topic, and the record that it was."""

    offset: int
    timestamp_ms: int  # when it was refused
    at: TopicPartition  # where it came from
    offset_there: int
    reason: str
    detail: str
    key: bytes | None
    value: bytes | None
    headers: tuple[Header, ...]  # its own
    shortened: Shortened | None = None

    @property
    def replay_of(self) -> int | None:
        """The dead letter that this one had been before it was sent back and refused again."""
        return next((int(h.value) for h in self.headers if _is_replay(h)), None)


def origin_headers(headers: Sequence[Header]) -> tuple[str, str, str] | None:
    """Topic, partition and offset that the headers of a dead letter name; None of other records."""
    said = {header.name: header.value for header in headers}
    found = [said.get(name) for name in _CAUSE[:3]]
    if None in found:
        return None
    topic, partition, offset = ((value or b"").decode(errors="replace") for value in found)
    return topic, partition, offset


def dead_letter_record(
    at: TopicPartition, record: InputRecord, error: RecordError, *, bytes_max: int
) -> OutputRecord:
    """What to publish of a record that could not be used, within so many bytes."""
    facts = (
        *(at.topic, str(at.partition), str(record.offset)),
        *(error.reason, error.detail[:DETAIL_LENGTH_MAX]),
    )
    cause = [Header(name, text.encode()) for name, text in zip(_CAUSE, facts, strict=True)]
    whole = OutputRecord(record.key, record.value, (*cause, *_headers(record)))
    return whole if _byte_count(whole) <= bytes_max else _shortened(whole, cause, bytes_max)


def _shortened(record: OutputRecord, cause: list[Header], bytes_max: int) -> OutputRecord:
    value = record.value or b""
    told = f"{len(value)} {hashlib.sha256(value).hexdigest()}"
    key = record.key if len(record.key or b"") <= _KEY_LENGTH_MAX else None
    short = OutputRecord(key, b"", (*cause, Header(SHORTENED, told.encode())))
    return short._replace(value=value[: max(bytes_max - _byte_count(short), 0)])


def _byte_count(record: OutputRecord) -> int:
    """What a batch of this record takes at most, uncompressed."""
    headers = sum(len(h.name) + len(h.value) + _HEADER_BYTES for h in record.headers)
    return _RECORD_BYTES + len(record.key or b"") + len(record.value or b"") + headers


def decode_dead_letter(record: InputRecord) -> DeadLetter | None:
    """The dead letter, or None for a record that somebody else has put there."""
    headers = _headers(record)
    cause = headers[: len(_CAUSE)]
    if tuple(header.name for header in cause) != _CAUSE:
        return None
    topic, partition, offset, reason, detail = (
        header.value.decode(errors="replace") for header in cause
    )
    if not (_is_number(partition) and _is_number(offset)):
        return None
    rest = headers[len(_CAUSE) :]
    shortened = _as_shortened(rest[0]) if rest else None
    return DeadLetter(
        offset=record.offset,
        timestamp_ms=record.timestamp,
        at=TopicPartition(topic, int(partition)),
        offset_there=int(offset),
        reason=reason,
        detail=detail,
        key=record.key,
        value=record.value,
        headers=rest if shortened is None else rest[1:],
        shortened=shortened,
    )


def replay_record(letter: DeadLetter) -> OutputRecord:
    """The record as it was, with a header that says which dead letter it is a replay of."""
    own = [header for header in letter.headers if not _is_replay(header)]
    mark = Header(REPLAY_OF, str(letter.offset).encode())
    return OutputRecord(letter.key, letter.value, (*own, mark))


def replay_note(offset: int) -> OutputRecord:
    """The note that a dead letter was sent back."""
    return OutputRecord(None, None, (Header(REPLAYED, str(offset).encode()),))


def decode_replay_note(record: InputRecord) -> int | None:
    """Which dead letter this record says was sent back; None if it is no such note."""
    match _headers(record):
        case (Header(name=name, value=value),) if name == REPLAYED and value.isdigit():
            return int(value)
    return None


def _headers(record: InputRecord) -> tuple[Header, ...]:
    # The client gives None for a header that has no value.
    return tuple(Header(name, value or b"") for name, value in record.headers)


def _as_shortened(header: Header) -> Shortened | None:
    length, _, sha256 = header.value.decode(errors="replace").partition(" ")
    is_one = header.name == SHORTENED and _is_number(length) and len(sha256) == 64
    return Shortened(int(length), sha256) if is_one else None


def _is_replay(header: Header) -> bool:
    return header.name == REPLAY_OF and header.value.isdigit()


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()
