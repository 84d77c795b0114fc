"""The open-loop generator: transactions at times fixed in advance, in a process of its own.

    python -m benchmarks.load SPEC RESULT

A generator that waits for its system sends less while the system stalls, and so leaves the worst
moments out of its measurement (coordinated omission). Here each transaction has its time before the
first one is sent, and is due whatever became of the others; latency counts from that time, also
when this process or the broker was late. How late this process was is part of the result.
"""

import asyncio
import gc
import json
import os
import resource
import sys
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import uvloop
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from benchmarks import wire
from benchmarks.workloads import card_stream, voice_stream
from sentinel.codec.records import encode
from sentinel.core.partitioning import PartitionOf
from sentinel.records import Floats, Ints

# Transactions in memory; a longer run goes through them again, with later event times.
STREAM_COUNT_MAX = 1_000_000
STREAM_SPAN_MS = 500_000  # of event time in so many transactions
FILL_LINGER_S = 0.1  # few large batches: what comes before is not measured
REQUESTS_UNDER_WAY_MAX = 5  # as Kafka's own producer
BATCH_BYTES_MAX = 1 << 20
RECORDS_A_BATCH_MAX = 4_000
SPIN_S = 0.0002  # a timer wakes about this late
DRAIN_S_MAX = 120.0
READ_RATE_MIN = 50_000  # decisions a second
VOTE_LINGER_S = 0.02
OBSERVE_WAIT_MS = 2


@dataclass(frozen=True, slots=True)
class Phase:
    """A span at one rate. What falls into the warm-up is sent and not measured."""

    name: str
    rate: float
    warmup_s: float
    duration_s: float
    vote_rate: float = 0.0  # voices a second beside the transactions


@dataclass(frozen=True, slots=True)
class Spec:
    """What to send, where, and whether to watch decisions arrive."""

    kafka_servers: str
    input_topic: str
    decision_topic: str
    partition_count: int
    account_count: int
    fill_count: int  # sent as fast as the fill rate before the first phase
    fill_rate: float
    linger_s: float  # how long transactions are gathered into one request
    phases: tuple[Phase, ...]
    seed: int
    observe: bool  # while it happens; else the broker's append times are read afterwards
    feedback_topic: str = ""
    stop_file: str = ""  # the phase under way ends when there is one of this name


def schedule_s(rate: float, duration_s: float, seed: int) -> Floats:
    """Seconds from the start at which transactions are due: a Poisson process, as strangers pay.

    Returns float64 (n,), ascending, in [0, duration_s).
    """
    rng = np.random.default_rng(seed)
    expected = rate * duration_s
    count = int(expected + 6 * np.sqrt(expected) + 10)
    times = np.cumsum(rng.exponential(1 / rate, count))
    return times[times < duration_s]


def due_count(times_s: Floats, sent: int, now_s: float, count_max: int) -> int:
    """Up to which transaction may be sent by now, at most `count_max` beyond those sent."""
    return min(int(np.searchsorted(times_s, now_s, side="right")), sent + count_max)


def renewed(value: bytes, turn: int) -> bytes:
    """A record of a stream that starts over: another identifier, and a later event time."""
    head, rest = value.split(b'"time_ms":', 1)
    time_ms, tail = rest.split(b",", 1)
    later_ms = int(time_ms) + turn * STREAM_SPAN_MS
    return b'%b"time_ms":%d,%b' % (head.replace(b'"tx-', b'"tx%d-' % turn, 1), later_ms, tail)


class Decisions:
    """How far the decisions have come: which offset of which partition was there at what time."""

    def __init__(self, address: str, topic: str, partition_count: int) -> None:
        self._address = address
        self._connection: wire.Connection | None = None
        self._topic = topic
        self._next = [0] * partition_count
        # Each: partition, first offset behind the batch, when it was appended or seen (epoch ms).
        self.seen: list[tuple[int, int, float]] = []
        self.append_times = False
        self.batch_count = 0

    @property
    def count(self) -> int:
        return sum(self._next)

    async def connect(self) -> None:
        """Anew: a broker hangs up on a connection that was idle for minutes."""
        self.close()
        self._connection = await wire.connect(self._address)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    async def read(self, *, wait_ms: int) -> bool:
        """Read on; whether anything came."""
        assert self._connection is not None
        request = wire.fetch_request(self._topic, self._next, wait_ms=wait_ms)
        answer = await self._connection.send(wire.FETCH, wire.FETCH_VERSION, request)
        now_ms = time.time() * 1000
        before = self.count
        for partition, heads in wire.fetched(answer).items():
            for head in heads:
                if head.last_offset < self._next[partition]:
                    continue  # a broker may answer from the start of a batch
                self.batch_count += 1
                self.append_times |= head.is_append_time
                at_ms = float(head.timestamp_ms) if head.is_append_time else now_ms
                self._next[partition] = head.last_offset + 1
                self.seen.append((partition, self._next[partition], at_ms))
        return self.count > before

    async def watch(self) -> None:
        """Read until cancelled, as a consumer that wants them at once."""
        while True:
            began_s = time.monotonic()
            await self.read(wait_ms=OBSERVE_WAIT_MS)
            await asyncio.sleep(max(OBSERVE_WAIT_MS / 1000 - (time.monotonic() - began_s), 0))


class Generator:
    """Sends a stream on its schedule."""

    def __init__(self, connection: wire.Connection, spec: Spec) -> None:
        self._connection = connection
        self._spec = spec
        count = spec.fill_count + sum(
            int(p.rate * (p.warmup_s + p.duration_s) * 1.05) + 1_000 for p in spec.phases
        )
        accounts, self._values = card_stream(
            min(count, STREAM_COUNT_MAX), account_count=spec.account_count, seed=spec.seed
        )
        self._keys = [account.encode() for account in accounts]
        partition_of = PartitionOf(spec.partition_count)
        self._partitions = [partition_of(account) for account in accounts]
        self._under_way: deque[asyncio.Future[bytes]] = deque()
        self.sent = 0
        self.batch_count = 0

    async def send(self, times_s: Floats, linger_s: float) -> tuple[float, Floats]:
        """Send the next transactions at these times from now on, one request each `linger_s`.

        Returns when that was (epoch seconds), and how late each that was sent was handed to the
        socket: all of them, unless the stop file says that it is enough.
        """
        first, count = self.sent, times_s.size
        late_s = np.zeros(count)
        zero_s = time.monotonic() + 0.1
        epoch_s = time.time() - time.monotonic() + zero_s
        done = 0
        while done < count and not self._is_stopped():
            await self._until(zero_s + float(times_s[done]))
            now_s = time.monotonic() - zero_s
            end = due_count(times_s, done, now_s, RECORDS_A_BATCH_MAX)
            if end > done:
                await self._room()
                stamps_ms = ((epoch_s + times_s[done:end]) * 1000).astype(np.int64).tolist()
                self._append(first + done, first + end, stamps_ms)
                late_s[done:end] = time.monotonic() - zero_s - times_s[done:end]
                done = end
            self.sent = first + done
            await self._until(zero_s + now_s + linger_s)
        while self._under_way:
            wire.produced(await self._under_way.popleft())
        return epoch_s, late_s[:done]

    def _is_stopped(self) -> bool:
        return bool(self._spec.stop_file) and os.path.exists(self._spec.stop_file)

    def partitions(self, begin: int, end: int) -> Ints:
        """Of the transactions begin to end."""
        found: Ints = np.array(self._partitions)[np.arange(begin, end) % len(self._partitions)]
        return found

    async def _until(self, due_s: float) -> None:
        while (left_s := due_s - time.monotonic()) > 0:  # noqa: ASYNC110 - a time, no event
            await asyncio.sleep(max(left_s - SPIN_S, 0))

    async def _room(self) -> None:
        while self._under_way and (
            self._under_way[0].done() or len(self._under_way) >= REQUESTS_UNDER_WAY_MAX
        ):
            wire.produced(await self._under_way.popleft())

    def _append(self, begin: int, end: int, stamps_ms: list[int]) -> None:
        builders: dict[int, tuple[Any, int]] = {}
        for i, stamp_ms in zip(range(begin, end), stamps_ms, strict=True):
            turn, at = divmod(i, len(self._values))
            partition = self._partitions[at]
            value = renewed(self._values[at], turn) if turn else self._values[at]
            if partition not in builders:
                builders[partition] = (batch_builder(), 0)
            builder, count = builders[partition]
            builder.append(count, stamp_ms, self._keys[at], value, [])
            builders[partition] = (builder, count + 1)
        batches = {p: bytes(builder.build()) for p, (builder, _) in builders.items()}
        self.batch_count += len(batches)
        request = wire.produce_request(self._spec.input_topic, batches)
        self._under_way.append(self._connection.send(wire.PRODUCE, wire.PRODUCE_VERSION, request))


class Votes:
    """Voices at a steady rate, on a connection of their own."""

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        count = sum(int(p.vote_rate * (p.warmup_s + p.duration_s)) for p in spec.phases)
        self._voices = [
            (voice.transaction_id.encode(), encode(voice)) for voice in voice_stream(count)
        ]
        self._sent = 0

    @asynccontextmanager
    async def beside(self, phase: Phase) -> AsyncIterator[None]:
        """Send while transactions are sent; what is left at the end of the phase, at once."""
        if phase.vote_rate == 0:
            yield
            return
        connection = await wire.connect(self._spec.kafka_servers)
        sending = asyncio.create_task(self._send(connection, phase))
        try:
            yield
            await sending
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
            connection.close()

    async def _send(self, connection: wire.Connection, phase: Phase) -> None:
        begun_s, first = time.monotonic(), self._sent
        end = first + int(phase.vote_rate * (phase.warmup_s + phase.duration_s))
        while self._sent < end:
            await asyncio.sleep(VOTE_LINGER_S)
            due = min(first + int((time.monotonic() - begun_s) * phase.vote_rate), end)
            builder = batch_builder()
            stamp_ms = int(time.time() * 1000)
            for offset, (key, value) in enumerate(self._voices[self._sent : due]):
                builder.append(offset, stamp_ms, key, value, [])
            if due > self._sent:
                self._sent = due
                body = wire.produce_request(self._spec.feedback_topic, {0: bytes(builder.build())})
                wire.produced(await connection.send(wire.PRODUCE, wire.PRODUCE_VERSION, body))


def batch_builder() -> Any:
    return DefaultRecordBatchBuilder(
        2,
        0,
        is_transactional=0,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=BATCH_BYTES_MAX,
    )


async def generate(spec: Spec, folder: Path) -> list[dict[str, Any]]:
    """Fill, then every phase; what came of each phase, and its arrays in files."""
    sending = await wire.connect(spec.kafka_servers)
    generator = Generator(sending, spec)
    decisions = Decisions(spec.kafka_servers, spec.decision_topic, spec.partition_count)
    votes = Votes(spec)
    gc.collect()
    gc.freeze()
    if spec.fill_count:
        await generator.send(np.arange(spec.fill_count) / spec.fill_rate, FILL_LINGER_S)
        await decisions.connect()
        await _drained(decisions, generator.sent)
    results = []
    for number, phase in enumerate(spec.phases):
        await decisions.connect()
        async with votes.beside(phase):
            results.append(await _phase(spec, folder, number, phase, generator, decisions))
    sending.close()
    decisions.close()
    return results


async def _phase(
    spec: Spec,
    folder: Path,
    number: int,
    phase: Phase,
    generator: Generator,
    decisions: Decisions,
) -> dict[str, Any]:
    times_s = schedule_s(phase.rate, phase.warmup_s + phase.duration_s, spec.seed + number)
    first, seen_before = generator.sent, len(decisions.seen)
    before = np.bincount(generator.partitions(0, first), minlength=spec.partition_count)
    used_before_s = _cpu_s()
    watching = asyncio.create_task(decisions.watch()) if spec.observe else None
    epoch_s, late_s = await generator.send(times_s, spec.linger_s)
    used_s = _cpu_s() - used_before_s
    times_s = times_s[: late_s.size]
    duration_s = phase.warmup_s + phase.duration_s
    if spec.stop_file:
        duration_s = min(duration_s, float(times_s[-1]))
    if watching is None:
        await decisions.connect()
    else:
        await _caught_up(decisions, generator.sent, watching)
    await _drained(decisions, generator.sent)
    measured = times_s >= phase.warmup_s
    np.savez(
        folder / f"phase-{number}.npz",
        due_ms=(epoch_s + times_s) * 1000,
        partition=generator.partitions(first, generator.sent),
        measured=measured,
        before=before,
        seen=np.array(decisions.seen[seen_before:]),
    )
    late_ms = late_s[measured] * 1000
    return {
        "phase": asdict(phase),
        "begin_s": epoch_s + phase.warmup_s,
        "end_s": epoch_s + duration_s,
        "sent": int(measured.sum()),
        "late_ms": {
            "p50": float(np.quantile(late_ms, 0.5)),
            "p99": float(np.quantile(late_ms, 0.99)),
            "max": float(late_ms.max()),
        },
        "cpu_share": used_s / duration_s,
        "append_times": decisions.append_times,
        "log_batches": {"transactions": generator.batch_count, "decisions": decisions.batch_count},
    }


async def _caught_up(decisions: Decisions, count: int, watching: "asyncio.Task[None]") -> None:
    """Let the reader go on until it has all of them."""
    deadline_s = time.monotonic() + DRAIN_S_MAX
    while decisions.count < count and time.monotonic() < deadline_s:
        if watching.done():
            watching.result()
        await asyncio.wait({watching}, timeout=0.05)
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)


async def _drained(decisions: Decisions, count: int) -> None:
    """Read decisions until there are so many. Raises TimeoutError when they do not come."""
    async with asyncio.timeout(DRAIN_S_MAX + (count - decisions.count) / READ_RATE_MIN):
        while decisions.count < count:
            if not await decisions.read(wait_ms=50):
                await asyncio.sleep(0.05)


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    spec_file, result_file = map(Path, sys.argv[1:])
    given = json.loads(spec_file.read_text())
    phases = tuple(Phase(**phase) for phase in given.pop("phases"))
    results = uvloop.run(generate(Spec(phases=phases, **given), result_file.parent))
    result_file.write_text(json.dumps(results))


if __name__ == "__main__":
    main()
