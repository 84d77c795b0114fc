"""A dead letter: a record that could not be used, its bytes as they came, and headers that say why.

The first five headers are Sentinel's: `sentinel.topic`, `sentinel.partition`, `sentinel.offset`,
`sentinel.reason`, `sentinel.detail`. The record's own follow, whatever they are called.

That a dead letter was sent back is noted in the same topic, behind it, by a record with nothing but
the header `sentinel.replayed`: the offset of that dead letter. So everybody sees it who sees the
dead letter, and it is kept as long.
"""

from dataclasses import dataclass

from sentinel.errors import RecordError
from sentinel.records import Header, InputRecord, OutputRecord, TopicPartition

DETAIL_LENGTH_MAX = 1000

REPLAY_OF = "sentinel.replay_of"  # on what was sent back: the offset of its dead letter
REPLAYED = "sentinel.replayed"

_CAUSE = tuple(f"sentinel.{name}" for name in ("topic", "partition", "offset", "reason", "detail"))


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

    @property
    def replay_of(self) -> int | None:
        """The dead letter that this one had been before it was sent back and refused again."""
        return next((int(h.value) for h in self.headers if _is_replay(h)), None)


def dead_letter_record(at: TopicPartition, record: InputRecord, error: RecordError) -> OutputRecord:
    """What to publish of a record that could not be used."""
    facts = (
        *(at.topic, str(at.partition), str(record.offset)),
        *(error.reason, error.detail[:DETAIL_LENGTH_MAX]),
    )
    cause = [Header(name, text.encode()) for name, text in zip(_CAUSE, facts, strict=True)]
    return OutputRecord(record.key, record.value, (*cause, *_headers(record)))


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
    return DeadLetter(
        offset=record.offset,
        timestamp_ms=record.timestamp,
        at=TopicPartition(topic, int(partition)),
        offset_there=int(offset),
        reason=reason,
        detail=detail,
        key=record.key,
        value=record.value,
        headers=headers[len(_CAUSE) :],
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


def _is_replay(header: Header) -> bool:
    return header.name == REPLAY_OF and header.value.isdigit()


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()
