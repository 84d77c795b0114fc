"""What the end-to-end benchmarks share: servers, an instance that is watched, tables."""

import asyncio
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from benchmarks.workloads import card_stream, write_config, write_model
from sentinel import config as configuration
from sentinel.adapters.embedded import EmbeddedServers
from sentinel.adapters.kafka import KafkaBroker
from sentinel.config import Config
from sentinel.metrics import Histogram
from sentinel.operations.data.sender import Sender
from sentinel.operations.topics import topic_specs
from sentinel.records import Ints

ROOT = Path(__file__).parents[1]
# As a broker of production runs, but for the size of its heap: the tests' broker is compiled for a
# quick start, which costs it half its speed.
JAVA_OPTIONS = ("-Xms1g", "-Xmx1g", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-Xshare:auto")
SERVER_NAMES = {"java": "broker", "tansu": "broker", "valkey-server": "store"}
PRELOAD_COUNT = 5_000  # records a call: batches of about a thousand in each partition
START_S_MAX = 120.0
STOP_S_MAX = 60.0


def facts(seed: int) -> dict[str, Any]:
    """What a reader must know of where the figures come from."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "python": platform.python_version(),
        "commit": _commit(),
        "seed": seed,
    }


def header(about: dict[str, Any]) -> str:
    """One line for the top of a table."""
    return (
        f"{about['cores']} cores of {about['processor']}, Python {about['python']}, commit "
        f"{about['commit']}, seed {about['seed']}, load {about['load']:.1f} at the start"
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _commit() -> str:
    try:
        command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--exclude=*"]
        found = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return found.stdout.strip()


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns under their names; the first one to the left, the others to the right."""
    table = [list(columns), *map(list, rows)]
    widths = [max(len(row[i]) for row in table) for i in range(len(columns))]
    for row in table:
        cells = [
            c.ljust(w) if i == 0 else c.rjust(w)
            for i, (c, w) in enumerate(zip(row, widths, strict=True))
        ]
        print("  " + "  ".join(cells).rstrip())


def write_json(path: Path | None, figures: dict[str, Any]) -> None:
    """Keep the figures, if anybody asked for them."""
    if path is not None:
        path.write_text(json.dumps(figures, indent=2) + "\n")


def make_model(folder: Path) -> Path:
    """The benchmark's model, for several sites; returns its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    config = configuration.load(write_config(folder), {})
    write_model(folder, [feature.name for feature in config.features])
    return folder / "models"


@dataclass(frozen=True, slots=True)
class Site:
    """A broker and a store that run, a configuration with a model, and where it all lies."""

    folder: Path
    config_file: Path
    environment: dict[str, str]
    config: Config
    kafka_servers: str

    @property
    def input_topic(self) -> str:
        return self.config.topics.full(self.config.topics.transactions)

    @property
    def decision_topic(self) -> str:
        return self.config.topics.full(self.config.topics.decisions)


@asynccontextmanager
async def site(
    folder: Path,
    *,
    kafka: bool,
    partition_count: int = 4,
    entities_max: int = 200_000,
    settings: dict[str, str] | None = None,
    models: Path | None = None,
) -> AsyncIterator[Site]:
    """Servers, configuration, model and topics in a folder; Tansu, or Apache Kafka if asked for.

    `settings` are environment variables of the instances; `models` a folder with a model, if one
    was made before.
    """
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    path = write_config(folder, partition_count=partition_count, entities_max=entities_max)
    plain = configuration.load(path, {})
    if models is None:
        await asyncio.to_thread(write_model, folder, [feature.name for feature in plain.features])
    else:
        shutil.copytree(models, folder / "models")
    async with AsyncExitStack() as stack:
        servers = EmbeddedServers(folder / "servers", kafka=not kafka)
        await stack.enter_async_context(servers)
        environment = {"SENTINEL__REDIS__URL": servers.redis_url, "SENTINEL__HTTP__BIND": ""}
        if kafka:
            from tests.kafka.cluster import KafkaCluster

            cluster = KafkaCluster(folder / "kafka", java_options=JAVA_OPTIONS)
            await stack.enter_async_context(cluster)
            address = cluster.bootstrap_servers
        else:
            address = servers.kafka_servers
            environment["SENTINEL__KAFKA__IDEMPOTENCE"] = "false"
        environment |= {"SENTINEL__KAFKA__BOOTSTRAP_SERVERS": address, **(settings or {})}
        config = configuration.load(path, environment)
        found = Site(folder, path, environment, config, address)
        await _make_topics(found, append_time=kafka)
        yield found


async def _make_topics(found: Site, *, append_time: bool) -> None:
    """The instance's topics; decisions with the time of the append, where the broker keeps it."""
    specs = topic_specs(found.config)
    if append_time:
        admin = AIOKafkaAdminClient(bootstrap_servers=found.kafka_servers)
        await admin.start()
        try:
            partition_count = found.config.topics.partition_count
            settings = {"message.timestamp.type": "LogAppendTime"}
            topic = NewTopic(found.decision_topic, partition_count, 1, topic_configs=settings)
            await admin.create_topics([topic])
        finally:
            await admin.close()
    async with KafkaBroker(found.config.kafka) as broker:
        await broker.ensure_topics(specs)


class Instance:
    """One `sentinel run` beside the benchmark, which writes down how it is doing."""

    def __init__(
        self, at: Site, *, number: int = 0, duration_s: float = 3600.0, probe_ms: float = 0.0
    ) -> None:
        """With `probe_ms` its samples tell of every longer stall of the loop."""
        self._at = at
        self._probe_ms = probe_ms
        self.folder = at.folder / f"instance-{number}"
        self.samples_file = self.folder / "samples.jsonl"
        self._duration_s = duration_s  # an end, should nobody stop it
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> "Instance":
        self.folder.mkdir()
        command = [sys.executable, "-m", "benchmarks.watched", str(self._at.config_file)]
        command += [str(self.samples_file), str(self._duration_s), str(self._probe_ms)]
        environment = {
            **os.environ,
            **self._at.environment,
            "PYTHONPATH": str(ROOT),
            "SENTINEL__KAFKA__CLIENT_ID": self.folder.name,
        }
        with (self.folder / "log").open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                *command, cwd=self.folder, env=environment, stdout=log, stderr=log
            )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def stop(self) -> None:
        """End it in order, at the latest after a minute."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            async with asyncio.timeout(STOP_S_MAX):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()

    async def ready(self) -> None:
        """Wait until it scores."""
        async with asyncio.timeout(START_S_MAX):
            while not any(sample["is_ready"] for sample in self.samples()):
                self.check()
                await asyncio.sleep(0.1)

    async def ready_now(self) -> None:
        """Wait until it scores, as of its newest sample: a group settles in several rounds."""
        async with asyncio.timeout(START_S_MAX):
            while not self.samples()[-1]["is_ready"]:
                self.check()
                await asyncio.sleep(0.1)

    def check(self) -> None:
        """Raise SystemExit when it has died, with its last words."""
        assert self._process is not None
        if self._process.returncode is not None:
            words = (self.folder / "log").read_text()[-3000:]
            raise SystemExit(f"the instance ended with {self._process.returncode}:\n{words}")

    def samples(self) -> list[dict[str, Any]]:
        """All that it wrote down so far."""
        if not self.samples_file.exists():
            return []
        lines = self.samples_file.read_text().splitlines()
        return [json.loads(line) for line in lines if line.endswith("}")]

    def before(self) -> dict[str, Any]:
        """The last sample before its first transaction."""
        samples = self.samples()
        return [samples[0], *(s for s in samples if s["transactions"] == 0)][-1]

    async def transactions(self, count: int, timeout_s: float) -> dict[str, Any]:
        """Wait until it has decided so many; the sample that says so."""
        async with asyncio.timeout(timeout_s):
            while True:
                self.check()
                samples = self.samples()
                if samples and samples[-1]["transactions"] >= count:
                    return samples[-1]
                await asyncio.sleep(0.2)


class Span:
    """What an instance did between two of its samples."""

    def __init__(self, samples: Sequence[dict[str, Any]], begin_s: float, end_s: float) -> None:
        """`begin_s` and `end_s` are epoch seconds; the samples nearest inside are taken."""
        inside = [sample for sample in samples if begin_s <= sample["at_s"] <= end_s]
        if len(inside) < 2:
            raise SystemExit("the instance wrote down too little: is the span below 1 s?")
        self.first, self.last = inside[0], inside[-1]
        self.inside = inside

    def gain(self, name: str) -> float:
        """By how much a counter grew."""
        return float(self.last[name] - self.first[name])

    @property
    def duration_s(self) -> float:
        return self.gain("at_s")

    def quantiles_ms(self, name: str, *shares: float) -> list[float]:
        """Quantiles of what was observed meanwhile; not a number if nothing was."""
        counts: Ints = np.array(self.last["histograms"][name]) - np.array(
            self.first["histograms"][name]
        )
        found = [Histogram.of_counts(counts).quantile(share) for share in shares]
        return [float("nan") if value_s is None else value_s * 1000 for value_s in found]


async def preload(at: Site, count: int, *, account_count: int, seed: int = 11) -> None:
    """Fill the topic with the card stream before anything reads it."""
    accounts, records = await asyncio.to_thread(
        card_stream, count, account_count=account_count, seed=seed
    )
    async with Sender(at.config) as sender:
        for begin in range(0, count, PRELOAD_COUNT):
            end = begin + PRELOAD_COUNT
            await sender.transactions(accounts[begin:end], records[begin:end])
        await sender.flush()


def server_cpu_s() -> dict[str, float]:
    """CPU seconds that each server started by this process has used so far."""
    found = {}
    for child in psutil.Process().children():
        with suppress(psutil.NoSuchProcess):
            times = child.cpu_times()
            found[SERVER_NAMES.get(child.name(), child.name())] = times.user + times.system
    return {name: used_s for name, used_s in found.items() if name in SERVER_NAMES.values()}
