"""A preloaded topic drained end to end: consume, decode, features, score, publish, commit.

One instance with empty state, beside the broker and the store, on the machine it finds; state is
written as it goes. With `--kafka` the broker is Apache Kafka instead of the embedded one.

    python -m benchmarks.throughput [--count N] [--kafka] [--json FILE] [--quick]
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

from benchmarks.harness import Site, facts, header, preload, print_table, site, write_json
from benchmarks.workloads import FEATURE_COUNT

SEED = 11
RUN_S_MAX = 600.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--accounts", type=int, default=100_000)
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--kafka", action="store_true", help="Apache Kafka instead of Tansu")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true", help="200,000 transactions, once")
    options = parser.parse_args()
    if options.quick:
        options.count, options.repeat = 200_000, 1
    about = facts(SEED)
    runs = [uvloop.run(measure(options)) for _ in range(options.repeat)]
    rates = sorted(run["busy_throughput_per_s"] for run in runs)
    print(f"\n{header(about)}")
    broker = "Apache Kafka" if options.kafka else "Tansu"
    shape = (
        f"{options.accounts:,} accounts, {FEATURE_COUNT} features, {options.partitions} partitions"
    )
    print(f"{options.count:,} transactions of {shape}, {broker}:")
    spread = f"{rates[0]:,.0f} to {rates[-1]:,.0f}"
    print(f"  median {median(rates):,.0f}/s of {len(runs)} runs ({spread})")
    middle = min(runs, key=lambda run: abs(run["busy_throughput_per_s"] - median(rates)))
    stages = sorted(middle["stage_us"].items(), key=lambda item: -item[1])
    rows = [[stage, f"{us:.2f}"] for stage, us in stages]
    rows += [["whole process, CPU", f"{middle['busy_cpu_us']:.2f}"]]
    print_table(["stage (elapsed, waits included)", "µs a transaction"], rows)
    print(f"  memory {middle['memory_mb']:,.0f} MB")
    write_json(options.json, {"about": about, "broker": broker, "runs": runs})


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with site(folder, kafka=options.kafka, partition_count=options.partitions) as found:
            await preload(found, options.count, account_count=options.accounts, seed=SEED)
            return await drained(found, options.count)


async def drained(at: Site, count: int, settings: dict[str, str] | None = None) -> dict[str, Any]:
    """The report of a `sentinel run` with these settings, which ends when nothing is left to do."""
    run = [sys.executable, "-m", "sentinel", "run", "--config", str(at.config_file)]
    run += ["--no-stream", "--plain", "--exit-when-idle", "4", "--report", "report.json"]
    process = await asyncio.create_subprocess_exec(
        *run,
        cwd=at.folder,
        env={**os.environ, **at.environment, **(settings or {})},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(RUN_S_MAX):
            if await process.wait() != 0:
                raise SystemExit("sentinel run failed")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    report: dict[str, Any] = json.loads((at.folder / "report.json").read_text())
    assert report["decisions"] == count, report
    return report


if __name__ == "__main__":
    main()
