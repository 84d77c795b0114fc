"""Whether transactions are where their accounts belong: a look at the newest of each partition."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from sentinel.adapters.kafka import UNTOLD_END, KafkaBroker, KafkaTail
from sentinel.codec.transactions import TransactionDecoder
from sentinel.config import Config
from sentinel.core.partitioning import fitting, misplacement
from sentinel.core.topics import Finding
from sentinel.records import TopicPartition

_COUNT = 50  # records of a partition
_POLL_S = 1.0


async def placement_findings(config: Config) -> list[Finding]:
    """What is wrong with where accounts are; nothing where nobody can tell."""
    topic = config.topics.full(config.topics.transactions)
    accounts: dict[int, list[str]] = {}
    async with KafkaBroker(replace(config.kafka, idempotence=False)) as broker:  # only to look
        count = await broker.partition_count(topic)
        for number in range(count if count > 1 else 0):
            at = TopicPartition(topic, number)
            first, end = await broker.start_offset(at), await broker.end_offset(at)
            begin = first if end == UNTOLD_END else max(first, end - _COUNT)
            accounts[number] = await _newest(config, at, begin)
    return findings_of(accounts, count, config)


def findings_of(
    accounts: Mapping[int, Sequence[str]], partition_count: int, config: Config
) -> list[Finding]:
    """The same of accounts by the partition in which they were found."""
    named = config.kafka.partitioner
    looked_at = sum(map(len, accounts.values()))
    misplaced, fits = fitting(accounts, partition_count, named)
    if named == "any" or not misplaced:
        return []
    return [Finding("warning", misplacement(named, misplaced, looked_at, fits))]


async def _newest(config: Config, at: TopicPartition, offset: int) -> list[str]:
    """The accounts of the records from an offset on, of those that can be read."""
    async with KafkaTail(config.kafka, [at.topic], partition=at.partition) as tail:
        tail.seek(at.topic, offset)
        read = await tail.poll(timeout_s=_POLL_S, count_max=_COUNT)
    records = read.get(at.topic, ())
    if not records:
        return []
    rows, _ = TransactionDecoder(config.schema).decode([(at.partition, records)])
    return [account for account in rows.entities["account"] if account is not None]
