"""A loop on confluent-kafka, the C client: one record at a time, or a batch with one prediction.

Fetched and produced in batches by librdkafka's own threads, with settings for throughput (a queue
that is always full, 5 ms of linger); every record goes through the job by itself unless `batch` is
above 1. Offsets are committed each second, behind what was flushed.

    python -m benchmarks.peers.with_confluent BROKER IN OUT MODEL COUNT BATCH
"""

import sys
import time
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition

from benchmarks.peers.job import Job

CONSUMED_AT_ONCE = 500


def main() -> None:
    broker, source, sink, model_file, count, batch = sys.argv[1:7]
    job = Job(model_file, source)
    consumer = Consumer(
        {
            "bootstrap.servers": broker,
            "group.id": sink,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "queued.min.messages": 200_000,
            "fetch.wait.max.ms": 50,
        }
    )
    producer = Producer(
        {
            "bootstrap.servers": broker,
            "linger.ms": 5,
            "queue.buffering.max.messages": 500_000,
            "enable.idempotence": True,
        }
    )
    consumer.subscribe([source])
    ends: dict[int, int] = {}  # of the partitions: the next offset
    commit_s = time.monotonic() + 1
    while job.done < int(count):
        found = consumer.consume(CONSUMED_AT_ONCE, 0.1)
        records = [(m.partition(), m.offset(), m.value()) for m in found if m.error() is None]
        step = int(batch)
        for begin in range(0, len(records), step):
            part = records[begin : begin + step]
            for (partition, _, _), (key, value) in zip(part, job.decide_many(part), strict=True):
                producer.produce(sink, value, key, partition)
            producer.poll(0)
            ends |= {partition: offset + 1 for partition, offset, _ in part}
        if time.monotonic() > commit_s:
            commit(consumer, producer, source, ends)
            commit_s = time.monotonic() + 1
    commit(consumer, producer, source, ends)
    job.report()
    consumer.close()


def commit(consumer: Any, producer: Any, topic: str, ends: dict[int, int]) -> None:
    """Commit how far it has come, behind what is flushed."""
    producer.flush()
    if ends:
        offsets = [TopicPartition(topic, partition, end) for partition, end in ends.items()]
        consumer.commit(offsets=offsets, asynchronous=False)
    ends.clear()


if __name__ == "__main__":
    main()
