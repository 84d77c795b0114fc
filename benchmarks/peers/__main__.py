"""Sentinel and what a user would write or pick instead, side by side on one preloaded topic.

    python -m benchmarks.peers [PEER]... [--count N] [--tansu] [--json FILE] [--quick]

Everybody drains the same topic of the same broker, one after another, in one run: read JSON, 24
features of three entities, 200 trees, a decision with its features out, commits each second. The
peers share one job in plain Python (`job.py`) and lose nothing else that would count against them:
their state is in memory only, and their settings are for throughput (see each docstring). Each runs
in a virtual environment of its own under `.venvs`, made on demand with pinned versions.

Counted from the first record read to the last decision flushed. The broker is Apache Kafka, which
all of them know; `--tansu` takes the embedded one, where some do not work.
"""

import argparse
import asyncio
import json
import os
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import uvloop

from benchmarks.harness import (
    ROOT,
    Instance,
    Site,
    facts,
    header,
    make_model,
    preload,
    print_table,
    site,
    write_json,
)
from benchmarks.peers.environments import PeerFailedError, interpreter
from sentinel.adapters.kafka import KafkaBroker
from sentinel.core.topics import TopicSpec

SEED = 11
DRAIN_S_MAX = 900.0
MODEL = ("lightgbm==4.7.0", "numpy==2.4.6", "orjson==3.13.0")


@dataclass(frozen=True, slots=True)
class Peer:
    """Somebody else who does the job: what to install, which module to run, and how."""

    name: str
    environment: str
    requirements: tuple[str, ...]
    module: str
    batch_count: int = 1


CONFLUENT = ("confluent-kafka==2.16.1",)
BYTEWAX = ("bytewax[kafka]==0.21.1", "confluent-kafka==2.16.1")
PEERS = (
    Peer("confluent-kafka loop", "confluent", CONFLUENT, "with_confluent"),
    Peer("confluent-kafka, batches of 500", "confluent", CONFLUENT, "with_confluent", 500),
    Peer("Bytewax", "bytewax", BYTEWAX, "with_bytewax"),
    Peer("Bytewax, batches", "bytewax", BYTEWAX, "with_bytewax", 1_000),
    Peer("Quix Streams", "quix", ("quixstreams==3.28.1",), "with_quix"),
    Peer("Faust", "faust", ("faust-streaming==0.15.3", "aiokafka==0.14.0"), "with_faust"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("peers", nargs="*", metavar="PEER", help="part of a name; none: all")
    parser.add_argument("--count", type=int, default=200_000)
    parser.add_argument("--accounts", type=int, default=100_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--tansu", action="store_true", help="the embedded broker")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--quick", action="store_true", help="20,000 transactions, once")
    options = parser.parse_args()
    if options.quick:
        options.count, options.accounts, options.repeat = 20_000, 20_000, 1
    wanted = [
        peer
        for peer in PEERS
        if not options.peers or any(part.lower() in peer.name.lower() for part in options.peers)
    ]
    about = facts(SEED)
    runs = uvloop.run(measure(options, wanted))
    broker = "Tansu" if options.tansu else "Apache Kafka"
    print(f"\n{options.count:,} transactions drained from {broker}, {options.repeat} runs")
    print(f"  {header(about)}")
    print_table(
        ("who", "transactions/s", "lowest", "highest", "CPU µs", ""),
        [_row(name, found) for name, found in runs.items()],
    )
    _print_ratio(runs)
    write_json(options.json, {"benchmark": "peers", "broker": broker, **about, "runs": runs})


def _row(name: str, found: list[dict[str, Any]]) -> list[str]:
    if reasons := [run["failed"] for run in found if "failed" in run]:
        return [name, "-", "-", "-", "-", reasons[0]]
    rates = sorted(run["rate"] for run in found)
    cpu_us = median(run["cpu_us"] for run in found)
    cells = [f"{rate:,.0f}" for rate in (median(rates), rates[0], rates[-1])]
    return [name, *cells, f"{cpu_us:.1f}", ""]


def _print_ratio(runs: dict[str, list[dict[str, Any]]]) -> None:
    medians = {
        name: median(run["rate"] for run in found)
        for name, found in runs.items()
        if not any("failed" in run for run in found)
    }
    sentinel = medians.pop("Sentinel", None)
    if sentinel is None or not medians:
        return
    for label, names in (
        ("record at a time", [name for name in medians if "batches" not in name]),
        ("in batches", [name for name in medians if "batches" in name]),
    ):
        if names:
            best = max(names, key=lambda name: medians[name])
            print(f"  Sentinel is {sentinel / medians[best]:.1f}x the best {label}, {best}")


async def measure(
    options: argparse.Namespace, peers: Sequence[Peer]
) -> dict[str, list[dict[str, Any]]]:
    """The peers in turn, and that several times; then Sentinel as often."""
    runs: dict[str, list[dict[str, Any]]] = {"Sentinel": [], **{peer.name: [] for peer in peers}}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        models = await asyncio.to_thread(make_model, folder / "model")
        async with _filled_site(folder / "peers", models, options) as at:
            await _run_peers(at, options, peers, runs)
        for number in range(options.repeat):
            # An instance goes on from its commit and its state: each time a broker of its own.
            async with _filled_site(folder / f"sentinel-{number}", models, options) as at:
                runs["Sentinel"].append(await _run_sentinel(at, options.count))
    return runs


@asynccontextmanager
async def _filled_site(
    folder: Path, models: Path, options: argparse.Namespace
) -> AsyncIterator[Site]:
    entities_max = 4 * options.accounts
    async with site(
        folder, kafka=not options.tansu, entities_max=entities_max, models=models
    ) as at:
        await preload(at, options.count, account_count=options.accounts)
        yield at


async def _run_sentinel(at: Site, count: int) -> dict[str, Any]:
    async with Instance(at) as instance:
        ended = await instance.transactions(count, DRAIN_S_MAX)
        begun = instance.before()
    assert ended["dead_letters"] == 0, ended
    return {
        "rate": count / (ended["last_decision_s"] - ended["first_record_s"]),
        "cpu_us": (ended["cpu_s"] - begun["cpu_s"]) * 1e6 / count,
    }


async def _run_peers(
    at: Site,
    options: argparse.Namespace,
    peers: Sequence[Peer],
    runs: dict[str, list[dict[str, Any]]],
) -> None:
    model_file = next((at.folder / "models").glob("*/model.txt"))
    for number in range(options.repeat):
        for peer in peers:
            sink = f"by-{peer.module}-{peer.batch_count}-{number}"
            try:
                wanted = {*peer.requirements, *MODEL}
                python = await asyncio.to_thread(interpreter, peer.environment, wanted)
                run = await _run_peer(at, peer, python, model_file, sink, options.count)
            except PeerFailedError as error:
                run = {"failed": str(error)}
            runs[peer.name].append(run)


async def _run_peer(
    at: Site, peer: Peer, python: Path, model_file: Path, sink: str, count: int
) -> dict[str, Any]:
    async with KafkaBroker(at.config.kafka) as broker:
        await broker.ensure_topics([TopicSpec(sink, at.config.topics.partition_count)])
    arguments = [at.kafka_servers, at.input_topic, sink, str(model_file), str(count)]
    process = await asyncio.create_subprocess_exec(
        *(str(python), "-m", f"benchmarks.peers.{peer.module}"),
        *(*arguments, str(peer.batch_count)),
        cwd=at.folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(at.folder)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(DRAIN_S_MAX):
            out, words = await process.communicate()
    except TimeoutError as error:
        raise PeerFailedError("took too long") from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    lines = [line for line in out.decode().splitlines() if line.startswith("{")]
    if process.returncode != 0 or not lines:
        last = (words.decode().strip().splitlines() or ["it says nothing"])[-1]
        raise PeerFailedError(f"exit code {process.returncode}: {last[:120]}")
    figures = json.loads(lines[-1])
    if figures["count"] < count:
        raise PeerFailedError(f"decided {figures['count']:,} of {count:,}")
    return {
        "rate": figures["count"] / figures["duration_s"],
        "cpu_us": figures["cpu_s"] * 1e6 / figures["count"],
    }


if __name__ == "__main__":
    main()
