"""The nouns that cross a border: records in and out, transactions as columns, labels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from sentinel.texts import Texts

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LabelName = Literal["fraud", "genuine"]
LabelWord = Literal["fraud", "genuine", "withdrawn"]  # what is published of a label
WITHDRAWN: Literal["withdrawn"] = "withdrawn"


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
        Amount in minor units (cents), int64 (n,), in [0, 10**12]; signed where the schema says so.
    entities
        For each entity kind ("account" always) n identifiers; missing where a row has none.
    numeric
        For each numeric or boolean field float64 (n,); NaN where missing.
    categorical
        For each categorical field n strings; None where missing.
    """

    transaction_id: Texts
    partition: Ints
    offset: Ints
    event_time_ms: Ints
    amount_minor: Ints
    entities: dict[str, Texts]
    numeric: dict[str, Floats] = field(default_factory=dict)
    categorical: dict[str, Texts] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.transaction_id)


def part(rows: Transactions, begin: int, end: int) -> Transactions:
    """Rows begin to end of a batch."""
    return chosen(rows, np.arange(begin, end))


def chosen(rows: Transactions, at: Ints) -> Transactions:
    """The rows of a batch at these places, in that order."""
    return Transactions(
        transaction_id=rows.transaction_id.take(at),
        partition=rows.partition[at],
        offset=rows.offset[at],
        event_time_ms=rows.event_time_ms[at],
        amount_minor=rows.amount_minor[at],
        entities={name: column.take(at) for name, column in rows.entities.items()},
        numeric={name: column[at] for name, column in rows.numeric.items()},
        categorical={name: column.take(at) for name, column in rows.categorical.items()},
    )


@dataclass(frozen=True, slots=True)
class Feedback:
    """One piece of feedback about one transaction.

    `event_time_ms` and `entities` place the transaction; a source that knows them saves a look-up.
    `probability` is that of the decision, if it is known. Without `observed_ms` it was observed
    when it was appended to its log. `selected_by` says how the transaction came to be looked at:
    the action of its decision, "explored", or a name of the sender's own for a way of choosing.
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
    revision: int = 0  # a later word of the same person has a higher one
    probability: float | None = None
    selected_by: str | None = None
    v: int = 1


@dataclass(frozen=True, slots=True)
class Label:
    """What is now held to be true of one transaction, and what that replaces.

    The label "withdrawn" says that nothing is held to be true of it any more: a chargeback was
    taken back, or the votes no longer say enough.
    """

    transaction_id: str
    label: LabelWord
    posterior: float
    vote_count: int
    source: str
    observed_ms: int
    event_time_ms: int
    entities: dict[str, str | None]
    supersedes: LabelWord | None = None
    # Where the feedback that settled it was read: it grows, and repeats on replay.
    feedback_offset: int = -1
    feedback_log: str = ""  # of which log that offset is: another one begins anew
    v: int = 1


HISTORY_ARM = "history"  # of an example of before there was a model: nobody decided anything


@dataclass(frozen=True, slots=True)
class Example:
    """A decision joined with what turned out to be true: what everything that learns reads.

    The newest example of a transaction counts, the others are superseded. One whose label is
    "withdrawn" leaves nothing to learn from the transaction.

    Attributes
    ----------
    id
        Names the example: when a crash repeats it, it has the same one.
    features
        By name; None where one was missing.
    source
        Who settled the label; "presumed" of what nobody spoke of for so long that it is taken for
        genuine.
    label_delay_ms
        From the transaction to the label; None of a presumed one.
    propensity
        How likely such a transaction is to become an example.
    weight
        Its inverse; 0 of one that is withdrawn.
    is_selective
        Whether it was blocked and labelled all the same: how likely that was is not known.
    is_explored
        Whether it would have been blocked, and was reviewed by chance.
    experiment
        Of which its arm is one; empty outside of all experiments.
    supersedes
        The label, or "presumed", that was published before; None for the first example.
    """

    id: str
    transaction_id: str
    decision_id: str
    event_time_ms: int
    account: str
    amount_minor: int
    score: float | None
    probability: float | None
    action: str
    model_version: str
    arm: str
    features: dict[str, float | None]
    label: LabelWord
    posterior: float
    source: str
    label_delay_ms: int | None
    propensity: float
    weight: float
    is_selective: bool = False
    supersedes: str | None = None
    is_explored: bool = False
    experiment: str = ""
    v: int = 1


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One thing that was changed, and how it was before and after.

    Attributes
    ----------
    id
        Names the change: when a crash repeats it, it has the same one.
    kind
        What was changed: a "vote", a "label", one's "standing", a "model", an "update", a
        "drift alarm", a "drift suppression" or a "drift reference".
    subject
        Of which transaction, version, alarm or column, or of whom.
    who
        Who, or what, brought it about.
    at_ms
        When, in the time of the events.
    before, after
        The values that differ, and those that tell what they are; None for nothing.
    """

    id: str
    kind: str
    subject: str
    who: str
    at_ms: int
    before: dict[str, Any] | None
    after: dict[str, Any] | None
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
