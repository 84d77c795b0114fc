"""`sentinel run` as a user starts it: a process of its own, its signals, its children, its end."""

import asyncio
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, chdir, contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from typer.testing import CliRunner

from sentinel import config as configuration
from sentinel.adapters.embedded import EmbeddedServers
from sentinel.adapters.kafka import KafkaBroker, KafkaParams
from sentinel.adapters.registry import ModelDirectory, ModelParams
from sentinel.cli import app
from sentinel.config import Config
from sentinel.operations import embedded
from sentinel.operations.data.sender import Sender
from sentinel.operations.models import registry as models
from sentinel.stored.versions import Artifact
from tests.app import small
from tests.children import WAIT_S_MAX
from tests.engine.linear_trees import linear_text

pytestmark = [pytest.mark.integration, pytest.mark.slow]

FIGURES = {
    "transactions",
    "decisions",
    "alerts",
    "dead_letters",
    "late",
    "duration_s",
    "throughput_per_s",
    "latency_ms",
    "loop_lag_ms",
    "model_version",
    "health",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a run finds a configuration and a small trained model, and keeps what is its own."""
    small.add_model(tmp_path)
    return tmp_path


@contextmanager
def sentinel(
    folder: Path, *arguments: str, settings: Mapping[str, str] | None = None
) -> Iterator["subprocess.Popen[str]"]:
    """A command at work; what is left of it at the end is killed."""
    environment = {**os.environ, "SENTINEL__MODEL__DIRECTORY": "models", **(settings or {})}
    command = [sys.executable, "-m", "sentinel", *arguments]
    with (folder / "output.txt").open("a") as output:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=output, stderr=output, text=True
        )
    try:
        yield process
    finally:
        children = descendants(process)
        process.kill()
        process.wait()
        for child in children:
            if is_running(child):
                child.kill()


def call(
    folder: Path, *arguments: str, exit_code: int = 0, settings: Mapping[str, str] | None = None
) -> str:
    """What a command says that ends by itself: in this process, which has its imports already."""
    environment = {"SENTINEL__MODEL__DIRECTORY": "models", **(settings or {})}
    with chdir(folder):
        result = CliRunner().invoke(app, arguments, env=environment)
    with (folder / "output.txt").open("a") as said:
        said.write(result.output)
    assert result.exit_code == exit_code, result.output
    assert isinstance(result.exception, SystemExit | None), result.output
    return result.output


def output(folder: Path) -> str:
    return (folder / "output.txt").read_text()


def await_that(is_true: Callable[[], bool], what: str, timeout_s: float = WAIT_S_MAX) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not is_true():
        assert time.monotonic() < deadline_s, what
        time.sleep(0.05)


def await_start(folder: Path, process: "subprocess.Popen[str]") -> None:
    """Wait until partitions are assigned; the log says so."""

    def is_live() -> bool:
        assert process.poll() is None, output(folder)
        return "live from" in output(folder)

    await_that(is_live, "the instance does not start")


def descendants(process: "subprocess.Popen[str]") -> list[psutil.Process]:
    try:
        found: list[psutil.Process] = psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
    return found


def is_running(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def await_end_of(processes: Iterable[psutil.Process]) -> None:
    left = list(processes)
    await_that(lambda: not any(map(is_running, left)), "a child outlives its parent")


def test_a_run_of_some_seconds_reports_what_it_did(folder: Path) -> None:
    arguments = ("--plain", "--stream", "--rate", "100", "--duration", "4", "--report", "r.json")
    with sentinel(folder, "run", "-c", "small.toml", *arguments) as process:
        assert process.wait(WAIT_S_MAX) == 0, output(folder)

    report = json.loads((folder / "r.json").read_text())
    assert report.keys() >= FIGURES
    assert report["transactions"] > 0
    assert report["decisions"] == report["transactions"] == sum(report["actions"].values())
    assert report["dead_letters"] == report["late"] == report["degraded"] == 0
    assert report["duration_s"] >= 4
    assert report["throughput_per_s"] == pytest.approx(
        report["transactions"] / report["duration_s"]
    )
    assert 0 < report["latency_ms"]["p50"] <= report["latency_ms"]["p99"]
    assert report["loop_lag_ms"]["p99"] > 0
    assert report["model_version"] == "1.0.0"
    assert report["health"] == "ok"
    assert "Traceback" not in output(folder)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_in_order_and_a_second_run_goes_on(folder: Path, number: int) -> None:
    arguments = ("--plain", "--stream", "--rate", "100", "--report", "r.json")
    with sentinel(folder, "run", "-c", "small.toml", *arguments) as process:
        await_start(folder, process)
        children = descendants(process)
        assert len(children) >= 2
        # Two in one folder would write over each other's state.
        second = call(folder, "run", "-c", "small.toml", "--plain", exit_code=2)
        assert "another `sentinel run` is at work" in second

        process.send_signal(number)

        assert process.wait(WAIT_S_MAX) == 0, output(folder)
    await_end_of(children)
    report = json.loads((folder / "r.json").read_text())
    assert report["decisions"] == report["transactions"]
    assert not (folder / ".sentinel" / "embedded.json").exists()
    assert "Traceback" not in output(folder)


def test_a_signal_is_heard_while_the_first_model_is_trained(tmp_path: Path) -> None:
    small.config_file(tmp_path)
    with sentinel(tmp_path, "run", "-c", "small.toml", "--plain", "--stream") as process:
        await_that(lambda: "generated history" in output(tmp_path), "it does not begin")

        process.send_signal(signal.SIGINT)

        assert process.wait(WAIT_S_MAX) == 0, output(tmp_path)
    assert not (tmp_path / "models").exists(), "half a start leaves no model without its history"


def test_a_second_signal_forces_the_end(folder: Path) -> None:
    with sentinel(folder, "run", "-c", "small.toml", "--plain", "--stream") as process:
        await_start(folder, process)
        children = descendants(process)

        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)

        assert process.wait(WAIT_S_MAX) == 130, output(folder)
    await_end_of(children)


def test_killed_with_9_it_leaves_no_children(folder: Path) -> None:
    with sentinel(folder, "run", "-c", "small.toml", "--plain", "--stream") as process:
        await_start(folder, process)
        children = descendants(process)
        assert len(children) >= 2

        process.kill()

        await_end_of(children)


def archives(process: "subprocess.Popen[str]") -> list[psutil.Process]:
    """The archives that a run has started."""
    found = []
    for child in descendants(process):
        try:
            if "--until-input-ends" in child.cmdline() and is_running(child):
                found.append(child)
        except psutil.NoSuchProcess:
            continue
    return found


def archived(folder: Path) -> int:
    """Files of decisions that have their name."""
    return len(list((folder / ".sentinel" / "archive" / "decisions").rglob("*.parquet")))


@pytest.mark.parametrize(
    "ending", [(signal.SIGKILL,), (signal.SIGINT, signal.SIGTERM)], ids=["kill -9", "two signals"]
)
def test_an_archive_runs_beside_is_started_again_and_ends_with_the_run(
    folder: Path, ending: tuple[int, ...]
) -> None:
    with sentinel(folder, "run", "-c", "small.toml", "--plain", "--no-stream") as process:
        await_that(lambda: archives(process) != [], "there is no archive")
        (first,) = archives(process)

        first.kill()
        await_that(
            lambda: [one.pid for one in archives(process)] not in ([], [first.pid]),
            "the archive is not started again",
        )
        assert process.poll() is None, "scoring does not end for it"
        assert "the archive starts again: it ended with -9" in output(folder)
        children = descendants(process)
        assert len(archives(process)) == 1

        for number in ending:
            process.send_signal(number)

        await_end_of(children)


def test_what_is_decided_is_archived_beside(folder: Path) -> None:
    arguments = ("--plain", "--stream", "--rate", "100")
    settings = {"SENTINEL__ARCHIVE__INTERVAL_S": "1.0"}
    with sentinel(folder, "run", "-c", "small.toml", *arguments, settings=settings) as process:
        await_that(lambda: archived(folder) > 0, "nothing is archived")

        process.send_signal(signal.SIGINT)

        assert process.wait(WAIT_S_MAX) == 0, output(folder)
    assert "rows in" in (folder / ".sentinel" / "archive.log").read_text()
    assert "rows in" not in output(folder), "what it says is in a file of its own"


def test_without_an_archive_there_is_none(folder: Path) -> None:
    arguments = ("--plain", "--no-archive", "--no-stream")
    with sentinel(folder, "run", "-c", "small.toml", *arguments) as process:
        await_start(folder, process)
        time.sleep(1.0)  # an archive would be there by now
        assert archives(process) == []
        assert not (folder / ".sentinel" / "archive.log").exists()


def test_when_its_broker_dies_it_says_so_and_ends(folder: Path) -> None:
    with sentinel(folder, "run", "-c", "small.toml", "--plain", "--stream") as process:
        await_start(folder, process)
        (tansu,) = (child for child in descendants(process) if child.name() == "tansu")

        tansu.kill()

        assert process.wait(WAIT_S_MAX) == 1, output(folder)
    assert "sentinel: tansu exited with -9; see " in output(folder)


def test_without_a_model_there_is_nothing_to_run(tmp_path: Path) -> None:
    small.config_file(tmp_path)

    said = call(tmp_path, "run", "-c", "small.toml", "--plain", exit_code=2)

    assert "sentinel: there is no model in models: make one" in said
    assert "Traceback" not in said


def test_a_model_that_was_changed_does_not_serve(folder: Path) -> None:
    model = folder / "models" / "1.0.0" / "model.txt"
    model.write_text(model.read_text().replace("leaf_value=", "leaf_value=1"))

    said = call(folder, "run", "-c", "small.toml", "--plain", exit_code=2)

    assert "does not have the manifest's SHA-256" in said
    assert "Traceback" not in said


def test_a_file_is_played_into_a_running_instance(folder: Path) -> None:
    """Every transaction gets one decision, and what cannot be read is a dead letter each."""
    rows = [json.loads(value) | {"is_fraud": fraud} for value, fraud in list(small.flat())[:3_000]]
    lines = [json.dumps(row) for row in rows]
    bad = ["garbage", "{}", lines[0].replace('"amount": ', '"amount": -'), "{", "null"]
    for i, line in enumerate(bad):
        lines[500 * (i + 1)] = line
    (folder / "rows.jsonl").write_text("\n".join(lines))
    arguments = ("--plain", "--no-stream", "--report", "r.json")

    with sentinel(folder, "run", "-c", "small.toml", *arguments) as process:
        await_start(folder, process)
        options = ("--label-column", "is_fraud", "--label-delay", "2d")
        call(folder, "produce", "rows.jsonl", "-c", "small.toml", *options)
        kafka = embedded.running(configuration.load(folder / "small.toml"), folder / ".sentinel")
        for topic, count in (("decisions", 2_995), ("dead-letters", 5), ("labels", 1_001)):
            asyncio.run(counted(kafka.kafka, topic, until=count))
        process.send_signal(signal.SIGTERM)
        assert process.wait(WAIT_S_MAX) == 0, output(folder)

    report = json.loads((folder / "r.json").read_text())
    assert report["transactions"] == 3_000
    assert report["decisions"] == 2_995
    assert report["dead_letters"] == 5
    assert report["dead_letter_reasons"] == {
        "not_json": 2,
        "missing_field": 1,
        "wrong_type": 1,
        "bad_amount": 1,
    }
    assert report["late"] == report["replayed"] == 0
    assert report["feedback"] > 1_000
    assert "3,000 transactions and" in output(folder)
    assert "5 rows could not be used: expect dead letters" in output(folder)


def external(servers: EmbeddedServers, topics: str) -> dict[str, str]:
    """Settings of an instance whose servers are not its own."""
    return {
        "SENTINEL__KAFKA__BOOTSTRAP_SERVERS": servers.kafka_servers,
        "SENTINEL__REDIS__URL": servers.redis_url,
        "SENTINEL__KAFKA__IDEMPOTENCE": "false",
        # Tansu makes the first member of a group wait for half a session.
        "SENTINEL__KAFKA__SESSION_TIMEOUT_S": "2.0",
        "SENTINEL__KAFKA__HEARTBEAT_INTERVAL_S": "0.5",
        "SENTINEL__KAFKA__GROUP_ID": topics,
        "SENTINEL__REDIS__KEY_PREFIX": topics,
        "SENTINEL__TOPICS__PREFIX": f"{topics}-",
    }


async def decided(
    params: KafkaParams, topic: str, *, until: int, by: str = ""
) -> list[dict[str, Any]]:
    """All decisions that there are for now, `until` at least; for 1 the first that come.

    With `by`, those of the same value there count once.
    """
    found: list[dict[str, Any]] = []
    async with reading(params, topic) as more:
        while True:
            values = await more()
            found += map(json.loads, values)
            count = len({one[by] for one in found} if by else found)
            if count >= until and (not values or until == 1):
                return found


async def counted(params: KafkaParams, topic: str, *, until: int) -> None:
    """Wait until so many records are there, whatever they hold."""
    count = 0
    async with reading(params, topic) as more:
        while count < until:
            count += len(await more())


@asynccontextmanager
async def reading(
    params: KafkaParams, topic: str
) -> AsyncIterator[Callable[[], Awaitable[list[bytes]]]]:
    """Gives what a topic holds, from its begin on; nothing while no more has come."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=params.bootstrap_servers, auto_offset_reset="earliest"
    )

    async def more() -> list[bytes]:
        records = await consumer.getmany(timeout_ms=300)
        return [record.value for part in records.values() for record in part]

    await consumer.start()
    try:
        await consumer.topics()  # asks for all that there are
        partitions = consumer.partitions_for_topic(topic)
        consumer.assign([TopicPartition(topic, partition) for partition in partitions])
        async with asyncio.timeout(WAIT_S_MAX):
            yield more
    finally:
        await consumer.stop()


async def send(config: Config, broker: KafkaBroker, values: list[bytes]) -> None:
    async with Sender(config, broker) as sender:
        for begin in range(0, len(values), 500):
            part = values[begin : begin + 500]
            await sender.transactions([json.loads(value)["account"] for value in part], part)
        await sender.flush()


async def test_killed_with_9_it_goes_on_without_loss(
    folder: Path, servers: EmbeddedServers
) -> None:
    settings = external(servers, "crash")
    params = KafkaParams().embedded_at(servers.kafka_servers)
    config = small.config(folder, topics=small.topics("crash-"))
    values = [value for value, _ in small.flat()][:6_000]
    arguments = ("run", "-c", "small.toml", "--plain", "--no-stream")

    async with KafkaBroker(params) as broker:
        await send(config, broker, values[:3_000])
        with sentinel(folder, *arguments, settings=settings) as process:
            await decided(params, "crash-decisions", until=1)
            process.kill()  # within the second before the first commit
        await send(config, broker, values[3_000:])
        more = ("--report", "r.json")
        with sentinel(folder, *arguments, *more, settings=settings) as process:
            await decided(params, "crash-decisions", until=6_000, by="decision_id")
            process.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(process.wait, WAIT_S_MAX) == 0, output(folder)
        found = await decided(params, "crash-decisions", until=6_000, by="decision_id")

    assert json.loads((folder / "r.json").read_text())["dead_letters"] == 0
    assert len(found) > 6_000, "some were decided twice"
    decisions: dict[str, dict[str, Any]] = {}
    for decision in found:
        whole = decisions.setdefault(decision["decision_id"], decision)
        assert decision == whole, "repeated with another content"
    decided_ids = sorted(decision["transaction_id"] for decision in decisions.values())
    assert decided_ids == sorted(json.loads(value)["transaction_id"] for value in values)


def test_a_promoted_model_that_will_not_be_explained_costs_the_reasons_only(folder: Path) -> None:
    """Also at the next start, on which the registry has it serve from the first record on."""
    kept = ModelDirectory(ModelParams(str(folder / "models")))
    first = kept.load("1.0.0")
    facts = {n: v for n, v in first.manifest.items() if n not in ("version", "sha256", "golden")}
    text = linear_text(tuple(facts["features"]))
    given = Artifact("1.1.0", text, {**facts, "version": "1.1.0", "sha256": sha256_of(text)})
    kept.keep(given)
    arguments = ("run", "-c", "small.toml", "--plain", "--stream", "--rate", "100")
    with sentinel(folder, *arguments, "--report", "r.json") as process:
        await_start(folder, process)
        register(folder, given)  # an import would refuse it
        command = ("promote", "1.1.0", "--why", "it is mine")
        call(folder, "models", *command, "-c", "small.toml")
        await_that(lambda: "1.1.0 serves from now on" in output(folder), output(folder))
        await_that(lambda: "degraded (alerts go out without" in output(folder), output(folder))
        call(folder, "models", "list", "-c", "small.toml")
        process.send_signal(signal.SIGTERM)
        assert process.wait(WAIT_S_MAX) == 0, output(folder)

    report = json.loads((folder / "r.json").read_text())
    assert report["unexplained"] > 0
    assert report["decisions"] == report["transactions"]
    assert output(folder).count("its alerts go out without reasons: Predicting SHAP") >= 1
    assert output(folder).count("[Fatal]") == 0
    with sentinel(folder, *arguments, "--duration", "4", "--report", "r.json") as process:
        assert process.wait(WAIT_S_MAX) == 0, output(folder)

    report = json.loads((folder / "r.json").read_text())
    assert report["model_version"] == "1.1.0"
    assert report["unexplained"] == report["alerts"] > 0
    assert report["decisions"] == report["transactions"] > 0
    assert "Traceback" not in output(folder)


def register(folder: Path, given: Artifact) -> None:
    """Take a version in without trying it, as before there was a trial."""
    config = embedded.running(configuration.load(folder / "small.toml"), folder / ".sentinel")
    asyncio.run(models.add(config, given, who="ann", why="it is mine"))


def sha256_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
