"""Looks through the dead letters, and sends them back where they came from."""

from collections import Counter, deque
from collections.abc import Collection, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from sentinel.codec.dead_letters import (
    DeadLetter,
    decode_dead_letter,
    decode_replay_note,
    replay_note,
    replay_record,
)
from sentinel.engine.tail import read_to_end
from sentinel.errors import ConfigError
from sentinel.ports import Broker, Tail
from sentinel.records import InputRecord, OutputRecord, TopicPartition


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which dead letters; all of them where nothing is said."""

    offsets: frozenset[int] = frozenset()
    reason: str = ""
    topic: str = ""  # as the broker knows it
    since_ms: int = 0

    def includes(self, letter: DeadLetter) -> bool:
        """Whether this one is meant."""
        return (
            (not self.offsets or letter.offset in self.offsets)
            and self.reason in ("", letter.reason)
            and self.topic in ("", letter.at.topic)
            and letter.timestamp_ms >= self.since_ms
        )


@dataclass(slots=True)
class Found:
    """What there is of the dead letters that were wanted."""

    letters: deque[DeadLetter]  # the newest of them, the oldest first
    places: dict[int, TopicPartition] = field(default_factory=dict)  # of all, by offset
    reasons: Counter[str] = field(default_factory=Counter)
    replayed_ms: dict[int, int] = field(default_factory=dict)  # when last, by offset
    foreign_count: int = 0  # records that are no dead letters
    shortened: set[int] = field(default_factory=set)  # offsets of those that are not whole


@dataclass(frozen=True, slots=True)
class Plan:
    """What a replay would do."""

    offsets: frozenset[int]
    to: Counter[TopicPartition]
    skipped: tuple[int, ...]  # replayed before
    shortened: tuple[int, ...] = ()  # not whole: what they were is where they came from


async def look_through(
    tail: Tail, topic: str, wanted: Wanted, *, count_max: int | None, timeout_s: float
) -> Found:
    """Read all there is by now; keep the newest `count_max` of those wanted, None for all."""
    found = Found(deque(maxlen=count_max))
    async with aclosing(read_to_end(tail, topic, timeout_s=timeout_s)) as batches:
        async for records in batches:
            for record in records:
                _take(record, wanted, found)
    return found


def _take(record: InputRecord, wanted: Wanted, found: Found) -> None:
    if (replayed := decode_replay_note(record)) is not None:
        found.replayed_ms[replayed] = record.timestamp
    elif (letter := decode_dead_letter(record)) is None:
        found.foreign_count += 1
    elif wanted.includes(letter):
        found.letters.append(letter)
        found.places[letter.offset] = letter.at
        found.reasons[letter.reason] += 1
        if letter.shortened is not None:
            found.shortened.add(letter.offset)


async def planned(broker: Broker, found: Found, *, again: bool) -> Plan:
    """Which of what was found to send back, and whether that is possible.

    Each goes to the partition that it came from. With Kafka's default partitioner that is where its
    key belongs; with another one, too, it is where its account's other records are. Raises
    ConfigError when such a partition is no more.
    """
    counts = {at.topic: 0 for at in found.places.values()}
    for topic in counts:
        counts[topic] = await broker.partition_count(topic)
    for offset, at in found.places.items():
        if at.partition >= counts[at.topic]:
            raise ConfigError(
                f"dead letter {offset} came from {at.topic}-{at.partition}, which is no more: "
                f"{at.topic} has {counts[at.topic]} partitions"
            )
    whole = [offset for offset in found.places if offset not in found.shortened]
    skipped = () if again else tuple(o for o in whole if o in found.replayed_ms)
    offsets = frozenset(set(whole) - set(skipped))
    to = Counter(found.places[offset] for offset in offsets)
    return Plan(offsets, to, skipped, tuple(sorted(found.shortened)))


async def replay(
    tail: Tail, broker: Broker, topic: str, offsets: Collection[int], *, timeout_s: float
) -> int:
    """Send these dead letters back, in their order; returns how many were sent.

    Each is noted once it has arrived. Whoever is killed in between has sent what is not noted.
    """
    if not offsets:
        return 0
    sent_count, last = 0, max(offsets)
    tail.seek(topic, min(offsets))
    async with aclosing(read_to_end(tail, topic, timeout_s=timeout_s)) as batches:
        async for records in batches:
            letters = [
                letter
                for record in records
                if record.offset in offsets and (letter := decode_dead_letter(record)) is not None
            ]
            await _send(broker, topic, letters)
            sent_count += len(letters)
            if records[-1].offset >= last:
                break
    return sent_count


async def _send(broker: Broker, topic: str, letters: Sequence[DeadLetter]) -> None:
    by_place: dict[TopicPartition, list[OutputRecord]] = {}
    for letter in letters:
        by_place.setdefault(letter.at, []).append(replay_record(letter))
    if by_place:
        for at, records in by_place.items():
            await broker.publish(at.topic, at.partition, records)
        await broker.flush()
        await broker.publish(topic, 0, [replay_note(letter.offset) for letter in letters])
        await broker.flush()
