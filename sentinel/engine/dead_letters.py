"""Dead letters: a record that cannot be used keeps its bytes and gets a reason."""

from collections.abc import Sequence

from sentinel.errors import RecordError
from sentinel.metrics import Metrics
from sentinel.ports import Broker
from sentinel.records import Header, InputRecord, OutputRecord, TopicPartition


class DeadLetters:
    """Publishes records that could not be used, as they came, with headers that say why.

    Headers: `sentinel.topic`, `sentinel.partition`, `sentinel.offset`, `sentinel.reason`,
    `sentinel.detail`; the record's own headers follow.
    """

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
            own = tuple(Header(name, value) for name, value in record.headers)
            records.setdefault(at, []).append(
                OutputRecord(record.key, record.value, (*_headers(at, record, error), *own))
            )
        for source, letters in records.items():
            await self._broker.publish(self._topic, 0, letters, source=source)


def _headers(at: TopicPartition, record: InputRecord, error: RecordError) -> tuple[Header, ...]:
    facts = {
        "topic": at.topic,
        "partition": str(at.partition),
        "offset": str(record.offset),
        "reason": error.reason,
        "detail": error.detail[:1000],
    }
    return tuple(Header(f"sentinel.{name}", text.encode()) for name, text in facts.items())
