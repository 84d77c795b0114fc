"""What exactly-once output costs: one preloaded topic of Apache Kafka, drained in both modes.

One instance beside the broker and the store, on the machine it finds. The modes take turns, and
only their ratio means something: a busy machine slows both.

    python -m benchmarks.delivery [--count N] [--json FILE] [--quick]
"""

import argparse
import json
import tempfile
from pathlib import Path
from statistics import median
from typing import Any, get_args

import uvloop

from benchmarks.harness import preload, site
from benchmarks.throughput import drained
from benchmarks.workloads import FEATURE_COUNT
from sentinel.engine.params import Delivery

MODES: tuple[str, ...] = get_args(Delivery)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=500_000)
    parser.add_argument("--accounts", type=int, default=100_000)
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true", help="60,000 transactions, once in each")
    options = parser.parse_args()
    if options.quick:
        options.count, options.repeat = 60_000, 1
    runs = uvloop.run(measure(options))
    rates = {mode: [run["busy_throughput_per_s"] for run in runs[mode]] for mode in MODES}
    ratios = sorted(exact / plain for plain, exact in zip(*rates.values(), strict=True))
    shape = f"{FEATURE_COUNT} features, {options.partitions} partitions"
    print(f"\n{options.count:,} transactions, {shape}, Apache Kafka")
    for mode, found in rates.items():
        print(f"  {mode:14} {median(found):,.0f}/s ({min(found):,.0f} to {max(found):,.0f})")
    print(f"  exactly once at {median(ratios):.2f} of the speed ({ratios[0]:.2f}-{ratios[-1]:.2f})")
    if options.json:
        options.json.write_text(json.dumps({"ratio": median(ratios), "runs": runs}, indent=2))


async def measure(options: argparse.Namespace) -> dict[str, list[dict[str, Any]]]:
    """The reports of all runs, by mode; each is a consumer group of its own on the same log."""
    runs: dict[str, list[dict[str, Any]]] = {mode: [] for mode in MODES}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with site(folder, kafka=True, partition_count=options.partitions) as found:
            await preload(found, options.count, account_count=options.accounts)
            for number in range(options.repeat):
                for mode in MODES if number % 2 == 0 else MODES[::-1]:
                    settings = {
                        "SENTINEL__KAFKA__GROUP_ID": f"{mode}-{number}",
                        "SENTINEL__REDIS__KEY_PREFIX": f"{mode}-{number}",
                        "SENTINEL__ENGINE__DELIVERY": mode,
                    }
                    runs[mode].append(await drained(found, options.count, settings))
    return runs


if __name__ == "__main__":
    main()
