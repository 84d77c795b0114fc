"""Whose a state store is, and of which log the offsets in it are.

A note beside the state says which group on which topic it belongs to, so that two deployments do
not share one by accident, and what the topic was when it was looked at last: another one of the
same name, or one with more partitions, is known as such.
"""

import logging
from dataclasses import dataclass, field, replace

from sentinel.codec.stored import decode_stored, encode_stored
from sentinel.errors import ConfigError, RecordError, TransientError
from sentinel.ports import Broker, StateStore, TopicLog
from sentinel.records import TopicPartition

log = logging.getLogger(__name__)

# Of keys and blobs. Version 1 had no such note, and its offsets had no names.
FORMAT = 2


@dataclass(frozen=True, slots=True)
class NewBeginning:
    """From which offset on the records of a partition are new, since what was before is gone."""

    number: int
    offset: int


@dataclass(frozen=True, slots=True)
class StoreOwner:
    """The note.

    Attributes
    ----------
    log
        Names the log of the topic.
    partition_count
        Of the topic.
    ends
        While partitions that were added wait for those that were there before: where each of these
        ended when that was found. An account may have moved from any of these to any of those.
    beginnings
        By partition: where the log was found to end before what had been read of it.
    era
        How often offsets have begun to mean something else: decisions that are named by them are
        named by it, too.
    """

    group_id: str
    topic: str
    log: str
    partition_count: int
    ends: tuple[int, ...] = ()
    beginnings: dict[int, NewBeginning] = field(default_factory=dict)
    era: int = 0
    format: int = FORMAT

    @property
    def name(self) -> str:
        """Of the topic, in the names of decisions."""
        return f"{self.topic}.{self.era}" if self.era else self.topic

    def log_of(self, partition: int) -> str:
        """Names the log of one partition."""
        beginning = self.beginnings.get(partition)
        return self.log if beginning is None else f"{self.log}#{beginning.number}"

    def log_names(self) -> list[str]:
        """The log of each partition."""
        return [self.log_of(number) for number in range(self.partition_count)]

    def waits(self, partition: int) -> bool:
        """Whether it was added and waits for those that were there before."""
        return bool(self.ends) and partition >= len(self.ends)

    def begun_anew(self, partition: int, offset: int) -> "StoreOwner":
        """With the records of a partition new from `offset` on."""
        before = self.beginnings.get(partition, NewBeginning(0, 0))
        anew = NewBeginning(before.number + 1, offset)
        beginnings = {**self.beginnings, partition: anew}
        return replace(self, beginnings=beginnings, era=self.era + 1)


async def read_owner(store: StateStore) -> tuple[bytes | None, StoreOwner | None]:
    """The note as it is stored, and what that means."""
    noted = await store.owner()
    if noted is None:
        return None, None
    try:
        found = decode_stored(StoreOwner, noted)
    except RecordError as error:
        raise TransientError(f"whose the state store is cannot be read: {error.detail}") from error
    if found.format != FORMAT:
        raise ConfigError(
            f"the state store is of format {found.format}, this version reads {FORMAT}: "
            "use the version of Sentinel that wrote it, or another redis.key_prefix"
        )
    return noted, found


async def own(
    store: StateStore, broker: Broker, topic: str, *, group_id: str, key_prefix: str
) -> StoreOwner:
    """Take the store, unless it is another deployment's; note what the topic is now.

    Raises ConfigError when it is, or when an older version has written it.
    """
    seen = await broker.look(topic)
    if seen is None:
        raise TransientError(f"{topic} does not exist any more")
    noted, found = await read_owner(store)
    if found is None:
        if await store.is_of_format_1(topic, seen.partition_count):
            raise ConfigError(
                f'redis.key_prefix: the state under "{key_prefix}" was written by an older version:'
                " stop every instance, then run `sentinel state migrate`"
            )
        after = StoreOwner(group_id, topic, seen.name, seen.partition_count)
    elif (found.group_id, found.topic) != (group_id, topic):
        raise ConfigError(
            f'redis.key_prefix: the state under "{key_prefix}" belongs to the group '
            f"{found.group_id} on {found.topic}, this is the group {group_id} on {topic}: choose "
            "another prefix, or take it over with `sentinel state adopt`"
        )
    else:
        after = await _now(found, seen, broker)
    if after != found:
        await store.note_owner(noted, encode_stored(after))
    return after


async def _now(found: StoreOwner, seen: TopicLog, broker: Broker) -> StoreOwner:
    """The note, with what the topic is now."""
    if found.log != seen.name:
        log.warning("%s is another one than before: entities are kept, offsets are forgotten",
                    found.topic)  # fmt: skip
        count, era = seen.partition_count, found.era + 1
        return replace(found, log=seen.name, partition_count=count, ends=(), beginnings={}, era=era)
    if seen.partition_count == found.partition_count:
        return found
    before = len(found.ends) or found.partition_count
    log.warning(
        "%s has %d partitions now, and had %d: the new ones wait for what those hold",
        *(found.topic, seen.partition_count, before),
    )
    ends = [
        await broker.end_offset(TopicPartition(found.topic, number)) for number in range(before)
    ]
    return replace(found, partition_count=seen.partition_count, ends=tuple(ends))


async def check_log(broker: Broker, owner: StoreOwner) -> TopicLog | None:
    """What the topic is now; None when that cannot be asked. TransientError: it is another one."""
    try:
        seen = await broker.look(owner.topic)
    except TransientError:
        return None  # who needs the broker will say so
    if seen is not None and seen.name != owner.log:
        raise TransientError(
            f"{owner.topic} was deleted, and there is another one of that name: starting again"
        )
    return seen


async def replace_owner(store: StateStore, before: StoreOwner, after: StoreOwner) -> None:
    """Note something else. Raises FencedError when another instance has noted meanwhile."""
    noted, found = await read_owner(store)
    if found != after:
        await store.note_owner(noted if found == before else encode_stored(before),
                               encode_stored(after))  # fmt: skip
