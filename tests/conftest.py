"""Servers for the tests, once a session: the embedded ones, or Apache Kafka if asked for.

With SENTINEL_TEST_KAFKA=1, which `make test-kafka` sets, what uses `kafka_params` runs on Apache
Kafka instead of Tansu, and tests/kafka runs at all. It needs Java 17, and Maven once.
"""

import asyncio
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import settings

from sentinel.adapters.embedded import EmbeddedServers
from sentinel.adapters.kafka import KafkaParams
from sentinel.adapters.redis import RedisParams
from tests.kafka.cluster import KafkaCluster
from tests.order import long_first

# How long an example takes says nothing about the code: the first one may compile a kernel.
settings.register_profile("sentinel", deadline=None)
settings.load_profile("sentinel")

ON_KAFKA = os.environ.get("SENTINEL_TEST_KAFKA") == "1"
# Above every limit of a single wait in a test, which says more about what did not come.
INTEGRATION_S_MAX = 600
KAFKA_TESTS = Path(__file__).parent / "kafka"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--sweep",
        action="store_true",
        help="fail every call and play hundreds of histories, where a sample is taken otherwise",
    )


@pytest.fixture(scope="session")
def sweep(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--sweep"))


def pytest_configure(config: pytest.Config) -> None:
    # Many instances run beside each other, and all would want one port. Their processes inherit it.
    os.environ.setdefault("SENTINEL__HTTP__BIND", "")
    config.addinivalue_line("markers", "kafka: what `make test-kafka` runs, on Apache Kafka")


@pytest.hookimpl(trylast=True)  # pytest itself has sorted them by what they need
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    skip = pytest.mark.skip(reason="needs Apache Kafka: `make test-kafka`")
    for item in items:
        needs_kafka = item.path.is_relative_to(KAFKA_TESTS)
        if needs_kafka or "kafka_params" in getattr(item, "fixturenames", ()):
            item.add_marker("kafka")
        if needs_kafka and not ON_KAFKA:
            item.add_marker(skip)
        is_integration = item.get_closest_marker("integration") or "kafka" in item.keywords
        if is_integration and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(INTEGRATION_S_MAX))
    worker_count = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if worker_count > 1:
        items[:] = long_first(items, lambda item: "slow" in item.keywords, worker_count)


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServers]:
    """Tansu and Valkey; nothing in them belongs to an event loop, so one pair serves all tests."""
    embedded = EmbeddedServers(tmp_path_factory.mktemp("servers"))
    with asyncio.Runner() as runner:
        runner.run(embedded.__aenter__())
        yield embedded
        runner.run(embedded.aclose())


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaCluster]:
    """One broker of Apache Kafka that no test may stop."""
    cluster = KafkaCluster(tmp_path_factory.mktemp("kafka"))
    with asyncio.Runner() as runner:
        runner.run(cluster.__aenter__())
        yield cluster
        runner.run(cluster.aclose())


@pytest.fixture(scope="session")
def kafka_params(request: pytest.FixtureRequest) -> KafkaParams:
    """Batches are small, so that tests need several; a rebalance is heard of in a heartbeat."""
    params = KafkaParams(
        rebalance_timeout_s=5.0, request_timeout_s=10.0, batch_bytes_max=100_000
    ).embedded_at("a server")
    params = replace(params, heartbeat_interval_s=0.2)
    if ON_KAFKA:
        cluster: KafkaCluster = request.getfixturevalue("cluster")
        return replace(params, bootstrap_servers=cluster.bootstrap_servers, idempotence=True)
    servers: EmbeddedServers = request.getfixturevalue("servers")
    return replace(params, bootstrap_servers=servers.kafka_servers)


@pytest.fixture(scope="session")
def redis_params(servers: EmbeddedServers) -> RedisParams:
    """Patient: in a test of the store, a busy machine is not an outage."""
    return RedisParams(url=servers.redis_url, connect_timeout_s=30.0, request_timeout_s=30.0)
