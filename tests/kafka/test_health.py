"""Health while Kafka is away: by its silence, and while the instance starts again and again."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from sentinel.adapters.embedded import EmbeddedServers
from tests.app import small
from tests.cli.test_run import await_that, output, sentinel
from tests.kafka.cluster import KafkaCluster

RUN = ("run", "-c", "small.toml", "--plain", "--no-stream")
NOTICED_S_MAX = 15.0

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def kafka(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[KafkaCluster]:
    async with KafkaCluster(tmp_path_factory.mktemp("health")) as cluster:
        yield cluster


def settings(kafka: KafkaCluster, servers: EmbeddedServers, name: str) -> dict[str, str]:
    return {
        "SENTINEL__KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "SENTINEL__REDIS__URL": servers.redis_url,
        "SENTINEL__KAFKA__GROUP_ID": name,
        "SENTINEL__REDIS__KEY_PREFIX": name,
        "SENTINEL__TOPICS__PREFIX": f"{name}-",
    }


async def test_a_broker_that_hangs_is_noticed_while_nothing_fails(
    kafka: KafkaCluster, servers: EmbeddedServers, tmp_path: Path
) -> None:
    """With the default timeouts: a request may take half a minute. Nothing is sent meanwhile."""
    small.add_model(tmp_path)
    with sentinel(tmp_path, *RUN, settings=settings(kafka, servers, "hang")) as process:
        await_that(lambda: "health ok" in output(tmp_path), "it does not start")
        kafka.suspend_broker(0)
        try:
            await_that(
                lambda: "health stuck (Kafka has not answered for" in output(tmp_path),
                "nobody notices",
                NOTICED_S_MAX,
            )
        finally:
            kafka.resume_broker(0)
        before = len(output(tmp_path))
        await_that(lambda: "health ok" in output(tmp_path)[before:], "it does not recover")
        assert process.poll() is None
    assert "Traceback" not in output(tmp_path)


async def test_while_it_tries_again_and_again_it_is_not_ok(
    kafka: KafkaCluster, servers: EmbeddedServers, tmp_path: Path
) -> None:
    small.add_model(tmp_path)
    env = settings(kafka, servers, "again") | {
        "SENTINEL__ENGINE__BACKOFF_S_MAX": "0.5",
        "SENTINEL__ENGINE__RESTART_COUNT_MAX": "1000",
    }
    await kafka.kill_broker(0)
    with sentinel(tmp_path, *RUN, settings=env) as process:
        away = "health stuck (starting again after: connect to"
        await_that(lambda: away in output(tmp_path), "nobody notices")
        await kafka.start_brokers(0)
        await_that(lambda: "health ok" in output(tmp_path), "it does not recover")
        assert "health ok" not in output(tmp_path).split(away, 1)[0]
        assert process.poll() is None
