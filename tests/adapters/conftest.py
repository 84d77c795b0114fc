"""The servers of embedded mode, once a session, and the worlds that contracts run in."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sentinel.adapters.embedded import EmbeddedServers
from sentinel.adapters.kafka import KafkaBroker, KafkaParams, KafkaTail
from sentinel.adapters.memory import MemoryBroker, MemoryCluster, MemoryTail
from sentinel.adapters.redis import RedisParams
from tests.adapters.contracts import World


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServers]:
    """Tansu and Valkey; nothing in them belongs to an event loop, so one pair serves all tests."""
    directory: Path = tmp_path_factory.mktemp("servers")
    embedded = EmbeddedServers(directory)
    with asyncio.Runner() as runner:
        runner.run(embedded.__aenter__())
        yield embedded
        runner.run(embedded.aclose())


@pytest.fixture(scope="session")
def kafka_params(servers: EmbeddedServers) -> KafkaParams:
    """Batches are small, so that tests need several."""
    params = KafkaParams(
        rebalance_timeout_s=5.0, request_timeout_s=10.0, batch_bytes_max=100_000
    ).embedded_at(servers.kafka_servers)
    return replace(params, heartbeat_interval_s=0.2)  # a rebalance is heard of in a heartbeat


@pytest.fixture(scope="session")
def redis_params(servers: EmbeddedServers) -> RedisParams:
    return RedisParams(url=servers.redis_url)


@pytest.fixture(
    scope="module", params=["memory", pytest.param("tansu", marks=pytest.mark.integration)]
)
def world(request: pytest.FixtureRequest) -> World:
    """Where a contract runs: the in-memory twin always, the real thing when it is there."""
    if request.param == "memory":
        return memory_world()
    return kafka_world(request.getfixturevalue("kafka_params"))


def memory_world() -> World:
    cluster = MemoryCluster()
    return World(
        broker=lambda group: MemoryBroker(cluster, group_id=group),
        tail=lambda topics: MemoryTail(cluster, topics),
        keeps_metadata=True,
    )


def kafka_world(params: KafkaParams) -> World:
    return World(
        broker=lambda group: KafkaBroker(replace(params, group_id=group)),
        tail=lambda topics: KafkaTail(params, topics),
        keeps_metadata=False,  # Tansu drops it
    )
