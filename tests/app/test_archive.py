"""Decisions and labels as files: each row once, whatever repeats or crashes."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from sentinel import archive
from sentinel.adapters.archive import ArchiveParams, LogFiles, ParquetArchive
from sentinel.adapters.memory import MemoryBroker, MemoryCluster, MemoryTail
from sentinel.app.archiving import archiver_of
from sentinel.codec.archive import Kind, archive_rows, decode_archived
from sentinel.config import Config
from sentinel.core.learning.maturity import MaturityParams
from sentinel.core.logs import log_id
from sentinel.engine.archive.archiver import Archiver
from sentinel.errors import ConfigError
from sentinel.operations.topics import topic_specs
from sentinel.records import OutputRecord, Record, TopicPartition
from tests.engine.clock import run, until
from tests.engine.faults import CrashError, Doom
from tests.engine.samples import DAY_MS, NAMES, START_MS, a_config

DECISIONS, LABELS = "decisions", "labels"
FEEDBACK = TopicPartition("feedback", 0)


def decision(offset: int, **others: Any) -> dict[str, Any]:
    """A decision on the transaction at an offset of partition 0."""
    return {
        "decision_id": f"transactions-0-{offset}",
        "transaction_id": f"t{offset}",
        "event_time_ms": START_MS + offset,
        "account": f"a{offset % 3}",
        "entities": {"terminal": "m1" if offset % 2 else None},
        "amount_minor": 100 * offset,
        "score": 0.1 + offset / 1e6,
        "probability": 0.25,
        "action": "approve",
        "severity": "low",
        "explore_share": None,
        "explored": False,
        "recommended": [],
        "degraded": ["late", "state"] if offset == 1 else [],
        "features": [0.1 + 0.2, None, float(offset), *[0.0] * (len(NAMES) - 3)],
        "model_version": "1.0.0",
        "arm": "champion",
        "propensity": 1.0,
        "shadow_scores": {},
        "rule_hits": [],
        "schema_version": "s",
        "config_version": "c",
        "v": 1,
        **others,
    }


def label(offset: int, name: str = "fraud") -> dict[str, Any]:
    """A label that feedback at an offset gave."""
    return {
        "transaction_id": f"t{offset}", "label": name, "posterior": 0.99, "vote_count": 2,
        "source": "chargeback", "observed_ms": START_MS + DAY_MS, "event_time_ms": START_MS,
        "entities": {"account": "a", "terminal": "m1"}, "supersedes": None,
        "feedback_offset": offset, "v": 1,
    }  # fmt: skip


class World:
    """A cluster in memory, a directory, and a clock of the log that a test sets."""

    def __init__(
        self, folder: Path, *, maturity: MaturityParams | None = None, **params: Any
    ) -> None:
        self.folder = folder / "archive"
        self.now_ms = START_MS
        settings = {"directory": str(self.folder), "interval_s": 1.0, **params}
        self.config: Config = replace(
            a_config(),
            archive=ArchiveParams(**settings),
            maturity=maturity or MaturityParams(),
            model=replace(a_config().model, directory=str(folder / "models")),
        )
        self.cluster = MemoryCluster(clock_ms=lambda: self.now_ms)
        for spec in topic_specs(self.config):
            self.cluster.create_topic(spec.name, spec.partition_count)

    def append(self, topic: str, values: Sequence[dict[str, Any] | bytes]) -> None:
        records = [
            OutputRecord(None, v if isinstance(v, bytes) else json.dumps(v).encode())
            for v in values
        ]
        self.cluster.append(TopicPartition(topic, 0), records)

    def archiver(self, broker: MemoryBroker, faults: Doom | None = None) -> Archiver:
        return archiver_of(
            self.config,
            broker,
            ParquetArchive(self.config.archive),
            MemoryTail(self.cluster, ["examples"], faults=faults),
            MemoryTail(self.cluster, ["experiments", "outcomes"], faults=faults),
            clock_s=asyncio.get_running_loop().time,
        )

    async def archive(self, faults: Doom | None = None) -> Archiver:
        """Archive all there is, and stop."""
        stop = asyncio.Event()
        async with MemoryBroker(self.cluster, group_id="archive", faults=faults) as broker:
            archiver = self.archiver(broker, faults)
            working = asyncio.create_task(archiver.run(stop))
            ends = {
                name: self.cluster.log(TopicPartition(name, 0)).end for name in (DECISIONS, LABELS)
            }

            def is_done() -> bool:
                taken = {at.topic: b for at, b in archiver._buffers.items()}
                heard = archiver.linker.taken_to >= self.cluster.log(FEEDBACK).end
                return working.done() or (
                    heard
                    and all(
                        name in taken and taken[name].next_offset + len(taken[name].records) >= end
                        for name, end in ends.items()
                    )
                )

            await until(is_done)
            stop.set()
            await working
            return archiver

    def files(self, kind: str = DECISIONS) -> list[Path]:
        return sorted((self.folder / kind).rglob("*.parquet"))

    def rows(self, kind: str = DECISIONS) -> pl.DataFrame:
        """As a notebook would read it."""
        return pl.read_parquet(
            self.folder / kind / "**" / "*.parquet",
            hive_partitioning=True,
            missing_columns="insert",
        ).sort("offset")


def test_a_decision_is_a_row_with_a_column_for_each_feature(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.append(DECISIONS, [decision(i) for i in range(4)])
    world.append(LABELS, [label(7)])

    archiver = run(world.archive())

    rows = world.rows()
    assert (archiver.counts.rows, archiver.counts.files) == (5, 2)
    assert rows["decision_id"].to_list() == [f"transactions-0-{i}" for i in range(4)]
    assert rows["entity_terminal"].to_list() == [None, "m1", None, "m1"]
    assert rows["degraded"].to_list() == ["", "late,state", "", ""]
    assert rows[f"feature_{NAMES[0]}"].to_list() == [0.1 + 0.2] * 4, "to the last bit"
    assert np.isnan(rows[f"feature_{NAMES[1]}"].to_numpy()).all()
    assert rows["score"].to_list() == [0.1 + i / 1e6 for i in range(4)]
    labels = world.rows(LABELS)
    assert labels.select("transaction_id", "label", "account", "entity_terminal").rows() == [
        ("t7", "fraud", "a", "m1")
    ]


def test_exploration_has_columns_of_one_kind_whether_anything_was_at_stake_or_not(
    tmp_path: Path,
) -> None:
    """And a decision of before there was exploration is one that was not explored."""
    world = World(tmp_path, row_count_max=2)
    before = {k: v for k, v in decision(3).items() if k not in ("explore_share", "explored")}
    at_stake = decision(2, action="review", explore_share=0.01, explored=True)
    world.append(DECISIONS, [decision(0), decision(1), at_stake, before])

    run(world.archive())

    for path in world.files():
        schema = pl.read_parquet_schema(path)
        assert schema["explore_share"] == pl.Float64
        assert schema["explored"] == pl.Boolean
    assert world.rows()["explore_share"].to_list() == [None, None, 0.01, None]
    assert world.rows()["explored"].to_list() == [False, False, True, False]


def test_the_currency_of_amounts_is_a_column_where_a_decision_names_it(tmp_path: Path) -> None:
    world = World(tmp_path, row_count_max=2)
    named = [decision(i, currency="EUR") for i in (2, 3)]
    world.append(DECISIONS, [decision(0), decision(1), *named])

    run(world.archive())

    has_it = ["currency" in pl.read_parquet_schema(path) for path in world.files()]
    assert sorted(has_it) == [False, True]
    found = archive.scan(world.folder, "decisions").sort("offset").collect()
    assert found["currency"].to_list() == [None, None, "EUR", "EUR"]


def test_what_is_repeated_is_left_out_also_after_a_start(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.append(DECISIONS, [decision(i) for i in (0, 1, 2, 1, 2, 3)])
    first = run(world.archive())
    world.append(DECISIONS, [decision(i) for i in (2, 3, 4)])
    second = run(world.archive())

    assert world.rows()["decision_id"].to_list() == [f"transactions-0-{i}" for i in range(5)]
    assert (first.counts.repeated, second.counts.repeated) == (2, 2)


def test_after_a_crash_at_any_call_each_decision_is_there_once(tmp_path: Path) -> None:
    values = [decision(i) for i in (0, 1, 2, 3, 2, 3, 4, 5, 6, 7)]
    crash_at, crashed = 0, True
    while crashed:
        crash_at += 1
        world = World(tmp_path / str(crash_at), row_count_max=3)
        world.append(DECISIONS, values[:6])
        crashed = False
        try:
            run(world.archive(Doom(crash_at=crash_at)))
        except CrashError:
            crashed = True
        world.append(DECISIONS, values[6:])
        run(world.archive())
        found = world.rows()["decision_id"].to_list()
        assert found == [f"transactions-0-{i}" for i in range(8)], f"crash at call {crash_at}"
    assert crash_at > 8


def test_files_are_cut_by_day_by_size_and_by_features(tmp_path: Path) -> None:
    world = World(tmp_path, row_count_max=4)
    world.append(DECISIONS, [decision(i) for i in range(6)])
    run(world.archive())
    world.now_ms += DAY_MS
    world.append(DECISIONS, [decision(i) for i in range(6, 8)])
    run(world.archive())

    assert [len(pl.read_parquet(path)) for path in world.files()] == [4, 2, 2]
    assert len({path.parent for path in world.files()}) == 2


def test_features_that_nobody_can_name_stop_it_with_a_reason(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.append(DECISIONS, [decision(0, features=[1.0], model_version="9.0.0")])

    with pytest.raises(ConfigError, match=r"decisions of model 9\.0\.0 have 1 features"):
        run(world.archive())


def test_a_record_that_is_no_decision_costs_nothing_but_itself(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.append(DECISIONS, [decision(0), b"{", decision(1)])

    run(world.archive())

    assert len(world.rows()) == 2


def test_small_files_are_joined_and_nothing_else_changes(tmp_path: Path) -> None:
    world = World(tmp_path)
    for i in range(0, 10, 2):
        world.append(DECISIONS, [decision(i), decision(i + 1)])
        run(world.archive())
    before, files = world.rows(), archive_of(world)

    fewer = files.compact("decisions", 6)

    assert fewer == 3
    assert world.rows().equals(before)
    assert files.compact("decisions", 6) == 0
    world.append(DECISIONS, [decision(9), decision(10)])
    run(world.archive())
    assert world.rows()["offset"].to_list() == [*range(10), 11]


def test_an_archiver_goes_on_when_a_second_one_joins(tmp_path: Path) -> None:
    world = World(tmp_path)

    async def scenario() -> None:
        stop, group = asyncio.Event(), world.cluster.group("archive")
        async with (
            MemoryBroker(world.cluster, group_id="archive") as one,
            MemoryBroker(world.cluster, group_id="archive") as other,
        ):
            first, second = world.archiver(one), world.archiver(other)
            working = [asyncio.create_task(first.run(stop))]
            await until(lambda: FEEDBACK in one.assignment())
            working.append(asyncio.create_task(second.run(stop)))
            await until(lambda: len(group.members) == 2 and not group.is_stale)
            await until(lambda: not group.is_rebalancing)
            world.append(DECISIONS, [decision(0), decision(1)])
            await until(
                lambda: (
                    any(w.done() for w in working) or first.counts.rows + second.counts.rows == 2
                )
            )
            stop.set()
            await asyncio.gather(*working)

    run(scenario())

    assert world.rows()["offset"].to_list() == [0, 1]


def test_files_that_a_crash_left_beside_their_union_are_removed(tmp_path: Path) -> None:
    world = World(tmp_path)
    for i in range(3):
        world.append(DECISIONS, [decision(i)])
        run(world.archive())
    kept = {path: path.read_bytes() for path in world.files()}
    archive_of(world).compact("decisions", 10)
    for path, data in list(kept.items())[1:]:
        if not path.exists():
            path.write_bytes(data)
    assert len(world.rows()) > 3

    newest = log_files_of(world, "decisions").settle(0)

    assert len(world.rows()) == 3
    assert newest is not None
    assert (newest.first, newest.last) == (0, 2)


def test_days_older_than_is_kept_are_deleted(tmp_path: Path) -> None:
    world = World(tmp_path, retention_days=2)
    files, written = archive_of(world), log_files_of(world, "decisions")
    for number in range(4):
        record = Record(
            number, START_MS + number * DAY_MS, None, json.dumps(decision(number)).encode()
        )
        rows = archive_rows([record], [decode_archived("decisions", record)])
        written.write(0, (number, number), ("", number), rows, NAMES)
    days = sorted(path.parent.name for path in world.files())

    gone = files.expire(date.fromisoformat(days[-1].removeprefix("date=")))

    assert [path.name for path in gone] == days[:1]
    assert sorted(path.parent.name for path in world.files()) == days[1:]


def archive_of(world: World) -> ParquetArchive:
    return ParquetArchive(world.config.archive)


def log_files_of(world: World, kind: Kind) -> LogFiles:
    return archive_of(world).log(kind, log_id(world.cluster.log_name(kind)))
