"""`sentinel run` and `sentinel produce` on Apache Kafka, from end to end, killed and cut off."""

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition as ClientPartition

from sentinel.adapters.embedded import EmbeddedServers
from sentinel.adapters.kafka import KafkaBroker, KafkaParams
from tests.app import small
from tests.children import WAIT_S_MAX
from tests.cli.test_run import await_that, output, sentinel
from tests.kafka.cluster import KafkaCluster

ROWS = 5_000

pytestmark = [pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def kafka(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[KafkaCluster]:
    async with KafkaCluster(tmp_path_factory.mktemp("run")) as cluster:
        yield cluster


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A configuration, a small trained model, and a file of transactions with their labels."""
    small.add_model(tmp_path)
    rows = [json.loads(value) | {"is_fraud": fraud} for value, fraud in list(small.flat())[:ROWS]]
    (tmp_path / "rows.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    return tmp_path


def settings(
    kafka: KafkaCluster, servers: EmbeddedServers, name: str, **more: str
) -> dict[str, str]:
    """Defaults but for the addresses, and a session that a test can wait for."""
    return {
        "SENTINEL__KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "SENTINEL__REDIS__URL": servers.redis_url,
        "SENTINEL__KAFKA__SESSION_TIMEOUT_S": "2.0",
        "SENTINEL__KAFKA__HEARTBEAT_INTERVAL_S": "0.5",
        "SENTINEL__KAFKA__GROUP_ID": name,
        "SENTINEL__REDIS__KEY_PREFIX": name,
        "SENTINEL__TOPICS__PREFIX": f"{name}-",
        **more,
    }


RUN = ("run", "-c", "small.toml", "--plain", "--no-stream")
REPORT = ("--exit-when-idle", "3", "--report", "r.json")
PRODUCE = ("produce", "rows.jsonl", "-c", "small.toml", "--label-column", "is_fraud")


async def published(kafka: KafkaCluster, topic: str) -> list[bytes]:
    """The values of a topic, up to its present end; none while there is no such topic."""
    async with KafkaBroker(KafkaParams(bootstrap_servers=kafka.bootstrap_servers)) as broker:
        count = await broker.partition_count(topic)  # which does not create it
    if not count:
        return []
    partitions = [ClientPartition(topic, number) for number in range(count)]
    found: list[bytes] = []
    consumer = AIOKafkaConsumer(
        bootstrap_servers=kafka.bootstrap_servers, auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        while any([await consumer.position(at) < ends[at] for at in partitions]):
            polled = await consumer.getmany(timeout_ms=100)
            found += [record.value for records in polled.values() for record in records]
    finally:
        await consumer.stop()
    return found


async def await_decisions(kafka: KafkaCluster, topic: str, count: int) -> None:
    """Until so many transactions are decided."""
    async with asyncio.timeout(WAIT_S_MAX):
        while len(by_decision(await published(kafka, topic))) < count:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.05)


async def await_starts(folder: Path, count: int) -> None:
    """Until so many instances have come to own their partition, one after the other."""
    async with asyncio.timeout(WAIT_S_MAX):
        while output(folder).count("live from") < count:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.05)


def by_decision(found: list[bytes]) -> dict[str, list[bytes]]:
    """The bytes of each decision, one for every time that it was made."""
    decisions = defaultdict(list)
    for value in found:
        decisions[json.loads(value)["decision_id"]].append(value)
    return decisions


def transactions_of(decisions: dict[str, list[bytes]]) -> list[str]:
    return sorted(json.loads(values[0])["transaction_id"] for values in decisions.values())


def transactions_sent() -> list[str]:
    return sorted(json.loads(value)["transaction_id"] for value, _ in list(small.flat())[:ROWS])


async def test_every_transaction_gets_one_decision(
    kafka: KafkaCluster, servers: EmbeddedServers, folder: Path
) -> None:
    env = settings(kafka, servers, "whole")
    with sentinel(folder, *PRODUCE, settings=env) as producing:
        assert await asyncio.to_thread(producing.wait, WAIT_S_MAX) == 0, output(folder)

    with sentinel(folder, *RUN, *REPORT, settings=env) as process:
        assert await asyncio.to_thread(process.wait, WAIT_S_MAX) == 0, output(folder)

    report = json.loads((folder / "r.json").read_text())
    assert report["transactions"] == report["decisions"] == ROWS
    assert report["dead_letters"] == report["late"] == report["degraded"] == 0
    decisions = by_decision(await published(kafka, "whole-decisions"))
    assert {len(values) for values in decisions.values()} == {1}
    assert transactions_of(decisions) == transactions_sent()
    assert "Traceback" not in output(folder)

    # Everything was committed: another run finds nothing to do.
    with sentinel(folder, *RUN, *REPORT, settings=env) as process:
        assert await asyncio.to_thread(process.wait, WAIT_S_MAX) == 0, output(folder)
    assert json.loads((folder / "r.json").read_text())["decisions"] == 0


async def test_killed_with_9_twice_it_repeats_decisions_with_the_same_bytes(
    kafka: KafkaCluster, servers: EmbeddedServers, folder: Path
) -> None:
    """Labels come in between: what is committed with the offsets says which of them counted."""
    env = settings(
        kafka,
        servers,
        "killed",
        SENTINEL__TOPICS__PARTITION_COUNT="1",
        SENTINEL__ENGINE__BATCH_COUNT_MAX="50",
        SENTINEL__ENGINE__COMMIT_INTERVAL_S="0.3",
    )
    # 2000 transactions are five days: in four seconds they come while the instance is at work.
    paced = (*PRODUCE, "--speed", "100000x", "--label-delay", "1d")
    for begin, count in ((0, 2_000), (2_000, 2_000)):
        with sentinel(folder, *RUN, settings=env) as process:
            await await_starts(folder, begin // 2_000 + 1)
            part = ("--skip", str(begin), "--count", str(count))
            with sentinel(folder, *paced, *part, settings=env) as producing:
                await await_decisions(kafka, "killed-decisions", begin + 500)
                process.kill()
                assert await asyncio.to_thread(producing.wait, WAIT_S_MAX) == 0, output(folder)
    with sentinel(folder, *paced, "--skip", "4000", settings=env) as producing:
        assert await asyncio.to_thread(producing.wait, WAIT_S_MAX) == 0, output(folder)
    with sentinel(folder, *RUN, *REPORT, settings=env) as process:
        assert await asyncio.to_thread(process.wait, WAIT_S_MAX) == 0, output(folder)

    decisions = by_decision(await published(kafka, "killed-decisions"))
    assert transactions_of(decisions) == transactions_sent()
    assert any(len(values) > 1 for values in decisions.values()), "nothing was decided twice"
    differing = [values for values in decisions.values() if len(set(values)) > 1]
    assert not differing, f"{len(differing)} of {len(decisions)}, such as {differing[0]}"
    assert json.loads((folder / "r.json").read_text())["labels_applied"] > 0


async def test_it_outlives_an_outage_of_its_broker(
    kafka: KafkaCluster, servers: EmbeddedServers, folder: Path
) -> None:
    """Longer than a request may take, so that the instance fails, backs off and starts again."""
    env = settings(
        kafka,
        servers,
        "outage",
        SENTINEL__TOPICS__PARTITION_COUNT="1",
        SENTINEL__KAFKA__REQUEST_TIMEOUT_S="3.0",
        SENTINEL__KAFKA__REBALANCE_TIMEOUT_S="2.0",
    )
    with sentinel(folder, *PRODUCE, "--count", "3000", settings=env) as producing:
        assert await asyncio.to_thread(producing.wait, WAIT_S_MAX) == 0, output(folder)
    with sentinel(folder, *RUN, "--report", "r.json", settings=env) as process:
        await await_decisions(kafka, "outage-decisions", 1)
        await kafka.kill_broker(0)
        await asyncio.sleep(5.0)
        assert process.poll() is None, output(folder)
        await kafka.start_brokers(0)
        rest = ("--skip", "3000")
        with sentinel(folder, *PRODUCE, *rest, settings=env) as producing:
            assert await asyncio.to_thread(producing.wait, WAIT_S_MAX) == 0, output(folder)
        await await_decisions(kafka, "outage-decisions", ROWS)
        process.terminate()
        assert await asyncio.to_thread(process.wait, WAIT_S_MAX) == 0, output(folder)

    decisions = by_decision(await published(kafka, "outage-decisions"))
    assert transactions_of(decisions) == transactions_sent()
    assert all(len(set(values)) == 1 for values in decisions.values())
    assert "starting again" in output(folder)
    assert "Traceback" not in output(folder)


async def test_a_broker_that_hangs_is_noticed_while_nothing_fails(
    kafka: KafkaCluster, servers: EmbeddedServers, folder: Path
) -> None:
    """With the default timeouts: a request may take half a minute. Nothing is sent meanwhile."""
    env = settings(kafka, servers, "hang", SENTINEL__KAFKA__SESSION_TIMEOUT_S="30.0")
    with sentinel(folder, *RUN, settings=env) as process:
        await_that(lambda: "health ok" in output(folder), "it does not start")
        kafka.suspend_broker(0)
        try:
            await_that(
                lambda: "health stuck (Kafka has not answered for" in output(folder),
                "nobody notices",
            )
            assert "starting again" not in output(folder), "something has failed"
        finally:
            kafka.resume_broker(0)
        before = len(output(folder))
        await_that(lambda: "health ok" in output(folder)[before:], "it does not recover")
        assert process.poll() is None
    assert "Traceback" not in output(folder)


async def test_while_it_tries_again_and_again_it_is_not_ok(
    kafka: KafkaCluster, servers: EmbeddedServers, folder: Path
) -> None:
    env = settings(
        kafka,
        servers,
        "again",
        SENTINEL__ENGINE__BACKOFF_S_MAX="0.5",
        SENTINEL__ENGINE__RESTART_COUNT_MAX="1000",
    )
    await kafka.kill_broker(0)
    with sentinel(folder, *RUN, settings=env) as process:
        away = "health stuck (starting again after: connect to"
        await_that(lambda: away in output(folder), "nobody notices")
        await kafka.start_brokers(0)
        await_that(lambda: "health ok" in output(folder), "it does not recover")
        assert "health ok" not in output(folder).split(away, 1)[0]
        assert process.poll() is None
