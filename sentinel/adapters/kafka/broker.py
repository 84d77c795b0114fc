"""The broker port on Kafka: one member of a consumer group, and one producer."""

import asyncio
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any, Self

from aiokafka import AIOKafkaConsumer
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import InconsistentGroupProtocolError, NoOffsetForPartitionError
from aiokafka.structs import OffsetAndMetadata
from aiokafka.structs import TopicPartition as ClientPartition

from sentinel.adapters.kafka.admin import Admin
from sentinel.adapters.kafka.client import (
    KafkaParams,
    connection_settings,
    fetch_settings,
    lag_of,
    milliseconds,
    stop_consumer,
    translated,
)
from sentinel.adapters.kafka.fetching import read_blocks, wait_as_needed
from sentinel.adapters.kafka.internals import (
    coordinator_of,
    fetcher_of,
    has_unread,
    set_prefetch_backoff_s,
    state_of,
    uncommitted,
)
from sentinel.adapters.kafka.membership import Membership
from sentinel.adapters.kafka.producer import Producer
from sentinel.adapters.kafka.records import batch_writer
from sentinel.adapters.kafka.requests.connecting import connecting
from sentinel.adapters.kafka.requests.coordinator import repair
from sentinel.adapters.kafka.requests.group_members import Member, described
from sentinel.adapters.kafka.requests.stable_offsets import stable_commit
from sentinel.adapters.kafka.transactions import ProducerTransactions
from sentinel.core.topics import TopicFacts, TopicSpec
from sentinel.errors import FencedError, TransientError
from sentinel.ports import PartitionsCallback, TopicLog
from sentinel.records import Commit, InputRecord, OutputRecord, TopicPartition

# `getmany` without partitions reads all of them. To wait for none, ask for one that cannot exist:
# the client still notices errors and counts the call as a sign of life.
NOWHERE = ClientPartition("", -1)

# `getmany` keeps its own timeout; only a rebalance holds it longer than this.
POLL_GRACE_S = 0.1

PREFETCH_BACKOFF_S = 0.01

EMBEDDED_CLUSTER = "embedded-"  # how the embedded broker is named at each start
UNTOLD_END = 1 << 62

_UNCOMMITTED = 0  # of the protocol

# What a broker takes that nobody has told otherwise, and that does not tell us.
UNTOLD_RECORD_BYTES = 1_048_588

Fetched = Mapping[TopicPartition, Sequence[InputRecord]]


class KafkaBroker:
    """`ports.Broker` on a Kafka cluster.

    Callbacks run in a task of the client, during which it sends no heartbeats: they must end well
    within the session and rebalance timeouts. What a callback raises comes out of the next `poll`.

    What comes of the input topics `exactly_once` goes out in transactions, with the offsets.
    """

    def __init__(self, params: KafkaParams, *, exactly_once: Collection[str] = ()) -> None:
        self._params = params
        self._exactly_once = exactly_once
        self._transactions = ProducerTransactions(params)
        self._cluster_id = ""
        self._logs: dict[str, str] = {}  # by topic, as each was when it was first looked at
        self._membership: Membership | None = None
        # At most one; `poll` must not be cancelled and called again, for records would be lost.
        self._fetch: asyncio.Task[Fetched] | None = None
        self._resources = AsyncExitStack()

    async def __aenter__(self) -> Self:
        # Clients are made here because aiokafka binds them to the running loop.
        async with AsyncExitStack() as stack:
            self._admin = Admin(self._params)
            stack.push_async_callback(self._admin.close)
            self._producer = Producer(self._params)
            stack.push_async_callback(self._producer.close)
            stack.push_async_callback(self._transactions.close)
            self._consumer = _consumer(self._params)
            stack.push_async_callback(self._leave)
            await self._start()
            self._resources = stack.pop_all()
        return self

    async def _start(self) -> None:
        await asyncio.to_thread(batch_writer.warm)
        async with connecting(self._params):
            await self._admin.start()
            await self._consumer.start()
        repair(coordinator_of(self._consumer))
        fetcher = fetcher_of(self._consumer)
        read_blocks(fetcher)
        wait_as_needed(fetcher)
        # For so long a partition is not asked for while another one's records lie unread: 100 ms
        # would starve a backlog, none at all would ask for each record by itself.
        set_prefetch_backoff_s(fetcher, PREFETCH_BACKOFF_S)
        await self._producer.start()
        self._cluster_id = await self._admin.cluster_id()

    async def __aexit__(self, *_: object) -> None:
        await self._resources.aclose()

    @property
    def cluster_id(self) -> str:
        assert self._cluster_id, "known once the broker is entered"
        return self._cluster_id

    async def look(self, topic: str) -> TopicLog | None:
        seen = await self._admin.topic_id(topic)
        if seen is None:
            return None
        found = TopicLog(f"{self._cluster_id}/{seen[0] or topic}", seen[1])
        self._logs.setdefault(topic, found.name)
        return found

    def log_of(self, topic: str) -> str:
        return self._logs[topic]

    async def ensure_topics(self, topics: Sequence[TopicSpec]) -> None:
        await self._admin.ensure_topics(topics)
        for topic in topics:
            await self.look(topic.name)

    async def partition_count(self, topic: str) -> int:
        return (await self._admin.partition_counts()).get(topic, 0)

    async def record_bytes_max(self, topic: str) -> int:
        facts = (await self._admin.topic_facts([topic])).get(topic)
        told = None if facts is None else facts.number("max.message.bytes")
        return min(told or UNTOLD_RECORD_BYTES, self._params.record_bytes_max)

    async def subscribe(
        self,
        topics: Sequence[str],
        *,
        on_assigned: PartitionsCallback,
        on_revoked: PartitionsCallback,
    ) -> None:
        assert self._membership is None, "subscribe once"

        async def open_and_assign(assigned: Sequence[TopicPartition]) -> None:
            await self._transactions.open([at for at in assigned if at.topic in self._exactly_once])
            await on_assigned(assigned)

        async def revoke_and_close(revoked: Sequence[TopicPartition]) -> None:
            try:
                await on_revoked(revoked)
            finally:
                await self._transactions.close()

        membership = Membership(open_and_assign, revoke_and_close)
        self._membership = membership
        self._consumer.subscribe(topics=list(topics), listener=membership)
        deadline = time.monotonic() + self._params.request_timeout_s
        while not membership.has_joined:
            if time.monotonic() > deadline:
                raise TransientError("joining the consumer group takes too long")
            await self.poll([], timeout_s=0.05, count_max=1)

    async def poll(
        self, partitions: Sequence[TopicPartition], *, timeout_s: float, count_max: int
    ) -> Mapping[TopicPartition, Sequence[InputRecord]]:
        """As the port says; nothing while a rebalance is under way.

        A fetch that a rebalance holds up is left running: cancelling it would make the client
        believe for ever that somebody is polling. It brings nothing, so the next poll may take it.
        """
        assert self._membership is not None, "subscribe first"
        membership = self._membership
        membership.check()
        if self._fetch is None:
            wanted = membership.readable(partitions)
            self._fetch = asyncio.create_task(self._getmany(wanted, timeout_s, count_max))
        fetch = self._fetch
        while not fetch.done():
            await asyncio.wait({fetch}, timeout=timeout_s + POLL_GRACE_S)
            membership.check()
            if membership.is_rebalancing:
                return {}
        self._fetch = None
        try:
            with translated("poll"):
                fetched = fetch.result()
        except TransientError as error:
            if not isinstance(error.__cause__, InconsistentGroupProtocolError):
                raise
            raise TransientError(await self._whose_group()) from error
        # A rebalance that began since then will read them again from the committed offset.
        return {} if membership.is_rebalancing else fetched

    async def _whose_group(self) -> str:
        """Why this cannot become a member: the others share partitions out in another way."""
        others = described(await self.group_members())
        named = f" ({others})" if others else ""
        return (
            f"the consumer group {self._params.group_id} is used by another program{named}: "
            "give one of them another group (kafka.group_id)"
        )

    async def group_members(self) -> list[Member]:
        """Of the consumer group; none where the cluster does not tell."""
        return await self._admin.group_members(self._params.group_id)

    async def topic_facts(self, names: Sequence[str]) -> Mapping[str, TopicFacts]:
        """What the cluster tells of these topics: perhaps nothing, as without the right to ask."""
        try:
            return await self._admin.topic_facts(names)
        except TransientError:
            return {}

    async def _getmany(
        self, wanted: Sequence[TopicPartition], timeout_s: float, count_max: int
    ) -> Fetched:
        assert self._membership is not None
        generation = self._membership.generation
        asked = [ClientPartition(*partition) for partition in wanted]
        try:
            fetched = await self._consumer.getmany(
                *(asked or [NOWHERE]), timeout_ms=milliseconds(timeout_s), max_records=count_max
            )
        except NoOffsetForPartitionError as error:  # neither committed nor sought: from the start
            await self._consumer.seek_to_beginning(*error.args)
            return {}
        if generation == self._membership.generation:
            return {TopicPartition(*partition): fetched[partition] for partition in fetched}
        # Fetched across a rebalance: perhaps before the callback's own `seek`. Put it back; there
        # was no chance to seek since the client handed it out.
        for partition, records in fetched.items():
            self._consumer.seek(partition, records[0].offset)
        return {}

    def assignment(self) -> frozenset[TopicPartition]:
        return frozenset() if self._membership is None else self._membership.partitions

    def seek(self, partition: TopicPartition, offset: int) -> None:
        with translated(f"seek {partition}"):
            self._consumer.seek(ClientPartition(*partition), offset)

    async def committed(self, partition: TopicPartition) -> Commit | None:
        coordinator = coordinator_of(self._consumer)
        asked = ClientPartition(*partition)
        with translated(f"look up what is committed for {partition}"):
            async with asyncio.timeout(self._params.request_timeout_s):
                if partition.topic in self._exactly_once:
                    return await stable_commit(coordinator, partition)
                # The consumer's own `committed` leaves the metadata out.
                found = await coordinator.fetch_committed_offsets([asked])
        commit = found.get(asked)
        return None if commit is None else Commit(commit.offset, commit.metadata or "")

    async def commit(self, commits: Mapping[TopicPartition, Commit]) -> None:
        # The client would send it under the next generation, while it joins that.
        if lost := commits.keys() - self.assignment():
            raise FencedError(f"commit: {sorted(lost)} are not owned")
        await self._transactions.commit(commits)
        offsets = {
            ClientPartition(*partition): OffsetAndMetadata(commit.offset, commit.metadata)
            for partition, commit in commits.items()
            if partition.topic not in self._exactly_once
        }
        if not offsets:
            return
        with translated("commit"):
            # The client retries by itself, without end.
            async with asyncio.timeout(self._params.request_timeout_s):
                await self._consumer.commit(offsets)

    async def start_offset(self, partition: TopicPartition) -> int:
        asked = ClientPartition(*partition)
        with translated(f"look up the oldest offset of {partition}"):
            async with asyncio.timeout(self._params.request_timeout_s):
                offsets = await self._consumer.beginning_offsets([asked])
        return int(offsets[asked])

    async def end_offset(self, partition: TopicPartition) -> int:
        asked = ClientPartition(*partition)
        with translated(f"look up the newest offset of {partition}"):
            fetcher = uncommitted(fetcher_of(self._consumer))
            async with asyncio.timeout(self._params.request_timeout_s):
                offsets = await fetcher.end_offsets([asked], None)
        if self._cluster_id.startswith(EMBEDDED_CLUSTER):
            return UNTOLD_END  # Tansu tells some offset of the newest batch
        return int(offsets[asked])

    def lag(self, partition: TopicPartition) -> int | None:
        asked = ClientPartition(*partition)
        if asked not in self._consumer.assignment():
            return None
        return lag_of(self._consumer, asked, self._params)

    def silent_s(self, partition: TopicPartition) -> float | None:
        asked = ClientPartition(*partition)
        if self._membership is None or asked not in self._consumer.assignment():
            return None
        if has_unread(fetcher_of(self._consumer), asked):
            return 0.0
        state = state_of(self._consumer, asked)
        answered_s = (state.timestamp or 0) / 1000
        return max(0.0, time.time() - max(answered_s, self._membership.assigned_s))

    async def publish(
        self,
        topic: str,
        partition: int,
        records: Sequence[OutputRecord],
        *,
        source: TopicPartition | None = None,
    ) -> None:
        producer = self._producer
        if source is not None and source.topic in self._exactly_once:
            producer = self._transactions.of(source)
        await producer.publish(topic, partition, records)

    async def flush(self) -> None:
        await self._producer.flush()
        await self._transactions.flush()

    async def _leave(self) -> None:
        if self._fetch is not None:
            self._fetch.cancel()
            await asyncio.wait({self._fetch})
        coordinator = coordinator_of(self._consumer)
        if self.assignment() and coordinator.generation == 0:
            # Tansu counts generations from 0, which the client takes for "not a member": it would
            # not say goodbye, and the next member would wait for the session to expire.
            coordinator.generation = 1
        await stop_consumer(self._consumer)


def _consumer(params: KafkaParams) -> Any:
    return AIOKafkaConsumer(
        **connection_settings(params),
        **fetch_settings(params),
        group_id=params.group_id,
        group_instance_id=params.group_instance_id or None,
        # Any other choice would skip in silence over records that were deleted unread.
        auto_offset_reset="none",
        # Range: the single-partition topics of the control plane all go to one member.
        partition_assignment_strategy=[RangePartitionAssignor],
        session_timeout_ms=milliseconds(params.session_timeout_s),
        heartbeat_interval_ms=milliseconds(params.heartbeat_interval_s),
        max_poll_interval_ms=milliseconds(params.max_poll_interval_s),
        rebalance_timeout_ms=milliseconds(params.rebalance_timeout_s),
    )
