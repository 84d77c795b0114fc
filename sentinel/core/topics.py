"""What a topic must be like, and what is wrong with it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

from sentinel.errors import ConfigError

Severity = Literal["wrong", "warning", "unknown"]

_DAY_MS = 86_400_000

# Settings of a topic that are judged; a broker may not tell all of them.
SETTINGS = (
    "cleanup.policy",
    "max.message.bytes",
    "min.insync.replicas",
    "retention.bytes",
    "retention.ms",
    "unclean.leader.election.enable",
)


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """A topic that must exist, and how many partitions it must have.

    Attributes
    ----------
    partition_count
        Of a new one.
    retention_ms
        How long a new one keeps its records; None: as long as the cluster keeps any.
    is_free
        One that exists has as many partitions as its owner has given it.
    follows
        The topic than which it must not have fewer partitions; empty for none.
    """

    name: str
    partition_count: int
    retention_ms: int | None = None
    is_free: bool = False
    follows: str = ""


def resolved(topics: Sequence[TopicSpec], found: Mapping[str, int]) -> list[TopicSpec]:
    """The topics with the counts they need, given the partition counts of those that there are."""
    free = {t.name: found.get(t.name) or t.partition_count for t in topics if t.is_free}
    counts = {t.name: free.get(t.follows or t.name, t.partition_count) for t in topics}
    return [replace(topic, partition_count=counts[topic.name]) for topic in topics]


def lacking(topics: Sequence[TopicSpec], found: Mapping[str, int]) -> list[TopicSpec]:
    """Those that must get more partitions. Raises ConfigError where a count cannot be mended."""
    fewer = []
    for topic in resolved(topics, found):
        has, wanted = found[topic.name], topic.partition_count
        if topic.follows and has < wanted:
            fewer.append(topic)
        elif not topic.follows and has != wanted:
            raise ConfigError(f"topic {topic.name} has {has} partitions, wanted {wanted}")
    return fewer


@dataclass(frozen=True, slots=True)
class TopicFacts:
    """A topic as the broker describes it.

    Attributes
    ----------
    copy_count
        Replicas of the partition that has the fewest.
    settings
        Those in force, by name; what the broker does not tell is missing.
    """

    partition_count: int
    copy_count: int
    settings: Mapping[str, str] = field(default_factory=dict)

    def number(self, name: str) -> int | None:
        """A setting that is a whole number; None when it is not told."""
        text = self.settings.get(name, "")
        return int(text) if text.lstrip("-").isdigit() else None


@dataclass(frozen=True, slots=True)
class TopicDemands:
    """What Sentinel needs of a topic.

    Attributes
    ----------
    partition_count
        None where its owner decides.
    because
        Why so many.
    if_compacted
        What would be lost if only the newest record of each key were kept.
    batch_bytes
        Produced batches may have this size; 0 where Sentinel writes nothing.
    record_bytes
        Of the largest record that may have to be written; 0 for none in particular.
    history_ms
        How far back its records are needed when state must be built anew; 0 for not at all.
    more_are_fine
        Whether it may have more partitions.
    """

    name: str
    partition_count: int | None
    because: str
    copy_count: int
    if_compacted: str
    batch_bytes: int = 0
    record_bytes: int = 0
    history_ms: int = 0
    more_are_fine: bool = False


class Finding(NamedTuple):
    """One thing about one topic that is not as it should be."""

    severity: Severity
    text: str
    is_of_history: bool = False  # what features look back on may be gone when it is needed


def findings(demands: TopicDemands, facts: TopicFacts | None) -> list[Finding]:
    """What is wrong with a topic, what may become so, and what cannot be known."""
    if facts is None:
        return [Finding("wrong", "does not exist: `sentinel topics create` makes it")]
    found = [
        *_partitions(demands, facts),
        *_copies(demands, facts),
        *_cleanup(demands, facts),
        *_sizes(demands, facts),
    ]
    if untold := [name for name in SETTINGS if name not in facts.settings]:
        found.append(Finding("unknown", f"the broker does not tell {', '.join(untold)}"))
    return found


def _partitions(demands: TopicDemands, facts: TopicFacts) -> Iterable[Finding]:
    has, needed = facts.partition_count, demands.partition_count
    if needed is not None and (has < needed or (has > needed and not demands.more_are_fine)):
        yield Finding(
            "wrong",
            f"has {_count(has, 'partition')}, needs {needed}: {demands.because}",
        )


def _copies(demands: TopicDemands, facts: TopicFacts) -> Iterable[Finding]:
    copies, needed = facts.copy_count, facts.number("min.insync.replicas")
    if copies < demands.copy_count:
        yield Finding(
            "warning",
            f"has {_count(copies, 'copy', 'copies')} of each record, "
            f"kafka.replication_factor is {demands.copy_count}",
        )
    if needed is not None and needed > copies:
        yield Finding(
            "warning",  # Kafka 4 takes all copies that there are for enough
            f"min.insync.replicas is {needed}, and there {_are(copies)}: "
            "brokers before Kafka 4 refuse every write",
        )
    elif needed is not None and needed == copies > 1:
        yield Finding(
            "warning",
            f"min.insync.replicas is {needed}, and there {_are(copies)}: "
            "writes are refused while one broker is away",
        )
    elif needed == 1 and copies > 1:
        yield Finding(
            "warning",
            "min.insync.replicas is 1: what one broker alone has acknowledged is lost with it",
        )
    if facts.settings.get("unclean.leader.election.enable") == "true":
        yield Finding(
            "warning",
            "unclean.leader.election.enable is true: acknowledged records may be lost",
        )


def _cleanup(demands: TopicDemands, facts: TopicFacts) -> Iterable[Finding]:
    if "compact" in facts.settings.get("cleanup.policy", ""):
        yield Finding(
            "wrong",
            f"cleanup.policy is {facts.settings['cleanup.policy']}, must be delete: "
            f"{demands.if_compacted}",
        )
    if not demands.history_ms:
        return
    kept_ms, kept_bytes = facts.number("retention.ms"), facts.number("retention.bytes")
    if kept_ms is not None and 0 <= kept_ms < demands.history_ms:
        yield Finding(
            "warning",
            f"retention.ms keeps {_days(kept_ms)}, features look back {_days(demands.history_ms)}: "
            "state that the store loses cannot be built again in full",
            is_of_history=True,
        )
    if kept_bytes is not None and kept_bytes >= 0:
        yield Finding(
            "warning",
            f"retention.bytes keeps {kept_bytes:,} bytes of each partition, "
            "however short a time that is",
            is_of_history=True,
        )


def _sizes(demands: TopicDemands, facts: TopicFacts) -> Iterable[Finding]:
    limit = facts.number("max.message.bytes")
    if limit is None:
        return
    if limit < demands.batch_bytes:
        yield Finding(
            "wrong",
            f"max.message.bytes is {limit:,}, kafka.batch_bytes_max {demands.batch_bytes:,}: "
            "full batches are refused",
        )
    if limit < demands.record_bytes:
        yield Finding(
            "warning",
            f"max.message.bytes is {limit:,}, other topics take records of "
            f"{demands.record_bytes:,}: one that cannot be used is shortened here",
        )


def describe(facts: TopicFacts) -> str:
    """A topic in a few words."""
    words = [
        _count(facts.partition_count, "partition"),
        _count(facts.copy_count, "copy", "copies"),
    ]
    kept_ms, limit = facts.number("retention.ms"), facts.number("max.message.bytes")
    if kept_ms is not None:
        words.append("kept for ever" if kept_ms < 0 else f"kept {_days(kept_ms)}")
    if limit is not None:
        words.append(f"records up to {limit:,} bytes")
    return ", ".join(words)


def _count(count: int, one: str, many: str = "") -> str:
    return f"{count} {one if count == 1 else many or one + 's'}"


def _are(copies: int) -> str:
    return "is 1 copy" if copies == 1 else f"are {copies} copies"


def _days(duration_ms: int) -> str:
    return f"{duration_ms / _DAY_MS:,.3g} days"
