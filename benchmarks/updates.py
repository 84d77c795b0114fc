"""What an update of the model costs scoring, and what a promotion or a rollback does.

    python -m benchmarks.updates [update] [swaps] [--rate N] [--kafka] [--json FILE] [--quick]

Two measurements, each with a broker, a store and an instance of its own; both if none is named.

- `update`: the trainer gets 50,000 new examples, and is asked for an update while transactions
  arrive at a fixed rate, open loop. What did it take, by strategy and in all, and how did latency
  and the loop fare before, during and after (`benchmarks/update_beside.py`)?
- `swaps`: two versions, the second a continuation of the first, are promoted and rolled back in
  turn under the same load. How long does each change take, does anything stand still, and is every
  decision there once and scored by the version that it names (`benchmarks/swaps.py`)?

Latency is that of `benchmarks/latency.py`. On Tansu it grows with the log whatever else is done, so
that "after" may exceed "before" by that much; `--kafka` has no such drift. A task in the instance
asks to be woken every 5 ms: a stall is a delay of that by more than 20 ms, and one of its own if
the loop's thread was computing for that long; the other stalls are the machine's, which gave the
processor to somebody else.
"""

import argparse
import asyncio
import tempfile
from pathlib import Path
from typing import Any

import uvloop

from benchmarks import swaps, update_beside
from benchmarks.harness import facts, header, write_json
from benchmarks.latency import SEED
from benchmarks.update_examples import Material, champion_of, continuation_of, material
from benchmarks.update_site import write_champion
from benchmarks.workloads import write_config
from sentinel import config as configuration
from sentinel.stored.versions import Artifact

PARTS = ("update", "swaps")


def main() -> None:
    options = parsed()
    about = facts(SEED)
    figures = uvloop.run(measure(options))
    broker = "Apache Kafka" if options.kafka else "Tansu"
    print(f"\n{options.rate:,.0f} transactions a second, {broker}")
    print(f"  {header(about)}")
    if "update" in figures:
        print("\nan update beside scoring")
        update_beside.show(figures["update"])
    if "swaps" in figures:
        print("\npromotions and rollbacks beside scoring")
        swaps.show(figures["swaps"])
    write_json(
        options.json,
        {"benchmark": "updates", "broker": broker, "rate": options.rate, **about, **figures},
    )
    found = figures.get("swaps", {})
    if found.get("lost_or_doubled") or found.get("inexact"):
        raise SystemExit("there are wrong decisions")


def parsed() -> argparse.Namespace:
    """The options; the quick ones prove that it works, and measure little."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--rate", type=float, default=10_000.0)
    parser.add_argument("--examples", type=int, default=50_000, help="new ones")
    parser.add_argument("--old", type=int, default=50_000, help="examples before the champion")
    parser.add_argument("--accounts", type=int, default=100_000)
    parser.add_argument("--warmup", type=float, default=5.0, metavar="S")
    parser.add_argument("--around", type=float, default=20.0, metavar="S", help="before and after")
    parser.add_argument("--swaps", type=int, default=5, help="promotions, and as many rollbacks")
    parser.add_argument(
        "--pause", type=float, default=6.0, metavar="S", help="from one to the next"
    )
    parser.add_argument("--probe-ms", type=float, default=5.0, help="of the loop; 0: none")
    parser.add_argument("--limit", type=float, default=300.0, metavar="S", help="of an update")
    parser.add_argument("--kafka", action="store_true", help="Apache Kafka instead of Tansu")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--quick", action="store_true", help="1,000/s, short, fewer new examples")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    options.parts = options.parts or list(PARTS)
    if options.quick:
        options.rate, options.accounts, options.examples = 1_000.0, 5_000, 20_000
        options.warmup, options.around, options.swaps, options.pause = 2.0, 5.0, 2, 3.0
    return options


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    """The parts that were asked for, one after the other."""
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        given, versions = await asyncio.to_thread(_made, folder, options)
        models = await asyncio.to_thread(write_champion, folder / "models", versions[0])
        if "update" in options.parts:
            found["update"] = await update_beside.measure_update(
                folder / "update", models, given, options
            )
        if "swaps" in options.parts:
            found["swaps"] = await swaps.measure_swaps(folder / "swaps", models, versions, options)
    return found


def _made(folder: Path, options: argparse.Namespace) -> tuple[Material, tuple[Artifact, Artifact]]:
    """Examples, and two versions made from them."""
    config = configuration.load(write_config(folder), {})
    names = [feature.name for feature in config.features]
    given = material(names, old_count=options.old, new_count=options.examples, seed=SEED)
    champion = champion_of(given.old, names)
    return given, (champion, continuation_of(champion, given, names))


if __name__ == "__main__":
    main()
