"""Labels find their decisions without the whole archive being read for each of them."""

import json
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from sentinel.adapters.archive import ArchiveParams, ParquetArchive, Segment
from sentinel.adapters.memory import MemoryBroker, MemoryCluster, MemoryTail
from sentinel.core.learning.maturity import MaturityParams
from sentinel.engine.archive.publishing import ExamplePublisher
from sentinel.operations.topics import topic_specs
from sentinel.records import TopicPartition
from tests.app.test_archive import label
from tests.archive.samples import DAY_MS, FIRST_MS, decided, write
from tests.engine.clock import run
from tests.engine.samples import a_config

DAYS = 5


class CountedArchive(ParquetArchive):
    """Remembers which files were searched for decisions."""

    def __init__(self, params: ArchiveParams) -> None:
        super().__init__(params)
        self.searched: list[int] = []  # the first offsets of the files

    def matching(
        self,
        segments: Sequence[Segment],
        transaction_ids: Sequence[str],
        columns: Sequence[str] | None = None,
    ) -> pl.DataFrame:
        self.searched += [one.first for one in segments]
        return super().matching(segments, transaction_ids, columns)


def archived(folder: Path) -> CountedArchive:
    """A decision a day, each in a file of its own."""
    files = CountedArchive(ArchiveParams(directory=str(folder)))
    for day in range(DAYS):
        _decide(files, day)
    return files


def _decide(files: ParquetArchive, day: int) -> None:
    values = [decided(day, [1.0], event_time_ms=FIRST_MS + day * DAY_MS)]
    write(files, "decisions", values, first=day, day=day, names=("amount",))


def _label(files: ParquetArchive, day: int, *, first: int, time_ms: int | None = None) -> None:
    at_ms = FIRST_MS + day * DAY_MS if time_ms is None else time_ms
    said = {"event_time_ms": at_ms, "entities": {"account": "C0"}}
    write(files, "labels", [{**label(day), **said}], first=first, day=DAYS + first)


async def _published(files: ParquetArchive, cluster: MemoryCluster, *steps: int) -> list[str]:
    """What becomes of labels; before the second look the decisions of some days are archived."""
    async with MemoryBroker(cluster) as broker:
        tail = MemoryTail(cluster, ["examples"])
        publisher = ExamplePublisher(files, broker, tail, "examples", MaturityParams())
        await publisher.begin()
        await publisher.work()
        for day in steps:
            _decide(files, day)
            await publisher.work()
    found = cluster.read(TopicPartition("examples", 0), 0, 99)
    return [json.loads(record.value or b"")["transaction_id"] for record in found]


def a_cluster() -> MemoryCluster:
    cluster = MemoryCluster()
    for spec in topic_specs(a_config()):
        cluster.create_topic(spec.name, spec.partition_count)
    return cluster


def test_only_files_of_its_time_are_searched_for_the_decision_of_a_label(tmp_path: Path) -> None:
    files = archived(tmp_path)
    _label(files, 1, first=0)

    assert run(_published(files, a_cluster())) == ["t1"]
    assert files.searched == [1]


def test_a_label_with_a_wrong_time_finds_its_decision_all_the_same(tmp_path: Path) -> None:
    files = archived(tmp_path)
    _label(files, 3, first=0, time_ms=FIRST_MS + DAY_MS)

    assert run(_published(files, a_cluster())) == ["t3"]
    assert sorted(files.searched) == [0, 1, 2, 3, 4]


def test_what_waits_for_its_decision_is_looked_for_in_new_files_only(tmp_path: Path) -> None:
    files = archived(tmp_path)
    _label(files, DAYS + 1, first=0)

    assert run(_published(files, a_cluster(), DAYS, DAYS + 1)) == [f"t{DAYS + 1}"]
    assert files.searched == [DAYS, DAYS + 1]


def test_after_a_restart_what_waits_is_looked_for_everywhere(tmp_path: Path) -> None:
    files, cluster = archived(tmp_path), a_cluster()
    _label(files, DAYS + 1, first=0)

    assert run(_published(files, cluster)) == []
    files.searched.clear()
    _decide(files, DAYS + 1)
    assert run(_published(files, cluster)) == [f"t{DAYS + 1}"]
    assert sorted(files.searched) == [0, 1, 2, 3, 4, DAYS + 1]
