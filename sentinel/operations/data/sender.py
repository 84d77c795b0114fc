"""Sends transactions and feedback to their topics, as a payment system and a bank would.

And what a person has changed of models and alarms, as an instance would.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Self

from sentinel.adapters.kafka import KafkaBroker
from sentinel.codec.records import encode, keyed
from sentinel.codec.stored import encode_stored
from sentinel.config import Config
from sentinel.core.partitioning import PartitionOf
from sentinel.engine.audit import AuditLog
from sentinel.errors import ConfigError, TransientError
from sentinel.operations.topics import topic_specs
from sentinel.ports import Broker
from sentinel.records import AuditEntry, Example, Feedback, OutputRecord
from sentinel.stored.drift import Alarm
from sentinel.stored.versions import Command, ModelEvent

_EXAMPLE_COUNT_MAX = 5_000  # published at once


async def tell_all(config: Config, tell: Callable[["Sender"], Awaitable[None]]) -> str:
    """Tell the topics what is done already; why that cannot be, empty when it was."""
    try:
        async with Sender(config) as sender:
            await tell(sender)
            await sender.flush()
    except (ConfigError, TransientError) as error:
        return str(error)
    return ""


class Sender:
    """Transactions to the partition of their account, feedback to its only one.

    Parameters
    ----------
    broker
        None opens one, and closes it at the end.
    """

    def __init__(self, config: Config, broker: Broker | None = None) -> None:
        self._config = config
        self._given = broker
        self._topic = config.topics.full(config.topics.transactions)
        self._feedback_topic = config.topics.full(config.topics.feedback)

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            broker = self._given
            if broker is None:
                broker = await stack.enter_async_context(KafkaBroker(self._config.kafka))
            await broker.ensure_topics(topic_specs(self._config))
            count = await broker.partition_count(self._topic)
            self._partition_of = PartitionOf(count, self._config.kafka.partitioner)
            self._broker = broker
            self._resources = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._resources.aclose()

    async def transactions(self, accounts: Sequence[str], values: Sequence[bytes]) -> None:
        """Publish each value under its account."""
        by_partition: dict[int, list[OutputRecord]] = {}
        for account, value in zip(accounts, values, strict=True):
            record = OutputRecord(account.encode(), value)
            by_partition.setdefault(self._partition_of(account), []).append(record)
        for partition, records in by_partition.items():
            await self._broker.publish(self._topic, partition, records)

    async def feedback(self, all_feedback: Sequence[Feedback]) -> None:
        """Publish feedback in its order."""
        records = [keyed(feedback.transaction_id, feedback) for feedback in all_feedback]
        if records:
            await self._broker.publish(self._feedback_topic, 0, records)

    async def examples(self, examples: Sequence[Example]) -> None:
        """Publish examples in their order, and wait until they are acknowledged."""
        records = await asyncio.to_thread(_keyed, examples)
        topic = self._config.topics.full(self._config.topics.examples)
        for begin in range(0, len(records), _EXAMPLE_COUNT_MAX):
            await self._broker.publish(topic, 0, records[begin : begin + _EXAMPLE_COUNT_MAX])
        if records:
            await self._broker.flush()

    async def command(self, command: Command) -> None:
        """Publish what an operator asks for."""
        topic = self._config.topics.full(self._config.topics.control)
        await self._broker.publish(topic, 0, [OutputRecord(None, encode(command))])

    async def models(self, events: Sequence[ModelEvent], entries: Sequence[AuditEntry]) -> None:
        """Publish changes of the models, and what the audit keeps of them."""
        topics = self._config.topics
        changes = [keyed(event.version, event) for event in events]
        await self._broker.publish(topics.full(topics.model_updates), 0, changes)
        await self.audit(entries)

    async def alarms(self, alarms: Sequence[Alarm]) -> None:
        """Publish alarms as they are now, as whoever watches does."""
        topic = self._config.topics.full(self._config.topics.drift_alerts)
        records = [OutputRecord(one.id.encode(), encode_stored(one)) for one in alarms]
        if records:
            await self._broker.publish(topic, 0, records)

    async def experiment(self, record: OutputRecord) -> None:
        """Publish how an experiment is now, as whoever looks after it does."""
        topics = self._config.topics
        await self._broker.publish(topics.full(topics.experiments), 0, [record])

    async def rollout(self, record: OutputRecord) -> None:
        """Publish how a rollout is now."""
        topics = self._config.topics
        await self._broker.publish(topics.full(topics.rollouts), 0, [record])

    async def audit(self, entries: Sequence[AuditEntry]) -> None:
        """Publish what the audit keeps."""
        topics = self._config.topics
        await AuditLog(self._broker, topics.full(topics.audit)).write(entries)

    async def flush(self) -> None:
        """Wait until all of it is acknowledged."""
        await self._broker.flush()


def _keyed(examples: Sequence[Example]) -> list[OutputRecord]:
    return [keyed(one.transaction_id, one) for one in examples]
