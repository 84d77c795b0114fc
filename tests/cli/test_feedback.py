"""`sentinel feedback` and `sentinel investigators`, on a real broker and a real store."""

import asyncio
import json
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner, Result

from sentinel.adapters.kafka import KafkaParams, KafkaTail
from sentinel.adapters.redis import RedisCaseStore, RedisParams
from sentinel.app.dead_letters import read_to_end
from sentinel.cli import app
from sentinel.votes import Annotator, Case, Casework, FeedbackProgress, Vote
from tests.app import small

pytestmark = pytest.mark.integration

TIME_MS = 1_767_225_600_000  # 2026-01-01
KNOWN = Case(
    "known", TIME_MS, {"account": "a1", "terminal": "m1"},
    (Vote("investigator/ann", "fraud", 0, 0.9, TIME_MS + 1, 0, notes="same device"),),
    0.83, None, "open",
)  # fmt: skip
ANN = Annotator("investigator/ann", 20.0, 2.0, 30.0, 1.0, 60, 22, 1, 1, TIME_MS, TIME_MS)
ZED = Annotator("investigator/zed", 0.0, 12.0, 30.0, 0.0, 42, 0, 0, 0, TIME_MS, TIME_MS + 1)
BANK = Annotator("chargeback/issuer", vote_count=9, fraud_count=9, last_ms=TIME_MS + 2)


@dataclass
class Folder:
    """Where commands are called, with topics and keys of its own."""

    kafka: KafkaParams
    redis: RedisParams
    name: str = field(default_factory=lambda: uuid.uuid4().hex)

    def command(self, *arguments: object) -> Result:
        settings = {
            "SENTINEL__KAFKA__BOOTSTRAP_SERVERS": self.kafka.bootstrap_servers,
            "SENTINEL__KAFKA__IDEMPOTENCE": str(self.kafka.idempotence).lower(),
            "SENTINEL__TOPICS__PREFIX": f"{self.name}-",
            "SENTINEL__REDIS__URL": self.redis.url,
            "SENTINEL__REDIS__KEY_PREFIX": self.name,
            "COLUMNS": "200",
        }
        words = [*map(str, arguments), "-c", "small.toml"]
        return CliRunner().invoke(app, words, env=settings)

    def said(self, *arguments: object) -> str:
        result = self.command(*arguments)
        assert result.exit_code == 0, result.output
        return result.stdout

    def refusal(self, *arguments: object) -> str:
        result = self.command(*arguments)
        assert result.exit_code == 2, result.output
        (line,) = result.stderr.strip().splitlines()
        return line.removeprefix("sentinel: ")

    def sent(self) -> list[dict[str, Any]]:
        """What the topic of feedback holds."""

        async def main() -> list[dict[str, Any]]:
            topic = f"{self.name}-feedback"
            async with KafkaTail(self.kafka, [topic]) as tail:
                records = [
                    r async for some in read_to_end(tail, topic, timeout_s=20.0) for r in some
                ]
            return [json.loads(record.value or b"") for record in records]

        return asyncio.run(main())


@pytest.fixture
def folder(
    tmp_path: Path,
    kafka_params: KafkaParams,
    redis_params: RedisParams,
    monkeypatch: pytest.MonkeyPatch,
) -> Folder:
    monkeypatch.chdir(tmp_path)
    small.config_file(tmp_path)
    found = Folder(kafka_params, redis_params)

    async def fill() -> None:
        params = RedisParams(url=redis_params.url, key_prefix=found.name)
        async with RedisCaseStore(params) as store:
            people = {one.name: one for one in (ANN, ZED, BANK)}
            progress = FeedbackProgress("log", 0)
            await store.save(None, Casework(progress, {"known": KNOWN}, people))

    asyncio.run(fill())
    return found


def test_a_voice_is_placed_by_its_options_or_by_what_others_said(folder: Folder) -> None:
    where = ("--account", "a2", "--event-time", "2026-01-02T03:04:05Z", "--entity", "terminal=m2")
    folder.said("feedback", "add", "new", "fraud", "--who", "bob", "--notes", "card lost", *where)
    said = folder.said("feedback", "add", "known", "genuine", "--who", "bob", "--revision", "2")

    assert "investigator/bob says genuine of known" in said
    first, second = folder.sent()
    assert first["entities"] == {"account": "a2", "terminal": "m2"}
    assert first["event_time_ms"] == TIME_MS + 86_400_000 + 11_045_000
    assert (first["who"], first["notes"], first["source"]) == ("bob", "card lost", "investigator")
    assert first["observed_ms"] > first["event_time_ms"]
    assert second["entities"] == KNOWN.entities
    assert (second["event_time_ms"], second["revision"]) == (TIME_MS, 2)


def test_a_voice_on_a_transaction_that_nobody_has_placed_waits_for_the_archive(
    folder: Folder,
) -> None:
    said = folder.said("feedback", "add", "new", "fraud", "--who", "bob")

    assert "counts when `sentinel archive run` has archived the decision" in said
    (sent,) = folder.sent()
    assert (sent["transaction_id"], sent["event_time_ms"], sent["entities"]) == ("new", None, None)


def test_what_an_instance_would_refuse_is_refused_here_in_a_line(folder: Folder) -> None:
    assert '"perhaps" is not one of' in folder.refusal("feedback", "add", "known", "perhaps")
    bad_time = ("--account", "a", "--event-time", "yesterday")
    assert "is not a time such as" in folder.refusal("feedback", "add", "x", "fraud", *bad_time)
    bad_entity = ("--account", "a", "--entity", "terminal")
    assert "must be KIND=NAME" in folder.refusal("feedback", "add", "x", "fraud", *bad_entity)
    assert "nobody has said anything of transaction x" in folder.refusal("feedback", "show", "x")
    assert "no such file" in folder.refusal("feedback", "import", "nowhere.csv")


@pytest.mark.parametrize("suffix", ["csv", "parquet", "jsonl"])
def test_a_file_of_voices_is_sent_and_its_bad_rows_are_named(folder: Folder, suffix: str) -> None:
    frame = pl.DataFrame(
        {
            "transaction_id": ["known", "new", "known"],
            "label": ["Fraud", "perhaps", "unsure"],
            "who": ["bob", "bob", "cyd"],
            "observed": ["2026-02-01T00:00:00Z"] * 3,
            "confidence": [0.5, None, None],
        }
    )
    path = Path(f"voices.{suffix}")
    if suffix == "csv":
        frame.write_csv(path)
    elif suffix == "parquet":
        frame.write_parquet(path)
    else:
        frame.write_ndjson(path)

    result = folder.command("feedback", "import", path, "--source", "customer")

    assert result.exit_code == 1
    assert 'row 2: label "perhaps" is not one of' in result.stderr
    assert "2 voices sent, 1 refused" in result.stdout
    first, second = folder.sent()
    assert (first["label"], first["confidence"], first["source"]) == ("fraud", 0.5, "customer")
    assert first["observed_ms"] == TIME_MS + 31 * 86_400_000
    assert (second["who"], second["label"], second["confidence"]) == ("cyd", "unsure", 1.0)


def test_a_case_shows_who_said_what_and_what_came_of_it(folder: Folder) -> None:
    shown = folder.said("feedback", "show", "known")

    assert "known of 2026-01-01 00:00:00, account a1, terminal m1: open" in shown
    assert "probability of fraud 0.830, label none" in shown
    assert "investigator/ann" in shown
    assert "same device" in shown


def test_investigators_are_shown_with_their_skill_and_what_is_odd(folder: Folder) -> None:
    lines = folder.said("investigators").splitlines()
    bank, zed, ann = (
        next(line for line in lines if name in line) for name in ("issuer", "zed", "ann")
    )

    assert lines.index(bank) < lines.index(zed) < lines.index(ann), "who voted last comes first"
    assert "trusted" in bank
    assert "clears everything" in zed
    assert "0.89 (0.7" in ann
    assert "clears" not in ann
