"""`sentinel init --topic`: a configuration from records that nobody has described."""

import asyncio
import json
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from sentinel.adapters.kafka import KafkaBroker, KafkaParams
from sentinel.adapters.redis import RedisParams
from sentinel.cli.texts import plain
from sentinel.core.partitioning import PartitionOf
from sentinel.core.topics import TopicSpec
from sentinel.records import OutputRecord
from tests.cli.folder import Folder
from tests.cli.test_hostile_text import TEXT
from tests.conftest import ON_KAFKA

pytestmark = pytest.mark.integration

FRAME = b"\0\0\0\0\x11"


@pytest.fixture
def folder(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kafka_params: KafkaParams,
    redis_params: RedisParams,
) -> Folder:
    monkeypatch.chdir(tmp_path)
    return Folder(kafka_params, redis_params)


def payment(i: int) -> dict[str, Any]:
    return {
        "transaction_id": f"T{i}",
        "event_time": f"2026-03-01T{i // 60:02}:{i % 60:02}:00Z",
        "account": f"A{i % 7}",
        "amount": i + 0.5,
        "channel": "web" if i % 3 else "app",
    }


def change(i: int) -> dict[str, Any]:
    """As a change-data-capture connector writes them."""
    found = payment(i)
    card = {"id": found.pop("account"), "tags": ["x"]}
    return {"op": "c", "before": None, "after": found | {"card": card}, "lsn": 1_000 + i}


def send(
    folder: Folder,
    values: Sequence[bytes | None],
    *,
    topic: str = "transactions",
    partition_count: int = 1,
    accounts: Sequence[str] | None = None,
) -> str:
    name = f"{folder.name}-{topic}"
    place = PartitionOf(partition_count, "murmur2")

    async def main() -> None:
        async with KafkaBroker(folder.kafka) as broker:
            await broker.ensure_topics([TopicSpec(name, partition_count)])
            for i, value in enumerate(values):
                at = place(accounts[i]) if accounts else i % partition_count
                await broker.publish(name, at, [OutputRecord(None, value)])
            await broker.flush()

    asyncio.run(main())
    return name


def lines(objects: Sequence[Any]) -> list[bytes | None]:
    return [json.dumps(one).encode() for one in objects]


def made(path: str = "mine.toml") -> dict[str, Any]:
    return tomllib.loads(Path(path).read_text())


def test_a_topic_of_json_is_described_and_its_configuration_reads_it(folder: Folder) -> None:
    found = [payment(i) for i in range(60)]
    accounts = [one["account"] for one in found]
    name = send(folder, lines(found), partition_count=2, accounts=accounts)

    said = folder.said("init", "--topic", name, "--yes", "--out", "small.toml")

    assert f"topic {name}: 60 records looked at" in said
    assert "60 of 60 records that were tried are usable" in said
    assert "are not in the partition" not in said
    config = made("small.toml")
    schema = config["schema"]
    assert schema["transaction_id"] == "transaction_id"
    assert schema["account"] == "account"
    assert schema["categorical"] == ["channel"]
    assert "row_numbers" not in schema
    assert "framing" not in schema
    assert config["topics"] == {
        "prefix": f"{folder.name}-",
        "transactions": "transactions",
        "partition_count": 2,
    }
    assert config["kafka"]["bootstrap_servers"] == folder.kafka.bootstrap_servers
    assert "sentinel topics check -c small.toml" in said
    assert "is valid" in folder.said("check-config")


def test_of_a_large_topic_a_bounded_share_of_each_partition_is_looked_at(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sentinel.operations.arrival.topics.RECORD_COUNT", 50)
    found = [payment(i) | {"day": "old" if i < 100 else f"new{i % 2}"} for i in range(300)]
    name = send(folder, lines(found), partition_count=2)

    said = folder.said("init", "--topic", name, "--yes")

    assert f"topic {name}: 50 records looked at" in said
    assert ("note: the first records were looked at" in said) == (not ON_KAFKA)
    days = [one["values"] for one in made()["features"] if one["name"] == "day"]
    assert days == ([["new0", "new1"]] if ON_KAFKA else [])
    assert ("left out: day: is the same in every row" in said) == (not ON_KAFKA)


def test_objects_are_flattened_and_arrays_are_named_as_left_out(folder: Folder) -> None:
    name = send(folder, lines([change(i) for i in range(60)]))

    said = folder.said("init", "--topic", name, "--yes")

    schema = made()["schema"]
    assert schema["transaction_id"] == "after.transaction_id"
    assert schema["event_time"] == "after.event_time"
    assert schema["account"] == "after.card.id"
    assert schema["amount"] == "after.amount"
    assert schema["categorical"] == ["after.channel"]
    assert "left out: after.card.tags: holds lists or objects" in said


@pytest.mark.parametrize("make", [payment, change])
def test_json_behind_the_frame_of_a_registry_is_read(folder: Folder, make: Any) -> None:
    values = [FRAME + (value or b"") for value in lines([make(i) for i in range(40)])]
    name = send(folder, values)

    said = folder.said("init", "--topic", name, "--yes")

    assert made()["schema"]["framing"] == "registry"
    assert "40 of 40 records that were tried are usable" in said


def test_records_that_are_none_are_counted_and_named_by_their_place(folder: Folder) -> None:
    values = lines([payment(i) for i in range(60)])
    values[7] = b"nonsense"
    values[9] = None
    values[11] = json.dumps(payment(11) | {"amount": "much"}).encode()
    name = send(folder, values)

    said = folder.said("init", "--topic", name, "--yes")

    assert "note: 2 records looked at are no JSON objects: dead letters" in said
    assert "57 of 60 records that were tried are usable" in said
    assert f'column amount: 1 row: {name}-0 at offset 11 has "much"' in said


def test_accounts_that_are_spread_over_partitions_are_told(folder: Folder) -> None:
    name = send(folder, lines([payment(i) for i in range(60)]), partition_count=3)

    said = folder.said("init", "--topic", name, "--yes")

    assert "are not in the partition that kafka.partitioner" in said


def test_the_other_ways_to_say_where_the_topic_is(folder: Folder) -> None:
    name = send(folder, lines([payment(i) for i in range(30)]))
    Path("brokers.toml").write_text(
        Path(__file__).parents[2].joinpath("config/sentinel.toml").read_text()
    )
    servers = folder.kafka.bootstrap_servers
    unset = "embedded"
    said = ("init", "--topic", name, "--yes")

    folder.said(*said, "--bootstrap-servers", servers, SENTINEL__KAFKA__BOOTSTRAP_SERVERS=unset)
    folder.said(*said, "-c", "brokers.toml", "--out", "two.toml")

    for file in ("mine.toml", "two.toml"):
        assert made(file)["kafka"]["bootstrap_servers"] == servers
    refused = folder.refusal(*said, "--out", "3.toml", SENTINEL__KAFKA__BOOTSTRAP_SERVERS=unset)
    assert refused.startswith("kafka.bootstrap_servers is embedded, and no `sentinel run`")


def test_a_topic_of_nothing_is_one_sentence(folder: Folder) -> None:
    name = send(folder, [])

    assert folder.refusal("init", "--topic", name, "--yes") == (
        f"topic {name} is empty: init needs records to look at"
    )
    missing = folder.refusal("init", "--topic", f"{folder.name}-none", "--yes")
    assert missing.startswith(f"there is no topic {folder.name}-none: there are [")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (b"\x93\x01", r"is a JSON object: {}-0 at offset 0 has b'\x93\x01'"),
        (None, "{}-0 at offset 0 has no value"),
        (b"[1, 2]", "none of 5 records looked at is a JSON object"),
        (FRAME + b"\x02\x06abc", "the frame of a schema registry (schema 17) and no JSON behind"),
    ],
)
def test_a_foreign_topic_is_one_sentence(folder: Folder, value: bytes | None, message: str) -> None:
    name = send(folder, [value] * 5)

    said = folder.refusal("init", "--topic", name, "--yes")

    assert message.format(name) in said
    assert not Path("mine.toml").exists()


@pytest.mark.parametrize(
    ("lacking", "flag"), [("transaction_id", "--transaction-id"), ("account", "--account")]
)
def test_what_a_record_must_have_has_no_row_to_stand_for_it(
    folder: Folder, lacking: str, flag: str
) -> None:
    found = [{k: v for k, v in payment(i).items() if k != lacking} for i in range(40)]
    name = send(folder, lines(found))

    said = folder.refusal("init", "--topic", name, "--yes")
    none = folder.refusal("init", "--topic", name, "--yes", flag, "none")

    assert "no row stands for a record" in said
    assert said.endswith(f"say it with {flag}")
    assert "no row stands for a record" in none


def test_a_name_outside_the_prefix_of_the_deployment_is_refused(folder: Folder) -> None:
    name = send(folder, lines([payment(i) for i in range(10)]))

    said = folder.refusal("init", "--topic", name, "--yes", SENTINEL__TOPICS__PREFIX="other-")

    assert said.startswith(f'--topic: the name "{name}" must begin with topics.prefix, "other-"')


def test_a_topic_of_sentinel_s_own_is_refused(folder: Folder) -> None:
    name = send(folder, lines([payment(i) for i in range(10)]), topic="decisions")

    assert "topics need different names" in folder.refusal("init", "--topic", name, "--yes")


@pytest.mark.parametrize(
    "arguments", [(), ("a.csv", "--topic", "x"), ("a.csv", "--bootstrap-servers", "x:1")]
)
def test_one_thing_is_looked_at(folder: Folder, arguments: Sequence[str]) -> None:
    assert folder.refusal("init", *arguments).startswith(("say what to look at", "--bootstrap-"))


def test_strangers_text_in_records_and_names_acts_nowhere(folder: Folder) -> None:
    found = [payment(i) | {"kind": TEXT + "xy"[i % 2], TEXT: {TEXT: i}} for i in range(100)]
    values = lines(found)
    values[0] = TEXT.encode()
    values[1] = json.dumps(payment(1) | {"amount": TEXT}).encode()
    name = send(folder, values)

    said = folder.command("init", "--topic", name, "--yes", COLUMNS="3000")
    refused = folder.command("init", "--topic", TEXT, "--overwrite")

    assert said.exit_code == 0, said.output
    assert refused.exit_code == 2
    for shown in (said.output, refused.output, Path("mine.toml").read_text()):
        assert all(line.isprintable() for line in shown.splitlines()), shown
    assert plain(TEXT) in said.output
    assert TEXT + "x" in made()["features"][-1]["values"], "as it was written"
    assert plain(TEXT) in refused.output


def test_what_looks_back_is_as_usual_however_short_the_time_that_was_looked_at(
    folder: Folder,
) -> None:
    name = send(folder, lines([payment(i) for i in range(60)]))

    said = folder.said("init", "--topic", name, "--yes")

    config = made()
    windows = [one["window"] for one in config["features"] if isinstance(one.get("window"), list)]
    assert windows == [["1h", "1d", "7d", "30d"]]
    assert {one["name"] for one in config["features"]} >= {"account_frauds_30d"}
    assert config["training"] == {
        "label_column": "",
        "label_delay": "7d",
        "calibration": "7d",
        "test": "7d",
    }
    assert "no label was found" not in said, "labels come as feedback, or with a history"
