"""The broadcast tail in memory."""

from collections.abc import Mapping, Sequence
from typing import Self

from sentinel.adapters.memory.cluster import MemoryCluster
from sentinel.adapters.memory.faults import Faults
from sentinel.records import InputRecord, TopicPartition


class MemoryTail:
    """`ports.Tail` on a `MemoryCluster`: partition 0 of each topic, from the oldest record on."""

    def __init__(
        self, cluster: MemoryCluster, topics: Sequence[str], *, faults: Faults | None = None
    ) -> None:
        self._cluster = cluster
        self._positions = dict.fromkeys(topics, 0)
        self._polled: set[str] = set()
        self._faults = faults or Faults()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def poll(
        self, *, timeout_s: float, count_max: int
    ) -> Mapping[str, Sequence[InputRecord]]:
        with self._faults.call("tail.poll"):
            found = self._read(count_max)
            if not found:
                await self._cluster.changed(timeout_s)
                found = self._read(count_max)
        return found

    def _read(self, count_max: int) -> dict[str, Sequence[InputRecord]]:
        found: dict[str, Sequence[InputRecord]] = {}
        for topic, position in self._positions.items():
            self._polled.add(topic)
            records = self._cluster.read(TopicPartition(topic, 0), position, count_max)
            if records:
                found[topic] = records
                self._positions[topic] = records[-1].offset + 1
                count_max -= len(records)
        return found

    def seek(self, topic: str, offset: int) -> None:
        assert topic in self._positions
        with self._faults.call("tail.seek"):
            self._positions[topic] = offset

    def lag(self, topic: str) -> int | None:
        log = self._cluster.log(TopicPartition(topic, 0))
        # What was deleted unread is skipped.
        position = max(self._positions[topic], log.start)
        return max(0, log.end - position) if topic in self._polled else None
