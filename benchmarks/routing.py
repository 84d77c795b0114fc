"""What experiments cost: assignment alone, whole runs with two and with eight arms, and a stop.

Assignment: processor time of the thread, in turns with the account hash that features use anyway.
Whole runs: a preloaded topic drained by one instance, processor time a transaction, in turns with
none, with two experiments of two arms on every account (a model version beside the champion, a
policy) and with one of eight model versions; the ratio to none with its 95 % interval. A stop:
transactions come at a rate, and a running experiment is stopped as the command does it; from the
call to the append of the last decision of its challenger.

    python -m benchmarks.routing [--pairs N] [--count N] [--stops N] [--kafka] [--json FILE]
"""

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import uvloop

from benchmarks.harness import Instance, Site, facts, header, preload, print_table, site, write_json
from benchmarks.latency import generated
from benchmarks.load import Phase
from benchmarks.throughput import SEED, drained
from benchmarks.update_site import begun, spec_of
from sentinel.adapters.kafka import KafkaTail
from sentinel.adapters.registry import ModelDirectory
from sentinel.core.experiments.assignment.assigning import Assignment
from sentinel.core.experiments.assignment.keys import key_check, key_of
from sentinel.core.experiments.routing import having
from sentinel.core.features.hashing import hash64
from sentinel.engine.tail import read_to_end
from sentinel.operations.experiments.acting import (
    change_experiment,
    create_experiment,
    start_experiment,
    stopping,
)
from sentinel.operations.models import registry
from sentinel.records import InputRecord, Transactions
from sentinel.stored.experiments import ArmSpec, Definition
from sentinel.stored.routing import RoutingPlan
from sentinel.texts import Texts

WHO = "benchmark"
SECRET = {"SENTINEL__EXPERIMENTS__SECRET": "of a benchmark"}
SIZES = (60, 512, 2048)
ROUNDS, CALLS = 15, 400
MODEL = Definition("model", "split", (ArmSpec("a", 0.5), ArmSpec("b", 0.5, "9.0.0")))
POLICY = Definition(
    "policy",
    "split",
    (ArmSpec("a", 0.5), ArmSpec("b", 0.5, policy={"review_min": 0.3})),
    layer="policy",
)
EIGHT = Definition(
    "eight",
    "split",
    (ArmSpec("a", 1 / 8), *(ArmSpec(f"b{i}", 1 / 8, f"9.0.{i}") for i in range(7))),
)
SETS: dict[str, Sequence[Definition]] = {
    "none": (),
    "two experiments": (MODEL, POLICY),
    "eight arms": (EIGHT,),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=6)
    parser.add_argument("--count", type=int, default=300_000)
    parser.add_argument("--accounts", type=int, default=100_000)
    parser.add_argument("--stops", type=int, default=5)
    parser.add_argument("--rate", type=float, default=5_000.0)
    parser.add_argument("--warmup", type=float, default=5.0)
    parser.add_argument("--kafka", action="store_true", help="Apache Kafka instead of Tansu")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    about = facts(SEED)
    print(f"\n{header(about)}")
    figures: dict[str, Any] = {"about": about, "assignment_us": assignment()}
    if options.pairs:
        figures["runs"] = uvloop.run(runs(options))
        figures["ratios"] = ratios(figures["runs"])
    if options.stops:
        figures["stops_ms"] = uvloop.run(stops(options))
        taken = figures["stops_ms"]
        print(f"a stop: median {median(taken):.0f} ms of {len(taken)}, largest {max(taken):.0f}")
    write_json(options.json, figures)


# --- assignment alone ---------------------------------------------------------------------------


def assignment() -> dict[str, float]:
    """Microseconds a transaction, by what is done and batch size."""
    key = key_of("of a benchmark")
    plans = {name: _plan(definitions, key_check(key)) for name, definitions in SETS.items()}
    took: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        for size in SIZES:
            rows = _accounts(size)
            accounts = rows.entities["account"]
            _timed(took, f"account hash, {size}", partial(hash64, accounts), size)
            for name, plan in plans.items():
                if plan.experiments:
                    one = Assignment(plan, key)
                    _timed(took, f"{name}, {size}", partial(one.codes, rows), size)
    found = {name: median(values) for name, values in took.items()}
    print_table(
        ["assignment, batch size", "µs a transaction", "least", "most"],
        [
            [name, f"{found[name]:.3f}", f"{min(took[name]):.3f}", f"{max(took[name]):.3f}"]
            for name in found
        ],
    )
    return found


def _plan(definitions: Sequence[Definition], check: str) -> RoutingPlan:
    plan = RoutingPlan()
    for one in definitions:
        plan = having(plan, one, 0, champion="1.0.0", key_check=check, holdout=0.0)
    return plan


def _accounts(count: int) -> Transactions:
    zero = np.zeros(count, dtype=np.int64)
    texts = Texts.of([f"account-{i:06d}" for i in range(count)])
    return Transactions(texts, zero, zero, zero, zero, {"account": texts})


def _timed(took: dict[str, list[float]], name: str, call: Callable[[], Any], size: int) -> None:
    call()
    begin_s = time.thread_time()
    for _ in range(CALLS):
        call()
    took.setdefault(name, []).append((time.thread_time() - begin_s) / CALLS / size * 1e6)


# --- whole runs -----------------------------------------------------------------------------------


async def runs(options: argparse.Namespace) -> dict[str, list[float]]:
    """Processor time a transaction, microseconds, by what runs; in turns."""
    found: dict[str, list[float]] = {name: [] for name in SETS}
    for turn in range(options.pairs):
        names = list(SETS)
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            with tempfile.TemporaryDirectory() as folder:
                found[name].append(await _run(Path(folder), SETS[name], options))
    return found


async def _run(
    folder: Path, definitions: Sequence[Definition], options: argparse.Namespace
) -> float:
    async with site(folder, kafka=options.kafka, settings=SECRET) as at:
        await preload(at, 1_000, account_count=options.accounts, seed=SEED + 1)
        await drained(at, 1_000)  # the registry has its champion by then
        await _begin(at, definitions)
        await preload(at, options.count, account_count=options.accounts, seed=SEED)
        report = await drained(at, options.count)
        return float(report["busy_cpu_us"])


async def _begin(at: Site, definitions: Sequence[Definition]) -> None:
    """Stage the versions, which are the champion's model once more, and start."""
    models = ModelDirectory(at.config.model)
    champion = models.load(models.versions()[-1])
    for definition in definitions:
        for version in definition.versions:
            await registry.add(at.config, replace(champion, version=version), who=WHO, why="")
    for definition in definitions:
        await create_experiment(at.config, definition, who=WHO)
        await start_experiment(at.config, definition.name, who=WHO)


def ratios(found: dict[str, list[float]]) -> dict[str, list[float]]:
    """To none: geometric mean and 95 % interval over the turns."""
    told = {}
    rows = []
    for name, values in found.items():
        logs = np.log(values) - np.log(found["none"])
        half = 1.96 * logs.std(ddof=1) / np.sqrt(logs.size) if logs.size > 1 else np.inf
        told[name] = np.exp([logs.mean(), logs.mean() - half, logs.mean() + half]).tolist()
        shown = "" if name == "none" else "{:.3f} ({:.3f} to {:.3f})".format(*told[name])
        rows.append([name, f"{median(values):.2f}", shown])
    print_table(["whole runs", "µs a transaction, CPU", "to none (95 %)"], rows)
    return told


# --- stops ----------------------------------------------------------------------------------------


async def stops(options: argparse.Namespace) -> list[float]:
    """Milliseconds from each stop to the append of the challenger's last decision."""
    duration_s = 8.0 * options.stops + 10.0
    phase = Phase("stops", options.rate, options.warmup, duration_s)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with site(folder, kafka=options.kafka, settings=SECRET) as at:
            spec = spec_of(at, phase, options)
            async with Instance(at) as instance:
                await instance.ready()
                loading = asyncio.create_task(generated(spec, at.folder))
                try:
                    await begun(instance, spec, loading)
                    calls_s = await _stopped(at, options.stops)
                    await asyncio.sleep(2)
                    await asyncio.to_thread(Path(spec.stop_file).touch)
                    await loading
                finally:
                    loading.cancel()
                    await asyncio.gather(loading, return_exceptions=True)
            return await _last_ms(at, calls_s)


async def _stopped(at: Site, count: int) -> list[float]:
    calls_s = []
    await _begin(at, ())
    models = ModelDirectory(at.config.model)
    champion = models.load(models.versions()[-1])
    await registry.add(at.config, replace(champion, version="9.0.0"), who=WHO, why="")
    for number in range(count):
        one = replace(MODEL, name=f"stop{number}")
        await create_experiment(at.config, one, who=WHO)
        await start_experiment(at.config, one.name, who=WHO)
        await asyncio.sleep(3)
        calls_s.append(time.time())
        await change_experiment(at.config, one.name, stopping("enough"), who=WHO, why="enough")
        await asyncio.sleep(2)
    return calls_s


async def _last_ms(at: Site, calls_s: Sequence[float]) -> list[float]:
    """Of each experiment, when its challenger decided last, after it was stopped."""
    last: dict[str, float] = {}
    topic = at.config.topics.full(at.config.topics.decisions)
    for record in await _records(at, topic):
        value = record.value or b""
        if b'"experiment":"stop' in value:
            told = json.loads(value)
            if told["arm"] == "b":
                name = told["experiment"].partition("@")[0]
                last[name] = max(last.get(name, 0.0), record.timestamp / 1000.0)
    return [
        max(last[f"stop{number}"] - call_s, 0.0) * 1000.0 for number, call_s in enumerate(calls_s)
    ]


async def _records(at: Site, topic: str) -> list[InputRecord]:
    found: list[InputRecord] = []
    for number in range(at.config.topics.partition_count):
        async with (
            KafkaTail(at.config.kafka, [topic], partition=number) as tail,
            aclosing(read_to_end(tail, topic, timeout_s=20.0)) as batches,
        ):
            async for records in batches:
                found += records
    return found


if __name__ == "__main__":
    main()
