"""How blocks come out of aiokafka's fetcher, without a broker."""

from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.consumer import fetcher as library
from aiokafka.consumer.subscription_state import Assignment
from aiokafka.errors import CorruptRecordException
from aiokafka.structs import TopicPartition as ClientPartition

from sentinel.adapters.kafka.fetching import (
    PLACES,
    BlockResult,
    FetchedBytes,
    PartitionBlocks,
    read_blocks,
    wait_as_needed,
)
from sentinel.adapters.kafka.records.batch_writer import written_batches
from sentinel.record_blocks import OutputBlock
from sentinel.texts import Texts

PARTITION = ClientPartition("t", 0)


def test_aiokafka_still_names_what_we_replace() -> None:
    """If this fails, read how the new version hands fetched bytes on: `fetching` relies on it."""
    fetcher = SimpleNamespace()

    read_blocks(fetcher)

    for name, places in PLACES.items():
        method = getattr(fetcher, name)
        assert method.__self__ is fetcher
        assert {at: method.__globals__[at] for at in places} == places
        theirs = getattr(library.Fetcher, name)
        assert method.__defaults__ == theirs.__defaults__
        assert theirs.__globals__["FetchResult"] is library.FetchResult


def a_fetch(count: int) -> bytes:
    block = OutputBlock(Texts.of([None] * count), Texts.of(map(str, range(count))))
    [batch] = written_batches(block, now_ms=1, bytes_max=1 << 20, compression="none")
    return bytes(batch._build())


def result_of(raw: bytes, assignment: Assignment) -> BlockResult:
    blocks = PartitionBlocks(PARTITION, FetchedBytes(raw), None, 0, None, None, True, 0)
    return BlockResult(PARTITION, assignment=assignment, partition_records=blocks, backoff=0)


def an_assignment() -> tuple[Assignment, Any]:
    assignment = Assignment([PARTITION])
    state = assignment.state_value(PARTITION)
    state.reset_to(0)
    return assignment, state


async def test_the_position_follows_what_was_handed_out() -> None:
    assignment, state = an_assignment()
    result = result_of(a_fetch(5), assignment)

    seen = []
    while result.has_more():
        block = result.getall(2)
        seen.append((len(block), state.position))

    assert seen == [(2, 2), (2, 4), (1, 5)]


async def test_a_fetch_is_dropped_with_its_last_record_so_that_the_next_one_is_asked_for() -> None:
    assignment, _ = an_assignment()
    result = result_of(a_fetch(4), assignment)

    assert len(result.getall(4)) == 4
    assert not result.has_more()


async def test_after_a_seek_what_was_fetched_elsewhere_is_dropped() -> None:
    assignment, state = an_assignment()
    result = result_of(a_fetch(5), assignment)
    result.getall(2)

    state.seek(1)

    assert len(result.getall(2)) == 0
    assert not result.has_more()
    assert state.position == 1


async def test_a_partition_that_was_given_up_brings_nothing() -> None:
    assignment, _ = an_assignment()
    result = result_of(a_fetch(5), assignment)

    assignment._unassign()

    assert len(result.getall(2)) == 0
    assert not result.has_more()


async def test_corrupt_bytes_are_complained_of_and_then_fetched_again() -> None:
    assignment, state = an_assignment()
    raw = bytearray(a_fetch(5))
    raw[-1] ^= 1
    result = result_of(bytes(raw), assignment)

    with pytest.raises(CorruptRecordException):
        result.getall(2)

    assert len(result.getall(2)) == 0
    assert not result.has_more()
    assert state.position == 0


async def waits_of(brings: list[bool], *, least_ms: int = 10) -> list[int]:
    """How long requests may wait, after each of these that brought something or did not."""
    assignment, state = an_assignment()
    state.highwater = 100  # there is something to bring
    fetcher = SimpleNamespace(
        _fetch_max_wait_ms=least_ms, _records={}, _isolation_level=library.READ_COMMITTED
    )
    answers = iter(brings)

    async def process(*_: object) -> bool:
        fetcher._records = {PARTITION: object()} if next(answers) else {}
        return True

    fetcher._proc_fetch_request = process
    wait_as_needed(fetcher)
    request = SimpleNamespace(topics=[("t", [(0, 0, 1 << 20)])])
    found = []
    for _ in brings:
        await fetcher._proc_fetch_request(assignment, 0, request)
        found.append(fetcher._fetch_max_wait_ms)
    return found


async def test_a_fetch_that_brings_nothing_of_what_is_there_may_wait_for_longer() -> None:
    assert await waits_of([False] * 8) == [20, 40, 80, 160, 320, 500, 500, 500]


async def test_the_wait_shrinks_again_down_to_what_was_asked_for() -> None:
    found = await waits_of([False, False, *[True] * 30])

    assert found[1:4] == [40, 36, 32]
    assert found[-1] == 10


@pytest.mark.parametrize(
    ("isolation", "highwater", "stable", "wait_ms"),
    [
        (library.READ_UNCOMMITTED, 0, None, 10),
        (library.READ_COMMITTED, 0, 0, 10),
        (library.READ_COMMITTED, 100, 0, 10),  # behind a transaction that is open
        (library.READ_COMMITTED, 100, 100, 20),
        (library.READ_COMMITTED, 100, -1, 20),  # of a broker that knows no transactions
        (library.READ_COMMITTED, 100, None, 20),
        (library.READ_UNCOMMITTED, 100, 0, 20),
    ],
)
async def test_at_the_end_of_what_can_be_read_nothing_need_be_brought(
    isolation: int, highwater: int, stable: int | None, wait_ms: int
) -> None:
    assignment, state = an_assignment()
    state.highwater, state.lso = highwater, stable
    fetcher = SimpleNamespace(_fetch_max_wait_ms=10, _records={}, _isolation_level=isolation)

    async def process(*_: object) -> bool:
        return False

    fetcher._proc_fetch_request = process
    wait_as_needed(fetcher)
    await fetcher._proc_fetch_request(
        assignment, 0, SimpleNamespace(topics=[("t", [(0, 0, 1 << 20)])])
    )

    assert fetcher._fetch_max_wait_ms == wait_ms
