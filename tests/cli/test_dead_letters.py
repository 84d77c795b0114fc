"""Dead letters are listed, shown and sent back: on a real broker, by the commands themselves."""

import asyncio
import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from sentinel.adapters.kafka import KafkaBroker, KafkaParams, KafkaTail
from sentinel.cli import app
from sentinel.core.topics import TopicSpec
from sentinel.engine.dead_letters import DeadLetters
from sentinel.engine.tail import read_to_end
from sentinel.errors import RecordError, RecordReason
from sentinel.metrics import Metrics
from sentinel.records import Header, InputRecord, OutputRecord, Record, TopicPartition
from tests.app import small
from tests.children import WAIT_S_MAX

pytestmark = pytest.mark.integration

BINARY = bytes([0, 255, 27]) + b"binary"

Refused = tuple[TopicPartition, InputRecord, RecordError]


@dataclass
class Folder:
    """Where commands are called, with a prefix of topics of its own."""

    params: KafkaParams
    prefix: str = field(default_factory=lambda: f"{uuid.uuid4().hex}-")

    def settings(self) -> dict[str, str]:
        return {
            "SENTINEL__KAFKA__BOOTSTRAP_SERVERS": self.params.bootstrap_servers,
            "SENTINEL__KAFKA__IDEMPOTENCE": str(self.params.idempotence).lower(),
            "SENTINEL__TOPICS__PREFIX": self.prefix,
        }

    def command(self, *arguments: object, answer: str | None = None) -> Result:
        words = ["dead-letters", *map(str, arguments), "-c", "small.toml"]
        return CliRunner().invoke(app, words, input=answer, env=self.settings())

    def lines(self, *arguments: object, answer: str | None = None) -> list[str]:
        """What a command says that does what it was asked to."""
        result = self.command(*arguments, answer=answer)
        assert result.exit_code == 0, result.output
        return result.stdout.splitlines()

    def refusal(self, *arguments: object, answer: str | None = None) -> str:
        result = self.command(*arguments, answer=answer)
        assert result.exit_code == 2, result.output
        return result.stderr.strip().splitlines()[-1]

    def at(self, topic: str, partition: int = 0) -> TopicPartition:
        return TopicPartition(self.prefix + topic, partition)

    def letter(
        self, offset: int, reason: RecordReason, value: bytes | None, *, topic: str = "transactions"
    ) -> Refused:
        record = Record(offset, 0, b"C1", value, [("own", b"\xff"), ("sentinel.topic", b"liar")])
        return (
            self.at(topic, offset % 2 if topic == "transactions" else 0),
            record,
            RecordError(reason, f"{reason} \x1b[31m at {offset}"),
        )

    def publish(self, refused: Sequence[Refused]) -> None:
        """As an instance does."""

        async def main() -> None:
            async with KafkaBroker(self.params) as broker:
                await broker.ensure_topics(
                    [
                        TopicSpec(self.at("transactions").topic, 2),
                        TopicSpec(self.at("feedback").topic, 1),
                        TopicSpec(self.at("dead-letters").topic, 1),
                    ]
                )
                letters = DeadLetters(broker, self.at("dead-letters").topic, Metrics())
                await letters.publish(refused)
                await broker.flush()

        asyncio.run(main())

    def sent(self, topic: str) -> list[InputRecord]:
        """What partition 0 of a topic holds."""

        async def main() -> list[InputRecord]:
            name = self.at(topic).topic
            async with KafkaTail(self.params, [name]) as tail:
                return [
                    r async for some in read_to_end(tail, name, timeout_s=WAIT_S_MAX) for r in some
                ]

        return asyncio.run(main())


@pytest.fixture
def folder(tmp_path: Path, kafka_params: KafkaParams, monkeypatch: pytest.MonkeyPatch) -> Folder:
    monkeypatch.chdir(tmp_path)
    small.config_file(tmp_path)
    return Folder(kafka_params)


@pytest.fixture
def full(folder: Folder) -> Folder:
    """Four dead letters: at offsets 0 to 3."""
    folder.publish(
        [
            folder.letter(10, "not_json", b"{"),
            folder.letter(11, "bad_amount", b'{"amount": -1}'),
            folder.letter(4, "bad_label", b"{}", topic="feedback"),
            folder.letter(14, "not_json", BINARY),
        ]
    )
    return folder


def test_a_list_says_where_from_and_why(full: Folder) -> None:
    lines = full.lines("list")

    assert len(lines) == 5
    assert (
        f"{full.prefix}transactions-0@10  not_json: not_json \\x1b[31m at 10  1 bytes" in lines[0]
    )
    assert f"{full.prefix}feedback-0@4  bad_label" in lines[2]
    assert lines[4] == "4 dead letters: 2 not_json, 1 bad_amount, 1 bad_label"
    assert "\x1b" not in "".join(lines), "a stranger's text does not talk to the terminal"


def test_a_list_of_the_newest_counts_all(full: Folder) -> None:
    lines = full.lines("list", "--newest", 1)

    assert [line.split()[0] for line in lines] == ["3", "4"]
    assert lines[1].endswith("the newest 1 are shown")


@pytest.mark.parametrize(
    ("filters", "offsets"),
    [
        (["--reason", "not_json"], [0, 3]),
        (["--topic", "feedback"], [2]),
        (["--reason", "not_json", "--topic", "feedback"], []),
        (["--since", "1h"], [0, 1, 2, 3]),
        (["--since", "2099-01-01T00:00:00Z"], []),
        (["--since", "2020-01-01"], [0, 1, 2, 3]),
        (["--reason", "none"], []),
    ],
)
def test_a_list_may_be_of_some(full: Folder, filters: list[str], offsets: list[int]) -> None:
    lines = full.lines("list", "--json", *filters)

    assert [json.loads(line)["offset"] for line in lines] == offsets


def test_a_line_of_json_has_what_a_script_needs(full: Folder) -> None:
    [first, *_] = [json.loads(line) for line in full.lines("list", "--json", "--all")]

    assert first.pop("refused_ms") > 0
    assert first == {
        "offset": 0,
        "topic": f"{full.prefix}transactions",
        "partition": 0,
        "offset_there": 10,
        "reason": "not_json",
        "detail": "not_json \x1b[31m at 10",
        "bytes": 1,
        "shortened_from": None,
        "replay_of": None,
        "replayed_ms": None,
    }


def test_one_is_shown_whole(full: Folder) -> None:
    text = "\n".join(full.lines("show", 1))

    assert f"from      {full.prefix}transactions-1@11" in text
    assert "reason    bad_amount" in text
    assert "key: C1" in text
    assert 'value: {"amount": -1}' in text
    assert "header own: 1 bytes\n  00000000  ff" in text
    assert "header sentinel.topic: liar" in text


def test_bytes_that_are_no_text_are_shown_in_hexadecimal(full: Folder) -> None:
    text = "\n".join(full.lines("show", 3))

    assert "value: 9 bytes\n  00000000  00 ff 1b 62 69 6e 61 72 79" in text
    assert text.count("...binary") == 1


def test_a_replay_brings_the_record_back_as_it_was(full: Folder) -> None:
    assert full.lines("replay", 3) == [f"1 to {full.prefix}transactions-0", "1 sent"]

    [record] = full.sent("transactions")
    assert (record.key, record.value) == (b"C1", BINARY)
    assert list(record.headers) == [
        ("own", b"\xff"),
        ("sentinel.topic", b"liar"),
        ("sentinel.replay_of", b"3"),
    ]


def test_a_second_replay_sends_nothing_unless_asked_for_again(full: Folder) -> None:
    full.lines("replay", 0)

    assert full.lines("replay", "--reason", "not_json", "--yes") == [
        "1 were replayed before and are left out (0): --again sends them once more",
        f"1 to {full.prefix}transactions-0",
        "1 sent",
    ]
    assert full.lines("replay", 0, 3)[-1] == "0 sent"
    assert full.lines("replay", 0, "--again")[-1] == "1 sent"

    sent = [dict(record.headers)["sentinel.replay_of"] for record in full.sent("transactions")]
    assert sent == [b"0", b"3", b"0"]
    lines = full.lines("list")
    assert "replayed 2" in lines[0]
    assert "replayed" not in lines[1]
    assert lines[-1].endswith("; 2 were replayed")
    assert any(line.startswith("replayed ") for line in full.lines("show", 0))


def test_before_many_are_sent_it_asks(full: Folder) -> None:
    assert "nobody has answered; --yes asks nothing" in full.refusal("replay", "--all")
    assert full.refusal("replay", "--all", answer="n\n") == "sentinel: nothing was sent"
    assert full.sent("transactions") == []

    assert full.lines("replay", "--all", answer="y\n")[-1].endswith("4 sent")
    assert len(full.sent("feedback")) == 1


def test_a_dry_run_sends_nothing(full: Folder) -> None:
    lines = full.lines("replay", "--all", "--dry-run")

    assert lines == [
        f"1 to {full.prefix}feedback-0",
        f"2 to {full.prefix}transactions-0",
        f"1 to {full.prefix}transactions-1",
        "4 would be sent",
    ]
    assert full.sent("transactions") == []
    assert full.lines("list")[-1] == "4 dead letters: 2 not_json, 1 bad_amount, 1 bad_label"


def test_what_is_refused_again_says_what_it_was(full: Folder) -> None:
    full.lines("replay", 3)
    [record] = full.sent("transactions")
    full.publish([(full.at("transactions"), record, RecordError("not_json", "still"))])

    [*_, newest] = full.lines("list", "--json")
    facts = json.loads(newest)
    assert (facts["replay_of"], facts["replayed_ms"]) == (3, None)
    full.lines("replay", facts["offset"])
    assert [h for h in full.sent("transactions")[1].headers if h[0] == "sentinel.replay_of"] == [
        ("sentinel.replay_of", str(facts["offset"]).encode())
    ]


def test_a_partition_that_is_no_more_is_an_error(full: Folder) -> None:
    full.publish(
        [(full.at("transactions", 7), Record(0, 0, None, b""), RecordError("not_ours", "d"))]
    )

    assert "dead letter 4 came from" in full.refusal("replay", "--all", "--yes")
    assert full.sent("transactions") == []


def test_what_somebody_else_put_there_is_counted_and_left_alone(full: Folder) -> None:
    async def main() -> None:
        async with KafkaBroker(full.params) as broker:
            headers = (Header("sentinel.topic", b"t"), Header("sentinel.replayed", b"x"))
            at = full.at("dead-letters")
            await broker.publish(at.topic, 0, [OutputRecord(None, b"?", headers)])
            await broker.flush()

    asyncio.run(main())

    assert full.lines("list")[-1].endswith("; 1 records in the topic are no dead letters")
    assert "there is no dead letter at offset 4" in full.refusal("show", 4)


def test_an_empty_topic_is_an_empty_list(folder: Folder) -> None:
    folder.publish([])

    assert folder.lines("list") == ["0 dead letters"]
    assert folder.lines("replay", "--all") == ["0 sent"]
    assert "there is no dead letter at offset 0" in folder.refusal("show", 0)


def test_what_it_cannot_do_is_one_clear_line(folder: Folder) -> None:
    missing = folder.refusal("list")
    assert f"there is no topic {folder.prefix}dead-letters" in missing
    for words in (["replay"], ["replay", 1, "--all"], ["replay", "--all", "--reason", "x"]):
        assert "say which dead letters: offsets, or filters" in folder.refusal(*words)
    assert '--since: "soon" must be a duration such as 2h' in folder.refusal(
        "list", "--since", "soon"
    )
