"""Dead letters: a record that cannot be used keeps its bytes and gets a reason."""

from collections.abc import Sequence

from sentinel.codec.dead_letters import dead_letter_record
from sentinel.errors import RecordError
from sentinel.metrics import Metrics
from sentinel.ports import Broker
from sentinel.records import InputRecord, OutputRecord, TopicPartition


class DeadLetters:
    """Publishes records that could not be used, as they came, with headers that say why."""

    def __init__(self, broker: Broker, topic: str, metrics: Metrics) -> None:
        self._broker = broker
        self._topic = topic
        self._metrics = metrics

    async def publish(
        self, refused: Sequence[tuple[TopicPartition, InputRecord, RecordError]]
    ) -> None:
        """Hand them over to the producer."""
        if not refused:
            return
        records: dict[TopicPartition, list[OutputRecord]] = {}
        for at, record, error in refused:
            self._metrics.dead_letters += 1
            self._metrics.dead_letter_reasons[error.reason] += 1
            records.setdefault(at, []).append(dead_letter_record(at, record, error))
        for source, letters in records.items():
            await self._broker.publish(self._topic, 0, letters, source=source)
