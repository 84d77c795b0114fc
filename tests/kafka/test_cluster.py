"""The test cluster itself: it must leave nothing behind, and be heard by nobody else."""

import subprocess
import sys
import time
from pathlib import Path

import psutil

from tests.kafka.cluster import KafkaCluster

PARENT = """
import asyncio, sys
from pathlib import Path
from tests.kafka.cluster import KafkaCluster

async def main():
    async with KafkaCluster(Path(sys.argv[1])) as cluster:
        print(cluster.nodes[0].process.pid, flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


def test_a_parent_killed_with_9_takes_its_brokers_along(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PARENT, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        broker = psutil.Process(int(parent.stdout.readline()))
        assert "kafka.Kafka" in broker.cmdline()

        parent.kill()

    deadline = time.monotonic() + 5.0
    while broker.is_running() and broker.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "a broker outlives its parent"
        time.sleep(0.02)


def test_it_listens_on_the_loopback_only(cluster: KafkaCluster) -> None:
    [node] = cluster.nodes
    assert node.process is not None

    listening = {
        connection.laddr
        for connection in psutil.Process(node.process.pid).net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    }

    assert {address.port for address in listening} == set(node.ports.values())
    assert {address.ip for address in listening} <= {"127.0.0.1", "::ffff:127.0.0.1"}
