"""Sends the workload at a steady pace, through outages of the broker as through calm."""

import asyncio
import time
from collections.abc import Sequence

from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition as ClientPartition

from sentinel.config import Config
from sentinel.errors import TransientError
from sentinel.operations.data.sender import Sender
from tests.faults.workload import Chunk, Workload

FLUSH_CHUNKS = 4


class Stream:
    """What is not acknowledged is sent again, so that a record may be in the log twice: under two
    offsets it is two transactions, to the instances as to the oracle.
    """

    def __init__(self, config: Config, workload: Workload, rate: float) -> None:
        self._config = config
        self._workload = workload
        self._rate = rate
        self._stopping = asyncio.Event()
        self.acknowledged = 0
        self.next_chunk = 0
        self.poison_count = 0

    async def preload(self, chunk_count: int) -> None:
        async with Sender(self._config) as sender:
            for _ in range(0, chunk_count, FLUSH_CHUNKS):
                await self._send_some(sender)

    def stop(self) -> None:
        self._stopping.set()

    async def run(self) -> None:
        while not self._stopping.is_set():
            try:
                async with Sender(self._config) as sender:
                    await self._paced(sender)
            except TransientError:
                await asyncio.sleep(0.5)

    async def _paced(self, sender: Sender) -> None:
        due_s = time.monotonic()
        while not self._stopping.is_set():
            await self._send_some(sender)
            due_s += FLUSH_CHUNKS * self._workload.chunk_size / self._rate
            await asyncio.sleep(max(due_s - time.monotonic(), 0.0))

    async def _send_some(self, sender: Sender) -> None:
        chunks = [self._workload.chunk(self.next_chunk + i) for i in range(FLUSH_CHUNKS)]
        for chunk in chunks:
            await send(sender, chunk)
        await sender.flush()
        self.next_chunk += FLUSH_CHUNKS
        self.acknowledged += sum(len(chunk.values) for chunk in chunks)
        self.poison_count += sum(chunk.poison_count for chunk in chunks)

    async def trailers(self, accounts: list[str], round_number: int) -> None:
        """One more record for each of these accounts, later than all before."""
        chunk = self._workload.trailers(accounts, round_number, self.next_chunk)
        async with Sender(self._config) as sender:
            await send(sender, chunk)
            await sender.flush()
        self.acknowledged += len(accounts)


async def send(sender: Sender, chunk: Chunk) -> None:
    await sender.transactions(chunk.accounts, chunk.values)
    await sender.feedback(chunk.voices)


async def ends_of(servers: str, topic: str, known: Sequence[int]) -> dict[int, int]:
    """Where each partition of a topic ends; `known` are offsets that are not behind that end.

    By what a fetch says: the embedded broker's own answer to the question is wrong.
    """
    consumer = AIOKafkaConsumer(
        bootstrap_servers=servers, auto_offset_reset="earliest", fetch_max_wait_ms=20
    )
    await consumer.start()
    try:
        partitions = [ClientPartition(topic, number) for number in range(len(known))]
        consumer.assign(partitions)
        for at, offset in zip(partitions, known, strict=True):
            consumer.seek(at, offset)
        async with asyncio.timeout(120.0):
            while any(consumer.highwater(at) is None for at in partitions):
                await consumer.getmany(timeout_ms=50)
        return {at.partition: int(consumer.highwater(at)) for at in partitions}
    finally:
        await consumer.stop()
