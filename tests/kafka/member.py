"""A member of a consumer group that can be killed: writes down what it has, at every change.

python -m tests.kafka.member SERVERS GROUP FILE TOPIC...
"""

import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from sentinel.adapters.kafka import KafkaBroker, KafkaParams
from sentinel.records import TopicPartition


async def stay(servers: str, group_id: str, file: Path, topics: Sequence[str]) -> None:
    params = KafkaParams(
        bootstrap_servers=servers,
        group_id=group_id,
        session_timeout_s=2.0,
        heartbeat_interval_s=0.2,
    )

    async def nothing_to_do(_: Sequence[TopicPartition]) -> None:
        pass

    async with KafkaBroker(params) as broker:
        await broker.subscribe(topics, on_assigned=nothing_to_do, on_revoked=nothing_to_do)
        before: frozenset[TopicPartition] | None = None
        while True:
            await broker.poll([], timeout_s=0.05, count_max=1)
            if (now := broker.assignment()) != before:
                before = now
                partial = file.with_suffix(".partial")
                partial.write_text(json.dumps(sorted(now)))
                partial.rename(file)


if __name__ == "__main__":
    asyncio.run(stay(sys.argv[1], sys.argv[2], Path(sys.argv[3]), sys.argv[4:]))
