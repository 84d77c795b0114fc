"""Dead letters: a record that cannot be used keeps its bytes and gets a reason."""

from collections.abc import Sequence
from itertools import groupby

from sentinel.codec.dead_letters import dead_letter_record
from sentinel.errors import RecordError
from sentinel.metrics import Metrics
from sentinel.ports import Broker
from sentinel.records import InputRecord, TopicPartition


class DeadLetters:
    """Publishes records that could not be used, as they came, with headers that say why.

    One that the topic would not take is shortened: it must not stop everything.
    """

    def __init__(self, broker: Broker, topic: str, metrics: Metrics) -> None:
        self._broker = broker
        self._topic = topic
        self._metrics = metrics
        self._bytes_max: int | None = None  # of a record that the topic takes, once it was asked

    async def publish(
        self, refused: Sequence[tuple[TopicPartition, InputRecord, RecordError]]
    ) -> None:
        """Hand them over to the producer."""
        for _, _, error in refused:
            self._metrics.dead_letters += 1
            self._metrics.dead_letter_reasons[error.reason] += 1
        if refused and self._bytes_max is None:
            self._bytes_max = await self._broker.record_bytes_max(self._topic)
        for source, letters in groupby(refused, key=lambda found: found[0]):
            assert self._bytes_max is not None
            records = [dead_letter_record(*one, bytes_max=self._bytes_max) for one in letters]
            await self._broker.publish(self._topic, 0, records, source=source)
