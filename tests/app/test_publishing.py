"""What follows from the archive: examples on their topic, each once, and votes that were placed."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from sentinel.adapters.archive import ParquetArchive, Segment
from sentinel.adapters.memory import MemoryBroker
from sentinel.app.placing import Placer
from sentinel.core.learning.maturity import MaturityParams
from sentinel.errors import FileGoneError
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


def test_after_a_crash_at_any_call_each_example_is_there_once(tmp_path: Path) -> None:
    crash_at, crashed = 0, True
    while crashed:
        crash_at += 1
        world = world_at(tmp_path / str(crash_at))
        world.append(DECISIONS, [at_day(i, i) for i in range(33)])
        world.append(LABELS, [said(4, 0, "fraud", 4, 1), said(40, 1, "genuine", 9, 1)])
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
            "feedback-0",
            "feedback-1",
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

    def matching(self, segments: Sequence[Segment], transaction_ids: Sequence[str]) -> pl.DataFrame:
        if not self.is_joined:
            self.is_joined = True
            raise FileGoneError(segments[0].path)
        return super().matching(segments, transaction_ids)


def test_a_vote_that_came_while_files_were_joined_is_placed_afterwards(tmp_path: Path) -> None:
    world = world_at(tmp_path)
    world.append(DECISIONS, [decision(0)])
    run(world.archive())

    async def scenario() -> None:
        async with MemoryBroker(world.cluster) as broker:
            files = JoinedMeanwhile(world.config.archive, cluster_id=broker.cluster_id)
            placer = Placer(files, broker, "feedback", horizon_s=86_400.0)
            await placer.begin()
            placer.take([Record(0, START_MS, None, json.dumps(vote(0)).encode())])
            with pytest.raises(FileGoneError):
                await placer.work()
            await placer.work()

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
