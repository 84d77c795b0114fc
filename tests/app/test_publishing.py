"""What follows from the archive: examples on their topic, each once, and votes that were placed."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from sentinel.adapters.archive import ParquetArchive, Segment
from sentinel.adapters.memory import MemoryBroker
from sentinel.codec.examples import decode_columns
from sentinel.codec.records import encode
from sentinel.core.learning.maturity import MaturityParams
from sentinel.core.learning.training_data.examples import newest
from sentinel.engine.archive.linking import Linker, Place, archived_places
from sentinel.errors import ConfigError, FileGoneError
from sentinel.operations.feedback import noted_waiting
from sentinel.records import Record, TopicPartition
from tests.app.test_archive import DECISIONS, LABELS, World, decision, label
from tests.app.test_examples import at_day, said
from tests.engine.clock import run
from tests.engine.faults import CrashError, Doom
from tests.engine.samples import DAY_MS, NAMES, START_MS

PARAMS = MaturityParams(
    horizon_min_s=86_400.0, horizon_max_s=30 * 86_400.0, label_count_min=10, genuine_share=1.0
)


def world_at(folder: Path, maturity: MaturityParams = PARAMS) -> World:
    return World(folder, maturity=maturity)


def published(world: World, topic: str) -> list[dict[str, Any]]:
    at = TopicPartition(topic, 0)
    return [json.loads(record.value or b"") for record in world.cluster.read(at, 0, 100_000)]


def vote(offset: int, **others: Any) -> dict[str, Any]:
    """A voice that names its transaction and nothing else."""
    return {
        "transaction_id": f"t{offset}", "label": "fraud", "source": "investigator", "who": "ann",
        "observed_ms": START_MS + DAY_MS, **others,
    }  # fmt: skip


def test_a_label_and_its_decision_are_an_example(tmp_path: Path) -> None:
    world = world_at(tmp_path)
    world.append(DECISIONS, [decision(i) for i in range(3)])
    world.append(LABELS, [{**label(1), "feedback_offset": 40}])

    archiver = run(world.archive())

    (example,) = published(world, "examples")
    assert archiver.publisher.count == 1
    assert (example["id"], example["transaction_id"], example["label"]) == (
        "feedback-40",
        "t1",
        "fraud",
    )
    assert example["decision_id"] == "transactions-0-1"
    assert example["features"][NAMES[0]] == 0.1 + 0.2
    assert example["features"][NAMES[1]] is None
    assert example["label_delay_ms"] == DAY_MS - 1
    assert (example["propensity"], example["weight"]) == (1.0, 1.0)
    assert (example["source"], example["score"]) == ("chargeback", 0.1 + 1 / 1e6)


def test_a_label_waits_for_its_decision_and_a_later_one_supersedes_it(tmp_path: Path) -> None:
    world = world_at(tmp_path)
    world.append(DECISIONS, [decision(0)])
    world.append(LABELS, [label(5)])
    run(world.archive())
    assert published(world, "examples") == []

    world.append(DECISIONS, [decision(5)])
    run(world.archive())
    assert [x["label"] for x in published(world, "examples")] == ["fraud"]

    world.append(LABELS, [{**label(5, "genuine"), "feedback_offset": 9, "supersedes": "fraud"}])
    run(world.archive())
    run(world.archive())
    found = [(x["label"], x["supersedes"]) for x in published(world, "examples")]
    assert found == [("fraud", None), ("genuine", "fraud")]


def test_silence_becomes_an_example_a_day_at_a_time_and_a_label_supersedes_it(
    tmp_path: Path,
) -> None:
    world = world_at(tmp_path)
    world.append(DECISIONS, [at_day(i, i) for i in range(34)])
    world.append(DECISIONS, [at_day(34, 34, action="block")])
    run(world.archive())
    assert [x["transaction_id"] for x in published(world, "examples")] == ["t0"]
    for _ in range(5):
        run(world.archive())

    found = published(world, "examples")
    assert [x["transaction_id"] for x in found] == ["t0", "t1", "t2", "t3"]
    assert {(x["label"], x["source"], x["label_delay_ms"]) for x in found} == {
        ("genuine", "presumed", None)
    }

    world.append(LABELS, [said(2, 0, "fraud", 2, 32.5)])
    run(world.archive())
    last = published(world, "examples")[-1]
    assert (last["transaction_id"], last["label"], last["supersedes"]) == (
        "t2",
        "fraud",
        "presumed",
    )


def withdrawal(number: int, offset: int, day: float, before: str = "fraud") -> dict[str, Any]:
    """That nothing is held to be true any more of what happened on the day of its number."""
    said_then = said(number, offset, "fraud", number, day)
    return {**said_then, "label": "withdrawn", "posterior": 0.4, "supersedes": before}


def test_a_label_that_is_withdrawn_supersedes_its_example_by_none(tmp_path: Path) -> None:
    world = world_at(tmp_path)
    world.append(DECISIONS, [at_day(i, i) for i in range(3)])
    world.append(LABELS, [said(1, 0, "fraud", 1, 2), withdrawal(1, 1, 2.5)])

    run(world.archive())

    given, taken = published(world, "examples")
    assert (given["label"], given["weight"]) == ("fraud", 1.0)
    assert (taken["label"], taken["weight"], taken["supersedes"]) == ("withdrawn", 0.0, "fraud")
    columns = decode_columns(
        [(i, START_MS + 99 * DAY_MS, encode(x)) for i, x in enumerate((given, taken))], NAMES
    )
    assert columns.refused_count == 0
    assert newest(columns.rows.examples).weight.tolist() == [0.0]


def test_what_was_withdrawn_is_presumed_genuine_a_horizon_after_that_and_not_before(
    tmp_path: Path,
) -> None:
    """The horizon is 30 days here: of a withdrawal on day 20 nothing is presumed before day 50."""
    world = world_at(tmp_path)
    world.append(DECISIONS, [at_day(i, i) for i in range(34)])
    world.append(LABELS, [said(1, 0, "fraud", 1, 2), withdrawal(1, 1, 20)])
    for _ in range(6):
        run(world.archive())
    assert [x["id"] for x in published(world, "examples")] == [
        *("feedback-0", "feedback-1"),
        *(f"presumed-transactions-0-{i}" for i in (0, 2)),
    ]

    world.append(DECISIONS, [at_day(i, i) for i in range(34, 49)])
    for _ in range(20):
        run(world.archive())
    assert not [x for x in published(world, "examples") if "since" in x["id"]]

    world.append(DECISIONS, [at_day(51, 51)])
    for _ in range(3):
        run(world.archive())
    (again,) = (x for x in published(world, "examples") if "since" in x["id"])
    assert (again["transaction_id"], again["label"], again["source"], again["supersedes"]) == (
        *("t1", "genuine", "presumed"),
        "withdrawn",
    )


def test_what_is_labelled_again_after_a_withdrawal_is_not_presumed(tmp_path: Path) -> None:
    world = world_at(tmp_path)
    world.append(DECISIONS, [at_day(i, i) for i in range(34)])
    again = {**said(1, 2, "fraud", 1, 3), "supersedes": "withdrawn"}
    world.append(LABELS, [said(1, 0, "fraud", 1, 2), withdrawal(1, 1, 2.5), again])
    world.append(DECISIONS, [at_day(60, 60)])
    for _ in range(40):
        run(world.archive())

    of_one = [x for x in published(world, "examples") if x["transaction_id"] == "t1"]
    assert [(x["label"], x["supersedes"]) for x in of_one] == [
        *(("fraud", None), ("withdrawn", "fraud")),
        ("fraud", "withdrawn"),
    ]


def test_after_a_crash_at_any_call_each_example_is_there_once(tmp_path: Path) -> None:
    crash_at, crashed = 0, True
    while crashed:
        crash_at += 1
        world = world_at(tmp_path / str(crash_at))
        world.append(DECISIONS, [at_day(i, i) for i in range(33)])
        world.append(LABELS, [said(4, 0, "fraud", 4, 1), said(40, 1, "genuine", 9, 1)])
        world.append(LABELS, [withdrawal(4, 2, 4.5)])
        crashed = False
        try:
            run(world.archive(Doom(crash_at=crash_at)))
        except CrashError:
            crashed = True
        world.append(DECISIONS, [at_day(40, 9)])
        for _ in range(4):
            run(world.archive())
        found = [x["id"] for x in published(world, "examples")]
        assert len(found) == len(set(found)), f"crash at call {crash_at}"
        assert set(found) == {
            *(f"feedback-{i}" for i in range(3)),
            *(f"presumed-transactions-0-{i}" for i in range(2)),
        }, f"crash at call {crash_at}"
    assert crash_at > 12


def test_a_vote_that_names_its_transaction_only_is_placed_once_it_is_archived(
    tmp_path: Path,
) -> None:
    world = world_at(tmp_path)
    world.append(DECISIONS, [decision(0)])
    world.append("feedback", [vote(0), vote(1), vote(1, who="bob", entities={"account": None})])
    run(world.archive())
    assert [x["transaction_id"] for x in published(world, "feedback")[3:]] == ["t0"]

    world.append(DECISIONS, [decision(1)])
    run(world.archive())
    run(world.archive())

    placed = published(world, "feedback")[3:]
    assert [(x["transaction_id"], x["who"]) for x in placed] == [
        ("t0", "ann"),
        ("t1", "ann"),
        ("t1", "bob"),
    ]
    assert placed[1]["event_time_ms"] == START_MS + 1
    assert placed[1]["entities"] == {"account": "a1", "terminal": "m1"}
    assert placed[1]["label"] == "fraud"
    assert placed[1]["selected_by"] == "approve"


def test_a_vote_that_is_placed_tells_how_its_transaction_came_to_be_looked_at(
    tmp_path: Path,
) -> None:
    world = world_at(tmp_path)
    world.append(DECISIONS, [decision(0, action="review", explored=True), decision(1)])
    world.append("feedback", [vote(0), vote(1, selected_by="random_check")])
    run(world.archive())

    told = [x["selected_by"] for x in published(world, "feedback")[2:]]
    assert told == ["explored", "approve"], "what the decision says goes before"


def test_a_vote_that_nobody_can_count_does_not_wait(tmp_path: Path) -> None:
    world = world_at(tmp_path)
    world.append("feedback", [vote(0, label="perhaps"), vote(0, revision=-1), vote(0, who="bob")])
    world.append(DECISIONS, [decision(0)])
    run(world.archive())

    assert [x["who"] for x in published(world, "feedback")[3:]] == ["bob"]


def test_what_waits_is_told_by_the_folder_alone(tmp_path: Path) -> None:
    world = world_at(tmp_path)
    assert noted_waiting(world.config.archive) is None

    world.append("feedback", [vote(7), vote(0)])
    world.append(DECISIONS, [decision(0)])
    run(world.archive())

    noted = noted_waiting(world.config.archive)
    assert noted is not None
    assert [(one.voice.transaction_id, one.since_ms) for one in noted.waiting] == [("t7", START_MS)]
    assert noted.log_count == 1

    (note,) = (world.folder / "notes").glob("*-feedback.json")
    note.write_text("{")
    with pytest.raises(ConfigError, match="is not what the archive writes"):
        noted_waiting(world.config.archive)


def test_a_decision_tells_of_whom_and_when_its_transaction_was(tmp_path: Path) -> None:
    world = world_at(tmp_path)
    world.append(DECISIONS, [decision(0), decision(1)])
    run(world.archive())

    async def scenario() -> dict[str, Place]:
        files = JoinedMeanwhile(world.config.archive)
        assert archived_places(files, []) == {}
        return archived_places(files, ["t1", "t5"])

    assert run(scenario()) == {
        "t1": Place(START_MS + 1, {"account": "a1", "terminal": "m1"}, 0.25, "approve")
    }


def test_a_vote_waits_no_longer_than_the_horizon(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world = world_at(tmp_path)
    world.append("feedback", [vote(7)])
    run(world.archive())
    world.now_ms += 31 * DAY_MS
    world.append("feedback", [vote(8)])
    run(world.archive())
    world.append(DECISIONS, [decision(7), decision(8)])
    run(world.archive())

    assert [x["transaction_id"] for x in published(world, "feedback")[2:]] == ["t8"]
    assert "investigator/ann has spoken of transaction t7" in caplog.text


class JoinedMeanwhile(ParquetArchive):
    """Its files are joined while somebody looks through them for the first time."""

    is_joined = False

    def matching(
        self,
        segments: Sequence[Segment],
        transaction_ids: Sequence[str],
        columns: Sequence[str] | None = None,
    ) -> pl.DataFrame:
        if not self.is_joined:
            self.is_joined = True
            raise FileGoneError(segments[0].path)
        return super().matching(segments, transaction_ids, columns)


def test_a_vote_that_came_while_files_were_joined_is_placed_afterwards(tmp_path: Path) -> None:
    world = world_at(tmp_path)
    world.append(DECISIONS, [decision(0)])
    run(world.archive())

    async def scenario() -> None:
        async with MemoryBroker(world.cluster) as broker:
            files = JoinedMeanwhile(world.config.archive)
            linker = Linker(files, broker, "feedback", horizon_s=86_400.0)
            await linker.begin()
            linker.take([Record(0, START_MS, None, json.dumps(vote(0)).encode())])
            with pytest.raises(FileGoneError):
                await linker.work()
            await linker.work()

    run(scenario())

    assert [x["transaction_id"] for x in published(world, "feedback")] == ["t0"]


def test_a_vote_that_does_not_say_when_is_sent_again_with_when_it_was_first_heard(
    tmp_path: Path,
) -> None:
    """Or it would be another vote than the one that was counted where the case was known."""
    world = world_at(tmp_path)
    world.append("feedback", [vote(0, observed_ms=0)])
    world.now_ms += DAY_MS
    world.append(DECISIONS, [decision(0), decision(1, event_time_ms=START_MS + 3 * DAY_MS)])
    world.append("feedback", [vote(1, observed_ms=0)])
    run(world.archive())

    placed = published(world, "feedback")[2:]
    assert [x["observed_ms"] for x in placed] == [START_MS, START_MS + 3 * DAY_MS]


def test_after_a_crash_at_any_call_no_vote_that_waited_is_lost(tmp_path: Path) -> None:
    crash_at, crashed = 0, True
    while crashed:
        crash_at += 1
        world = world_at(tmp_path / str(crash_at))
        world.append("feedback", [vote(0), vote(1), vote(2)])
        world.append(DECISIONS, [decision(0)])
        crashed = False
        try:
            run(world.archive(Doom(crash_at=crash_at)))
        except CrashError:
            crashed = True
        world.append(DECISIONS, [decision(1), decision(2)])
        run(world.archive())
        placed = {x["transaction_id"] for x in published(world, "feedback")[3:]}
        assert placed == {"t0", "t1", "t2"}, f"crash at call {crash_at}"
    assert crash_at > 10
