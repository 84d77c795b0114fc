"""The worlds that contracts run in: the in-memory twins, and a real broker."""

from dataclasses import replace

import pytest
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.structs import TopicPartition as ClientPartition

from sentinel.adapters.kafka import KafkaBroker, KafkaParams, KafkaTail
from sentinel.adapters.memory import MemoryBroker, MemoryCluster, MemoryTail
from sentinel.records import TopicPartition
from tests.adapters.contracts import World
from tests.conftest import ON_KAFKA

REAL = pytest.param(
    "kafka" if ON_KAFKA else "tansu", marks=[pytest.mark.integration, pytest.mark.kafka]
)


@pytest.fixture(scope="module", params=["memory", REAL])
def world(request: pytest.FixtureRequest) -> World:
    """Where a contract runs: the in-memory twin always, the real thing when it is there."""
    if request.param == "memory":
        return memory_world()
    return kafka_world(request.getfixturevalue("kafka_params"))


def memory_world() -> World:
    cluster = MemoryCluster()

    async def trim(partition: TopicPartition, start: int) -> None:
        cluster.trim(partition, start)

    return World(
        broker=lambda group: MemoryBroker(cluster, group_id=group),
        tail=lambda topics: MemoryTail(cluster, topics),
        keeps_metadata=True,
        trim=trim,
    )


def kafka_world(params: KafkaParams) -> World:
    async def trim(partition: TopicPartition, start: int) -> None:
        client = AIOKafkaAdminClient(bootstrap_servers=params.bootstrap_servers)
        await client.start()
        await client.delete_records({ClientPartition(*partition): RecordsToDelete(start)})
        await client.close()

    return World(
        broker=lambda group: KafkaBroker(replace(params, group_id=group)),
        tail=lambda topics: KafkaTail(params, topics),
        keeps_metadata=ON_KAFKA,  # Tansu drops it
        trim=trim if ON_KAFKA else None,
    )
