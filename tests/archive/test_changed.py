"""Whatever of Sentinel reads the archive does so when columns have changed twice, sorted or not."""

import json
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from sentinel.adapters.archive import ParquetArchive
from sentinel.adapters.memory import MemoryBroker, MemoryCluster, MemoryTail
from sentinel.archive.union import union_of
from sentinel.config import Config
from sentinel.core.learning.maturity import MaturityParams
from sentinel.core.logs import log_id
from sentinel.engine.archive.examples import example_list, examples
from sentinel.engine.archive.labels import current_labels, labels_from
from sentinel.engine.archive.linking import Linker
from sentinel.engine.archive.publishing import ExamplePublisher
from sentinel.operations.topics import topic_specs
from sentinel.operations.why import account_of, scored_again
from sentinel.records import Record, TopicPartition
from tests.archive.samples import COUNT, FEATURES, FIRST_MS, changed_twice
from tests.engine.clock import run
from tests.engine.samples import a_config


@pytest.fixture(params=["as archived", "compacted"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> ParquetArchive:
    found = changed_twice(tmp_path / "archive")
    # A label of before it was told what it supersedes.
    (first, *_) = found.segments("labels")
    pl.read_parquet(first.path).drop("supersedes").write_parquet(first.path)
    if request.param == "compacted":
        for kind in ("decisions", "labels"):
            found.compact(kind, 1_000)
    return found


def config_at(folder: Path) -> Config:
    config = a_config()
    return replace(config, model=replace(config.model, directory=str(folder / "models")))


def test_why_tells_of_each_decision_the_features_that_it_had(
    files: ParquetArchive, tmp_path: Path
) -> None:
    for day, names in enumerate(FEATURES):
        offset = day * COUNT + 1
        account = account_of(files, config_at(tmp_path), f"t{offset}")
        expected = {name: offset + i / 10 for i, name in enumerate(names)}
        assert account.features == pytest.approx(expected)
        assert account.contributions == {}, "the model is gone"


def test_a_replay_goes_through_all_days(files: ParquetArchive, tmp_path: Path) -> None:
    (found,) = scored_again(files, config_at(tmp_path))

    assert (found.model_version, found.count) == ("1.0.0", 3 * COUNT)
    assert "1.0.0" in found.problem


def test_examples_have_the_columns_of_all_days(files: ParquetArchive) -> None:
    found = union_of(list(examples(files, MaturityParams()))).sort("event_time_ms")

    assert found["transaction_id"].to_list() == ["t0", "t6", "t12"]
    assert found["feature_risk"].to_list() == [None, 6.2, 12.1]
    assert found["supersedes"].to_list() == [None] * 3
    for example, names in zip(example_list(found), FEATURES, strict=True):
        assert tuple(sorted(example.features)) == tuple(sorted(names))


def test_labels_are_read_in_the_order_of_their_log(files: ParquetArchive) -> None:
    assert [row["offset"] for row in labels_from(files, {}, 100).rows] == [0, 1, 2]
    assert labels_from(files, {}, 100).offsets == {log_id("memory/1"): 3}
    first = labels_from(files, {}, 1)
    assert ([row["offset"] for row in first.rows], first.is_all) == ([0], False)
    assert [row["offset"] for row in labels_from(files, first.offsets, 100).rows] == [1, 2]
    assert [
        row["transaction_id"] for row in labels_from(files, {log_id("memory/1"): 1}, 100).rows
    ] == [
        "t6",
        "t12",
    ]
    assert current_labels(files)["transaction_id"].to_list() == ["t0", "t6", "t12"]


def test_votes_and_labels_find_decisions_of_all_days(files: ParquetArchive) -> None:
    cluster = MemoryCluster()
    for spec in topic_specs(a_config()):
        cluster.create_topic(spec.name, spec.partition_count)

    async def scenario() -> None:
        async with MemoryBroker(cluster) as broker:
            linker = Linker(files, broker, "feedback", horizon_s=86_400.0)
            await linker.begin()
            vote = {"label": "fraud", "source": "investigator", "who": "ann"}
            linker.take(
                [
                    Record(i, FIRST_MS, None, json.dumps({**vote, "transaction_id": name}).encode())
                    for i, name in enumerate(("t1", "t7", "t13"))
                ]
            )
            await linker.work()
            tail = MemoryTail(cluster, ["examples"])
            publisher = ExamplePublisher(files, broker, tail, "examples", MaturityParams())
            await publisher.begin()
            await publisher.work()

    run(scenario())

    placed = [json.loads(r.value or b"") for r in cluster.read(TopicPartition("feedback", 0), 0, 9)]
    assert [vote["transaction_id"] for vote in placed] == ["t1", "t7", "t13"]
    assert all(vote["entities"]["account"] == "C1" for vote in placed)
    found = [json.loads(r.value or b"") for r in cluster.read(TopicPartition("examples", 0), 0, 9)]
    assert [len(example["features"]) for example in found] == [2, 3, 3]
