"""The worlds that contracts run in: the in-memory twins, and a real broker."""

import asyncio
import shutil
from collections.abc import Iterator
from dataclasses import replace

import pytest
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.structs import TopicPartition as ClientPartition

from sentinel.adapters.kafka import KafkaBroker, KafkaParams, KafkaTail
from sentinel.adapters.memory import MemoryBroker, MemoryCluster, MemoryTail
from sentinel.adapters.redis import RedisParams
from sentinel.records import TopicPartition
from tests import children
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


@pytest.fixture(scope="session", params=["valkey", "redis"])
def store_params(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RedisParams]:
    """The stores that contracts run on: the embedded Valkey, and Redis where it is installed."""
    if request.param == "valkey":
        yield request.getfixturevalue("redis_params")
        return
    if (binary := shutil.which("redis-server")) is None:
        pytest.skip("redis-server is not installed")
    directory, [port] = tmp_path_factory.mktemp("redis"), children.free_ports(1)
    command = [binary, "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    server = children.start(command, directory / "redis.log", directory)
    with asyncio.Runner() as runner:
        runner.run(await_server(port))
        yield RedisParams(
            url=f"redis://127.0.0.1:{port}", connect_timeout_s=30.0, request_timeout_s=30.0
        )
        server.terminate()
        runner.run(children.exit_of(server))


async def await_server(port: int) -> None:
    async with asyncio.timeout(children.WAIT_S_MAX):
        while not await children.connects(port):  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.01)


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
