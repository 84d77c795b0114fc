"""How it scales: instances on Apache Kafka, live accounts, and a cache smaller than what is live.

    python -m benchmarks.scale [instances] [entities] [cache] [--json FILE] [--quick]

`instances`: 1, 2 and 4 of them drain the same amount from a preloaded topic. They join, are held
still (SIGSTOP) while the topic is filled, and go on together, so none has a start. More instances
than cores share the machine with the broker: CPU seconds a transaction say what another machine
would add, transactions a second what this one allows.

`entities`: bytes and time of a live account (`benchmarks/entities.py`), in CPU time.

`cache`: the same backlog with room in memory for every entity, and for a tenth of the accounts and
devices; the rest come from the store and go back to it.
"""

import argparse
import asyncio
import json
import signal
import sys
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from os import kill
from pathlib import Path
from typing import Any

import uvloop

from benchmarks.harness import (
    ROOT,
    Instance,
    facts,
    header,
    make_model,
    preload,
    print_table,
    server_cpu_s,
    site,
    write_json,
)

SEED = 11
PARTS = ("instances", "entities", "cache")
DRAIN_S_MAX = 600.0
SETTLE_S = 3.0  # for a group to have shared the partitions out
LIVE_SHARE = 0.1  # of the live entities that fit into memory


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--count", type=int, default=400_000, help="transactions of a backlog")
    parser.add_argument("--accounts", type=int, default=100_000)
    parser.add_argument("--instances", type=int, action="append", metavar="N")
    parser.add_argument("--live", type=int, action="append", metavar="N", help="live accounts")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--quick", action="store_true", help="small numbers: under 45 s")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    parts = options.parts or (PARTS[1:2] if options.quick else PARTS)
    options.instances = options.instances or ([1, 2] if options.quick else [1, 2, 4])
    options.live = options.live or (
        [10_000, 100_000] if options.quick else [10_000, 100_000, 1_000_000, 3_000_000]
    )
    options.rounds = 20 if options.quick else 40
    if options.quick:
        options.count, options.accounts = 60_000, 20_000
    about = facts(SEED)
    print(header(about))
    figures: dict[str, Any] = {}
    for part in parts:
        run = {"instances": instances, "entities": entities, "cache": cache}[part]
        figures[part] = uvloop.run(run(options))
    write_json(options.json, {"benchmark": "scale", **about, **figures})


async def instances(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Drain a backlog with more and more instances."""
    runs = []
    with tempfile.TemporaryDirectory() as name:
        models = await asyncio.to_thread(make_model, Path(name) / "model")
        for count in options.instances:
            folder = Path(name) / f"with-{count}"
            runs.append(await _drained_by(folder, models, count, options))
    print(f"\n{options.count:,} transactions drained from Apache Kafka, 8 partitions")
    print_table(
        ("instances", "transactions/s", "of one", "CPU µs: instances", "broker", "store"),
        [
            [
                f"{run['instances']}",
                f"{run['rate']:,.0f}",
                f"{run['rate'] / runs[0]['rate']:.2f}x",
                *(f"{run['cpu_us'][name]:.1f}" for name in ("instances", "broker", "store")),
            ]
            for run in runs
        ],
    )
    return runs


async def _drained_by(
    folder: Path, models: Path, count: int, options: argparse.Namespace
) -> dict[str, Any]:
    async with AsyncExitStack() as stack:
        at = await stack.enter_async_context(
            site(folder, kafka=True, partition_count=8, models=models)
        )
        running = [
            await stack.enter_async_context(Instance(at, number=number)) for number in range(count)
        ]
        await asyncio.gather(*(instance.ready() for instance in running))
        await asyncio.sleep(SETTLE_S)
        await asyncio.gather(*(instance.ready_now() for instance in running))
        begun = [instance.samples()[-1] for instance in running]
        for instance in running:
            kill(instance.pid, signal.SIGSTOP)
        try:
            await preload(at, options.count, account_count=options.accounts)
            servers_begun_s = server_cpu_s()
        finally:
            for instance in running:
                kill(instance.pid, signal.SIGCONT)
        ended = await _decided(running, options.count)
        servers_s = server_cpu_s()
    first_s = min(sample["first_record_s"] for sample in ended if sample["transactions"])
    last_s = max(sample["last_decision_s"] for sample in ended if sample["transactions"])
    used_s = sum(e["cpu_s"] - b["cpu_s"] for b, e in zip(begun, ended, strict=True))
    cpu_s = {"instances": used_s} | {k: servers_s[k] - servers_begun_s[k] for k in servers_s}
    return {
        "instances": count,
        "rate": options.count / (last_s - first_s),
        "cpu_us": {name: s * 1e6 / options.count for name, s in cpu_s.items()},
        "shares": [sample["transactions"] / options.count for sample in ended],
    }


async def _decided(running: Sequence[Instance], count: int) -> list[dict[str, Any]]:
    """Wait until all of them together have decided so many; the last sample of each."""
    async with asyncio.timeout(DRAIN_S_MAX):
        while True:
            for instance in running:
                instance.check()
            last = [instance.samples()[-1] for instance in running]
            if sum(sample["transactions"] for sample in last) >= count:
                return last
            await asyncio.sleep(0.2)


async def entities(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Bytes and time of a live account, from few to many."""
    asked = [(count, "card") for count in options.live] + [(options.live[1], "bench")]
    runs = []
    for count, profile in asked:
        arguments = [str(count), str(options.rounds), profile]
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "benchmarks.entities", *arguments),
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
        )
        out, _ = await process.communicate()
        if process.returncode != 0:
            raise SystemExit("the measurement of the entities failed")
        runs.append(json.loads(out))
    print("\nlive accounts, features of one transaction in batches of 512, µs of CPU (quartiles)")
    print_table(
        ("profile, accounts", "uniform", "of the first", "zipf", "of the first", "bytes", "row"),
        [_entities_row(run, runs[0]) for run in runs],
    )
    return runs


def _entities_row(run: dict[str, Any], first: dict[str, Any]) -> list[str]:
    cells = [f"{run['profile']:5} {run['accounts']:>9,}"]
    for name in ("uniform", "zipf"):
        us = run["us"][name]
        cells.append(f"{us['median']:.2f} ({us['low']:.2f}-{us['high']:.2f})")
        cells.append(f"{us['median'] / first['us'][name]['median']:.2f}x")
    return [*cells, f"{run['bytes_an_account']:,.0f}", f"{run['row_bytes']:,}"]


async def cache(options: argparse.Namespace) -> list[dict[str, Any]]:
    """A backlog with everything in memory, and with a tenth of it."""
    runs = []
    with tempfile.TemporaryDirectory() as name:
        models = await asyncio.to_thread(make_model, Path(name) / "model")
        for label, room in (("all", 4.0), ("a tenth", LIVE_SHARE)):
            folder = Path(name) / label.replace(" ", "-")
            entities_max = int(options.accounts * room)
            runs.append(await _with_room(folder, models, label, entities_max, options))
    print(f"\n{options.count:,} transactions of {options.accounts:,} accounts, in memory:")
    print_table(
        ("room for", "transactions/s", "in memory", "CPU µs", "waiting µs", "store CPU µs"),
        [
            [
                f"{run['room']} ({run['entities_max']:,})",
                f"{run['rate']:,.0f}",
                f"{run['hit_rate']:.1%}",
                f"{run['cpu_us']:.1f}",
                f"{run['load_us']:.1f}",
                f"{run['store_us']:.1f}",
            ]
            for run in runs
        ],
    )
    more = runs[1]["loads"] - runs[0]["loads"]
    us = (runs[1]["busy_us"] - runs[0]["busy_us"]) * options.count / max(more, 1)
    print(f"  each of {more:,} more loads cost {us:.1f} µs")
    return runs


async def _with_room(
    folder: Path, models: Path, label: str, entities_max: int, options: argparse.Namespace
) -> dict[str, Any]:
    async with site(folder, kafka=False, entities_max=entities_max, models=models) as at:
        await preload(at, options.count, account_count=options.accounts)
        async with Instance(at) as instance:
            ended = await instance.transactions(options.count, DRAIN_S_MAX)
            begun = instance.before()
            store_s = server_cpu_s()["store"]
    loads = sum(ended["loads"].values())
    lookups = 3 * options.count  # account, merchant and device of each transaction
    busy_s = ended["last_decision_s"] - ended["first_record_s"]
    us = 1e6 / options.count
    return {
        "room": label,
        "entities_max": entities_max,
        "rate": 1e6 / (busy_s * us),
        "busy_us": busy_s * us,
        "loads": loads,
        "hit_rate": 1 - loads / lookups,
        "cpu_us": (ended["cpu_s"] - begun["cpu_s"]) * us,
        "load_us": ended["stage_s"]["load"] * us,
        "store_us": store_s * us,
        "degraded": ended["degraded"],
        "dead_letters": ended["dead_letters"],
    }


if __name__ == "__main__":
    main()
