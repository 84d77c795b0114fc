"""A preloaded topic drained end to end: consume, decode, features, score, publish, commit.

One instance beside the embedded broker and store, on the machine it finds.

    python -m benchmarks.throughput [--count N] [--json FILE] [--quick]
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

import uvloop

from benchmarks.workloads import FEATURE_COUNT, card_stream, write_config, write_model
from sentinel import config as configuration
from sentinel.adapters.embedded import EmbeddedServers
from sentinel.app.sender import Sender
from sentinel.config import Config


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--accounts", type=int, default=100_000)
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true", help="200,000 transactions, once")
    options = parser.parse_args()
    if options.quick:
        options.count, options.repeat = 200_000, 1
    runs = [uvloop.run(measure(options)) for _ in range(options.repeat)]
    rates = sorted(run["busy_throughput_per_s"] for run in runs)
    shape = f"{FEATURE_COUNT} features, {options.partitions} partitions"
    print(f"\n{options.count:,} transactions, {shape}")
    print(f"  median {median(rates):,.0f}/s (lowest {rates[0]:,.0f}, highest {rates[-1]:,.0f})")
    middle = min(runs, key=lambda run: abs(run["busy_throughput_per_s"] - median(rates)))
    for stage, us in sorted(middle["stage_us"].items(), key=lambda item: -item[1]):
        print(f"  {stage:10} {us:6.2f} µs a transaction")
    print(f"  processor  {middle['busy_cpu_us']:6.2f} µs a transaction, all of the process")
    print(f"  memory     {middle['memory_mb']:,.0f} MB")
    if options.json:
        options.json.write_text(json.dumps({"runs": runs}, indent=2))


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = write_config(folder, partition_count=options.partitions)
        config = configuration.load(path, {})
        write_model(folder, [feature.name for feature in config.features])
        async with EmbeddedServers(folder / "servers") as servers:
            environment = {
                "SENTINEL__KAFKA__BOOTSTRAP_SERVERS": servers.kafka_servers,
                "SENTINEL__KAFKA__IDEMPOTENCE": "false",
                "SENTINEL__REDIS__URL": servers.redis_url,
            }
            await preload(configuration.load(path, environment), options)
            run = [sys.executable, "/tmp/x/inst.py", "run", "--config", str(path), "--no-stream"]
            run += ["--plain", "--exit-when-idle", "3", "--report", "report.json"]
            process = await asyncio.create_subprocess_exec(
                *run, cwd=folder, env={**os.environ, **environment}, stdout=subprocess.DEVNULL
            )
            if await process.wait() != 0:
                raise SystemExit("sentinel run failed")
        report: dict[str, Any] = json.loads((folder / "report.json").read_text())
    assert report["decisions"] == options.count, report
    return report


async def preload(config: Config, options: argparse.Namespace) -> None:
    """Fill the topic before anything reads it."""
    accounts, records = card_stream(options.count, account_count=options.accounts)
    async with Sender(config) as sender:
        for begin in range(0, options.count, 5_000):
            end = begin + 5_000
            await sender.transactions(accounts[begin:end], records[begin:end])
        await sender.flush()


if __name__ == "__main__":
    main()
