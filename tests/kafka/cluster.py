"""Apache Kafka for the tests: its jars from Maven Central, its brokers on free ports.

`python -m tests.kafka.cluster` fetches the jars, 43 MB, once, by Maven. The rest needs Java 17.
Measured on two cores: one broker is ready 2.5 s after it was asked for, three are in 9 s.
"""

import asyncio
import base64
import os
import re
import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from tests import children

HERE = Path(__file__).parent
CACHE = HERE.parents[1] / ".cache"

FETCH_S_MAX = 600.0
FORMAT_S_MAX = 60.0
READY_S_MAX = 60.0

# Small and quick to start: these brokers see little traffic, and three share a machine with us.
JAVA_OPTIONS = (
    *("-Xms64m", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"),
    "-Djava.awt.headless=true",
)
LOGGING = (f"-Dlog4j2.configurationFile={HERE / 'log4j2.properties'}",)


def kafka_version() -> str:
    """The one that `pom.xml` names, or SENTINEL_TEST_KAFKA_VERSION."""
    if asked := os.environ.get("SENTINEL_TEST_KAFKA_VERSION"):
        return asked
    found = re.search(r"<kafka\.version>(.+?)</kafka\.version>", (HERE / "pom.xml").read_text())
    assert found is not None
    return found[1]


def jars() -> Path:
    """The folder with Kafka's jars, which are fetched when they are not there."""
    folder = CACHE / f"kafka-{kafka_version()}"
    if not folder.is_dir():
        partial = CACHE / f"partial-{uuid.uuid4().hex}"
        command = ["mvn", "-q", "-B", "-f", str(HERE / "pom.xml"), "dependency:copy-dependencies"]
        command += [f"-DoutputDirectory={partial}", f"-Dkafka.version={kafka_version()}"]
        subprocess.run(command, check=True, timeout=FETCH_S_MAX, stdin=subprocess.DEVNULL)
        partial.rename(folder)  # whole or not at all
    return folder


@dataclass(frozen=True, slots=True)
class Listener:
    """One more way into every broker, beside the plain one that the cluster itself uses."""

    name: str
    protocol: str
    settings: Mapping[str, str] = field(default_factory=dict)  # without the listener's prefix


@dataclass(slots=True)
class Node:
    """One broker, which is a controller as well; stopped while it has no process."""

    number: int
    directory: Path
    ports: dict[str, int]  # by listener
    process: "subprocess.Popen[bytes] | None" = None

    def address(self, listener: str) -> str:
        return f"127.0.0.1:{self.ports[listener]}"


class KafkaCluster:
    """Brokers that live as long as this context, and never longer than this process.

    Nothing in it belongs to an event loop, but brokers must be started from the main thread: on
    Linux they die with the *thread* that started them.

    Parameters
    ----------
    settings
        Added to server.properties of every broker, or put in the place of what is there.
    scram_users
        Passwords by name, known to every broker.
    java_options
        In the place of those that suit a test.
    """

    def __init__(
        self,
        directory: Path,
        broker_count: int = 1,
        *,
        settings: Mapping[str, str] | None = None,
        listeners: tuple[Listener, ...] = (),
        scram_users: Mapping[str, str] | None = None,
        java_options: Sequence[str] = JAVA_OPTIONS,
    ) -> None:
        assert broker_count in (1, 3)
        self._java_options = (*java_options, *LOGGING)
        self._settings = dict(settings or {})
        self._listeners = (
            Listener("CONTROLLER", "PLAINTEXT"),
            Listener("PLAINTEXT", "PLAINTEXT"),
            *listeners,
        )
        self._scram_users = dict(scram_users or {})
        self._cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        ports = iter(children.free_ports(broker_count * len(self._listeners)))
        self.nodes = [
            Node(
                number,
                directory / f"broker-{number}",
                {listener.name: next(ports) for listener in self._listeners},
            )
            for number in range(broker_count)
        ]

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self.aclose)
            await asyncio.gather(*(self._format(node) for node in self.nodes))
            for node in self.nodes:
                self._spawn(node)
            await self.await_brokers(len(self.nodes))
            stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    @property
    def bootstrap_servers(self) -> str:
        return self.addresses("PLAINTEXT")

    def addresses(self, listener: str) -> str:
        """What `KafkaParams.bootstrap_servers` should be."""
        return ",".join(node.address(listener) for node in self.nodes)

    async def stop_broker(self, number: int) -> None:
        """An orderly end: leaders are handed over, if there is somebody to take them."""
        await self._end(self.nodes[number], signal.SIGTERM)

    async def kill_broker(self, number: int) -> None:
        """What a power cut does, but for what is still in the page cache."""
        await self._end(self.nodes[number], signal.SIGKILL)

    def suspend_broker(self, number: int) -> None:
        """It holds its connections open and answers nothing, as a machine that hangs does."""
        process = self.nodes[number].process
        assert process is not None
        process.send_signal(signal.SIGSTOP)

    def resume_broker(self, number: int) -> None:
        process = self.nodes[number].process
        assert process is not None
        process.send_signal(signal.SIGCONT)

    async def start_brokers(self, *numbers: int) -> None:
        """On their ports, with the log they had; returns when all that run know of each other."""
        for number in numbers:
            assert self.nodes[number].process is None, "stop it first"
            self._spawn(self.nodes[number])
        await self.await_brokers(sum(node.process is not None for node in self.nodes))

    async def aclose(self) -> None:
        """Stop what runs; nobody is left to take over, so there is nothing to wait for."""
        await asyncio.gather(*(self._end(node, signal.SIGKILL) for node in self.nodes))

    async def await_brokers(self, count: int) -> None:
        """Until so many brokers are members of the cluster, by the word of each that runs."""
        deadline = time.monotonic() + READY_S_MAX
        for node in self.nodes:
            while node.process is not None and await _broker_count(node) < count:
                if node.process.poll() is not None or time.monotonic() > deadline:
                    raise AssertionError(f"broker {node.number}: {_last_words(node)}")
                await asyncio.sleep(0.05)

    async def _format(self, node: Node) -> None:
        node.directory.mkdir(parents=True)
        path = node.directory / "server.properties"
        path.write_text("".join(f"{key}={value}\n" for key, value in self._properties(node)))
        command = [*self._java(), "kafka.tools.StorageTool", "format", "--config", str(path)]
        command.append(f"--cluster-id={self._cluster_id}")  # it may begin with a hyphen
        for name, password in self._scram_users.items():
            command += ["--add-scram", f"SCRAM-SHA-512=[name={name},password={password}]"]
        process = children.start(command, node.directory / "format.log", node.directory)
        await children.exit_of(process, FORMAT_S_MAX)
        assert process.returncode == 0, (node.directory / "format.log").read_text()

    def _spawn(self, node: Node) -> None:
        path = node.directory / "server.properties"
        command = [*self._java(), "kafka.Kafka", str(path)]
        node.process = children.start(command, node.directory / "broker.log", node.directory)

    async def _end(self, node: Node, how: signal.Signals) -> None:
        process, node.process = node.process, None
        if process is not None:
            process.send_signal(how)
            await children.exit_of(process)

    def _java(self) -> list[str]:
        java = shutil.which("java")
        assert java is not None, "Kafka needs Java 17 or newer"
        return [java, *self._java_options, "-cp", f"{jars()}/*"]

    def _properties(self, node: Node) -> list[tuple[str, str]]:
        count = len(self.nodes)
        names = [listener.name for listener in self._listeners]
        clients = [name for name in names if name != "CONTROLLER"]
        properties = {
            "process.roles": "broker,controller",
            "node.id": str(node.number),
            "log.dirs": str(node.directory / "log"),
            "listeners": ",".join(f"{name}://{node.address(name)}" for name in names),
            "advertised.listeners": ",".join(f"{name}://{node.address(name)}" for name in clients),
            "listener.security.protocol.map": ",".join(
                f"{listener.name}:{listener.protocol}" for listener in self._listeners
            ),
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAINTEXT",
            "controller.quorum.voters": ",".join(
                f"{other.number}@{other.address('CONTROLLER')}" for other in self.nodes
            ),
            # As in production: with three copies a write needs two, and one broker may be away.
            "default.replication.factor": str(count),
            "min.insync.replicas": str(count // 2 + 1),
            "offsets.topic.replication.factor": str(count),
            "offsets.topic.num.partitions": str(count),
            "transaction.state.log.replication.factor": str(count),
            "transaction.state.log.min.isr": str(count // 2 + 1),
            "transaction.state.log.num.partitions": str(count),
            "share.coordinator.state.topic.replication.factor": str(count),
            "share.coordinator.state.topic.min.isr": str(count // 2 + 1),
            # Tests do not wait for what production waits for.
            "group.initial.rebalance.delay.ms": "0",
            "group.min.session.timeout.ms": "500",
            "broker.session.timeout.ms": "3000",
            "broker.heartbeat.interval.ms": "500",
            "log.initial.task.delay.ms": "1000",
            "log.retention.check.interval.ms": "1000",
            "log.segment.delete.delay.ms": "1000",
        }
        for listener in self._listeners:
            prefix = f"listener.name.{listener.name.lower()}."
            properties |= {prefix + key: value for key, value in listener.settings.items()}
        return list((properties | self._settings).items())


async def _broker_count(node: Node) -> int:
    """How many brokers this one knows of; 0 while it does not answer."""
    client = AIOKafkaAdminClient(
        bootstrap_servers=node.address("PLAINTEXT"), request_timeout_ms=2000
    )
    try:
        if not await children.connects(node.ports["PLAINTEXT"]):
            return 0  # without the client, which would log it
        await client.start()
        return len((await client.describe_cluster())["brokers"])
    except KafkaError:
        return 0
    finally:
        await client.close()


def _last_words(node: Node) -> str:
    return (node.directory / "broker.log").read_text()[-4000:] or "it says nothing"


if __name__ == "__main__":
    print(jars())  # noqa: T201
