"""Exactly-once output: what comes of an input partition, and its offset, in one transaction."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from aiokafka.errors import IncompatibleBrokerVersion, UnknownError, UnsupportedVersionError
from aiokafka.structs import OffsetAndMetadata
from aiokafka.structs import TopicPartition as ClientPartition

from sentinel.adapters.kafka.client import FENCING_ERRORS, KafkaParams, translated
from sentinel.adapters.kafka.internals import sending_of, transaction_of
from sentinel.adapters.kafka.producer import Producer
from sentinel.errors import ConfigError, FencedError, TransientError
from sentinel.records import Commit, OutputRecord, TopicPartition

# Who does not know transactions answers so to InitProducerId; Tansu says that it does not know why.
REFUSALS = (IncompatibleBrokerVersion, UnknownError, UnsupportedVersionError)


class TransactionalProducer(Producer):
    """The one producer of an input partition; a newer one, of whatever instance, fences it.

    A transaction begins with the first record or commit, and ends with the commit. What was not
    committed is dropped by the broker when the next producer of the partition starts, or after
    `transaction_timeout_s`.
    """

    def __init__(self, params: KafkaParams, source: TopicPartition) -> None:
        self._source = source
        name = f"{params.group_id}-{source.topic}-{source.partition}"
        super().__init__(params, transactional_id=name)

    async def publish(self, topic: str, partition: int, records: Sequence[OutputRecord]) -> None:
        with self._fenced():
            await self._begin()
            await super().publish(topic, partition, records)

    async def flush(self) -> None:
        with self._fenced():
            await super().flush()

    async def commit(self, commit: Commit) -> None:
        """Commit the partition's offset, and with it all that was published since the last time."""
        offsets = {
            ClientPartition(*self._source): OffsetAndMetadata(commit.offset, commit.metadata)
        }
        with self._fenced():
            await self._begin()
            await super().flush()  # a batch that was lost fails its delivery, not the transaction
            with translated(f"commit the transaction of {self._source}"):
                # The client retries by itself, without end.
                async with asyncio.timeout(self._params.request_timeout_s):
                    group_id = self._params.group_id
                    await self._producer.send_offsets_to_transaction(offsets, group_id)
                    await self._producer.commit_transaction()

    async def _begin(self) -> None:
        if not transaction_of(self._producer).is_in_transaction():
            self._raise_failure()
            with translated(f"begin a transaction of {self._source}"):
                await self._producer.begin_transaction()

    @contextmanager
    def _fenced(self) -> Iterator[None]:
        """Tell a failure that says "there is a newer one" from any other."""
        try:
            yield
        except FencedError:
            raise
        except TransientError as error:
            if isinstance(self._end(), FENCING_ERRORS):
                raise FencedError(f"{self._source} has a newer producer: {error}") from error
            raise

    def _end(self) -> BaseException | None:
        """What has ended the client's task for good, the transaction, or a delivery."""
        sending, ending = sending_of(self._producer), transaction_of(self._producer)
        deliveries = [sent.delivery for sent in self._pending]
        for waited in (sending, ending.wait_for_transaction_end(), *deliveries):
            if waited is not None and waited.done() and not waited.cancelled():
                error: BaseException | None = waited.exception()
                if error is not None:
                    return error
        return None

    async def close(self) -> None:
        """Stop at once; an open transaction is left to the next producer of the partition."""
        self._end()  # looked at, or asyncio complains of an unseen exception
        await super().close()
        self._end()


class ProducerTransactions:
    """The transactional producers of the partitions that this member owns."""

    def __init__(self, params: KafkaParams) -> None:
        self._params = params
        self._producers: dict[TopicPartition, TransactionalProducer] = {}

    def of(self, source: TopicPartition) -> TransactionalProducer:
        """The producer of a partition. Raises FencedError when it was given up."""
        if source not in self._producers:
            raise FencedError(f"{source} is not owned")
        return self._producers[source]

    async def open(self, sources: Sequence[TopicPartition]) -> None:
        """Become the producer of these partitions, and end what their last one left open.

        Only behind this does the group's committed offset say all that was committed. Raises
        ConfigError when the broker does not know transactions.
        """
        await asyncio.gather(*(self._open(source) for source in sources))

    async def _open(self, source: TopicPartition) -> None:
        assert source not in self._producers
        producer = TransactionalProducer(self._params, source)
        self._producers[source] = producer
        try:
            await producer.start()
        except TransientError as error:
            if isinstance(error.__cause__, REFUSALS):
                raise ConfigError(
                    'engine.delivery = "exactly_once" needs transactions, and the broker refuses '
                    f"to start one: {error.__cause__!r}"
                ) from error
            raise

    async def commit(self, commits: Mapping[TopicPartition, Commit]) -> None:
        """Commit those of the offsets that belong to a transaction, all at once.

        Each is all or nothing by itself: one that fails leaves the others as they are.
        """
        ended = await asyncio.gather(
            *(
                self._producers[source].commit(commit)
                for source, commit in commits.items()
                if source in self._producers
            ),
            return_exceptions=True,
        )
        for error in ended:
            if error is not None:
                raise error

    async def flush(self) -> None:
        """Wait until all that was published is acknowledged."""
        for producer in list(self._producers.values()):
            await producer.flush()

    async def close(self) -> None:
        """Give the partitions up; what was not committed never was."""
        producers = list(self._producers.values())
        self._producers.clear()
        await asyncio.gather(*(producer.close() for producer in producers))
