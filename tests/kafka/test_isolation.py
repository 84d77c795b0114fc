"""What a producer takes back never was a payment: by default what was aborted is not scored."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer

from sentinel.adapters.embedded import EmbeddedServers
from sentinel.core.partitioning import PartitionOf
from tests.app import small
from tests.children import WAIT_S_MAX
from tests.cli.test_run import output, sentinel
from tests.kafka.cluster import KafkaCluster
from tests.kafka.test_run import (
    REPORT,
    RUN,
    by_decision,
    folder,  # noqa: F401 - a fixture
    published,
    settings,
    transactions_of,
)

pytestmark = [pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def kafka(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[KafkaCluster]:
    async with KafkaCluster(tmp_path_factory.mktemp("isolation")) as cluster:
        yield cluster


async def send(producer: AIOKafkaProducer, topic: str, rows: list[bytes], *, abort: bool) -> None:
    """One transaction, of both partitions."""
    place = PartitionOf(2)
    await producer.begin_transaction()
    for value in rows:
        account = json.loads(value)["account"]
        await producer.send(topic, value, key=account.encode(), partition=place(account))
    await (producer.abort_transaction() if abort else producer.commit_transaction())


async def test_aborted_transactions_are_not_scored_and_offsets_go_on(
    kafka: KafkaCluster,
    servers: EmbeddedServers,
    folder: Path,  # noqa: F811
) -> None:
    """In front of, between and behind what is committed; the log then ends with control records."""
    env = settings(kafka, servers, "upstream")
    rows = [value for value, _ in small.flat()][:900]
    parts = [rows[begin : begin + 100] for begin in range(0, 900, 100)]
    is_aborted = [True, False, True, True, False, False, True, False, True]
    with sentinel(folder, *RUN, *REPORT, settings=env) as process:  # makes the topics
        assert await asyncio.to_thread(process.wait, WAIT_S_MAX) == 0, output(folder)
    producer = AIOKafkaProducer(
        bootstrap_servers=kafka.bootstrap_servers, transactional_id="payments"
    )
    await producer.start()
    for part, abort in zip(parts, is_aborted, strict=True):
        await send(producer, "upstream-transactions", part, abort=abort)
    await producer.stop()
    kept = [
        value for part, gone in zip(parts, is_aborted, strict=True) if not gone for value in part
    ]

    with sentinel(folder, *RUN, *REPORT, settings=env) as process:
        assert await asyncio.to_thread(process.wait, WAIT_S_MAX) == 0, output(folder)

    report = json.loads((folder / "r.json").read_text())
    assert report["transactions"] == report["decisions"] == len(kept)
    assert report["dead_letters"] == 0
    assert report["health"] == "ok"
    decisions = by_decision(await published(kafka, "upstream-decisions"))
    wanted = sorted(json.loads(value)["transaction_id"] for value in kept)
    assert transactions_of(decisions) == wanted

    with sentinel(folder, *RUN, *REPORT, settings=env) as process:
        assert await asyncio.to_thread(process.wait, WAIT_S_MAX) == 0, output(folder)
    assert json.loads((folder / "r.json").read_text())["decisions"] == 0
