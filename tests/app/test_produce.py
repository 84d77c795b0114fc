"""A file is played whole and in order, at its pace, and each label once it is due."""

import asyncio
import json
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sentinel.adapters import files
from sentinel.adapters.files import TransactionFile
from sentinel.adapters.memory import MemoryBroker, MemoryCluster
from sentinel.codec.records import decode_feedback
from sentinel.codec.schema import SchemaParams
from sentinel.config import Config
from sentinel.core.features.spec import FeatureParams
from sentinel.core.partitioning import PartitionOf
from sentinel.engine.params import TopicParams
from sentinel.operations.data.produce import Played, Player, ProduceOptions
from sentinel.operations.data.sender import Sender
from sentinel.records import Feedback, TopicPartition

DAY_MS = 86_400_000
NEW_YEAR = 1_577_836_800_000

PACED = 1e12  # by event time, and yet in no time

OPTIONS = ProduceOptions(
    speed=None,
    label_delay_ms=7 * DAY_MS,
    label_source="chargeback",
    frauds_only=False,
    skip=0,
    count_max=None,
    position_file=Path("unset"),
    resume=False,
)


def config(partition_count: int = 1) -> Config:
    return Config(
        schema=SchemaParams(event_time_format="epoch_ms", entities={"shop": "shop"}),
        features=(FeatureParams(name="amount", stat="amount"),),
        topics=TopicParams(partition_count=partition_count),
    )


def row(i: int, after_ms: int, is_fraud: bool | None = None) -> str:
    value: dict[str, Any] = {
        "transaction_id": f"T{i}",
        "event_time": NEW_YEAR + after_ms,
        "account": f"A{i % 7}",
        "amount": 1,
        "shop": "S",
    }
    return json.dumps(value if is_fraud is None else value | {"is_fraud": is_fraud})


class World:
    """A file, a cluster in memory, and players between them."""

    def __init__(self, folder: Path, lines: Sequence[str], config_: Config) -> None:
        self._folder = folder
        self._file = folder / "rows.jsonl"
        self._file.write_text("".join(line + "\n" for line in lines))
        self._config = config_
        self.cluster = MemoryCluster()
        self.progress: list[Played] = []

    async def play(self, **options: Any) -> Player:
        source = TransactionFile(self._file, self._config.schema, label_column="is_fraud")
        position = self._folder / "deep" / "position.json"
        chosen = replace(OPTIONS, **{"position_file": position, **options})
        player = Player(self._config, source, chosen)
        async with Sender(self._config, MemoryBroker(self.cluster)) as sender:
            await player.run(sender, lambda sent: self.progress.append(replace(sent)))
        return player

    @property
    def sent(self) -> list[str]:
        """The ids in the order of the topic; what is not readable as it is."""
        values = [record.value or b"" for record in self.cluster.records("transactions")]
        return [
            json.loads(value)["transaction_id"] if value.startswith(b"{") else value.decode()
            for value in values
        ]

    @property
    def feedback(self) -> list[Feedback]:
        return [decode_feedback(record.value) for record in self.cluster.records("feedback")]


@pytest.fixture
def world(tmp_path: Path) -> Callable[..., World]:
    return lambda lines, partition_count=1: World(tmp_path, lines, config(partition_count))


def ids(*numbers: int) -> list[str]:
    return [f"T{i}" for i in numbers]


@pytest.mark.parametrize("chunk", [1, 7, 20_000])
async def test_every_row_is_sent_once_and_in_order(
    world: Callable[..., World], monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr(files, "CHUNK_ROW_COUNT", chunk)
    played = world([row(i, i * 1000, is_fraud=False) for i in range(50)])

    player = await played.play()

    assert played.sent == ids(*range(50))
    assert player.sent == Played(rows=50, labels=50)
    assert player.refusals.count == 0
    assert played.progress[-1] == player.sent


async def test_many_rows_go_in_several_sends(world: Callable[..., World]) -> None:
    played = world([row(i, i, is_fraud=False) for i in range(2_501)])

    await played.play()

    assert [sent.rows for sent in played.progress] == [1000, 2000, 2501]


async def test_a_record_goes_to_the_partition_of_its_account(world: Callable[..., World]) -> None:
    played = world([row(i, i, is_fraud=False) for i in range(70)], partition_count=4)

    await played.play()

    place = PartitionOf(4)
    for partition in range(4):
        log = played.cluster.log(TopicPartition("transactions", partition))
        for record in log.records:
            assert record.key == json.loads(record.value or b"")["account"].encode()
            assert place((record.key or b"").decode()) == partition


@pytest.mark.parametrize("chunk", [1, 3, 20_000])
async def test_a_label_is_sent_once_its_delay_has_passed(
    world: Callable[..., World], monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    """Also in a file of one chunk: a delay is shorter than most files."""
    monkeypatch.setattr(files, "CHUNK_ROW_COUNT", chunk)
    days = [0, 1, 5, 7, 8, 20]
    played = world([row(i, day * DAY_MS, is_fraud=i == 0) for i, day in enumerate(days)])

    player = await played.play(speed=PACED)

    assert [voice.transaction_id for voice in played.feedback] == ids(0, 1, 2, 3, 4)
    assert player.sent.labels == 5
    assert player.labels_waiting == 1
    assert played.feedback[0] == Feedback(
        transaction_id="T0",
        label="fraud",
        source="chargeback",
        who="sentinel produce",
        observed_ms=NEW_YEAR + 7 * DAY_MS,
        event_time_ms=NEW_YEAR,
        entities={"account": "A0", "shop": "S"},
    )
    assert played.feedback[1].label == "genuine"


async def test_at_full_speed_labels_go_out_at_once_and_say_when_they_were_observed(
    world: Callable[..., World],
) -> None:
    """An instance applies them when the stream has come to that time."""
    played = world([row(i, i * DAY_MS, is_fraud=True) for i in range(3)])

    await played.play()

    assert [voice.transaction_id for voice in played.feedback] == ids(0, 1, 2)
    assert [voice.observed_ms for voice in played.feedback] == [
        NEW_YEAR + (i + 7) * DAY_MS for i in range(3)
    ]


async def test_a_label_without_delay_is_sent_with_its_row(world: Callable[..., World]) -> None:
    played = world([row(i, i, is_fraud=True) for i in range(5)])

    await played.play(speed=PACED, label_delay_ms=0)

    assert [voice.transaction_id for voice in played.feedback] == ids(0, 1, 2, 3, 4)


async def test_labels_of_frauds_alone(world: Callable[..., World]) -> None:
    played = world([row(i, i * DAY_MS, is_fraud=[True, False, None][i % 3]) for i in range(12)])

    await played.play(speed=PACED, frauds_only=True)

    assert [voice.transaction_id for voice in played.feedback] == ids(0, 3)


async def test_rows_can_be_left_out_and_counted(world: Callable[..., World]) -> None:
    played = world([row(i, i, is_fraud=False) for i in range(10)])

    player = await played.play(skip=3, count_max=4)

    assert played.sent == ids(3, 4, 5, 6)
    assert player.sent.rows == 4


async def test_labels_of_rows_left_out_fall_due_among_the_rows_sent(
    world: Callable[..., World],
) -> None:
    """What was due before is not sent: the run before did so, or nobody waits for it."""
    played = world([row(i, i * DAY_MS, is_fraud=True) for i in range(12)])

    await played.play(speed=PACED, skip=9)

    assert [voice.transaction_id for voice in played.feedback] == ids(2, 3, 4)


@pytest.mark.parametrize("chunk", [2, 20_000])
async def test_a_run_goes_on_where_the_last_one_stopped(
    world: Callable[..., World], monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr(files, "CHUNK_ROW_COUNT", chunk)
    played = world([row(i, i * DAY_MS, is_fraud=True) for i in range(12)])
    await played.play(speed=PACED, count_max=5)

    await played.play(speed=PACED, resume=True)

    assert played.sent == ids(*range(12))
    assert [voice.transaction_id for voice in played.feedback] == ids(0, 1, 2, 3, 4)
    await played.play(resume=True)
    assert len(played.sent) == 12


@pytest.mark.parametrize("text", ["", "{", "[]", '{"rows": "x"}', '{"rows": null}', "{}"])
async def test_a_position_that_cannot_be_read_is_the_start(
    world: Callable[..., World], tmp_path: Path, text: str
) -> None:
    position = tmp_path / "position.json"
    position.write_text(text)
    played = world([row(0, 0, is_fraud=False)])

    await played.play(resume=True, position_file=position)

    assert played.sent == ids(0)
    assert json.loads(position.read_text()) == {"rows": 1}


async def test_what_cannot_be_read_is_sent_as_it_is(world: Callable[..., World]) -> None:
    lines = ["garbage", row(1, 0, is_fraud=True), "[1]", row(3, 9 * DAY_MS, is_fraud=True), "x"]
    played = world(lines)

    player = await played.play(speed=PACED)

    assert played.sent == ["garbage", "T1", "[1]", "T3", "x"]
    assert player.sent == Played(rows=5, labels=1)
    assert player.refusals.count == 3


async def test_only_rows_that_are_sent_count_as_unreadable(world: Callable[..., World]) -> None:
    played = world(["x", row(1, 0, is_fraud=False), "y", "z"])

    player = await played.play(skip=1, count_max=2)

    assert player.sent == Played(rows=2, labels=1)
    assert player.refusals.count == 1


class FakeTimeLoop(asyncio.SelectorEventLoop):
    """An event loop that never waits: when there is nothing to do, its clock jumps."""

    now_s = 0.0

    def time(self) -> float:
        return self.now_s

    def _run_once(self) -> None:
        ready, scheduled = self._ready, self._scheduled  # type: ignore[attr-defined]
        if scheduled and not ready:
            self.now_s = max(self.now_s, scheduled[0].when())
        super()._run_once()  # type: ignore[misc]


def in_fake_time(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    with asyncio.Runner(loop_factory=FakeTimeLoop) as runner:
        runner.run(main())


@pytest.mark.parametrize("first", [row(0, 0), "unreadable"])
def test_rows_come_at_the_pace_of_their_event_time(
    world: Callable[..., World], first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "CHUNK_ROW_COUNT", 3)
    played = world([first, *[row(i, i * 60_000, is_fraud=True) for i in range(1, 8)]])
    times: list[tuple[int, float]] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        before = len(played.progress)
        task = asyncio.create_task(played.play(speed=60.0, label_delay_ms=120_000))
        while not task.done():
            await asyncio.sleep(0.005)
            times.extend((sent.rows, loop.time()) for sent in played.progress[before:])
            before = len(played.progress)
        await task

    in_fake_time(main)

    begun = 1 if first == "unreadable" else 0  # it goes with the first that can be read
    assert [rows for rows, _ in times] == list(range(1 + begun, 9))
    for rows, at_s in times:
        assert at_s == pytest.approx(max(rows - 1 - begun, 0), abs=0.05), "60x: a minute a second"
    assert [voice.transaction_id for voice in played.feedback] == ids(1, 2, 3, 4, 5)


def test_a_paced_file_that_nobody_can_read_ends(world: Callable[..., World]) -> None:
    played = world([row(0, 0, is_fraud=False), *["x"] * 5])

    async def main() -> None:
        await played.play(speed=1.0, skip=1)

    in_fake_time(main)
    assert played.sent == ["x"] * 5
