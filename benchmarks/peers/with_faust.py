"""Faust (faust-streaming): an agent that takes one event at a time, on aiokafka.

Raw bytes in and out, state in the job's dictionaries, commits each second, large buffers, uvloop if
it is there, no web server; decisions are handed to the producer without a wait for their delivery.

    python -m benchmarks.peers.with_faust BROKER IN OUT MODEL COUNT BATCH
"""

import asyncio
import os
import sys
import tempfile
from typing import Any

import faust

from benchmarks.peers.job import Job


def main() -> None:
    broker, source, sink, model_file, count, _ = sys.argv[1:7]
    job = Job(model_file, source)
    folder = tempfile.TemporaryDirectory()
    app: Any = faust.App(
        sink,
        broker=f"kafka://{broker}",
        datadir=folder.name,
        store="memory://",
        web_enabled=False,
        topic_disable_leader=True,
        topic_partitions=4,
        consumer_auto_offset_reset="earliest",
        broker_commit_interval=1.0,
        broker_commit_every=1_000_000,
        broker_max_poll_records=1_000,
        stream_buffer_maxsize=16_384,
        stream_wait_empty=False,
        producer_linger=0.005,
        producer_max_batch_size=1 << 20,
    )
    read = app.topic(source, value_type=bytes, value_serializer="raw", key_serializer="raw")
    written = app.topic(sink, value_type=bytes, value_serializer="raw", key_serializer="raw")

    @app.agent(read)  # type: ignore[untyped-decorator]
    async def decide(stream: Any) -> None:
        async for event in stream.events():
            message = event.message
            key, value = job.decide(message.partition, message.offset, event.value)
            written.send_soon(key=key, value=value, partition=message.partition)
            if job.done % 500 == 0:
                await asyncio.sleep(0)  # its producer shares the loop
            if job.done >= int(count):
                await app.producer.flush()
                job.report()
                # Its own way to the end takes long, and is not what is measured.
                os._exit(0)

    app.finalize()
    faust.Worker(app, loglevel="ERROR").execute_from_commandline()


if __name__ == "__main__":
    main()
