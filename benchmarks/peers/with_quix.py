"""Quix Streams: a streaming data frame that applies the job to one record at a time.

At least once, commits each second, librdkafka with settings for throughput. State is the job's own
dictionaries: Quix's state in RocksDB is by key, and slower.

    python -m benchmarks.peers.with_quix BROKER IN OUT MODEL COUNT BATCH
"""

import sys
import tempfile
from typing import Any

from quixstreams import Application, message_context

from benchmarks.peers.job import Job


def main() -> None:
    broker, source, sink, model_file, count, _ = sys.argv[1:7]
    job = Job(model_file, source)

    def decide(value: bytes) -> bytes:
        at = message_context()
        return job.decide(at.partition, at.offset, value)[1]

    with tempfile.TemporaryDirectory() as folder:
        app: Any = Application(
            broker_address=broker,
            consumer_group=sink,
            auto_offset_reset="earliest",
            commit_interval=1.0,
            state_dir=folder,
            loglevel="ERROR",
            consumer_extra_config={"queued.min.messages": 200_000, "fetch.wait.max.ms": 50},
            producer_extra_config={"linger.ms": 5, "queue.buffering.max.messages": 500_000},
        )
        read = app.topic(source, value_deserializer="bytes", key_deserializer="bytes")
        written = app.topic(sink, value_serializer="bytes", key_serializer="bytes")
        app.dataframe(read).apply(decide).to_topic(written)
        app.run(count=int(count), collect=False)
    job.report()


if __name__ == "__main__":
    main()
