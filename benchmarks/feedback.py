"""Votes into labels while transactions are scored: how many a second, and what scoring pays.

    python -m benchmarks.feedback [--votes N] [--count N] [--json FILE] [--quick]
    python -m benchmarks.feedback --rate 10000 [--vote-rate 5000] [--duration S] [--kafka]

One instance on the embedded broker drains a preloaded topic of transactions three times: alone,
with as many votes as asked preloaded beside it, and with the votes alone. Three of thirty
investigators vote on each transaction, and a bank on each tenth. A vote counts when it is saved
with its case and its annotator; its label is out before that.

With `--rate` the open-loop generator of `benchmarks/load.py` sends so many transactions a second,
first alone, then with votes beside them: what do votes cost in latency? Twice, on fresh instances.
"""

import argparse
import asyncio
import tempfile
import time
from pathlib import Path
from typing import Any

import uvloop

from benchmarks.harness import (
    Instance,
    Site,
    Span,
    facts,
    header,
    make_model,
    preload,
    print_table,
    site,
    write_json,
)
from benchmarks.latency import FILL_RATE, TANSU_LINGER_MS, generated, phase_figures
from benchmarks.load import Phase, Spec
from benchmarks.workloads import voice_stream
from sentinel.operations.data.sender import Sender
from sentinel.operations.stores import open_cases

SEED = 11
ACCOUNT_COUNT = 20_000
WARMUP_S = 5.0
DRAIN_S_MAX = 300.0
A_CALL = 5_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--votes", type=int, default=60_000)
    parser.add_argument("--count", type=int, default=300_000, help="transactions")
    parser.add_argument("--rate", type=float, help="transactions a second: latency is measured")
    parser.add_argument("--vote-rate", type=float, default=5_000.0)
    parser.add_argument("--duration", type=float, default=15.0, help="seconds of a span")
    parser.add_argument("--kafka", action="store_true", help="Apache Kafka instead of Tansu")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--quick", action="store_true", help="9,000 votes, 60,000 transactions")
    options = parser.parse_args()
    if options.quick:
        options.votes, options.count = 9_000, 60_000
    about = facts(SEED)
    if options.rate:
        beside(options, about)
        return
    runs = uvloop.run(measure(options))
    print(f"\n{options.votes:,} votes beside {options.count:,} transactions, Tansu")
    print(f"  {header(about)}")
    rows = [
        [name, *(_shown(run.get(key)) for key in ("votes_per_s", "transactions_per_s"))]
        for name, run in runs.items()
    ]
    print_table(("", "votes/s", "transactions/s"), rows)
    write_json(options.json, {"benchmark": "feedback", **about, "runs": runs})


def beside(options: argparse.Namespace, about: dict[str, Any]) -> None:
    """Latency with and without votes beside."""
    phases = uvloop.run(measure_beside(options))
    broker = "Apache Kafka" if options.kafka else "Tansu"
    print(f"\n{options.rate:,.0f} transactions a second, {broker}, milliseconds")
    print(f"  {header(about)}")
    rows = [
        [
            f"{phase['vote_rate']:,.0f}",
            f"{phase['counted_per_s']:,.0f}",
            *(f"{phase['latency_ms'][name]:.1f}" for name in ("p50", "p99")),
            *(f"{phase['engine_ms'][name]:.1f}" for name in ("p50", "p99")),
            f"{phase['instance_cpu']:.0%}",
        ]
        for phase in phases
    ]
    names = ("votes/s", "counted/s", "p50", "p99", "engine p50", "p99", "cpu")
    print_table(names, rows)
    write_json(
        options.json, {"benchmark": "feedback beside", "broker": broker, **about, "phases": phases}
    )


async def measure_beside(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Twice: a span without votes, then one with."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        models = await asyncio.to_thread(make_model, folder / "model")
        rounds = [await measure_round(folder / str(number), models, options) for number in range(2)]
    return [phase for one in rounds for phase in one]


async def measure_round(
    folder: Path, models: Path, options: argparse.Namespace
) -> list[dict[str, Any]]:
    phases = tuple(
        Phase(name, options.rate, WARMUP_S, options.duration, vote_rate)
        for name, vote_rate in (("without", 0.0), ("with", options.vote_rate))
    )
    async with site(folder, kafka=options.kafka, models=models) as at:
        topics = at.config.topics
        spec = Spec(
            kafka_servers=at.kafka_servers,
            input_topic=at.input_topic,
            decision_topic=at.decision_topic,
            partition_count=topics.partition_count,
            account_count=ACCOUNT_COUNT,
            fill_count=int(1.5 * ACCOUNT_COUNT),
            fill_rate=FILL_RATE,
            linger_s=TANSU_LINGER_MS / 1000,
            phases=phases,
            seed=SEED,
            observe=not options.kafka,
            feedback_topic=topics.full(topics.feedback),
        )
        async with Instance(at) as instance:
            await instance.ready()
            results = await generated(spec, folder)
            samples = instance.samples()
    found = []
    for number, (phase, result) in enumerate(zip(phases, results, strict=True)):
        figures = phase_figures(folder / f"phase-{number}.npz", result, samples)
        span = Span(samples, result["begin_s"], result["end_s"])
        counted = span.gain("feedback") / span.duration_s
        found.append({"vote_rate": phase.vote_rate, "counted_per_s": counted, **figures})
    return found


def _shown(rate: float | None) -> str:
    return "-" if rate is None else f"{rate:,.0f}"


async def measure(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Each of the three on a broker of its own."""
    plans = {
        "transactions alone": (0, options.count),
        "both": (options.votes, options.count),
        "votes alone": (options.votes, 0),
    }
    found = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        models = await asyncio.to_thread(make_model, folder / "model")
        for number, (title, (vote_count, count)) in enumerate(plans.items()):
            async with site(folder / str(number), kafka=False, models=models) as at:
                if count:
                    await preload(at, count, account_count=50_000, seed=SEED)
                await send_votes(at, vote_count)
                found[title] = await drained(at, vote_count, count)
    return found


async def send_votes(at: Site, count: int) -> None:
    async with Sender(at.config) as sender:
        made = voice_stream(count)
        for begin in range(0, count, A_CALL):
            await sender.feedback(made[begin : begin + A_CALL])
        await sender.flush()


async def drained(at: Site, vote_count: int, count: int) -> dict[str, Any]:
    """Rates from the first that was counted to the last."""
    begun_s = ended_s = 0.0
    seen = 0
    async with Instance(at) as instance, open_cases(at.config.redis) as store:
        async with asyncio.timeout(DRAIN_S_MAX):
            while seen < vote_count:
                instance.check()
                progress = await store.progress()
                now = 0 if progress is None else progress.next_offset
                if now and not begun_s:
                    begun_s, first = time.monotonic(), now
                seen = now
                await asyncio.sleep(0.05)
        ended_s = time.monotonic()
        found: dict[str, Any] = {}
        if vote_count:
            found["votes_per_s"] = (vote_count - first) / max(ended_s - begun_s, 1e-9)
        if count:
            sample = await instance.transactions(count, DRAIN_S_MAX)
            found["transactions_per_s"] = count / (
                sample["last_decision_s"] - sample["first_record_s"]
            )
    return found


if __name__ == "__main__":
    main()
