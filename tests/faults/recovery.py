"""Recovery after kill -9 under load on Apache Kafka, split by part.

python -m tests.faults.recovery [--strikes 20] [--rate 10000] [--session 30] [--rebalance 20]
                                [--json FILE]

Every strike kills the only instance with 9 and starts another at once. Measured, in seconds:

start       from there until the new process is connected: imports, kernels, model
join        until it has its partitions: the group waits for the dead one until its session ends, or
            the rebalance does, whichever is first
replay      until a decision is published again: what is stored and what was committed are one
first       until one is that the dead process had not published
total       all of these
caught up   from the kill until the input waits no longer than it did before

Between start and join lies a line that the run says four times a second at most.
"""

import argparse
import asyncio
import json
import logging
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from random import Random
from statistics import median
from typing import Any, Self

from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition as ClientPartition

from benchmarks.workloads import write_model
from sentinel import config as configuration
from sentinel.operations.data.sender import Sender
from tests.faults.environments import environment_of
from tests.faults.plan import Fault
from tests.faults.stream import Stream
from tests.faults.workload import Workload, write_config
from tests.faults.world import Instance, Servers

FAULT = Fault("recovery", (3.0, 6.0), (0.0, 0.0), ("kafka",), partition_count=4)
STEP_S_MAX = 180.0
QUIET_S = (12.0, 20.0)  # between two strikes: a snapshot waits for up to ten seconds
OWNED = re.compile(r"-(\d+): from offset (\d+), live from (\d+)")


@dataclass(frozen=True, slots=True)
class Parts:
    """One recovery; seconds but for the records that were replayed."""

    start_s: float
    join_s: float
    replay_s: float
    first_s: float
    total_s: float
    caught_up_s: float
    replayed: int


def parts_of(killed_s: float, marks: Sequence[float], caught_up_s: float, replayed: int) -> Parts:
    """From the moments at which it was connected, owned, had replayed, had decided what is new."""
    ordered = [killed_s, *marks]
    assert ordered == sorted(ordered), ordered
    start_s, join_s, replay_s, first_s = (b - a for a, b in pairwise(ordered))
    total_s, caught_s = marks[3] - killed_s, caught_up_s - killed_s
    return Parts(start_s, join_s, replay_s, first_s, total_s, caught_s, replayed)


def spread(found: Sequence[Parts]) -> dict[str, dict[str, float]]:
    """Median, least and most of each part."""
    rows = [asdict(one) for one in found]
    return {
        name: {
            "median": median(row[name] for row in rows),
            "min": min(row[name] for row in rows),
            "max": max(row[name] for row in rows),
        }
        for name in (rows[0] if rows else ())
    }


def table(found: Sequence[Parts], rate: float, session_s: float, rebalance_s: float) -> str:
    lines = [
        f"{len(found)} strikes at {rate:,.0f} transactions/s, session time-out {session_s:.0f} s, "
        f"rebalance time-out {rebalance_s:.0f} s",
        f"{'part':12} {'median':>9} {'min':>9} {'max':>9}",
    ]
    for name, row in spread(found).items():
        figures = " ".join(f"{row[key]:>9,.2f}" for key in ("median", "min", "max"))
        lines.append(f"{name:12} {figures}")
    return "\n".join(lines)


class Pulse:
    """Tails the decisions: up to where each input partition is decided, and when new ones come."""

    def __init__(self, servers: str, topic: str, partition_count: int) -> None:
        self._servers, self._topic, self._count = servers, topic, partition_count
        self._ends: dict[int, int] = {}
        self.handled = 0  # first decisions, and those after gaps
        self.last_s = 0.0  # when one was last read
        self.newest_s = 0.0  # when a new one was

    async def __aenter__(self) -> Self:
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=self._servers, auto_offset_reset="earliest", fetch_max_wait_ms=10
        )
        await self._consumer.start()
        numbers = range(self._count)
        self._consumer.assign([ClientPartition(self._topic, number) for number in numbers])
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self._consumer.stop()

    async def _run(self) -> None:
        while True:
            polled = await self._consumer.getmany(timeout_ms=20, max_records=5_000)
            for records in polled.values():
                for record in records:
                    self._take(record.value)
            await asyncio.sleep(0)

    def _take(self, value: bytes) -> None:
        name = value[value.index(b':"') + 2 : value.index(b'",')]
        place, _, offset = name.rpartition(b"-")
        self.last_s = time.monotonic()
        partition, end = int(place.rpartition(b"-")[2]), int(offset) + 1
        if end > self._ends.get(partition, 0):
            self._ends[partition] = end
            self.handled = sum(self._ends.values())
            self.newest_s = self.last_s


class Bench:
    """A stream, an instance, and the watch on both."""

    def __init__(self, stream: Stream, instance: Instance, pulse: Pulse) -> None:
        self._stream, self._instance, self._pulse = stream, instance, pulse

    @property
    def lag(self) -> int:
        return self._stream.acknowledged - self._pulse.handled

    async def strike(self, partition_count: int) -> Parts:
        lag = max(self.lag, 5_000)
        await self._instance.kill()
        killed_s = time.monotonic()
        self._instance.start()
        still_s = await self._still_s()
        marks = [
            await self._until(lambda: "health starting (waiting" in self._instance.output()),
            await self._until(lambda: len(self._owned()) >= partition_count),
            await self._until(lambda: self._pulse.last_s > still_s),
            await self._until(lambda: self._pulse.newest_s > still_s),
        ]
        caught_up_s = await self._until(lambda: self.lag <= lag)
        replayed = sum(live - begin for begin, live in self._owned().values())
        return parts_of(killed_s, marks, caught_up_s, replayed)

    async def _still_s(self) -> float:
        """When all is read that the dead one has published; the next one is at its imports."""
        last_s = -1.0
        while last_s != self._pulse.last_s:
            last_s = self._pulse.last_s
            await asyncio.sleep(0.3)
        return time.monotonic()

    def _owned(self) -> dict[int, tuple[int, int]]:
        found = OWNED.findall(self._instance.output())
        return {int(partition): (int(begin), int(live)) for partition, begin, live in found}

    async def _until(self, is_so: Callable[[], bool]) -> float:
        async with asyncio.timeout(STEP_S_MAX):
            while not is_so():
                assert self._instance.is_running, self._instance.output()[-2000:]
                await asyncio.sleep(0.01)
        return time.monotonic()


async def measure(options: argparse.Namespace) -> list[Parts]:
    folder = Path(tempfile.mkdtemp(prefix="recovery-"))
    try:
        async with AsyncExitStack() as stack:
            bench = await _bench(stack, folder, options)
            found: list[Parts] = []
            draw = Random(options.seed)
            for _ in range(options.strikes):
                await asyncio.sleep(draw.uniform(*QUIET_S))
                found.append(await bench.strike(FAULT.partition_count))
                print(json.dumps(asdict(found[-1])), flush=True)  # noqa: T201
            return found
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _bench(stack: AsyncExitStack, folder: Path, options: argparse.Namespace) -> Bench:
    servers = await stack.enter_async_context(Servers("kafka", folder))
    path = write_config(folder)
    environment = environment_of(servers, FAULT, folder) | {
        "SENTINEL__KAFKA__SESSION_TIMEOUT_S": str(options.session),
        "SENTINEL__KAFKA__REBALANCE_TIMEOUT_S": str(options.rebalance),
        "SENTINEL__KAFKA__HEARTBEAT_INTERVAL_S": str(min(3.0, options.session / 6)),
        "SENTINEL__KAFKA__REQUEST_TIMEOUT_S": str(options.rebalance + 10.0),
        "SENTINEL__KAFKA__MAX_POLL_INTERVAL_S": str(max(30.0, options.session)),
        "SENTINEL__ENGINE__COMMIT_INTERVAL_S": "1.0",
        "SENTINEL__ENGINE__BATCH_COUNT_MAX": "2048",
        "SENTINEL__ENGINE__SNAPSHOT_RATE_MAX": "20000",
    }
    sentinel_only = {k: v for k, v in environment.items() if k.startswith("SENTINEL__")}
    config = configuration.load(path, sentinel_only)
    write_model(folder, [feature.name for feature in config.features])
    async with Sender(config):
        pass  # the topics are there
    workload = Workload(options.seed, chunk_size=500, poison_share=0.0, label_share=0.0)
    stream = Stream(config, workload, options.rate)
    pulse = await stack.enter_async_context(
        Pulse(servers.bootstrap_servers, config.topics.decisions, FAULT.partition_count)
    )
    instance = Instance(folder / "instance", path, environment)
    stack.push_async_callback(instance.kill)
    instance.start()
    await instance.await_live()
    streaming = asyncio.create_task(stream.run())
    stack.push_async_callback(asyncio.wait, {streaming})
    stack.callback(stream.stop)
    return Bench(stream, instance, pulse)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--strikes", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=float, default=10_000.0, help="transactions a second")
    parser.add_argument("--session", type=float, default=30.0, help="session time-out in seconds")
    parser.add_argument("--rebalance", type=float, default=20.0, help="its time-out in seconds")
    parser.add_argument("--json", type=Path, help="where the figures go")
    options = parser.parse_args()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    found = asyncio.run(measure(options))
    figures: dict[str, Any] = {
        "strikes": [asdict(one) for one in found],
        "spread": spread(found),
        "session_timeout_s": options.session,
        "rebalance_timeout_s": options.rebalance,
        "rate_per_s": options.rate,
    }
    print(table(found, options.rate, options.session, options.rebalance))  # noqa: T201
    if options.json is not None:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
