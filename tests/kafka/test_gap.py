"""What retention deleted before it was read: `sentinel run` stops, or goes on if told to."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.structs import TopicPartition as ClientPartition

from sentinel.adapters.embedded import EmbeddedServers
from sentinel.adapters.kafka import KafkaBroker, KafkaParams
from sentinel.operations.data.sender import Sender
from sentinel.records import Commit, TopicPartition
from tests.adapters.contracts import join
from tests.app import small
from tests.children import WAIT_S_MAX
from tests.cli.test_run import output, sentinel
from tests.kafka.cluster import KafkaCluster

RUN = ("run", "-c", "small.toml", "--plain", "--no-stream", "--exit-when-idle", "2")


async def delete_before(cluster: KafkaCluster, topic: str, offset: int) -> None:
    client = AIOKafkaAdminClient(bootstrap_servers=cluster.bootstrap_servers)
    await client.start()
    await client.delete_records({ClientPartition(topic, 0): RecordsToDelete(offset)})
    await client.close()


async def test_a_committed_offset_below_the_logs_start_is_a_choice(
    cluster: KafkaCluster, kafka_params: KafkaParams, servers: EmbeddedServers, tmp_path: Path
) -> None:
    config = small.add_model(tmp_path)
    topics = replace(config.topics, prefix="gap-", partition_count=1)
    params = replace(kafka_params, group_id="gap")
    values = [value for value, _ in small.flat()][:400]
    async with KafkaBroker(params) as broker:
        async with Sender(replace(config, kafka=params, topics=topics), broker) as sender:
            await sender.transactions(["anyone"] * len(values), values)
            await sender.flush()
        await join(broker, "gap-transactions")
        await broker.commit({TopicPartition("gap-transactions", 0): Commit(200)})
    await delete_before(cluster, "gap-transactions", 300)
    env = {
        "SENTINEL__KAFKA__BOOTSTRAP_SERVERS": cluster.bootstrap_servers,
        "SENTINEL__REDIS__URL": servers.redis_url,
        "SENTINEL__KAFKA__GROUP_ID": "gap",
        "SENTINEL__REDIS__KEY_PREFIX": "gap",
        "SENTINEL__TOPICS__PREFIX": "gap-",
        "SENTINEL__TOPICS__PARTITION_COUNT": "1",
    }

    async def ends_with(code: int, *arguments: str) -> None:
        with sentinel(tmp_path, *arguments, settings=env) as process:
            assert await asyncio.to_thread(process.wait, WAIT_S_MAX) == code, output(tmp_path)

    await ends_with(2, *RUN)
    assert (
        "sentinel: gap-transactions-0 should be read from offset 200, the log begins at 300: "
        "decisions are lost; with --on-gap earliest, or engine.on_gap"
    ) in output(tmp_path)
    assert "Traceback" not in output(tmp_path)

    await ends_with(0, *RUN, "--on-gap", "earliest", "--report", "r.json")
    assert "decisions are lost; going on with what is left" in output(tmp_path)
    assert json.loads((tmp_path / "r.json").read_text())["decisions"] == 100
