"""One consumer's fetches as blocks of records, where aiokafka would make an object of each.

aiokafka's fetcher names the classes that unpack a fetch as globals of its module. Two of its
methods are bound anew, for one fetcher, with globals in which these names mean the classes below;
every other consumer of the process keeps aiokafka's own.
"""

from dataclasses import replace
from types import FunctionType, MethodType
from typing import Any

from aiokafka.consumer import fetcher as library
from aiokafka.record.control_record import ABORT_MARKER, ControlRecord

from sentinel.adapters.kafka.client import readable_end
from sentinel.adapters.kafka.internals import (
    PROCESS_FETCH,
    fetch_wait_ms,
    has_unread,
    reads_committed,
    set_fetch_wait_ms,
)
from sentinel.adapters.kafka.records.record_batches import (
    BatchHead,
    LegacyFormatError,
    Unpacked,
    first_key,
    unpacked,
)
from sentinel.record_blocks import RecordBlock

WAIT_MS_MAX = 500  # of a fetch: what Kafka's own clients ask for


def read_blocks(fetcher: Any) -> None:
    """Make this fetcher's `fetched_records` give a `RecordBlock` for each partition."""
    for name, places in PLACES.items():
        method = getattr(library.Fetcher, name)
        code = method.__code__
        assert places.keys() <= set(code.co_names), f"another aiokafka: {name}"
        assert not code.co_freevars, f"another aiokafka: {name}"
        own = FunctionType(code, {**vars(library), **places}, name, method.__defaults__)
        setattr(fetcher, name, MethodType(own, fetcher))


def wait_as_needed(fetcher: Any) -> None:
    """Let this fetcher's requests wait for longer while they do not bring what is there.

    Tansu looks through every batch of a partition at each fetch, a microsecond for each, and brings
    nothing when the wait is over before: a long log would not be read any further. Call it last:
    it wraps what is there.
    """
    process = getattr(fetcher, PROCESS_FETCH)
    least_ms = fetch_wait_ms(fetcher)
    is_committed = reads_committed(fetcher)

    async def process_and_learn(assignment: Any, node_id: int, request: Any) -> Any:
        asked = {
            library.TopicPartition(topic, partition): offset
            for topic, partitions in request.topics
            for partition, offset, _ in partitions
        }
        result = await process(assignment, node_id, request)
        if assignment.active:
            starved = any(
                not has_unread(fetcher, partition)
                and (_end_of(assignment, partition, is_committed) or 0) > offset
                and assignment.state_value(partition).has_valid_position
                and assignment.state_value(partition).position == offset
                for partition, offset in asked.items()
            )
            wait_ms = fetch_wait_ms(fetcher) * (2.0 if starved else 0.9)
            set_fetch_wait_ms(fetcher, int(min(max(wait_ms, least_ms), WAIT_MS_MAX)))
        return result

    setattr(fetcher, PROCESS_FETCH, process_and_learn)


def _end_of(assignment: Any, partition: Any, is_committed: bool) -> int | None:
    return readable_end(assignment.state_value(partition), is_committed=is_committed)


class FetchedBytes:
    """The bytes of one partition; stands where aiokafka expects `MemoryRecords`."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self._records = library.MemoryRecords(raw)

    def has_next(self) -> bool:
        return bool(self._records.has_next())

    def size_in_bytes(self) -> int:
        return len(self.raw)


class PartitionBlocks:
    """The records of one fetch of one partition; stands where aiokafka expects `PartitionRecords`.

    They are unpacked when they are first asked for: by then the partition may have been lost.
    """

    def __init__(
        self,
        partition: object,
        fetched: FetchedBytes,
        aborted: list[tuple[int, int]] | None,
        fetch_offset: int,
        *rest: object,  # deserializers, whether to check CRCs, the isolation level
    ) -> None:
        *_, check_crcs, isolation_level = rest
        assert check_crcs
        self._partition = partition
        self._raw = fetched.raw
        self._aborted = aborted
        self._rest = rest
        self._hides = _Aborted(aborted if isolation_level == library.READ_COMMITTED else None)
        self._unpacked: Unpacked | None = None
        self._taken_count = 0
        self.next_fetch_offset = fetch_offset
        self.is_drained = False

    def take(self, count_max: int | None) -> RecordBlock:
        """The next records; what is wrong with those behind them is raised by the next call."""
        if self._unpacked is None:
            self.is_drained = True  # also if this raises: the records will be fetched again
            self._unpacked = self._unpack()
            self.is_drained = False
        block = self._unpacked.block[self._taken_count :][:count_max]
        self._taken_count += len(block)
        if self._taken_count < len(self._unpacked.block):
            self.next_fetch_offset = int(block.offset[-1]) + 1
            return block
        self.next_fetch_offset = self._unpacked.next_offset
        failure = self._unpacked.failure
        self.is_drained = failure is None or not len(block)
        if failure is not None and self.is_drained:
            raise failure
        return block

    def _unpack(self) -> Unpacked:
        try:
            return unpacked(self._raw, self.next_fetch_offset, self._hides)
        except LegacyFormatError:
            records = library.PartitionRecords(
                self._partition,
                library.MemoryRecords(self._raw),
                self._aborted,
                self.next_fetch_offset,
                *self._rest,
            )
            # Magic 0 had no timestamps; version 2 writes -1 where there is none.
            block = RecordBlock.of(
                [r if r.timestamp is not None else replace(r, timestamp=-1) for r in records]
            )
            return Unpacked(block, records.next_fetch_offset, None)


class BlockResult(library.FetchResult):  # type: ignore[misc]  # aiokafka is untyped
    """`FetchResult` that gives a block, whose length keeps the fetcher's count of records right."""

    _partition_records: PartitionBlocks | None

    def getall(self, max_records: int | None = None) -> RecordBlock | tuple[()]:
        records = self._partition_records
        if records is None or not self.check_assignment(self._topic_partition):
            return ()
        block: RecordBlock | tuple[()] = () if records.is_drained else records.take(max_records)
        self._update_position()
        if records.is_drained:
            self._partition_records = None
        return block


class _Aborted:
    """Tells which batches belong to an aborted transaction, when asked of each in order."""

    def __init__(self, aborted: list[tuple[int, int]] | None) -> None:
        self._coming = sorted(aborted or [], key=lambda of: of[1], reverse=True)
        self._producers: set[int] = set()

    def __call__(self, head: BatchHead, packed: memoryview) -> bool:
        while self._coming and self._coming[-1][1] <= head.base_offset:
            self._producers.add(self._coming.pop()[0])
        if head.producer_id not in self._producers:
            return False
        if head.is_control and ControlRecord.parse(first_key(packed)) == ABORT_MARKER:
            self._producers.remove(head.producer_id)
            return False  # it is no one's transaction any more; control batches are skipped anyway
        return head.is_transactional


PLACES: dict[str, dict[str, type]] = {
    PROCESS_FETCH: {
        "FetchResult": BlockResult,
        "MemoryRecords": FetchedBytes,
        "PartitionRecords": PartitionBlocks,
    },
    "fetched_records": {"FetchResult": BlockResult},
}
