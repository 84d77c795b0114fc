"""An archive outlives its topics: it goes on in the log of now, and is asked for all of them."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from sentinel import archive
from sentinel.adapters.archive import ParquetArchive
from sentinel.adapters.memory import MemoryBroker
from sentinel.codec.archive import Kind, decode_archived, source_of
from sentinel.core.logs import log_id
from sentinel.engine.archive.examples import decided_last, examples, span_ms
from sentinel.engine.archive.labels import current_labels
from sentinel.engine.archive.logs import log_files
from sentinel.errors import ConfigError, TransientError
from sentinel.operations.why import account_of, audit_of, scored_again
from sentinel.records import Record, TopicPartition
from tests.app.test_archive import (
    DECISIONS,
    LABELS,
    World,
    archive_of,
    decision,
    label,
    log_files_of,
)
from tests.app.test_publishing import PARAMS, published, vote, world_at
from tests.archive.samples import archive_at, decided, write
from tests.engine.clock import run, until
from tests.engine.samples import DAY_MS, START_MS


def recreate(world: World, *topics: str) -> None:
    """Delete topics, and create them again: their offsets begin anew."""
    for topic in topics:
        count = world.cluster.partition_count(topic)
        world.cluster.delete_topic(topic)
        world.cluster.create_topic(topic, count)


def move(world: World) -> None:
    """Everything goes on on another cluster."""
    world.cluster.cluster_id = "another"
    recreate(world, *world.cluster.partition_counts())


def decided_in_era(era: int, offset: int, **others: Any) -> dict[str, Any]:
    """A decision on a transaction of that name, after `transactions` was created anew."""
    return decision(offset, decision_id=f"transactions.{era}-0-{offset}", **others)


def as_before(world: World) -> None:
    """Make of what is archived what an older version has written: it knew the cluster only."""
    former = log_id(world.cluster.cluster_id)
    for path in world.folder.rglob("*.parquet"):
        if path.parent.parent.name == LABELS:
            pl.read_parquet(path).drop("feedback_log").write_parquet(path)
        path.rename(path.with_name(former + path.name[8:]))
    for path in (world.folder / "notes").glob("*.json"):
        note = json.loads(path.read_bytes())
        if isinstance(note.get("labels_to"), dict):
            note["labels_to"] = max([0, *note["labels_to"].values()])
        path.write_text(json.dumps(note))
        path.rename(path.with_name(former + path.name[8:]))


def names(world: World, kind: Kind = "decisions") -> list[str]:
    """The transactions in the order in which they were appended."""
    rows = archive.scan(world.folder, kind).sort("appended_ms", "offset").collect()
    return [str(name) for name in rows["transaction_id"].to_list()]


@pytest.mark.parametrize("seed", range(4))
def test_of_decisions_in_several_logs_the_one_that_was_appended_last_is_taken(
    tmp_path: Path, seed: int
) -> None:
    """Each against each; on one day logs append at the same times."""
    rng, files = np.random.default_rng(seed), archive_at(tmp_path)
    for number in range(9):
        day, log = number // 3, f"cluster/{rng.integers(0, 3)}"
        values = [
            decided(i, [0.5], decision_id=f"{number}-0-{i}")
            for i in rng.permutation(20)[:8].tolist()
        ]
        write(files, "decisions", values, first=100 * number, day=day, log=log, names=["a"])
    rows = archive.scan(tmp_path, "decisions").collect().to_dicts()
    wanted = [
        row["decision_id"]
        for row in rows
        if not any(
            other["transaction_id"] == row["transaction_id"]
            and other["log"] != row["log"]
            and (other["appended_ms"], other["log"]) > (row["appended_ms"], row["log"])
            for other in rows
        )
    ]

    spans_ms = {one: span_ms(files, one) for one in files.segments("decisions")}
    found = pl.concat(frame for one in spans_ms for frame in decided_last(files, one, spans_ms))

    assert sorted(found["decision_id"].to_list()) == sorted(wanted)
    assert len(wanted) < len(rows)


@pytest.mark.parametrize("change", [lambda world: recreate(world, DECISIONS), move])
def test_what_was_created_anew_is_archived_from_its_beginning(
    tmp_path: Path, change: Callable[[World], None]
) -> None:
    world = World(tmp_path)
    world.append(DECISIONS, [decision(i) for i in range(4)])
    run(world.archive())

    change(world)
    world.now_ms += 1
    world.append(DECISIONS, [decision(i) for i in (10, 11)])
    run(world.archive())
    world.append(DECISIONS, [decision(12)])
    run(world.archive())

    assert names(world) == ["t0", "t1", "t2", "t3", "t10", "t11", "t12"]
    assert len(log_files_of(world, "decisions").segments()) == 2, "of the log of now"
    assert len(archive_of(world).segments("decisions")) == 3


def test_transactions_may_begin_anew_while_their_decisions_go_on(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.append(DECISIONS, [decision(i) for i in range(4)])
    world.append(DECISIONS, [decided_in_era(1, i, transaction_id=f"n{i}") for i in (0, 1, 1)])
    first = run(world.archive())
    world.append(DECISIONS, [decided_in_era(1, i, transaction_id=f"n{i}") for i in (0, 1, 2)])
    late = decision(3)  # of one who had not noticed
    world.append(DECISIONS, [late, decided_in_era(2, 0, transaction_id="m0")])
    second = run(world.archive())
    archive_of(world).compact("decisions", 1_000)
    third = run(world.archive())

    assert names(world) == ["t0", "t1", "t2", "t3", "n0", "n1", "n2", "m0"]
    assert (first.counts.repeated, second.counts.repeated, third.counts.rows) == (1, 3, 0)
    assert log_files_of(world, "decisions").reach(0) == {"": 3, "e1": 2, "e2": 0}
    assert len(world.files()) == 3, "files of several sources stay apart: each tells one reach"


def test_a_decision_names_its_source_by_era_and_a_label_by_its_log() -> None:
    def source(topic: str, kind: Kind, **values: Any) -> str:
        value = {**(decision(0) if kind == "decisions" else label(0)), **values}
        record = Record(0, 0, None, json.dumps(value).encode())
        return source_of(decode_archived(kind, record), topic)

    assert source("transactions", "decisions") == ""
    assert source("tx.1", "decisions", decision_id="tx.1-0-5") == ""
    assert source("tx.1", "decisions", decision_id="tx.1.12-0-5") == "e12"
    assert source("tx", "decisions", decision_id="other-0-5") == log_id("other")
    assert source("", "labels") == ""
    assert source("", "labels", feedback_log="0a1b2c3d") == "0a1b2c3d"
    assert source("", "labels", feedback_log="../x") == log_id("../x"), "it is part of a file name"


def test_labels_of_feedback_that_was_created_anew_are_archived_and_become_examples(
    tmp_path: Path,
) -> None:
    world = world_at(tmp_path)
    world.append(DECISIONS, [decision(i) for i in range(8)])
    world.append(LABELS, [{**label(5), "feedback_log": "0a1b2c3d"}])
    world.append(LABELS, [{**label(6), "feedback_log": "0a1b2c3d"}])
    fresh = {**label(5, "genuine"), "feedback_offset": 0, "feedback_log": "11111111"}
    world.append(LABELS, [{**fresh, "supersedes": "fraud"}, fresh])
    run(world.archive())

    assert names(world, "labels") == ["t5", "t6", "t5"]
    assert [x["id"] for x in published(world, "examples")] == [
        *("feedback-0a1b2c3d-5", "feedback-0a1b2c3d-6", "feedback-11111111-0"),
    ]
    labels = current_labels(archive_of(world))
    assert dict(labels.select("transaction_id", "label").rows()) == {"t5": "genuine", "t6": "fraud"}


def test_what_an_older_version_has_archived_is_gone_on_from(tmp_path: Path) -> None:
    world = world_at(tmp_path)
    world.append(DECISIONS, [decision(i) for i in range(4)])
    world.append(LABELS, [label(1), label(9)])  # the decision on one of them is still to come
    world.append("feedback", [vote(0), vote(7)])
    run(world.archive())
    as_before(world)
    former = log_id("memory")

    world.append(DECISIONS, [decision(i) for i in (2, 3, 4, 7, 9)])
    world.append(LABELS, [{**label(3), "feedback_offset": 10}])
    for _ in range(2):
        run(world.archive())

    assert names(world) == [f"t{i}" for i in (0, 1, 2, 3, 4, 7, 9)]
    assert [x["id"] for x in published(world, "examples")] == [
        *("feedback-1", "feedback-9", "feedback-10"),
    ]
    assert [x["transaction_id"] for x in published(world, "feedback")[2:]] == ["t0", "t7"]
    files = log_files_of(world, "decisions")
    logs = [one.log for one in archive_of(world).segments("decisions")]
    assert logs == [former, files.log]


def test_files_of_an_older_version_are_those_of_one_log_and_not_of_the_next(tmp_path: Path) -> None:
    world = world_at(tmp_path)
    world.append(DECISIONS, [decision(i) for i in range(4)])
    run(world.archive())
    as_before(world)
    run(world.archive())

    recreate(world, DECISIONS)
    world.append(DECISIONS, [decision(i) for i in range(20, 26)])
    run(world.archive())

    assert len(names(world)) == 10


def test_files_of_an_older_version_that_go_further_than_the_log_are_of_another(
    tmp_path: Path,
) -> None:
    world = world_at(tmp_path)
    world.append(DECISIONS, [decision(i) for i in range(4)])
    world.append(LABELS, [label(1)])
    world.append("feedback", [vote(0), vote(7)])
    run(world.archive())
    as_before(world)

    recreate(world, DECISIONS, LABELS, "feedback", "examples")
    world.append(DECISIONS, [decision(7), decision(8)])
    run(world.archive())

    assert len(names(world)) == 6
    assert [x["id"] for x in published(world, "examples")] == ["feedback-1"], "all, in the new log"
    assert [x["transaction_id"] for x in published(world, "feedback")] == ["t7"], "it waited"


@pytest.mark.parametrize("name", ["decisions-log", "examples", "feedback"])
def test_a_note_that_nobody_can_read_is_one_sentence(tmp_path: Path, name: str) -> None:
    world = world_at(tmp_path)
    notes = world.folder / "notes"
    notes.mkdir(parents=True)
    (notes / f"{log_id('memory')}-{name}.json").write_text("{")

    with pytest.raises(ConfigError, match=rf"notes/{log_id('memory')}-{name}\.json is not what"):
        run(world.archive())


def test_looking_at_older_files_writes_no_note(tmp_path: Path) -> None:
    world = world_at(tmp_path)
    world.append(DECISIONS, [decision(0)])
    run(world.archive())
    as_before(world)
    before = sorted(world.folder.rglob("*.json"))

    async def scenario() -> list[str]:
        async with MemoryBroker(world.cluster) as broker:
            files = await log_files(
                archive_of(world), broker, DECISIONS, "decisions", is_noted=False
            )
            return [one.log for one in files.segments()]

    assert run(scenario()) == [log_id("memory")]
    assert sorted(world.folder.rglob("*.json")) == before


def two_logs(folder: Path) -> World:
    """Three decisions on one cluster; on the next one of them again, and a label of another."""
    world = world_at(folder)
    world.append(DECISIONS, [decision(i) for i in range(3)])
    entry = {"kind": "vote", "subject": "t1", "who": "bank", "before": None, "after": {"label": 1}}
    world.append("audit", [{**entry, "id": "feedback-0-vote", "at_ms": 1}])
    world.append(LABELS, [label(0)])
    run(world.archive())
    move(world)
    world.now_ms += DAY_MS
    world.append(
        DECISIONS,
        [decided_in_era(1, 0, transaction_id="t1", score=0.7, event_time_ms=START_MS + 1)],
    )
    world.append(LABELS, [{**label(2), "feedback_offset": 0, "feedback_log": "0a1b2c3d"}])
    world.append("audit", [{**entry, "id": "feedback-0a1b2c3d-0-vote", "at_ms": 2}])
    world.append("audit", [{**entry, "id": "feedback-0-vote", "at_ms": 1}])
    run(world.archive())
    return world


def test_why_tells_of_the_newest_decision_and_of_those_before(tmp_path: Path) -> None:
    world = two_logs(tmp_path)

    found = account_of(archive_of(world), world.config, "t1")

    assert found.decision["decision_id"] == "transactions.1-0-0"
    assert [one["decision_id"] for one in found.older] == ["transactions-0-1"]
    assert found.older[0]["log"] != found.decision["log"]
    assert account_of(archive_of(world), world.config, "t2").labels[0]["label"] == "fraud"


def test_a_decision_that_was_copied_to_another_cluster_is_told_once(tmp_path: Path) -> None:
    world = world_at(tmp_path)
    world.append(DECISIONS, [decision(0)])
    world.append(LABELS, [label(0)])
    run(world.archive())
    move(world)
    world.append(DECISIONS, [decision(0), decision(1)])
    world.append(LABELS, [label(0)])
    run(world.archive())

    found = account_of(archive_of(world), world.config, "t0")

    assert (found.older, len(found.labels)) == ([], 1)
    table = pl.concat(examples(archive_of(world), PARAMS))
    assert table["transaction_id"].to_list() == ["t0"]


def test_the_audit_of_all_logs_is_told_and_each_change_once(tmp_path: Path) -> None:
    world = two_logs(tmp_path)

    found = audit_of(archive_of(world), "t1")

    assert [one.id for one in found] == ["feedback-0-vote", "feedback-0a1b2c3d-0-vote"]


def test_a_replay_and_a_history_go_through_all_logs(tmp_path: Path) -> None:
    world = two_logs(tmp_path)

    (found,) = scored_again(archive_of(world), world.config)

    assert found.count == 4
    assert archive.history(world.folder, "a1")["log"].n_unique() == 1
    assert archive.scan(world.folder, "decisions").collect()["log"].n_unique() == 2


def test_examples_join_labels_with_the_decisions_of_all_logs_the_newest_of_each(
    tmp_path: Path,
) -> None:
    world = two_logs(tmp_path)
    files = archive_of(world)
    maturity = replace(PARAMS, horizon_min_s=0.001, horizon_max_s=0.001)

    table = pl.concat(examples(files, maturity)).sort("transaction_id")

    assert table.select("transaction_id", "decision_id", "label").rows() == [
        ("t0", "transactions-0-0", 1),
        ("t1", "transactions.1-0-0", 0),
        ("t2", "transactions-0-2", 1),
    ]


def test_another_log_of_examples_is_given_all_of_them(tmp_path: Path) -> None:
    """The trainer of now has nothing else: late labels find the decisions of the former log."""
    world = two_logs(tmp_path)

    assert [(x["id"], x["decision_id"]) for x in published(world, "examples")] == [
        ("feedback-0", "transactions-0-0"),
        ("feedback-0a1b2c3d-0", "transactions-0-2"),
    ]
    run(world.archive())
    assert len(published(world, "examples")) == 2


def test_a_topic_of_labels_that_is_created_anew_repeats_no_example(tmp_path: Path) -> None:
    world = world_at(tmp_path)
    world.append(DECISIONS, [decision(i) for i in range(3)])
    world.append(LABELS, [label(0)])
    run(world.archive())
    recreate(world, LABELS)
    world.append(LABELS, [label(1)])
    run(world.archive())

    assert [x["id"] for x in published(world, "examples")] == ["feedback-0", "feedback-1"]


def test_labels_that_were_copied_to_another_cluster_repeat_no_example(tmp_path: Path) -> None:
    """The topic of examples was copied, too, or not; the copies come in pieces."""
    said = [
        {**label(1), "feedback_log": "0a1b2c3d"},
        {**label(2, "withdrawn"), "supersedes": "fraud"},
        {**label(3), "feedback_log": "0a1b2c3d"},
    ]
    fresh = {**label(4), "feedback_offset": 0, "feedback_log": "11111111"}
    for is_copied in (False, True):
        world = world_at(tmp_path / str(is_copied))
        world.append(DECISIONS, [decision(i) for i in range(5)])
        world.append(LABELS, said)
        run(world.archive())
        before = published(world, "examples")
        move(world)
        world.now_ms += 1
        if is_copied:
            world.append("examples", before)
        run(world.archive())
        world.append(LABELS, said[:2])
        run(world.archive())
        world.append(LABELS, [said[2], fresh])
        run(world.archive())
        run(world.archive())

        assert [x["id"] for x in published(world, "examples")] == [
            *("feedback-0a1b2c3d-1", "feedback-2", "feedback-0a1b2c3d-3", "feedback-11111111-0"),
        ]


def test_a_vote_that_waits_goes_on_waiting_when_feedback_is_created_anew(tmp_path: Path) -> None:
    world = world_at(tmp_path)
    world.append("feedback", [vote(7), vote(8), vote(9)])
    run(world.archive())
    recreate(world, "feedback")
    world.append("feedback", [vote(6)])
    world.append(DECISIONS, [decision(i) for i in range(6, 9)])
    run(world.archive())

    assert {x["transaction_id"] for x in published(world, "feedback")[1:]} == {"t6", "t7", "t8"}


def test_an_archiver_at_work_ends_when_its_topic_is_another_one_and_loses_nothing(
    tmp_path: Path,
) -> None:
    """The new log soon reaches further than what was read of the old one."""
    world = World(tmp_path, interval_s=3_600.0)

    async def scenario() -> None:
        async with MemoryBroker(world.cluster, group_id="archive") as broker:
            archiver = world.archiver(broker)
            working = asyncio.create_task(archiver.run(asyncio.Event()))
            at = TopicPartition(DECISIONS, 0)
            world.append(DECISIONS, [decision(0), decision(1)])
            await until(lambda: at in archiver._buffers and archiver._buffers[at].sure_to == 2)
            world.cluster.delete_topic(DECISIONS)
            world.cluster.create_topic(DECISIONS, 1)
            world.now_ms += 1
            world.append(DECISIONS, [decision(i) for i in range(10, 15)])
            with pytest.raises(TransientError, match="decisions was deleted, or is another one"):
                await working

    run(scenario())
    assert names(world) == ["t0", "t1"]
    run(world.archive())
    assert names(world) == ["t0", "t1", *(f"t{i}" for i in range(10, 15))]


def test_only_some_logs_are_looked_at_where_that_is_wanted(tmp_path: Path) -> None:
    """Those of an embedded broker: what former ones learnt is the future in this one."""
    world = two_logs(tmp_path)
    own = log_files_of(world, "decisions").log

    files = ParquetArchive(world.config.archive, only=[own])

    assert [one.log for one in files.segments("decisions")] == [own]
    assert files.logs("decisions") == [own]
    assert files.notes("examples") == []
    assert len(ParquetArchive(world.config.archive).notes("examples")) == 2
