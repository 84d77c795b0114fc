"""Exactly-once delivery on Apache Kafka: readers of committed records see each decision once."""

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
import redis
from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition as ClientPartition

from sentinel.adapters.embedded import EmbeddedServers
from sentinel.adapters.kafka import KafkaBroker, KafkaParams
from sentinel.core.topics import TopicSpec
from sentinel.errors import FencedError
from sentinel.records import Commit, TopicPartition
from tests.adapters.contracts import join, values
from tests.app import small
from tests.children import WAIT_S_MAX
from tests.cli.test_run import output, sentinel
from tests.kafka.cluster import KafkaCluster
from tests.kafka.test_run import RUN, settings

pytestmark = [pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def kafka(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[KafkaCluster]:
    async with KafkaCluster(tmp_path_factory.mktemp("exactly-once")) as cluster:
        yield cluster


async def read(
    kafka: KafkaCluster, topic: str, *, isolation: str = "read_committed"
) -> list[bytes]:
    """What a reader sees of a topic, up to its present end."""
    async with KafkaBroker(KafkaParams(bootstrap_servers=kafka.bootstrap_servers)) as broker:
        count = await broker.partition_count(topic)
    partitions = [ClientPartition(topic, number) for number in range(count)]
    consumer = AIOKafkaConsumer(
        bootstrap_servers=kafka.bootstrap_servers,
        auto_offset_reset="earliest",
        isolation_level=isolation,
    )
    await consumer.start()
    found: list[bytes] = []
    try:
        consumer.assign(partitions)
        quiet = 0
        while quiet < 5:  # the last record of a log may be a control record, or not be committed
            polled = await consumer.getmany(timeout_ms=200)
            found += [record.value for records in polled.values() for record in records]
            quiet = 0 if polled else quiet + 1
    finally:
        await consumer.stop()
    return found


def on(kafka: KafkaCluster, params: KafkaParams, group_id: str) -> KafkaParams:
    return replace(params, bootstrap_servers=kafka.bootstrap_servers, group_id=group_id)


async def test_outputs_and_their_offset_are_committed_together(
    kafka: KafkaCluster, kafka_params: KafkaParams
) -> None:
    """With what is written beside the offset; and what was not committed is never read."""
    params, source = on(kafka, kafka_params, "together"), TopicPartition("together", 0)
    async with KafkaBroker(params, exactly_once=["together"]) as broker:
        await broker.ensure_topics([TopicSpec("together", 1), TopicSpec("together-out", 1)])
        await join(broker, "together")
        await broker.publish("together-out", 0, values("a", "b"), source=source)
        await broker.flush()
        assert await read(kafka, "together-out") == []
        await broker.commit({source: Commit(2, '{"labels":7}')})
        assert await read(kafka, "together-out") == [b"a", b"b"]
        await broker.commit({source: Commit(3, "nothing published")})
        await broker.publish("together-out", 0, values("lost"), source=source)
        await broker.publish("together-out", 0, values("free"))
        await broker.flush()

    async with KafkaBroker(params, exactly_once=["together"]) as heir:
        await join(heir, "together")
        assert await heir.committed(source) == Commit(3, "nothing published")
        await heir.publish("together-out", 0, values("c"), source=source)
        await heir.commit({source: Commit(4)})
        assert await heir.committed(source) == Commit(4)

    assert await read(kafka, "together-out") == [b"a", b"b", b"free", b"c"]
    dirty = await read(kafka, "together-out", isolation="read_uncommitted")
    assert sorted(dirty) == sorted([b"a", b"b", b"lost", b"free", b"c"])


async def test_what_a_zombie_publishes_never_appears(
    kafka: KafkaCluster, kafka_params: KafkaParams
) -> None:
    """It has not heard that its partition has a new owner, whose producer has fenced its own."""
    params, source = on(kafka, kafka_params, "zombie"), TopicPartition("zombie", 0)
    async with KafkaBroker(params, exactly_once=["zombie"]) as zombie:
        await zombie.ensure_topics([TopicSpec("zombie", 1), TopicSpec("zombie-out", 1)])
        await join(zombie, "zombie")
        await zombie.publish("zombie-out", 0, values("before"), source=source)
        await zombie.flush()

        heir = KafkaBroker(params, exactly_once=["zombie"])
        async with heir:
            await heir._transactions.open([source])
            await heir._transactions.of(source).publish("zombie-out", 0, values("heir"))
            await heir._transactions.commit({source: Commit(5)})

            await zombie.publish("zombie-out", 0, values("after"), source=source)
            with pytest.raises(FencedError):
                await zombie.flush()
            with pytest.raises(FencedError):
                await zombie.commit({source: Commit(2)})
        assert await zombie.committed(source) == Commit(5)
    assert await read(kafka, "zombie-out") == [b"heir"]


ROWS = 2_000
LIFE_COUNT = 4


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A configuration, a small trained model, and a file of transactions."""
    small.add_model(tmp_path)
    rows = [value for value, _ in small_rows()]
    (tmp_path / "rows.jsonl").write_bytes(b"\n".join(rows))
    return tmp_path


def entities(servers: EmbeddedServers, prefix: str) -> dict[bytes, dict[bytes, bytes]]:
    """All that is stored of entities under a prefix, but for the log that it comes of."""
    found: dict[bytes, dict[bytes, bytes]] = {}
    with redis.Redis.from_url(servers.redis_url) as store:
        for key in store.scan_iter(f"{prefix}:s:*", count=1000):
            name = key.removeprefix(prefix.encode())
            is_shared = store.type(key) == b"hash"
            blobs = store.hgetall(key) if is_shared else {b"": store.get(key) or b""}
            found[name] = {part: blob[16:] for part, blob in blobs.items()}
    return found


async def test_killed_with_9_again_and_again_each_transaction_has_one_decision(
    kafka: KafkaCluster, servers: EmbeddedServers, folder: Path
) -> None:
    """And one alert, if any; the state is that of an instance that was never disturbed."""
    more = {
        "SENTINEL__TOPICS__PARTITION_COUNT": "3",
        "SENTINEL__ENGINE__BATCH_COUNT_MAX": "20",
        "SENTINEL__ENGINE__COMMIT_INTERVAL_S": "0.2",
        "SENTINEL__ENGINE__SHUTDOWN_S_MAX": str(WAIT_S_MAX),
    }
    plain = settings(kafka, servers, "undisturbed", **more)
    exact = settings(kafka, servers, "exact", SENTINEL__ENGINE__DELIVERY="exactly_once", **more)
    produce = ("produce", "rows.jsonl", "-c", "small.toml")
    rng = np.random.default_rng(7)
    # 2000 transactions are five days: in ten seconds they come while the instance is at work.
    with sentinel(folder, *produce, "--speed", "40000x", settings=exact) as producing:
        for _ in range(LIFE_COUNT):
            with sentinel(folder, *RUN, settings=exact) as process:
                await await_progress(kafka, folder, process, int(rng.integers(1, 250)))
                process.kill()
        assert await asyncio.to_thread(producing.wait, WAIT_S_MAX) == 0, output(folder)
    await decide_the_rest(kafka, folder, "exact-decisions", exact)
    with sentinel(folder, *produce, settings=plain) as producing:
        assert await asyncio.to_thread(producing.wait, WAIT_S_MAX) == 0, output(folder)
    await decide_the_rest(kafka, folder, "undisturbed-decisions", plain)

    decisions = [json.loads(value) for value in await read(kafka, "exact-decisions")]
    names = sorted(decision["transaction_id"] for decision in decisions)
    assert names == sorted(json.loads(value)["transaction_id"] for value, _ in small_rows())
    alerts = [json.loads(value)["decision_id"] for value in await read(kafka, "exact-alerts")]
    flagged = [d["decision_id"] for d in decisions if d["action"] != "approve"]
    assert sorted(alerts) == sorted(flagged)
    dirty = await read(kafka, "exact-decisions", isolation="read_uncommitted")
    assert len(dirty) > ROWS, "nothing was ever dropped"
    assert entities(servers, "exact") == entities(servers, "undisturbed")
    assert "Traceback" not in output(folder)


async def decide_the_rest(
    kafka: KafkaCluster, folder: Path, topic: str, env: dict[str, str]
) -> None:
    """Run until each row's decision is committed, and end in order."""
    with sentinel(folder, *RUN, settings=env) as process:
        async with asyncio.timeout(WAIT_S_MAX):
            while len(await read(kafka, topic)) < ROWS:
                assert process.poll() is None, output(folder)
        process.terminate()
        assert await asyncio.to_thread(process.wait, 2 * WAIT_S_MAX) == 0, output(folder)


async def await_progress(
    kafka: KafkaCluster, folder: Path, process: "subprocess.Popen[str]", record_count: int
) -> None:
    """Until so many more decisions are in the log, committed or not."""
    at = [ClientPartition("exact-decisions", number) for number in range(3)]
    taken_over = output(folder).count("live from") + 3
    async with (
        asyncio.timeout(WAIT_S_MAX),
        AIOKafkaConsumer(bootstrap_servers=kafka.bootstrap_servers) as consumer,
    ):
        while output(folder).count("live from") < taken_over:
            assert process.poll() is None, output(folder)
            await asyncio.sleep(0.05)
        begin = sum((await consumer.end_offsets(at)).values())
        while sum((await consumer.end_offsets(at)).values()) < begin + record_count:
            assert process.poll() is None, output(folder)
            await asyncio.sleep(0.01)


def small_rows() -> list[tuple[bytes, bool | None]]:
    return list(small.flat())[:ROWS]
