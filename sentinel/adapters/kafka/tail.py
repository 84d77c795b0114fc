"""The broadcast tail: every record of some topics, for every instance, outside any group."""

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Self

from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition as ClientPartition

from sentinel.adapters.kafka.client import (
    KafkaParams,
    connection_settings,
    fetch_settings,
    lag_of,
    milliseconds,
    stop_consumer,
    translated,
)
from sentinel.adapters.kafka.requests.connecting import connecting
from sentinel.records import InputRecord


class KafkaTail:
    """One partition of each topic, from the oldest record on. The topics must exist."""

    def __init__(self, params: KafkaParams, topics: Sequence[str], *, partition: int = 0) -> None:
        assert topics
        self._params = params
        self._partition = partition
        self._partitions = [ClientPartition(topic, partition) for topic in topics]
        self._resources = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            self._consumer = AIOKafkaConsumer(
                **connection_settings(self._params),
                **fetch_settings(self._params),
                auto_offset_reset="earliest",
            )
            stack.push_async_callback(stop_consumer, self._consumer)
            self._consumer.assign(self._partitions)
            # Not every tail is read: an instance that does not train would fetch examples in vain.
            self._consumer.pause(*self._partitions)
            async with connecting(self._params, "start the tail on"):
                await self._consumer.start()
            self._resources = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._resources.aclose()

    async def poll(
        self, *, timeout_s: float, count_max: int
    ) -> Mapping[str, Sequence[InputRecord]]:
        self._consumer.resume(*self._partitions)
        with translated("poll the tail"):
            fetched = await self._consumer.getmany(
                timeout_ms=milliseconds(timeout_s), max_records=count_max
            )
        return {partition.topic: records for partition, records in fetched.items()}

    def seek(self, topic: str, offset: int) -> None:
        with translated(f"seek the tail of {topic}"):
            self._consumer.seek(ClientPartition(topic, self._partition), offset)

    def lag(self, topic: str) -> int | None:
        return lag_of(self._consumer, ClientPartition(topic, self._partition), self._params)
