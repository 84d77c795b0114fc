"""What the admin client is asked: topics, and the cluster's id."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, NoError, TopicAlreadyExistsError, for_code

from sentinel.adapters.kafka.client import KafkaParams, connection_settings, translated
from sentinel.errors import ConfigError, TransientError
from sentinel.ports import TopicSpec

T = TypeVar("T")

RETRY_S = 0.1


class Admin:
    """A thin shell around aiokafka's admin client, with timeouts and our errors."""

    def __init__(self, params: KafkaParams) -> None:
        self._params = params
        self._client = AIOKafkaAdminClient(**connection_settings(params))

    async def start(self) -> None:
        await self._client.start()

    async def close(self) -> None:
        await self._client.close()

    async def cluster_id(self) -> str:
        description = await self._asked("describe the cluster", self._client.describe_cluster)
        cluster_id = description.get("cluster_id")
        if not cluster_id:
            raise TransientError("the broker does not say which cluster it belongs to")
        return str(cluster_id)

    async def partition_counts(self) -> dict[str, int]:
        """Of every topic: asking for one by name would create it where that is automatic."""
        descriptions = await self._asked("list the topics", self._client.describe_topics)
        return {
            str(topic["topic"]): len(topic["partitions"])
            for topic in descriptions
            if topic["error_code"] == NoError.errno
        }

    async def _asked(self, what: str, ask: Callable[[], Awaitable[T]]) -> T:
        """The answer of any broker; the client picks one at random, and it may be one that died."""
        with translated(what):
            async with asyncio.timeout(self._params.request_timeout_s):
                while True:
                    try:
                        return await ask()
                    except KafkaError as error:
                        if not error.retriable:
                            raise
                    await asyncio.sleep(RETRY_S)

    async def ensure_topics(self, topics: Sequence[TopicSpec]) -> None:
        found = await self.partition_counts()
        missing = [topic for topic in topics if topic.name not in found]
        if missing:
            await self._create(missing)
            found = await self._await_topics(topics)
        for topic in topics:
            if found[topic.name] != topic.partition_count:
                raise ConfigError(
                    f"topic {topic.name} has {found[topic.name]} partitions,"
                    f" wanted {topic.partition_count}"
                )

    async def _create(self, topics: Sequence[TopicSpec]) -> None:
        new_topics = [
            NewTopic(
                topic.name,
                topic.partition_count,
                self._params.replication_factor,
                topic_configs={"max.message.bytes": str(self._params.record_bytes_max)},
            )
            for topic in topics
        ]
        with translated("create topics"):
            async with asyncio.timeout(self._params.request_timeout_s):
                response = await self._client.create_topics(new_topics)
            for name, code, *detail in response.topic_errors:
                # Another instance that starts at the same time may have been first.
                if code not in (NoError.errno, TopicAlreadyExistsError.errno):
                    raise for_code(code)(name, *detail)

    async def _await_topics(self, topics: Sequence[TopicSpec]) -> dict[str, int]:
        """A cluster of several nodes answers a create before every node knows of the topic."""
        try:
            async with asyncio.timeout(self._params.request_timeout_s):
                while True:
                    found = await self.partition_counts()
                    if all(found.get(topic.name) for topic in topics):
                        return found
                    await asyncio.sleep(0.1)
        except TimeoutError as error:
            raise TransientError("the topics that were created do not appear") from error
