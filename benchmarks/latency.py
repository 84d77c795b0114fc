"""From the append of a transaction to the append of its decision, at fixed rates, open loop.

    python -m benchmarks.latency [--rate N]... [--duration S] [--kafka] [--json FILE] [--quick]

One instance beside the broker and the store, and a generator in a process of its own
(`benchmarks/load.py`), all on this machine, so there is one clock. Latency counts from the time for
which the transaction was planned before anything was sent: a stall of any part counts, for every
transaction that was due meanwhile. It ends

- on Apache Kafka with the broker's own time of the append (`message.timestamp.type=LogAppendTime`
  on the decisions), read after the phase: nothing watches while it is measured. Whole milliseconds,
  so half of one is added;
- on Tansu, which keeps what the producer wrote as a record's time, with the arrival of the decision
  at a reader that asks for it every two milliseconds: an upper bound of the append, by two to three
  milliseconds. The producer's time would leave out how long the decision waited to be sent.

Tansu looks through all batches of a partition at every fetch, about a microsecond each, so latency
on it grows with the number of batches that were ever written, whoever reads; and a fetch whose wait
is over before it is through brings nothing. The generator therefore gathers transactions for 10 ms
there (5 ms on Kafka), which counts as latency, too; and each rate has a broker and an instance of
its own. How many batches the logs held is in the JSON.

The k-th decision of a partition is that of its k-th transaction: checked at the end of every run.
Engine figures are the instance's own for the same span: from the hand-over of a batch of records
to the decision handed to the producer.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import uvloop
from aiokafka import AIOKafkaConsumer, TopicPartition

from benchmarks.harness import (
    ROOT,
    Instance,
    Site,
    Span,
    facts,
    header,
    make_model,
    print_table,
    site,
    write_json,
)
from benchmarks.load import Phase, Spec
from sentinel.records import Floats, Ints

RATES = (1_000.0, 10_000.0, 30_000.0)
SHARES = (0.5, 0.99, 0.999)
SEED = 11
FILL_RATE = 15_000.0
KAFKA_LINGER_MS, TANSU_LINGER_MS = 5.0, 10.0  # 5: what Kafka's own producer waits since 4.0
CHECKED_COUNT = 50  # decisions at the end of each partition
HALF_MS = 0.5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rate", type=float, action="append", metavar="N", help="repeatable")
    parser.add_argument("--duration", type=float, default=20.0, metavar="S", help="measured")
    parser.add_argument("--warmup", type=float, default=5.0, metavar="S")
    parser.add_argument("--accounts", type=int, default=100_000)
    parser.add_argument("--linger-ms", type=float, help="of the generator: 5 on Kafka, 10 on Tansu")
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--kafka", action="store_true", help="Apache Kafka instead of Tansu")
    parser.add_argument("--observe", action="store_true", help="arrival at a reader on Kafka, too")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="settings")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--quick", action="store_true", help="short phases, few accounts")
    options = parser.parse_args()
    options.rate = options.rate or list(RATES[:2] if options.quick else RATES)
    if options.quick:
        options.duration, options.warmup, options.accounts = 4.0, 1.0, 20_000
    if options.linger_ms is None:
        options.linger_ms = KAFKA_LINGER_MS if options.kafka else TANSU_LINGER_MS
    about = facts(SEED)
    phases = uvloop.run(measure(options))
    broker = "Apache Kafka" if options.kafka else "Tansu"
    print(f"\nappend of a transaction to append of its decision, milliseconds, {broker}")
    print(f"  {header(about)}")
    print(f"  {options.duration:g} s at each rate after {options.warmup:g} s of warm-up")
    print_table(
        ("a second", "p50", "p99", "p99.9", "max", "engine p50", "p99", "loop lag p99", "gc p99"),
        [_row(phase) for phase in phases],
    )
    print("  the generator was late by (ms), and took (share of a core)")
    print_table(
        ("a second", "p50", "p99", "max", "cpu", "instance cpu"),
        [_generator_row(phase) for phase in phases],
    )
    write_json(options.json, {"benchmark": "latency", "broker": broker, **about, "phases": phases})


def _row(phase: dict[str, Any]) -> list[str]:
    own, engine = phase["latency_ms"], phase["engine_ms"]
    cells = [own["p50"], own["p99"], own["p99.9"], own["max"], engine["p50"], engine["p99"]]
    cells += [phase["loop_lag_ms"]["p99"], phase["gc_ms"]["p99"]]
    return [f"{phase['rate']:,.0f}", *(f"{cell:.1f}" for cell in cells)]


def _generator_row(phase: dict[str, Any]) -> list[str]:
    late = phase["late_ms"]
    cells = [f"{late[name]:.2f}" for name in ("p50", "p99", "max")]
    shares = [f"{phase[name]:.0%}" for name in ("generator_cpu", "instance_cpu")]
    return [f"{phase['rate']:,.0f}", *cells, *shares]


async def measure(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Each rate on a broker and an instance of its own: on Tansu, latency grows with the log."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        models = await asyncio.to_thread(make_model, folder / "model")
        figures = []
        for number, rate in enumerate(options.rate):
            figures.append(await measure_rate(folder / str(number), models, rate, options))
        return figures


async def measure_rate(
    folder: Path, models: Path, rate: float, options: argparse.Namespace
) -> dict[str, Any]:
    settings = {
        "SENTINEL__" + key.upper().replace(".", "__"): value
        for key, _, value in (setting.partition("=") for setting in options.settings)
    }
    async with site(
        folder,
        kafka=options.kafka,
        partition_count=options.partitions,
        entities_max=max(4 * options.accounts, 10_000),
        settings=settings,
        models=models,
    ) as at:
        spec = Spec(
            kafka_servers=at.kafka_servers,
            input_topic=at.input_topic,
            decision_topic=at.decision_topic,
            partition_count=options.partitions,
            account_count=options.accounts,
            fill_count=int(1.5 * options.accounts),  # most accounts are then in memory
            fill_rate=FILL_RATE,
            linger_s=options.linger_ms / 1000,
            phases=(Phase(f"{rate:.0f}", rate, options.warmup, options.duration),),
            seed=SEED,
            observe=options.observe or not options.kafka,
        )
        async with Instance(at) as instance:
            await instance.ready()
            (result,) = await generated(spec, folder)
            samples = instance.samples()
        assert samples[-1]["dead_letters"] == 0, samples[-1]
        await check_order(at)
        return phase_figures(folder / "phase-0.npz", result, samples)


async def generated(spec: Spec, folder: Path) -> list[dict[str, Any]]:
    """Run the generator to its end; what it says of each phase."""
    spec_file, result_file = folder / "spec.json", folder / "result.json"
    spec_file.write_text(json.dumps(asdict(spec)))
    command = [sys.executable, "-m", "benchmarks.load", str(spec_file), str(result_file)]
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT)
    try:
        if await process.wait() != 0:
            raise SystemExit("the generator failed")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    results: list[dict[str, Any]] = json.loads(result_file.read_text())
    return results


def latencies_ms(
    due_ms: Floats, partitions: Ints, before: Ints, seen: Floats, measured: Ints
) -> Floats:
    """Latency of each measured transaction.

    Parameters
    ----------
    due_ms, partitions, measured
        Planned time, partition, and whether it counts, of each transaction in the order sent.
    before
        For each partition how many transactions went before these.
    seen
        Rows of (partition, first offset behind it, epoch ms): how far decisions were at what time.
    """
    latencies = np.full(due_ms.size, np.nan)
    for partition, first in enumerate(before.tolist()):
        at = np.flatnonzero(partitions == partition)
        rows = seen[seen[:, 0] == partition]
        offsets = first + np.arange(at.size)
        found = np.searchsorted(rows[:, 1], offsets, side="right")
        latencies[at] = rows[found, 2] - due_ms[at]
    assert not np.isnan(latencies).any(), "every transaction has its decision"
    kept: Floats = latencies[measured.astype(bool)]
    return kept


def phase_figures(
    arrays: Path, result: dict[str, Any], samples: list[dict[str, Any]]
) -> dict[str, Any]:
    """What the generator's arrays of a phase, and the instance's samples, amount to."""
    with np.load(arrays) as found:
        latencies = latencies_ms(
            found["due_ms"], found["partition"], found["before"], found["seen"], found["measured"]
        )
    if result["append_times"]:
        latencies += HALF_MS
    span = Span(samples, result["begin_s"], result["end_s"])
    quantiles = {f"p{share * 100:g}": float(np.quantile(latencies, share)) for share in SHARES}

    def own(name: str) -> dict[str, float]:
        return dict(zip(("p50", "p99"), span.quantiles_ms(name, 0.5, 0.99), strict=True))

    count = max(span.gain("transactions"), 1.0)
    stages = {
        stage: (total_s - span.first["stage_s"].get(stage, 0.0)) * 1e6 / count
        for stage, total_s in span.last["stage_s"].items()
    }
    return {
        "rate": result["phase"]["rate"],
        "sent": result["sent"],
        "latency_ms": {**quantiles, "max": float(latencies.max())},
        "engine_ms": own("engine"),
        "loop_lag_ms": own("loop_lag"),
        "gc_ms": own("gc"),
        "gc_share": span.gain("gc_s") / span.duration_s,
        "batch_size_p50": span.quantiles_ms("batch_size", 0.5)[0] / 1000,
        "stage_us": stages,
        "instance_cpu": span.gain("cpu_s") / span.duration_s,
        "late_ms": result["late_ms"],
        "log_batches": result["log_batches"],
        "generator_cpu": result["cpu_share"],
        "decided_by": "broker's append" if result["append_times"] else "arrival at a reader",
    }


async def check_order(at: Site) -> None:
    """The last decisions of each partition belong to the transactions at their own offsets."""
    consumer = AIOKafkaConsumer(bootstrap_servers=at.kafka_servers, fetch_max_wait_ms=50)
    await consumer.start()
    try:
        async with asyncio.timeout(60):
            for number in range(at.config.topics.partition_count):
                await _check_partition(consumer, at, number)
    finally:
        await consumer.stop()


async def _check_partition(consumer: Any, at: Site, number: int) -> None:
    decided, read = (TopicPartition(t, number) for t in (at.decision_topic, at.input_topic))
    consumer.assign([decided])
    consumer.seek(decided, 0)
    records = (await consumer.getmany(decided, timeout_ms=5_000))[decided]
    end = consumer.highwater(decided)
    consumer.seek(decided, max(end - CHECKED_COUNT, 0))
    while len(records) < CHECKED_COUNT or records[-1].offset < end - 1:
        found = await consumer.getmany(decided, timeout_ms=1_000)
        records += found.get(decided, [])
    for record in records:
        expected = f"{read.topic}-{number}-{record.offset}"
        assert json.loads(record.value)["decision_id"] == expected, expected


if __name__ == "__main__":
    main()
