"""`sentinel run` where a cluster refuses something for good: it ends in a sentence, or says it."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor

from sentinel.adapters.embedded import EmbeddedServers
from sentinel.adapters.kafka import KafkaBroker, KafkaParams
from sentinel.app.company import Company
from tests.adapters.contracts import poll_until
from tests.children import WAIT_S_MAX
from tests.cli.test_run import output, sentinel
from tests.kafka.cluster import KafkaCluster
from tests.kafka.test_run import (
    PRODUCE,
    REPORT,
    RUN,
    await_starts,
    folder,  # noqa: F401 - a fixture
    settings,
)

pytestmark = [pytest.mark.asyncio(loop_scope="module")]

# So that a test sees the end of what backs off.
IMPATIENT = {
    "SENTINEL__ENGINE__RESTART_COUNT_MAX": "1",
    "SENTINEL__ENGINE__BACKOFF_S_MAX": "0.5",
    "SENTINEL__KAFKA__REQUEST_TIMEOUT_S": "4.0",
    "SENTINEL__KAFKA__REBALANCE_TIMEOUT_S": "3.0",
    "SENTINEL__TOPICS__PARTITION_COUNT": "1",
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def kafka(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[KafkaCluster]:
    async with KafkaCluster(tmp_path_factory.mktemp("endings")) as cluster:
        yield cluster


async def make(kafka: KafkaCluster, topic: str, **configs: str) -> None:
    """A topic of the user's, made before Sentinel is."""
    named = {name.replace("_", "."): value for name, value in configs.items()}
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, 1, 1, topic_configs=named)])
    finally:
        await admin.close()


async def alter(kafka: KafkaCluster, topic: str, configs: Mapping[str, str]) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    await admin.start()
    try:
        resource = ConfigResource(ConfigResourceType.TOPIC, topic, configs=dict(configs))
        await admin.alter_configs([resource])
    finally:
        await admin.close()


async def ended(process: object, code: int, where: Path) -> str:
    """What it said, once it has ended by itself with this code."""
    wait = process.wait  # type: ignore[attr-defined]
    assert await asyncio.to_thread(wait, WAIT_S_MAX) == code, output(where)
    assert "Traceback" not in output(where)
    return output(where).splitlines()[-1]


async def test_a_topic_that_would_lose_records_is_refused_at_the_start(
    kafka: KafkaCluster,
    servers: EmbeddedServers,
    folder: Path,  # noqa: F811
) -> None:
    await make(kafka, "compacted-transactions", cleanup_policy="compact")
    env = settings(kafka, servers, "compacted", **IMPATIENT)
    with sentinel(folder, *RUN, settings=env) as process:
        said = await ended(process, 2, folder)

    assert said == (
        "sentinel: topic compacted-transactions: cleanup.policy is compact, must be delete: "
        "only the newest of each account would be kept"
    )


async def test_a_topic_that_keeps_too_little_is_said_and_seen_in_health(
    kafka: KafkaCluster,
    servers: EmbeddedServers,
    folder: Path,  # noqa: F811
) -> None:
    await make(kafka, "short-transactions", retention_ms="3600000")
    env = settings(kafka, servers, "short", **IMPATIENT)
    with sentinel(folder, *RUN, *REPORT, settings=env) as process:
        await ended(process, 0, folder)

    wanted = "topic short-transactions: retention.ms keeps 0.0417 days, features look back"
    assert f"WARNING {wanted}" in output(folder)
    report = json.loads((folder / "r.json").read_text())
    assert report["health"] == "degraded"
    assert [reason.startswith(wanted) for reason in report["health_reasons"]] == [True]


async def test_a_topic_that_takes_nothing_ends_the_run_as_an_outage_does(
    kafka: KafkaCluster,
    servers: EmbeddedServers,
    folder: Path,  # noqa: F811
) -> None:
    """One of many: everything else is read, and written, all the while."""
    env = settings(kafka, servers, "refusing", **IMPATIENT)
    with sentinel(folder, *RUN, settings=env) as process:
        await await_starts(folder, 1)
        # Every record is too old for it: a refusal that no check of settings looks for.
        await alter(kafka, "refusing-decisions", {"message.timestamp.before.max.ms": "0"})
        with sentinel(folder, *PRODUCE, "--count", "500", settings=env) as producing:
            assert await asyncio.to_thread(producing.wait, WAIT_S_MAX) == 0, output(folder)

        said = await ended(process, 1, folder)

    assert "batches were not delivered, the first, " in said
    of = (
        "records to refusing-decisions-0, the first of refusing-transactions-0 at offset 0, because"
    )
    assert of in said
    assert output(folder).count("; starting again in") == 1


def foreign(kafka: KafkaCluster, group: str, topic: str, kind: type) -> AIOKafkaConsumer:
    return AIOKafkaConsumer(
        topic,
        bootstrap_servers=kafka.bootstrap_servers,
        group_id=group,
        client_id="billing",
        partition_assignment_strategy=[kind],
    )


async def test_a_group_of_another_programs_is_named_and_given_up(
    kafka: KafkaCluster,
    servers: EmbeddedServers,
    folder: Path,  # noqa: F811
) -> None:
    await make(kafka, "bills")
    other = foreign(kafka, "taken", "bills", RoundRobinPartitionAssignor)
    await other.start()
    try:
        await other.getmany(timeout_ms=500)
        env = settings(kafka, servers, "taken", **IMPATIENT)
        with sentinel(folder, *RUN, settings=env) as process:
            said = await ended(process, 1, folder)
    finally:
        await other.stop()

    assert said == (
        "sentinel: the consumer group taken is used by another program (billing at 127.0.0.1): "
        "give one of them another group (kafka.group_id)"
    )
    assert output(folder).count("; starting again in") == 1


async def test_a_stranger_that_reads_what_is_ours_is_seen(kafka: KafkaCluster) -> None:
    params = KafkaParams(bootstrap_servers=kafka.bootstrap_servers, group_id="shared")
    await make(kafka, "shared-in")
    await make(kafka, "shared-more")
    topics = ["shared-in", "shared-more"]

    async def nothing(of: object) -> None:
        pass

    async with KafkaBroker(params) as ours:
        await ours.subscribe(topics, on_assigned=nothing, on_revoked=nothing)
        company = Company(ours.group_members, topics)
        await company.look()
        assert company.trouble == ""

        other = foreign(kafka, "shared", "shared-in", RangePartitionAssignor)
        starting = asyncio.create_task(other.start())
        await poll_until(ours, starting.done)
        reading = asyncio.create_task(other.getmany(timeout_ms=int(WAIT_S_MAX * 1000)))
        async with asyncio.timeout(WAIT_S_MAX):
            while not company.trouble:
                await ours.poll([], timeout_s=0.1, count_max=1)
                await company.look()
        reading.cancel()
        stopping = asyncio.create_task(other.stop())
        await poll_until(ours, stopping.done)

    assert company.trouble == (
        "another program is in the consumer group: billing at 127.0.0.1; "
        "what it reads is not decided"
    )
