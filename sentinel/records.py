"""The nouns that cross a border: records in and out, transactions as columns, labels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LabelName = Literal["fraud", "genuine"]

GENUINE = 0
FRAUD = 1


class TopicPartition(NamedTuple):
    """One partition of one topic."""

    topic: str
    partition: int


class Header(NamedTuple):
    """One header of a Kafka record."""

    name: str
    value: bytes


class InputRecord(Protocol):
    """What the engine reads of a consumed record; aiokafka's own record fits as it is."""

    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Sequence[tuple[str, bytes]]: ...


class Record(NamedTuple):
    """An input record that did not come from Kafka: from a file or made by hand."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()


class OutputRecord(NamedTuple):
    """A record to publish."""

    key: bytes | None
    value: bytes | None
    headers: tuple[Header, ...] = ()


class Commit(NamedTuple):
    """A committed position: the next offset to read, and a short text kept beside it."""

    offset: int
    metadata: str = ""


@dataclass(frozen=True, slots=True)
class Transactions:
    """A batch of transactions as columns; row i of each column belongs to one transaction.

    Attributes
    ----------
    transaction_id
        The user's identifiers, n strings.
    partition, offset
        Where each row was read, int64 (n,). Offsets ascend within a partition.
    event_time_ms
        Epoch milliseconds UTC, int64 (n,).
    amount_minor
        Amount in minor units (cents), int64 (n,), in [0, 10**12].
    entities
        For each entity kind ("account" always) n identifiers; None where a row has none.
    numeric
        For each numeric or boolean field float64 (n,); NaN where missing.
    categorical
        For each categorical field n strings; None where missing.
    """

    transaction_id: list[str]
    partition: Ints
    offset: Ints
    event_time_ms: Ints
    amount_minor: Ints
    entities: dict[str, list[str | None]]
    numeric: dict[str, Floats] = field(default_factory=dict)
    categorical: dict[str, list[str | None]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.transaction_id)


def part(rows: Transactions, begin: int, end: int) -> Transactions:
    """Rows begin to end of a batch."""
    at = slice(begin, end)
    return Transactions(
        transaction_id=rows.transaction_id[at],
        partition=rows.partition[at],
        offset=rows.offset[at],
        event_time_ms=rows.event_time_ms[at],
        amount_minor=rows.amount_minor[at],
        entities={name: column[at] for name, column in rows.entities.items()},
        numeric={name: column[at] for name, column in rows.numeric.items()},
        categorical={name: column[at] for name, column in rows.categorical.items()},
    )


@dataclass(frozen=True, slots=True)
class Feedback:
    """One voice about one transaction.

    `event_time_ms` and `entities` place the transaction; a source that knows them saves a look-up.
    """

    transaction_id: str
    label: str
    source: str
    who: str = ""
    confidence: float = 1.0
    notes: str = ""
    observed_ms: int = 0
    event_time_ms: int | None = None
    entities: dict[str, str | None] | None = None
    v: int = 1


@dataclass(frozen=True, slots=True)
class Label:
    """What is now held to be true of one transaction, and what that replaces."""

    transaction_id: str
    label: LabelName
    posterior: float
    vote_count: int
    source: str
    observed_ms: int
    event_time_ms: int
    entities: dict[str, str | None]
    supersedes: LabelName | None = None
    feedback_offset: int = -1  # where the voice that settled it was read: grows, repeats on replay
    v: int = 1


@dataclass(frozen=True, slots=True)
class Batch:
    """Records of one topic, by partition, as one poll returned them."""

    topic: str
    records: Mapping[TopicPartition, Sequence[InputRecord]]
    received_s: float  # monotonic clock, when they were handed over
    # Where each log ended at least, when they were read.
    ends: Mapping[TopicPartition, int] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """How many records there are."""
        return sum(map(len, self.records.values()))
