"""Bytewax: its Kafka source and sink, one worker, the job as `map` or `flat_map_batch`.

Source batches of 1,000 records; the sink waits for each of its batches, so it has no linger. State
is in the closure, since merchants and devices are shared by all keys: there is no exchange.
Bytewax keeps its offsets in a recovery store of its own, here each second, on the local disk.

    python -m benchmarks.peers.with_bytewax BROKER IN OUT MODEL COUNT BATCH
"""

import sys
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import bytewax.operators as op
from bytewax._bytewax import cli_main
from bytewax.connectors.kafka import KafkaSink, KafkaSinkMessage, KafkaSource
from bytewax.dataflow import Dataflow
from bytewax.recovery import RecoveryConfig, init_db_dir

from benchmarks.peers.job import Job


def main() -> None:
    broker, source, sink, model_file, count, batch = sys.argv[1:7]
    job = Job(model_file, source)

    def one(message: Any) -> Any:
        key, value = job.decide(message.partition, message.offset, message.value)
        return KafkaSinkMessage(key, value)

    def many(messages: list[Any]) -> list[Any]:
        if not messages:
            return []
        records = [(m.partition, m.offset, m.value) for m in messages]
        return [KafkaSinkMessage(key, value) for key, value in job.decide_many(records)]

    flow = Dataflow("peer")
    read = op.input("in", flow, KafkaSource([broker], [source], tail=False, batch_size=1_000))
    decided = (
        op.map("decide", read, one) if int(batch) == 1 else op.flat_map_batch("decide", read, many)
    )
    op.output("out", decided, KafkaSink([broker], sink, add_config={"linger.ms": "0"}))
    with tempfile.TemporaryDirectory() as folder:
        init_db_dir(Path(folder), 1)
        recovery = RecoveryConfig(folder)
        cli_main(flow, epoch_interval=timedelta(seconds=1), recovery_config=recovery)
    assert job.done == int(count), job.done
    job.report()


if __name__ == "__main__":
    main()
