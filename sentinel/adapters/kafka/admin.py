"""What the admin client is asked: topics, and the cluster's id."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any, Self

from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    InvalidPartitionsError,
    KafkaError,
    NoError,
    TopicAlreadyExistsError,
    for_code,
)
from aiokafka.protocol.metadata import MetadataRequest

from sentinel.adapters.kafka.client import KafkaParams, connection_settings, translated
from sentinel.adapters.kafka.internals import ask_broker, brokers_of
from sentinel.adapters.kafka.requests.connecting import connecting
from sentinel.adapters.kafka.requests.group_members import Member, members
from sentinel.adapters.kafka.requests.topic_ids import topic_id
from sentinel.core.topics import TopicFacts, TopicSpec, lacking, resolved
from sentinel.errors import TransientError

RETRY_S = 0.1


class Admin:
    """A thin shell around aiokafka's admin client, with timeouts and our errors."""

    def __init__(self, params: KafkaParams) -> None:
        self._params = params
        self._client = AIOKafkaAdminClient(**connection_settings(params))
        self._resources = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self.close)
            async with connecting(self._params):
                await self.start()
            self._resources = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._resources.aclose()

    async def start(self) -> None:
        await self._client.start()

    async def close(self) -> None:
        await self._client.close()

    async def cluster_id(self) -> str:
        with translated("describe the cluster"):
            async with asyncio.timeout(self._params.request_timeout_s):
                description = await self._describe()
        cluster_id = description.get("cluster_id")
        if not cluster_id:
            raise TransientError("the broker does not say which cluster it belongs to")
        return str(cluster_id)

    async def _describe(self) -> Mapping[str, object]:
        """The client asks any broker that it once heard of: when it is dead, another one."""
        return await _again(self._client.describe_cluster)

    async def topic_id(self, name: str) -> tuple[str, int] | None:
        """The id of a topic, and its partition count; empty where the broker has no ids."""
        with translated(f"look at {name}"):
            async with asyncio.timeout(self._params.request_timeout_s):
                try:
                    return await topic_id(self._client, name)
                except NotImplementedError:
                    count = (await self.partition_counts()).get(name, 0)
                    return ("", count) if count else None

    async def group_offsets(self, group_id: str, topic: str) -> dict[int, int]:
        """What a group has committed for a topic, by partition."""
        with translated(f"ask what {group_id} has committed"):
            async with asyncio.timeout(self._params.request_timeout_s):
                found = await self._group_offsets(group_id)
        return {at.partition: one.offset for at, one in found.items() if at.topic == topic}

    async def _group_offsets(self, group_id: str) -> Mapping[Any, Any]:
        """A cluster that is young has no coordinator yet, and makes one when it is asked."""
        return await _again(lambda: self._client.list_consumer_group_offsets(group_id))

    async def group_members(self, group_id: str) -> list[Member]:
        """The members of a consumer group; none where the cluster does not tell."""
        return await members(self._client, group_id)

    async def partition_counts(self) -> dict[str, int]:
        """Of every topic: asking for one by name would create it where that is automatic."""
        return {name: count for view in await self._views() for name, count in view.items()}

    async def broker_count(self) -> int:
        """How many brokers there are now."""
        with translated("describe the cluster"):
            async with asyncio.timeout(self._params.request_timeout_s):
                description = await self._describe()
        brokers = description["brokers"]
        assert isinstance(brokers, Sequence)
        return len(brokers)

    async def topic_facts(self, names: Sequence[str]) -> dict[str, TopicFacts]:
        """What there is to know of these topics; those that do not exist are left out."""
        with translated("describe the topics"):
            async with asyncio.timeout(self._params.request_timeout_s):
                answer = await ask_broker(self._client, MetadataRequest(None))
                topics = {
                    topic["topic"]: topic["partitions"]
                    for topic in answer.to_object()["topics"]
                    if topic["topic"] in names and topic["error_code"] == NoError.errno
                }
                settings = await self._settings(list(topics))
        return {
            name: TopicFacts(
                partition_count=len(partitions),
                copy_count=min((len(partition["replicas"]) for partition in partitions), default=0),
                settings=settings.get(name, {}),
            )
            for name, partitions in topics.items()
        }

    async def _settings(self, topics: Sequence[str]) -> dict[str, dict[str, str]]:
        """The settings of each topic, as far as the broker tells them, and tells us."""
        if not topics:
            return {}
        asked = [ConfigResource(ConfigResourceType.TOPIC, topic) for topic in topics]
        found = {}
        for answer in await self._client.describe_configs(asked):
            for error, _, _, topic, entries in answer.resources:
                if error == NoError.errno:
                    found[topic] = {name: value for name, value, *_ in entries if value is not None}
        return found

    async def _views(self) -> list[dict[str, int]]:
        """The partition count of every topic as each broker knows it; the dead are left out."""
        with translated("list the topics"):
            async with asyncio.timeout(self._params.request_timeout_s):
                while True:
                    brokers = brokers_of(self._client)
                    views = await asyncio.gather(*(self._view(b.nodeId) for b in brokers))
                    if found := [view for view in views if view is not None]:
                        return found
                    await asyncio.sleep(RETRY_S)

    async def _view(self, node_id: int) -> dict[str, int] | None:
        try:
            # One that hangs must leave time to hear the others.
            async with asyncio.timeout(self._params.request_timeout_s / 3):
                answer = await ask_broker(self._client, MetadataRequest(None), node_id)
        except TimeoutError:
            return None
        except KafkaError as error:
            if not error.retriable:
                raise
            return None
        return {
            str(topic["topic"]): len(topic["partitions"])
            for topic in answer.to_object()["topics"]
            if topic["error_code"] == NoError.errno
        }

    async def ensure_topics(self, topics: Sequence[TopicSpec]) -> None:
        found = await self.partition_counts()
        wanted = resolved(topics, found)
        if missing := [topic for topic in wanted if topic.name not in found]:
            await self._create(missing)
        found = await self._await_topics(wanted)
        await self._grow({t.name: t.partition_count for t in lacking(topics, found)})

    async def _grow(self, counts: Mapping[str, int]) -> None:
        """Give topics more partitions; another instance may have been first."""
        for name, count in counts.items():
            with translated(f"grow {name} to {count} partitions"):
                async with asyncio.timeout(self._params.request_timeout_s):
                    try:
                        await self._client.create_partitions({name: NewPartitions(count)})
                    except InvalidPartitionsError:
                        if (await self.partition_counts()).get(name, 0) < count:
                            raise

    async def _create(self, topics: Sequence[TopicSpec]) -> None:
        new_topics = [
            NewTopic(
                topic.name,
                topic.partition_count,
                self._params.replication_factor,
                topic_configs=self._settings_of(topic),
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

    def _settings_of(self, topic: TopicSpec) -> dict[str, str]:
        settings = {"max.message.bytes": str(self._params.record_bytes_max)}
        if topic.retention_ms is not None:
            settings["retention.ms"] = str(topic.retention_ms)
        return settings

    async def _await_topics(self, topics: Sequence[TopicSpec]) -> dict[str, int]:
        """Until every broker knows of them; one that does not know a topic yet gives a group
        without any partition of it, for minutes.
        """
        try:
            async with asyncio.timeout(self._params.request_timeout_s):
                while True:
                    views = await self._views()
                    if all(view.get(topic.name) for view in views for topic in topics):
                        return views[0]
                    await asyncio.sleep(RETRY_S)
        except TimeoutError as error:
            raise TransientError("the topics that were created do not appear") from error


async def _again(ask: Callable[[], Awaitable[Mapping[Any, Any]]]) -> Mapping[Any, Any]:
    """Ask until there is an answer; whoever calls sets the limit."""
    while True:
        try:
            return await ask()
        except KafkaError as error:
            if not error.retriable:
                raise
        await asyncio.sleep(RETRY_S)
