"""The archive beside Apache Kafka: the broker goes and comes back, each row is there once."""

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from sentinel import archive
from sentinel.adapters.archive import ArchiveParams
from sentinel.adapters.kafka import KafkaBroker, KafkaParams
from sentinel.app.archiving import ArchivingStatus, keep_archiving, site_of
from sentinel.codec.records import encode
from sentinel.config import Config
from sentinel.errors import ConfigError
from sentinel.operations.topics import topic_specs
from sentinel.operations.verify import verify
from sentinel.records import OutputRecord
from tests.app.test_archive import decision
from tests.children import WAIT_S_MAX
from tests.engine.samples import a_config
from tests.kafka.cluster import KafkaCluster

pytestmark = [pytest.mark.asyncio]


def nothing(status: ArchivingStatus) -> None:
    """Nobody watches."""


async def send(config: Config, rows: Sequence[dict[str, Any]]) -> None:
    async with KafkaBroker(replace(config.kafka, group_id="sender")) as broker:
        records = [OutputRecord(b"a", encode(row)) for row in rows]
        await broker.publish(config.topics.full(config.topics.decisions), 0, records)
        await broker.flush()


def ids(folder: Path) -> list[str]:
    try:
        return sorted(archive.scan(folder, "decisions").collect()["decision_id"].to_list())
    except ConfigError:  # there are no files yet
        return []


async def archived(folder: Path, count: int) -> list[str]:
    """The decisions in the archive, once there are so many."""
    deadline_s = time.monotonic() + WAIT_S_MAX
    while True:
        if len(names := ids(folder)) >= count:
            return names
        assert time.monotonic() < deadline_s, "the archiver has not come back"
        await asyncio.sleep(0.2)


@pytest.mark.parametrize("how", ["stop", "kill"])
async def test_the_archiver_goes_on_when_its_only_broker_comes_back(
    tmp_path: Path, kafka_params: KafkaParams, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    caplog.set_level(logging.CRITICAL, "aiokafka")
    folder = tmp_path / "archive"
    async with KafkaCluster(tmp_path / "kafka") as cluster:
        kafka = replace(
            kafka_params, bootstrap_servers=cluster.bootstrap_servers, replication_factor=1
        )
        config = replace(
            a_config(),
            kafka=kafka,
            archive=ArchiveParams(directory=str(folder), interval_s=0.3),
        )
        async with KafkaBroker(kafka) as broker:
            await broker.ensure_topics(topic_specs(config))
        stop = asyncio.Event()
        keeping = asyncio.create_task(
            keep_archiving(lambda: site_of(config), config, stop, nothing)
        )
        await send(config, [decision(i) for i in range(5)])
        await archived(folder, 5)

        await (cluster.stop_broker(0) if how == "stop" else cluster.kill_broker(0))
        await asyncio.sleep(8.0)  # a commit that is under way runs out of time
        assert not keeping.done(), "it waits for its broker"
        await cluster.start_brokers(0)
        await send(config, [decision(i) for i in range(5, 12)])

        names = await archived(folder, 12)
        stop.set()
        await keeping
    assert names == sorted(f"transactions-0-{i}" for i in range(12))


async def test_the_archiver_goes_on_when_its_topic_is_created_anew(
    tmp_path: Path, kafka_params: KafkaParams, caplog: pytest.LogCaptureFixture
) -> None:
    """The new log gets longer than the old one was: offsets alone would say that all is written."""
    caplog.set_level(logging.CRITICAL, "aiokafka")
    folder = tmp_path / "archive"
    config = replace(
        a_config(), kafka=kafka_params, archive=ArchiveParams(directory=str(folder), interval_s=0.3)
    )
    async with KafkaBroker(kafka_params) as broker:
        await broker.ensure_topics(topic_specs(config))
    stop = asyncio.Event()
    keeping = asyncio.create_task(keep_archiving(lambda: site_of(config), config, stop, nothing))
    await send(config, [decision(i) for i in range(5)])
    await archived(folder, 5)

    client = AIOKafkaAdminClient(bootstrap_servers=kafka_params.bootstrap_servers)
    await client.start()
    try:
        await client.delete_topics([config.topics.full(config.topics.decisions)])
    finally:
        await client.close()
    await asyncio.sleep(1.0)  # it is deleted in the background
    async with KafkaBroker(kafka_params) as broker:
        await broker.ensure_topics(topic_specs(config))
    await send(config, [decision(i) for i in range(5, 17)])

    names = await archived(folder, 17)
    stop.set()
    await keeping
    assert names == sorted(f"transactions-0-{i}" for i in range(17))
    assert all(one.is_right for one in await verify(config))
    logs = {one.log for one in archive.segments(folder, "decisions")}
    assert len(logs) == 2
