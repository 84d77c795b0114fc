"""What every adapter that has a twin must do; `test_contracts.py` runs it on both of them."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace

import pytest

from sentinel.adapters.kafka.broker import UNTOLD_END
from sentinel.core.topics import TopicSpec
from sentinel.errors import ConfigError, FencedError, StateLostError, TransientError
from sentinel.ports import Blob, Broker, CaseStore, PartitionState, StateStore, Tail
from sentinel.record_blocks import OutputBlock, RecordBlock
from sentinel.records import Commit, Header, InputRecord, OutputRecord, TopicPartition
from sentinel.stored.votes import (
    UNSETTLED_COUNT_MAX,
    Annotator,
    Case,
    CaseBatch,
    FeedbackProgress,
    Vote,
)
from sentinel.texts import Texts
from tests.children import WAIT_S_MAX

PARTITION = TopicPartition("anything", 0)
STATE = PartitionState("cluster-1/topic", 7, "cluster-1/labels", 3)


@dataclass(frozen=True)
class World:
    """How to open adapters on one cluster."""

    broker: Callable[[str], AbstractAsyncContextManager[Broker]]
    tail: Callable[[Sequence[str]], AbstractAsyncContextManager[Tail]]
    keeps_metadata: bool
    trim: Callable[[TopicPartition, int], Awaitable[None]] | None  # as retention does; None: cannot


@dataclass
class Callbacks:
    """What a member was told."""

    assigned: list[list[TopicPartition]] = field(default_factory=list)
    revoked: list[list[TopicPartition]] = field(default_factory=list)

    async def on_assigned(self, partitions: Sequence[TopicPartition]) -> None:
        self.assigned.append(list(partitions))

    async def on_revoked(self, partitions: Sequence[TopicPartition]) -> None:
        self.revoked.append(list(partitions))


async def join(broker: Broker, *topics: str) -> Callbacks:
    callbacks = Callbacks()
    await broker.subscribe(
        topics, on_assigned=callbacks.on_assigned, on_revoked=callbacks.on_revoked
    )
    return callbacks


def values(*texts: str) -> list[OutputRecord]:
    return [OutputRecord(None, text.encode()) for text in texts]


async def read(broker: Broker, partition: TopicPartition, count: int) -> list[InputRecord]:
    """Exactly `count` records of a partition."""
    found: list[InputRecord] = []
    deadline = time.monotonic() + WAIT_S_MAX
    while len(found) < count:
        assert time.monotonic() < deadline, f"only {len(found)} of {count} records came"
        polled = await broker.poll([partition], timeout_s=0.1, count_max=1000)
        assert polled.keys() <= {partition}
        found += polled.get(partition, [])
    assert len(found) == count
    return found


async def send(broker: Broker, partition: TopicPartition, records: list[OutputRecord]) -> None:
    await broker.publish(partition.topic, partition.partition, records)
    await broker.flush()


# A member of a group that owns two partitions of an empty topic.


async def records_come_back_in_order_with_all_their_parts(broker: Broker, topic: str) -> None:
    headers = (Header("cause", b"\x00\xff"), Header("empty", b""))
    records = [
        OutputRecord(b"key", b"value", headers),
        OutputRecord(b"tombstone", None),
        OutputRecord(None, b""),
    ]

    await send(broker, TopicPartition(topic, 1), records)
    found = await read(broker, TopicPartition(topic, 1), 3)

    assert [record.offset for record in found] == [0, 1, 2]
    assert [(record.key, record.value) for record in found] == [
        (b"key", b"value"),
        (b"tombstone", None),
        (None, b""),
    ]
    assert [tuple(record.headers) for record in found] == [tuple(headers), (), ()]


async def blocks_are_published_and_read(broker: Broker, topic: str) -> None:
    partition = TopicPartition(topic, 0)
    keys = [None, "", *map(str, range(100))]
    records = OutputBlock(Texts.of(keys), Texts.of(["", None, *("x" * i for i in range(100))]))

    await broker.publish(topic, 0, records)
    await broker.publish(topic, 0, records[:0])
    await broker.flush()

    found: list[InputRecord] = []
    deadline = time.monotonic() + WAIT_S_MAX
    while len(found) < len(records):
        assert time.monotonic() < deadline
        for block in (await broker.poll([partition], timeout_s=0.1, count_max=9)).values():
            assert isinstance(block, RecordBlock)
            found += block
    assert [record.offset for record in found] == list(range(102))
    assert [(record.key, record.value) for record in found] == [(r.key, r.value) for r in records]


async def more_than_a_batch_keeps_its_order(broker: Broker, topic: str) -> None:
    records = [OutputRecord(str(i).encode(), b"x" * 1000) for i in range(1500)]

    await send(broker, TopicPartition(topic, 0), records)
    found = await read(broker, TopicPartition(topic, 0), 1500)

    assert [record.key for record in found] == [record.key for record in records]
    assert [record.offset for record in found] == list(range(1500))


async def a_record_of_five_megabytes_passes_between_small_ones(broker: Broker, topic: str) -> None:
    large = bytes(range(256)) * 20_000

    await send(
        broker,
        TopicPartition(topic, 0),
        [OutputRecord(None, b"before"), OutputRecord(None, large), OutputRecord(None, b"after")],
    )
    found = await read(broker, TopicPartition(topic, 0), 3)

    assert [record.value for record in found] == [b"before", large, b"after"]


async def only_the_partitions_asked_for_are_read(broker: Broker, topic: str) -> None:
    wanted, other = TopicPartition(topic, 0), TopicPartition(topic, 1)
    await send(broker, other, values("other"))
    await send(broker, wanted, values("wanted"))

    assert [record.value for record in await read(broker, wanted, 1)] == [b"wanted"]
    assert await broker.poll([wanted], timeout_s=0.1, count_max=10) == {}
    assert [record.value for record in await read(broker, other, 1)] == [b"other"]


async def a_poll_for_nothing_waits_and_brings_nothing(broker: Broker, topic: str) -> None:
    await send(broker, TopicPartition(topic, 0), values("there"))

    started = time.monotonic()
    assert await broker.poll([], timeout_s=0.05, count_max=10) == {}
    assert await broker.poll([PARTITION], timeout_s=0.05, count_max=10) == {}

    assert time.monotonic() - started < 10.0, "as long as a request may take"


async def a_poll_brings_no_more_than_asked(broker: Broker, topic: str) -> None:
    partition = TopicPartition(topic, 0)
    await send(broker, partition, values("a", "b", "c"))
    await read(broker, partition, 3)
    broker.seek(partition, 0)

    sizes: list[int] = []
    while sum(sizes) < 3:
        polled = await broker.poll([partition], timeout_s=0.1, count_max=2)
        sizes.append(len(polled.get(partition, [])))

    assert max(sizes) == 2


async def a_seek_back_reads_again(broker: Broker, topic: str) -> None:
    partition = TopicPartition(topic, 0)
    await send(broker, partition, values("a", "b", "c"))
    await read(broker, partition, 3)

    broker.seek(partition, 1)

    assert [record.value for record in await read(broker, partition, 2)] == [b"b", b"c"]
    assert await broker.start_offset(partition) == 0


async def a_seek_elsewhere_is_refused(broker: Broker, topic: str) -> None:
    with pytest.raises(FencedError):
        broker.seek(PARTITION, 0)


async def a_commit_elsewhere_is_refused(broker: Broker, topic: str) -> None:
    with pytest.raises(FencedError):
        await broker.commit({PARTITION: Commit(1)})


async def lag_falls_to_nothing(broker: Broker, topic: str) -> None:
    partition = TopicPartition(topic, 0)
    await send(broker, partition, values("a"))
    await send(broker, partition, values("b", "c", "d"))
    await read(broker, partition, 4)

    assert broker.lag(partition) == 0
    assert broker.lag(PARTITION) is None

    broker.seek(partition, 1)
    assert broker.lag(partition) == 3


async def topics_are_checked(broker: Broker, topic: str) -> None:
    await broker.ensure_topics([TopicSpec(topic, 2)])

    assert await broker.partition_count(topic) == 2
    assert await broker.partition_count("no-such-topic") == 0
    with pytest.raises(ConfigError, match=f"topic {topic} has 2 partitions, wanted 3"):
        await broker.ensure_topics([TopicSpec(topic, 3)])


async def the_log_has_a_name(broker: Broker, topic: str) -> None:
    seen = await broker.look(topic)

    assert seen is not None
    assert seen.partition_count == 2
    assert seen == await broker.look(topic)
    assert broker.log_of(topic) == seen.name
    assert seen.name.startswith(f"{broker.cluster_id}/")
    assert await broker.look("no-such-topic-to-look-at") is None
    assert await broker.partition_count("no-such-topic-to-look-at") == 0


async def a_log_ends_behind_its_newest_record(broker: Broker, topic: str) -> None:
    partition = TopicPartition(topic, 1)
    await send(broker, partition, values("a", "b", "c"))

    assert await broker.end_offset(partition) in (3, UNTOLD_END)
    assert await broker.start_offset(partition) == 0


# Several members, each test in a group and topics of its own.


async def a_commit_outlives_its_member(world: World) -> None:
    topic, partition = "outlives", TopicPartition("outlives", 0)
    async with world.broker("outlives") as first:
        await first.ensure_topics([TopicSpec(topic, 1)])
        await send(first, partition, values("a", "b"))
        await join(first, topic)
        assert await first.committed(partition) is None
        await read(first, partition, 2)
        await first.commit({partition: Commit(1, "half")})

    async with world.broker("outlives") as second:
        await join(second, topic)

        assert await second.committed(partition) == Commit(
            1, "half" if world.keeps_metadata else ""
        )
        assert [record.value for record in await read(second, partition, 1)] == [b"b"]


async def members_share_and_inherit(world: World) -> None:
    """Also: the topics of one partition all go to one member, and a lost one is fenced off."""
    shared, control = "shared", ("control-a", "control-b")
    everything = [TopicPartition(name, 0) for name in control]
    everything += [TopicPartition(shared, number) for number in range(4)]
    async with world.broker("members") as first:
        await first.ensure_topics([TopicSpec(shared, 4), *(TopicSpec(t, 1) for t in control)])
        told_first = await join(first, shared, *control)
        assert told_first.assigned == [everything]
        assert told_first.revoked == []
        assert first.assignment() == frozenset(everything)

        async with world.broker("members") as second:
            told_second = await join_while(first, second, shared, *control)
            assert told_first.revoked == [everything]
            shares = [first.assignment(), second.assignment()]
            assert shares[0] | shares[1] == set(everything)
            assert shares[0].isdisjoint(shares[1])
            owners = [share for share in shares if TopicPartition(control[0], 0) in share]
            assert TopicPartition(control[1], 0) in owners[0]
            assert sorted(shares[1]) == told_second.assigned[-1]
            lost = next(iter(shares[1]))
            with pytest.raises(FencedError):
                await first.commit({lost: Commit(0)})

        await poll_until(first, lambda: first.assignment() == frozenset(everything))
        assert told_first.assigned[-1] == everything


async def join_while(polling: Broker, joining: Broker, *topics: str) -> Callbacks:
    """Join a group in which another member goes on polling, until both have their share."""
    before = polling.assignment()
    async with asyncio.TaskGroup() as tasks:
        joined = tasks.create_task(join(joining, *topics))
        await poll_until(polling, joined.done)
    await poll_until(polling, lambda: bool(polling.assignment()) and polling.assignment() != before)
    return joined.result()


async def poll_until(broker: Broker, is_reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S_MAX
    while not is_reached():
        assert time.monotonic() < deadline
        await broker.poll([], timeout_s=0.02, count_max=1)


async def what_is_committed_while_handing_over_counts(world: World) -> None:
    """The engine finishes its work, and commits it, when partitions are revoked."""
    partition = TopicPartition("handed", 0)
    async with world.broker("handed") as first, world.broker("handed") as second:
        await first.ensure_topics([TopicSpec("handed", 2)])
        told = Callbacks()

        async def commit(partitions: Sequence[TopicPartition]) -> None:
            await first.commit({at: Commit(5) for at in partitions})

        await first.subscribe(["handed"], on_assigned=told.on_assigned, on_revoked=commit)
        await join_while(first, second, "handed")

        assert await second.committed(partition) == Commit(5)
        lost = next(iter(second.assignment()))
        with pytest.raises(FencedError):
            await first.commit({lost: Commit(6)})


async def records_deleted_unread_are_not_skipped_in_silence(world: World) -> None:
    """The engine must get to know, to do what `engine.on_gap` says."""
    if world.trim is None:
        pytest.skip("this broker deletes nothing")
    partition = TopicPartition("trimmed", 0)
    async with world.broker("trimmed") as broker:
        await broker.ensure_topics([TopicSpec("trimmed", 1)])
        await send(broker, partition, values("a", "b", "c"))
        await world.trim(partition, 1)
        await join(broker, "trimmed")
        # Nothing was ever committed: the oldest record that is left is the first one.
        assert [record.offset for record in await read(broker, partition, 2)] == [1, 2]
        assert await broker.start_offset(partition) == 1

        await send(broker, partition, values("d", "e"))
        await world.trim(partition, 4)
        broker.seek(partition, 3)
        with pytest.raises(TransientError, match="OffsetOutOfRange"):
            await read(broker, partition, 1)

        broker.seek(partition, await broker.start_offset(partition))
        assert [record.value for record in await read(broker, partition, 1)] == [b"e"]


async def what_a_callback_raises_is_heard(world: World) -> None:
    async def fail(partitions: Sequence[TopicPartition]) -> None:
        raise AssertionError(f"a bug with {len(partitions)}")

    async with world.broker("failing") as broker:
        await broker.ensure_topics([TopicSpec("failing", 2)])

        with pytest.raises(AssertionError, match="a bug with 2"):
            await broker.subscribe(["failing"], on_assigned=fail, on_revoked=fail)


async def a_tail_sees_the_old_and_the_new(world: World) -> None:
    async with world.broker("tail-writer") as broker:
        await broker.ensure_topics([TopicSpec("tail-a", 1), TopicSpec("tail-b", 1)])
        await send(broker, TopicPartition("tail-a", 0), values("old"))
        async with world.tail(["tail-a", "tail-b"]) as tail:
            assert await read_tail(tail, 1) == [("tail-a", b"old")]

            await send(broker, TopicPartition("tail-b", 0), values("new"))
            assert await read_tail(tail, 1) == [("tail-b", b"new")]

            tail.seek("tail-a", 0)
            assert await read_tail(tail, 1) == [("tail-a", b"old")]
            assert await tail.poll(timeout_s=0.05, count_max=10) == {}

        async with world.tail(["tail-b"]) as another:
            assert await read_tail(another, 1) == [("tail-b", b"new")]


async def a_tail_that_nobody_polls_fetches_nothing(world: World) -> None:
    async with world.broker("unread-writer") as broker:
        await broker.ensure_topics([TopicSpec("unread", 1)])
        await send(broker, TopicPartition("unread", 0), values("a", "b"))
        async with world.tail(["unread"]) as tail:
            async with world.tail(["unread"]) as another:  # which takes longer than a fetch
                assert len(await read_tail(another, 2)) == 2
            assert tail.lag("unread") is None

            tail.seek("unread", 1)
            assert await read_tail(tail, 1) == [("unread", b"b")]
            assert tail.lag("unread") == 0


async def a_tail_knows_where_the_end_is(world: World) -> None:
    """Also of a topic that is empty, and when records were sent many at a time."""
    async with world.broker("end-writer") as broker:
        await broker.ensure_topics([TopicSpec("end", 1)])
        async with world.tail(["end"]) as tail:
            assert tail.lag("end") is None
            await poll_tail_until(tail, lambda: tail.lag("end") == 0)

            await send(broker, TopicPartition("end", 0), values(*"abcdefghij"))
            assert len(await read_tail(tail, 10)) == 10
            assert tail.lag("end") == 0

            tail.seek("end", 4)
            assert tail.lag("end") == 6


async def poll_tail_until(tail: Tail, is_reached: Callable[[], bool]) -> None:
    """Of a tail that has nothing to bring."""
    deadline = time.monotonic() + WAIT_S_MAX
    while not is_reached():
        assert time.monotonic() < deadline
        assert await tail.poll(timeout_s=0.05, count_max=10) == {}


async def read_tail(tail: Tail, count: int) -> list[tuple[str, bytes | None]]:
    found: list[tuple[str, bytes | None]] = []
    deadline = time.monotonic() + WAIT_S_MAX
    while len(found) < count:
        assert time.monotonic() < deadline
        polled = await tail.poll(timeout_s=0.1, count_max=10)
        found += [(topic, record.value) for topic, records in polled.items() for record in records]
    return found


# State stores: `reopen` opens another one on the same data.

Reopen = Callable[[], AbstractAsyncContextManager[StateStore]]


async def claims_grow(reopen: Reopen) -> None:
    async with reopen() as store, reopen() as another:
        fences = [await store.claim(PARTITION), await another.claim(PARTITION)]
        fences += [await store.claim(PARTITION)]

        assert fences == sorted(set(fences))
        assert (await store.claim(TopicPartition("another", 0))).epoch > 0


async def what_was_saved_is_read_by_the_next(reopen: Reopen) -> None:
    binary = bytes(range(256))
    blobs = [Blob("account", "a:1", -1, binary), Blob("account", "é \n", -1, b"")]
    async with reopen() as store:
        assert await store.partition_state(PARTITION) is None
        fence = await store.claim(PARTITION)
        await store.save(PARTITION, fence, blobs, STATE)

    async with reopen() as store:
        assert await store.load_owned("account", ["é \n", "missing", "a:1"], {}) == [
            b"",
            None,
            binary,
        ]
        assert await store.load_owned("card", ["a:1"], {}) == [None]
        assert await store.load_owned("account", [], {}) == []
        assert await store.partition_state(PARTITION) == STATE
        assert await store.partition_state(TopicPartition("anything", 1)) is None


async def shared_entities_keep_a_blob_for_each_part(reopen: Reopen) -> None:
    async with reopen() as store:
        for number in (0, 1):
            partition = TopicPartition("anything", number)
            blob = Blob("terminal", "t", number, b"part %d" % number)
            await store.save(partition, await store.claim(partition), [blob], STATE)
        fence = await store.claim(PARTITION)
        await store.save(PARTITION, fence, [Blob("terminal", "t", 0, b"newer")], STATE)

        found = await store.load_shared("terminal", ["missing", "t"], {})

    assert found == [{}, {0: b"newer", 1: b"part 1"}]


async def a_stale_owner_writes_nothing(reopen: Reopen) -> None:
    blobs = [Blob("account", str(i), -1, b"stale") for i in range(1100)]
    async with reopen() as store:
        stale = await store.claim(PARTITION)
        newest = await store.claim(PARTITION)

        for fence in (stale, newest._replace(epoch=newest.epoch + 1)):
            with pytest.raises(FencedError):
                await store.save(PARTITION, fence, blobs, STATE)

        assert await store.load_owned("account", ["0", "500", "1099"], {}) == [None] * 3
        assert await store.partition_state(PARTITION) is None
        await store.save(PARTITION, newest, [], STATE)
        assert await store.partition_state(PARTITION) == STATE


async def an_owner_is_told_whether_it_still_is_one(reopen: Reopen) -> None:
    another = TopicPartition("another", 0)
    async with reopen() as store:
        fences = {PARTITION: await store.claim(PARTITION), another: await store.claim(another)}
        blobs = [Blob("account", "a", -1, b"a"), Blob("terminal", "t", 0, b"t")]
        await store.save(PARTITION, fences[PARTITION], blobs, STATE)
        assert await store.load_owned("account", ["a", "b"], fences) == [b"a", None]
        assert await store.load_shared("terminal", ["t", "u"], fences) == [{0: b"t"}, {}]

        await store.claim(another)

        one = {PARTITION: fences[PARTITION]}
        assert await store.load_owned("account", ["a"], one) == [b"a"]
        assert await store.load_shared("terminal", ["t"], one) == [{0: b"t"}]
        with pytest.raises(FencedError):
            await store.load_owned("account", ["a"], fences)
        with pytest.raises(FencedError):
            await store.load_shared("terminal", ["t"], fences)


async def many_blobs_are_all_written(reopen: Reopen) -> None:
    blobs = [Blob("account", str(i), -1, str(i).encode()) for i in range(5001)]
    blobs += [Blob("terminal", str(i), 3, str(i).encode()) for i in range(600)]
    async with reopen() as store:
        fence = await store.claim(PARTITION)
        await store.save(PARTITION, fence, blobs, STATE)

        keys = [str(i) for i in range(5001)]
        assert await store.load_owned("account", keys, {}) == [key.encode() for key in keys]
        shared = [{3: key.encode()} for key in keys[:600]]
        assert await store.load_shared("terminal", keys[:600], {PARTITION: fence}) == shared
        assert await store.load_shared("terminal", ["599"], {}) == [{3: b"599"}]
        assert await store.partition_state(PARTITION) == STATE


async def a_save_is_counted_over_all_owners(reopen: Reopen) -> None:
    async with reopen() as store:
        first = await store.claim(PARTITION)
        assert first.saved == 0
        first = await store.save(PARTITION, first, [], STATE)
        first = await store.save(PARTITION, first, [Blob("account", "a", -1, b"a")], STATE)
        second = await store.claim(PARTITION)

    assert (first.saved, second.saved) == (2, 2)
    assert second.epoch > first.epoch


async def a_save_that_nobody_heard_of_is_no_loss(reopen: Reopen) -> None:
    """The answer was lost: the owner goes on from the fence that it knows."""
    async with reopen() as store:
        fence = await store.claim(PARTITION)
        await store.save(PARTITION, fence, [Blob("account", "a", -1, b"1")], STATE)
        await store.save(PARTITION, fence, [Blob("account", "a", -1, b"2")], STATE)

        assert await store.load_owned("account", ["a"], {PARTITION: fence}) == [b"2"]


async def a_store_that_has_forgotten_a_save_is_told_of_it(reopen: Reopen) -> None:
    """As one that came back from an older copy of itself: nothing is loaded, nothing written."""
    async with reopen() as store:
        fence = await store.claim(PARTITION)
        fence = await store.save(PARTITION, fence, [Blob("account", "a", -1, b"a")], STATE)
        ahead = fence._replace(saved=fence.saved + 1)

        with pytest.raises(StateLostError):
            await store.load_owned("account", ["a"], {PARTITION: ahead})
        with pytest.raises(StateLostError):
            await store.load_shared("terminal", ["t"], {PARTITION: ahead})
        with pytest.raises(StateLostError):
            await store.save(PARTITION, ahead, [Blob("account", "a", -1, b"b")], STATE)

        assert await store.load_owned("account", ["a"], {PARTITION: fence}) == [b"a"]


async def labels_are_known_to_be_in_the_blobs_that_they_were_saved_with(reopen: Reopen) -> None:
    """By kind of entity and by log, however far apart."""
    far = 3 << 17
    blobs = [
        Blob("account", "a", -1, b"a", (0, 7, far + 5)),
        Blob("account", "b", -1, b"b", (8,)),
        Blob("account", "c", -1, b"c"),
        Blob("terminal", "t", 0, b"t", (7,)),
    ]
    async with reopen() as store:
        fence = await store.claim(PARTITION)
        assert list(await store.applied_labels("account", STATE.labels_log, [0, 7])) == [False] * 2
        fence = await store.save(PARTITION, fence, blobs, STATE)
        await store.save(PARTITION, fence, [Blob("account", "a", -1, b"a", (9,))], STATE)

        asked = [0, 1, 7, 8, 9, 10, far + 4, far + 5]
        account = await store.applied_labels("account", STATE.labels_log, asked)
        terminal = await store.applied_labels("terminal", STATE.labels_log, asked)
        other = await store.applied_labels("account", "another", asked)

    assert list(account) == [True, False, True, True, True, False, False, True]
    assert list(terminal) == [False, False, True, False, False, False, False, False]
    assert list(other) == [False] * len(asked)


async def many_labels_are_all_noted(reopen: Reopen) -> None:
    blobs = [Blob("account", str(i), -1, b"x", (i, i + 5000)) for i in range(1500)]
    async with reopen() as store:
        fence = await store.claim(PARTITION)
        await store.save(PARTITION, fence, blobs, STATE)

        found = await store.applied_labels("account", STATE.labels_log, range(7000))

    assert [i for i, is_in in enumerate(found) if is_in] == [*range(1500), *range(5000, 6500)]


async def whose_the_store_is_changes_only_by_who_knows_it(reopen: Reopen) -> None:
    async with reopen() as store:
        assert await store.owner() is None
        with pytest.raises(FencedError):
            await store.note_owner(b"another's", b"mine")
        await store.note_owner(None, b"mine")
        with pytest.raises(FencedError):
            await store.note_owner(None, b"mine too")
        await store.note_owner(b"mine", b"")
        assert await store.owner() == b""
        await store.note_owner(b"", b"mine")

    async with reopen() as store:
        assert await store.owner() == b"mine"


async def what_the_state_began_with_changes_only_by_who_knows_it(reopen: Reopen) -> None:
    async with reopen() as store:
        assert await store.history() is None
        with pytest.raises(FencedError):
            await store.note_history(b"another", b"this")
        await store.note_history(None, b"this")
        with pytest.raises(FencedError):
            await store.note_history(None, b"another")
        await store.note_history(b"this", b"that")

    async with reopen() as store:
        assert await store.history() == b"that"
        assert await store.owner() is None


async def what_is_cleared_is_as_if_it_had_never_been_and_owners_stay(reopen: Reopen) -> None:
    blobs = [Blob("account", "a", -1, b"a", (7,)), Blob("terminal", "t", 0, b"t", (7,))]
    async with reopen() as store:
        await store.note_owner(None, b"mine")
        await store.note_history(None, b"this")
        fence = await store.save(PARTITION, await store.claim(PARTITION), blobs, STATE)

        assert await store.clear() >= 4
        assert await store.clear() == 0

        assert await store.load_owned("account", ["a"], {PARTITION: fence}) == [None]
        assert await store.load_shared("terminal", ["t"], {PARTITION: fence}) == [{}]
        assert await store.partition_state(PARTITION) is None
        assert list(await store.applied_labels("account", STATE.labels_log, [7])) == [False]
        assert await store.history() is None
        assert await store.owner() == b"mine"
        await store.save(PARTITION, fence, blobs, STATE)


async def a_store_tells_how_it_is(reopen: Reopen) -> None:
    async with reopen() as store:
        facts = await store.facts()

    assert facts is not None
    assert facts.evicted_count == 0
    assert facts.may_evict == ""


# Label stores: `reopen` opens another one on the same data.

ReopenCases = Callable[[], AbstractAsyncContextManager[CaseStore]]

VOTE = Vote("investigator/ann", "fraud", 0, 0.5, 1_000, 7, notes="é \n", counted=0.25)
CASE = Case("t:1", 900, {"account": "a", "terminal": None}, (VOTE,), 0.97, "fraud", "fraud")
ANN = Annotator("investigator/ann", 1.5, 0.5, 2.0, 0.0, 3, 2, 1, 0, 500, 1_000)
FIRST = FeedbackProgress("log", 8, {"review é": [0.25, 1e-3]}, 0.01)


async def casework_outlives_its_store(reopen: ReopenCases) -> None:
    bob = Annotator("customer/é \n", last_ms=2_000)
    work = CaseBatch(FIRST, {"t:1": CASE}, {ANN.name: ANN, bob.name: bob})
    async with reopen() as store:
        assert await store.progress() is None
        await store.save(None, work)

    async with reopen() as store:
        assert await store.progress() == FIRST
        assert await store.cases(["t:2", "t:1"]) == {"t:1": CASE}
        assert await store.annotators(["nobody", ANN.name]) == {ANN.name: ANN}
        assert await store.latest_annotators() == [bob, ANN]


async def what_is_saved_last_counts(reopen: ReopenCases) -> None:
    second = replace(FIRST, next_offset=9)
    later = replace(CASE, label="genuine", posterior=0.01)
    async with reopen() as store, reopen() as others:
        await store.save(None, CaseBatch(FIRST, {"t:1": CASE}))
        await others.save(FIRST, CaseBatch(second, {"t:1": later}))

        assert await store.cases(["t:1", "t:1"]) == {"t:1": later}
        assert await store.progress() == second


async def only_who_knows_what_was_saved_last_may_save(reopen: ReopenCases) -> None:
    """Nothing of a refused save is there afterwards."""
    async with reopen() as store:
        await store.save(None, CaseBatch(FIRST))
        for before in (None, replace(FIRST, next_offset=7), replace(FIRST, log="other")):
            with pytest.raises(FencedError):
                await store.save(before, CaseBatch(FIRST, {"t:1": CASE}, {ANN.name: ANN}))

        assert await store.progress() == FIRST
        assert await store.cases(["t:1"]) == {}
        assert await store.annotators([ANN.name]) == {}
        assert await store.latest_annotators() == []


async def no_case_asked_for_and_none_saved_is_fine(reopen: ReopenCases) -> None:
    async with reopen() as store:
        await store.save(None, CaseBatch(FIRST))

        assert await store.cases([]) == {}
        assert await store.annotators([]) == {}


def a_case(name: str, status: str, *times_ms: int) -> Case:
    votes = (Vote(f"customer/{at}", "fraud", 0, 1.0, ms, at) for at, ms in enumerate(times_ms))
    return Case(name, 900, {"account": "a"}, tuple(votes), 0.5, None, status)


async def unsettled_cases_are_listed_by_their_newest_vote(reopen: ReopenCases) -> None:
    cases = [
        a_case("old", "open", 1_000),
        a_case("late", "contested", 9_000, 2_000),  # the newest, not the last
        a_case("same b", "open", 5_000),
        a_case("same a", "open", 5_000),
        a_case("done", "fraud", 9_500),
        a_case("clear", "genuine", 9_500),
    ]
    async with reopen() as store:
        assert await store.unsettled(10) == []
        await store.save(None, CaseBatch(FIRST, {case.transaction_id: case for case in cases}))

        found = await store.unsettled(10)
        assert [case.transaction_id for case in found] == ["late", "same b", "same a", "old"]
        assert found[0] == cases[1]
        assert await store.unsettled(2) == found[:2]

        settled, again = a_case("late", "genuine", 9_600), a_case("done", "open", 9_700)
        work = CaseBatch(
            FIRST, {"late": settled, "done": again, "old": a_case("old", "open", 6_000)}
        )
        await store.save(FIRST, work)
    async with reopen() as store:
        names = [case.transaction_id for case in await store.unsettled(10)]
        assert names == ["done", "old", "same b", "same a"]
        everything = [case.transaction_id for case in await store.recent(10)]
        assert everything == ["done", "late", "clear", *names[1:]]
        assert [case.transaction_id for case in await store.recent(2)] == everything[:2]


async def a_refused_save_lists_nothing(reopen: ReopenCases) -> None:
    async with reopen() as store:
        await store.save(None, CaseBatch(FIRST))
        with pytest.raises(FencedError):
            await store.save(None, CaseBatch(FIRST, {"x": a_case("x", "open", 1_000)}))

        assert await store.unsettled(10) == []


async def of_unsettled_cases_the_oldest_are_forgotten_first(reopen: ReopenCases) -> None:
    def case(number: int) -> Case:
        return a_case(f"{number:05d}", "open", 1_000 + number)

    first = {f"{n:05d}": case(n) for n in range(5, UNSETTLED_COUNT_MAX + 5)}
    more = {f"{n:05d}": case(n) for n in (0, UNSETTLED_COUNT_MAX + 5)}
    async with reopen() as store:
        await store.save(None, CaseBatch(FIRST, first))
        await store.save(FIRST, CaseBatch(FIRST, more))

        found = [case.transaction_id for case in await store.unsettled(UNSETTLED_COUNT_MAX + 9)]
        assert found == sorted({*first, *more} - {"00000", "00005"}, reverse=True)


MEMBER_CONTRACTS = (
    records_come_back_in_order_with_all_their_parts,
    blocks_are_published_and_read,
    more_than_a_batch_keeps_its_order,
    a_record_of_five_megabytes_passes_between_small_ones,
    only_the_partitions_asked_for_are_read,
    a_poll_for_nothing_waits_and_brings_nothing,
    a_poll_brings_no_more_than_asked,
    a_seek_back_reads_again,
    a_seek_elsewhere_is_refused,
    a_commit_elsewhere_is_refused,
    lag_falls_to_nothing,
    topics_are_checked,
    the_log_has_a_name,
    a_log_ends_behind_its_newest_record,
)
GROUP_CONTRACTS = (
    a_commit_outlives_its_member,
    members_share_and_inherit,
    what_is_committed_while_handing_over_counts,
    records_deleted_unread_are_not_skipped_in_silence,
    what_a_callback_raises_is_heard,
    a_tail_sees_the_old_and_the_new,
    a_tail_that_nobody_polls_fetches_nothing,
    a_tail_knows_where_the_end_is,
)
STORE_CONTRACTS = (
    claims_grow,
    what_was_saved_is_read_by_the_next,
    shared_entities_keep_a_blob_for_each_part,
    a_stale_owner_writes_nothing,
    an_owner_is_told_whether_it_still_is_one,
    many_blobs_are_all_written,
    a_save_is_counted_over_all_owners,
    a_save_that_nobody_heard_of_is_no_loss,
    a_store_that_has_forgotten_a_save_is_told_of_it,
    labels_are_known_to_be_in_the_blobs_that_they_were_saved_with,
    many_labels_are_all_noted,
    whose_the_store_is_changes_only_by_who_knows_it,
    what_the_state_began_with_changes_only_by_who_knows_it,
    what_is_cleared_is_as_if_it_had_never_been_and_owners_stay,
    a_store_tells_how_it_is,
)
CASE_CONTRACTS = (
    casework_outlives_its_store,
    what_is_saved_last_counts,
    only_who_knows_what_was_saved_last_may_save,
    no_case_asked_for_and_none_saved_is_fine,
    unsettled_cases_are_listed_by_their_newest_vote,
    a_refused_save_lists_nothing,
    of_unsettled_cases_the_oldest_are_forgotten_first,
)
