"""Records out: whole batches to the producer, and every delivery checked at flush."""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

from aiokafka import AIOKafkaProducer

from sentinel.adapters.kafka.client import (
    KafkaParams,
    connection_settings,
    milliseconds,
    translated,
)
from sentinel.adapters.kafka.internals import fail_all, stop_sending, wait_for_no_metadata
from sentinel.adapters.kafka.records.batch_writer import written_batches
from sentinel.codec.origins import origin
from sentinel.errors import RefusedError, TransientError
from sentinel.record_blocks import OutputBlock
from sentinel.records import OutputRecord

Delivery = asyncio.Future[Any]


class Load(NamedTuple):
    """What a batch holds, for whoever must hear that it was lost."""

    place: str  # topic and partition
    record_count: int
    first: OutputRecord

    def __str__(self) -> str:
        of = origin(self.first)
        return f"{self.record_count:,} records to {self.place}" + (
            f", the first of {of}" if of else ""
        )


class Sent(NamedTuple):
    """A batch on its way."""

    delivery: Delivery
    load: Load


class Producer:
    """aiokafka's producer, used batch by batch.

    Its `send` costs 15-25 µs a record, its batches 1-2, those of an `OutputBlock` 0.1.
    """

    def __init__(self, params: KafkaParams, *, transactional_id: str | None = None) -> None:
        self._params = params
        self._producer = _create(params, transactional_id)
        self._is_transactional = transactional_id is not None
        self._is_started = False
        self._pending: deque[Sent] = deque()  # in order of publishing
        self._failure: TransientError | None = None  # why nothing more can be published
        self._taking: set[str] = set()  # places that have taken something

    async def start(self) -> None:
        with translated("start the producer"):
            async with asyncio.timeout(self._params.request_timeout_s):
                await self._producer.start()
        self._is_started = True

    async def publish(self, topic: str, partition: int, records: Sequence[OutputRecord]) -> None:
        self._raise_failure()
        if isinstance(records, OutputBlock):
            await self._publish_block(topic, partition, records)
            return
        if not records:
            return
        batch, first = self._producer.create_batch(), records[0]
        for record in records:
            if not _append(batch, record):
                await self._send(batch, topic, partition, first)
                batch, first = self._producer.create_batch(), record
                # An empty batch takes a record of any size.
                is_appended = _append(batch, record)
                assert is_appended
        await self._send(batch, topic, partition, first)

    async def _publish_block(self, topic: str, partition: int, records: OutputBlock) -> None:
        batches = written_batches(
            records,
            now_ms=int(time.time() * 1000),
            bytes_max=self._params.batch_bytes_max,
            compression=self._params.compression,
            is_transactional=self._is_transactional,
        )
        begin = 0
        for batch in batches:
            await self._send(batch, topic, partition, records[begin])
            begin += batch.record_count()

    async def _send(self, batch: Any, topic: str, partition: int, first: OutputRecord) -> None:
        await self._make_room()
        load = Load(f"{topic}-{partition}", batch.record_count(), first)
        try:
            with translated(f"publish {load}"):
                async with asyncio.timeout(self._params.request_timeout_s):
                    delivery = await self._producer.send_batch(batch, topic, partition=partition)
        except TransientError as error:
            self._failure = error
            raise
        self._pending.append(Sent(delivery, load))

    async def _make_room(self) -> None:
        """Wait for the oldest delivery when too many are on their way."""
        if len(self._pending) >= self._params.pending_batch_count_max:
            await self._settle([self._pending[0]])

    async def flush(self) -> None:
        """Wait for all that was published before; others may go on publishing and flushing."""
        await self._settle(list(self._pending))

    async def _settle(self, sent: list[Sent]) -> None:
        if sent:
            deliveries = [one.delivery for one in sent]
            await asyncio.wait(deliveries, timeout=self._params.request_timeout_s)
        self._taking |= {one.load.place for one in sent if _is_delivered(one.delivery)}
        failed = [one for one in sent if not _is_delivered(one.delivery)]
        if failed:
            first = failed[0]
            kind = TransientError if first.load.place in self._taking else RefusedError
            self._failure = kind(
                f"{len(failed)} of {len(sent)} batches were not delivered, the first, "
                f"{first.load}, because of {_reason(first.delivery)}"
            )
        # One that failed stays: it may not be among these, and whoever flushes must hear of it.
        while self._pending and _is_delivered(self._pending[0].delivery):
            self._pending.popleft()
        self._raise_failure()

    def _raise_failure(self) -> None:
        """A failed producer stays failed: batches behind the lost one may arrive or not.

        An idempotent one could not go on in any case. Whoever replays opens a new one.
        """
        if self._failure is not None:
            raise type(self._failure)(str(self._failure)) from self._failure.__cause__

    async def close(self) -> None:
        """Stop at once: what was not flushed may or may not arrive.

        aiokafka's own `stop` waits for every queued batch, an idempotent one for ever when the
        cluster is away; so its parts are stopped in the order that leaves nothing to wait for.
        """
        self._is_started = False
        producer = self._producer
        await producer.client.close()
        wait_for_no_metadata(producer.client)
        await stop_sending(producer)
        fail_all(producer)
        await producer.stop()
        if self._pending:
            await asyncio.wait([one.delivery for one in self._pending])
            for one in self._pending:
                _is_delivered(one.delivery)  # or asyncio complains of an exception nobody saw
            self._pending.clear()


def _create(params: KafkaParams, transactional_id: str | None) -> Any:
    return AIOKafkaProducer(
        **connection_settings(params),
        transactional_id=transactional_id,
        transaction_timeout_ms=milliseconds(params.transaction_timeout_s),
        acks="all",
        enable_idempotence=params.idempotence or transactional_id is not None,
        compression_type=None if params.compression == "none" else params.compression,
        linger_ms=0,  # whole batches come in; there is nothing to wait for
        max_batch_size=params.batch_bytes_max,
        max_request_size=params.record_bytes_max,
    )


def _append(batch: Any, record: OutputRecord) -> bool:
    # The builder is compiled: it takes a list of plain tuples and nothing that merely looks so.
    headers = [(name, value) for name, value in record.headers]
    metadata = batch.append(timestamp=None, key=record.key, value=record.value, headers=headers)
    return metadata is not None


def _is_delivered(delivery: Delivery) -> bool:
    return delivery.done() and not delivery.cancelled() and delivery.exception() is None


def _reason(delivery: Delivery) -> str:
    if not delivery.done():
        return "no answer in time"
    return "a cancellation" if delivery.cancelled() else repr(delivery.exception())
