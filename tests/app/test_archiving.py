"""An archiver that is kept at work through failures: each row once, whatever fails."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from sentinel import archive
from sentinel.adapters.archive import ParquetArchive
from sentinel.adapters.memory import Faults, MemoryBroker, MemoryCluster, MemoryTail
from sentinel.app.archiving import ArchivingStatus, Build, Site, archiver_of, keep_archiving
from sentinel.codec.archive import Kind
from sentinel.errors import ConfigError, TransientError
from sentinel.operations.topics import topic_specs
from sentinel.records import TopicPartition
from tests.adapters.test_archive import full_disk
from tests.app.test_archive import DECISIONS, FEEDBACK, LABELS, World, decision, label
from tests.engine.clock import run, until
from tests.engine.faults import Away

KINDS: tuple[Kind, ...] = ("decisions", "labels")
RECORDS = {DECISIONS: [decision(i) for i in range(8)], LABELS: [label(i) for i in range(3)]}


def nothing(status: ArchivingStatus) -> None:
    """Nobody watches."""


def build_of(
    world: World, faults: Faults, *, moved: Callable[[], bool] = lambda: False, lost: bool = False
) -> Build:
    @asynccontextmanager
    async def build() -> AsyncIterator[Site]:
        cluster = world.cluster  # of now: another one may have taken its place
        async with MemoryBroker(cluster, group_id="archive", faults=faults) as broker:
            await broker.ensure_topics(topic_specs(world.config))
            archiver = archiver_of(
                world.config,
                broker,
                ParquetArchive(world.config.archive),
                MemoryTail(cluster, ["examples"], faults=faults),
                MemoryTail(cluster, ["experiments", "outcomes"], faults=faults),
                clock_s=asyncio.get_running_loop().time,
            )
            yield Site(archiver, moved, lost)

    return build


def ids(world: World) -> list[str]:
    table = archive.scan(world.folder, "decisions").sort("appended_ms", "offset").collect()
    return table["decision_id"].to_list()


def committed(world: World) -> dict[str, int]:
    found = world.cluster.group("archive").committed
    return {at.topic: commit.offset for at, commit in found.items()}


def is_done(world: World) -> bool:
    """Whether all that the log holds is in files, and what follows of it is out.

    What the group has committed is no measure: nobody goes by it, and a commit that fails behind
    the last file is not made up for before the next.
    """
    ends = [max((s.last for s in archive.segments(world.folder, k)), default=-1) for k in KINDS]
    return ends == [7, 2] and len(world.cluster.records("examples")) == 3


async def archived(world: World, faults: Faults) -> ArchivingStatus:
    """Two halves of the records, the second when the first is done, and a stop behind them."""
    stop = asyncio.Event()
    for name, values in RECORDS.items():
        world.append(name, values[: len(values) // 2])
    keeping = asyncio.create_task(
        keep_archiving(build_of(world, faults), world.config, stop, nothing)
    )
    await until(lambda: keeping.done() or FEEDBACK.topic in committed(world), timeout_s=600)
    for name, values in RECORDS.items():
        world.append(name, values[len(values) // 2 :])
    await until(lambda: keeping.done() or is_done(world), timeout_s=600)
    stop.set()
    return await keeping


def test_whichever_call_fails_each_row_is_archived_once(tmp_path: Path, sweep: bool) -> None:
    """Before its effect, and behind it, where only the answer is lost."""
    calls = Faults()
    run(archived(World(tmp_path / "whole", row_count_max=3, examples_interval_s=2.0), calls))
    total = calls.call_count
    assert total > 30
    for after_effect in (False, True):
        for fail_at in range(1 + after_effect, total + 1, 1 if sweep else 3):
            folder = tmp_path / f"{fail_at}-{after_effect}"
            world = World(folder, row_count_max=3, examples_interval_s=2.0)
            faults = Faults(fail_at=fail_at, after_effect=after_effect)

            status = run(archived(world, faults))

            what = f"call {fail_at} ({faults.failed})"
            assert ids(world) == [f"transactions-0-{i}" for i in range(8)], what
            labels = archive.scan(world.folder, "labels").collect()
            assert sorted(labels["feedback_offset"]) == [0, 1, 2], what
            examples = world.cluster.records("examples")
            assert len({one.value for one in examples}) == len(examples) == 3, what
            assert status.counts.rows == 11, what


def test_an_outage_is_waited_for_with_longer_and_longer_waits(tmp_path: Path) -> None:
    world, faults = World(tmp_path), Away()

    async def scenario() -> float:
        stop, clock_s = asyncio.Event(), asyncio.get_running_loop().time
        keeping = asyncio.create_task(
            keep_archiving(build_of(world, faults), world.config, stop, nothing)
        )
        world.append(DECISIONS, [decision(0)])
        await until(lambda: committed(world).get(DECISIONS) == 1)
        faults.names = frozenset({"poll", "subscribe", "commit", "ensure_topics"})
        begun_s = clock_s()
        await asyncio.sleep(30)
        faults.names = frozenset()
        world.append(DECISIONS, [decision(1)])
        await until(lambda: committed(world).get(DECISIONS) == 2)
        stop.set()
        await keeping
        return clock_s() - begun_s

    took_s = run(scenario())

    assert took_s < 30 + 2 * world.config.engine.backoff_s_max
    assert ids(world) == ["transactions-0-0", "transactions-0-1"]


def test_an_outage_without_end_is_given_up_with_its_reason(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.config = replace(world.config, engine=replace(world.config.engine, restart_count_max=3))
    faults = Faults(fail_at=1, lasting=True)

    with pytest.raises(TransientError, match=r"call 4 \(ensure_topics\) fails as planned"):
        run(keep_archiving(build_of(world, faults), world.config, asyncio.Event(), nothing))


def test_a_full_disk_is_waited_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    world = World(tmp_path)

    async def scenario() -> None:
        stop = asyncio.Event()
        keeping = asyncio.create_task(
            keep_archiving(build_of(world, Faults()), world.config, stop, nothing)
        )
        with full_disk(1_000):
            world.append(DECISIONS, [decision(i) for i in range(50)])
            await until(lambda: "make room" in caplog.text)
            await asyncio.sleep(5)
        await until(lambda: committed(world).get(DECISIONS) == 50)
        stop.set()
        await keeping

    run(scenario())

    assert ids(world) == [f"transactions-0-{i}" for i in range(50)]
    assert not list(tmp_path.rglob("*.partial"))


def test_another_log_in_the_place_of_the_first_is_gone_on_with(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What was read of the first one, and not yet written, is nowhere else any more."""
    world = World(tmp_path, interval_s=3_600.0)
    world.append(DECISIONS, [decision(i) for i in range(3)])
    world.append(LABELS, [label(0)])
    moved = False

    async def scenario() -> ArchivingStatus:
        nonlocal moved
        stop, seen = asyncio.Event(), ArchivingStatus()

        def watch(status: ArchivingStatus) -> None:
            nonlocal seen
            seen = status

        def has_read(count: int) -> bool:
            at = TopicPartition(DECISIONS, 0)
            buffers = seen.archiver._buffers if seen.archiver is not None else {}
            return at in buffers and len(buffers[at].records) == count

        build = build_of(world, Faults(), moved=lambda: moved, lost=True)
        keeping = asyncio.create_task(keep_archiving(build, world.config, stop, watch))
        await until(lambda: has_read(3))
        assert not world.files(), "it is not yet time to write"

        world.cluster, moved = MemoryCluster("another", clock_ms=lambda: world.now_ms + 1), True
        await until(lambda: seen.archiver is None)
        moved = False
        await until(lambda: world.cluster.partition_count(DECISIONS) > 0)
        world.append(DECISIONS, [decision(i, transaction_id=f"u{i}") for i in range(2)])
        await until(lambda: has_read(2))
        stop.set()
        return await keeping

    status = run(scenario())

    rows = archive.scan(world.folder, "decisions").sort("appended_ms", "offset").collect()
    assert rows["transaction_id"].to_list() == ["t0", "t1", "t2", "u0", "u1"]
    assert len({path.name[:8] for path in world.files()}) == 2, "of two logs"
    assert len(world.files(LABELS)) == 1
    assert status.counts.rows == 6
    assert "was started again, with a log of its own" in caplog.text


def test_what_an_heir_has_written_is_not_written_again(tmp_path: Path) -> None:
    world = World(tmp_path, interval_s=3_600.0)
    world.append(DECISIONS, [decision(i) for i in range(3)])

    async def scenario() -> None:
        stop = asyncio.Event()
        async with build_of(world, Faults())() as site:
            working = asyncio.create_task(site.archiver.run(stop))
            at = TopicPartition(DECISIONS, 0)
            buffers = site.archiver._buffers
            await until(lambda: at in buffers and len(buffers[at].records) == 3)
            working.cancel()
            await asyncio.wait({working})
        world.append(DECISIONS, [decision(3)])
        await world.archive()

        await site.archiver.rescue()

    run(scenario())

    assert len(world.files()) == 1
    assert ids(world) == [f"transactions-0-{i}" for i in range(4)]


def test_a_damaged_file_stops_what_follows_and_nothing_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(tmp_path)
    world.append(DECISIONS, [decision(0)])
    run(world.archive())
    world.append(DECISIONS, [decision(1)])
    run(world.archive())
    damaged = world.files()[0]
    kept = damaged.read_bytes()
    damaged.write_bytes(b"damaged")
    world.append(DECISIONS, [decision(2)])
    world.append(LABELS, [label(0)])

    run(world.archive())

    assert len(world.files()) == 3
    assert f"{damaged}: cannot be read as Parquet" in caplog.text
    assert "examples and votes wait" in caplog.text
    with pytest.raises(ConfigError, match="cannot be read as Parquet"):
        archive.scan(world.folder, "decisions")

    damaged.write_bytes(kept)
    run(world.archive())
    assert len(world.cluster.records("examples")) == 1


def test_features_that_are_as_many_but_others_begin_another_file(tmp_path: Path) -> None:
    """The names are those of each decision's own model, not of whichever came first."""
    world = World(tmp_path)
    names = [feature.name for feature in world.config.features]
    world.append(DECISIONS, [decision(0), decision(1, model_version="2.0.0"), decision(2)])

    async def scenario() -> None:
        async with build_of(world, Faults())() as site:
            others = ["renamed", *names[1:]]
            of = {"1.0.0": tuple(names), "2.0.0": tuple(others)}
            site.archiver._feature_names = lambda version, count: of[version]
            stop = asyncio.Event()
            working = asyncio.create_task(site.archiver.run(stop))
            await until(lambda: committed(world).get(DECISIONS) == 3)
            stop.set()
            await working

    run(scenario())

    rows = archive.scan(world.folder, "decisions").sort("offset").collect()
    assert len(world.files()) == 3
    assert rows["feature_renamed"].to_list() == [None, 0.1 + 0.2, None]
    assert rows[f"feature_{names[0]}"].to_list() == [0.1 + 0.2, None, 0.1 + 0.2]
