"""Topics are made, and what is wrong with them is said: on a real broker, by the commands."""

import asyncio
import uuid
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from sentinel.adapters.kafka import KafkaAdmin, KafkaParams
from sentinel.cli import app
from sentinel.core.topics import TopicSpec
from tests.app import small
from tests.conftest import ON_KAFKA

pytestmark = pytest.mark.integration

NAMES = (
    "transactions",
    "decisions",
    "alerts",
    "feedback",
    "labels",
    "examples",
    "model-updates",
    "control",
    "audit",
    "dead-letters",
    "summaries",
    "drift-alerts",
    "experiments",
    "outcomes",
    "rollouts",
)


@dataclass
class Folder:
    """Where commands are called, with a prefix of topics of its own."""

    params: KafkaParams
    prefix: str = field(default_factory=lambda: f"{uuid.uuid4().hex}-")

    def topics(self, *arguments: object) -> Result:
        words = ["topics", *map(str, arguments), "-c", "small.toml"]
        environment = {
            "SENTINEL__KAFKA__BOOTSTRAP_SERVERS": self.params.bootstrap_servers,
            "SENTINEL__TOPICS__PREFIX": self.prefix,
        }
        return CliRunner().invoke(app, words, env=environment)

    def make(self, partition_counts: dict[str, int], **settings: int) -> None:
        async def main() -> None:
            async with KafkaAdmin(replace(self.params, **settings)) as admin:  # type: ignore[arg-type]  # whole numbers only
                await admin.ensure_topics(
                    [TopicSpec(self.prefix + name, n) for name, n in partition_counts.items()]
                )

        asyncio.run(main())


@pytest.fixture
def folder(tmp_path: Path, kafka_params: KafkaParams, monkeypatch: pytest.MonkeyPatch) -> Folder:
    monkeypatch.chdir(tmp_path)
    small.config_file(tmp_path)
    return Folder(kafka_params)


def test_what_is_missing_is_made_and_then_checked(folder: Folder) -> None:
    checked = folder.topics("check")
    assert checked.exit_code == 1
    assert checked.stdout.count("does not exist: `sentinel topics create` makes it") == len(NAMES)

    created = folder.topics("create")
    assert created.exit_code == 0, created.output
    lines = created.stdout.splitlines()
    assert [line.split(":")[0] for line in lines] == [f"created  {folder.prefix}{n}" for n in NAMES]
    assert "2 partitions, 1 copy" in lines[0]
    assert "1 partition, 1 copy" in lines[3]

    again = folder.topics("create")
    assert again.exit_code == 0
    assert again.stdout.count("is there") == len(NAMES)
    checked = folder.topics("check")
    assert checked.exit_code == 0, checked.output
    assert "wrong" not in checked.stdout
    assert f"ok       {folder.prefix}decisions: 2 partitions, 1 copy" in checked.stdout
    # Tansu keeps what a topic was made with, and tells nothing else.
    assert ("the broker does not tell cleanup.policy" in checked.stdout) == (not ON_KAFKA)


def test_transactions_have_as_many_partitions_as_their_owner_gives_them(folder: Folder) -> None:
    """What the configuration says counts when Sentinel creates them."""
    created = folder.topics("create", "--partitions", 3)
    assert created.exit_code == 0, created.output
    assert f"created  {folder.prefix}alerts: 3 partitions" in created.stdout

    checked, again = folder.topics("check"), folder.topics("create")

    assert checked.exit_code == again.exit_code == 0, checked.stdout
    assert f"is there {folder.prefix}transactions: 3 partitions" in again.stdout


def test_topics_that_do_not_fit_each_other_are_wrong(folder: Folder) -> None:
    folder.make({"transactions": 2, "decisions": 1, "alerts": 4, "feedback": 2, "labels": 1})

    created = folder.topics("create")
    checked = folder.topics("check")

    assert created.exit_code == checked.exit_code == 1
    assert f"created  {folder.prefix}dead-letters" in created.stdout
    assert f"wrong    {folder.prefix}decisions: 1 partition, 1 copy" in created.stdout
    wrong = [line for line in checked.stdout.splitlines() if line.startswith("wrong")]
    assert [line.split(": ", 1)[1] for line in wrong] == [
        "has 1 partition, needs 2: as many as transactions has, `sentinel run` gives it more",
        "has 2 partitions, needs 1: everything in it must be in one order",
    ]


def test_a_topic_that_takes_less_than_is_written_is_wrong(folder: Folder) -> None:
    folder.make({"transactions": 2}, record_bytes_max=20_000_000)
    folder.make({"labels": 1}, record_bytes_max=50_000, batch_bytes_max=50_000)
    folder.topics("create")

    checked = folder.topics("check")

    assert checked.exit_code == 1
    assert "max.message.bytes is 50,000, kafka.batch_bytes_max 1,000,000" in checked.stdout
    assert "other topics take records of 20,000,000" in checked.stdout


def test_more_copies_than_brokers_is_one_clear_line(folder: Folder) -> None:
    result = folder.topics("create", "--replication", 3)

    assert result.exit_code == 2
    assert result.stderr == (
        "sentinel: 3 copies of each record need as many brokers, there are 1: "
        "set --replication or kafka.replication_factor to 1..1\n"
    )


def test_without_servers_there_is_nothing_to_check(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = CliRunner().invoke(app, ["topics", "check"])
    assert result.exit_code == 2
    assert "no `sentinel run` is running in this folder" in result.stderr

    monkeypatch.setenv("SENTINEL__KAFKA__BOOTSTRAP_SERVERS", "127.0.0.1:1")
    result = CliRunner().invoke(app, ["topics", "check"])
    assert result.exit_code == 1
    assert result.stderr == "sentinel: connect to 127.0.0.1:1: nobody listens there\n"
