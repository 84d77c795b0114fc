"""What a savepoint of the trainer's memory takes at the default bounds: bytes, seconds, the loop.

    python -m benchmarks.savepoints [--json FILE] [--quick]

A trainer in its process is filled beyond its bounds with 60 features of 600,000 transactions, once
those that Sentinel computes of simulated card payments (the Handbook's profile), once normal random
numbers, of which nothing can be compressed: the most that there can be. It is saved to the embedded
Valkey and restored into another process, and what that holds is compared to the bit. A task beside
asks to be woken every millisecond: how late it is at the worst, is how long the loop was held, or
for how long there was no processor; so it is asked for as long without a savepoint, too.
"""

import argparse
import asyncio
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import numpy as np
import uvloop

from benchmarks.harness import ROOT, facts, header, print_table, write_json
from sentinel import config as configuration
from sentinel.adapters.embedded import EmbeddedServers
from sentinel.adapters.pool import WorkerParams, WorkerProcess
from sentinel.adapters.pool.trainer import AskedTrainer
from sentinel.adapters.redis import RedisParams
from sentinel.app.builtin.stream import values_of
from sentinel.core.decision import PolicyParams
from sentinel.core.learning.training_data.columns import Columns, strata
from sentinel.core.learning.training_data.examples import Examples
from sentinel.engine.updates.savepoints import SavepointParams, Savepoints
from sentinel.learner.flattening import flatten
from sentinel.learner.learner import Learner
from sentinel.learner.params import LearningParams
from sentinel.operations.data.history import History
from sentinel.operations.stores import open_savepoints
from sentinel.records import Floats
from sentinel.simulation.handbook import SimulationParams, days

P = ParamSpec("P")
R = TypeVar("R")

SEED = 11
FEATURE_COUNT = 60
NAMES = [f"feature_{i}" for i in range(FEATURE_COUNT)]
BATCH_COUNT = 20_000
WAKE_S = 0.001
DAYS_MAX = 183
KINDS = ("computed", "random")


@dataclass(frozen=True)
class Figures:
    """What one kind of features came to."""

    kind: str
    rows: dict[str, int]
    raw_bytes: int
    bytes: int
    pieces: int
    save_s: float
    save_cpu_s: float
    save_late_ms: float
    restore_s: float
    restore_cpu_s: float
    restore_late_ms: float
    idle_late_ms: float


class FilledLearner(Learner):
    """A learner that can be filled at once, and says what that takes."""

    def fill(self, folder: str, count: int) -> None:
        features: Floats = np.load(Path(folder) / "features.npy", mmap_mode="r")
        held = self._state
        for begin in range(0, count, BATCH_COUNT):
            rows = examples(np.array(features[begin : begin + BATCH_COUNT]), begin)
            held._buffer.append(rows)
            held.newest_ms = int(rows.examples.event_time_ms.max())
            held.next_offset = begin + len(rows)
            held._absorb()

    def sizes(self) -> tuple[dict[str, int], int]:
        """Rows of each part, and bytes of all their arrays."""
        parts = self._state._parts()
        rows = {
            "window": len(parts["window"]),
            "memory": len(parts["memory"]),
            "held out": len(parts["held_out"].rows),
        }
        wide = [parts["window"].examples, parts["memory"].rows]
        wide += [parts["held_out"].memory.rows, parts["held_out"].rows.examples]
        columns = flatten(parts)
        pool = [name for name in columns if name.startswith("pool.")]
        narrow = sum(c.nbytes for name, c in columns.items() if name not in pool)
        return rows, narrow + sum(one.features.nbytes for one in wide)

    def cpu_s(self) -> float:
        used = resource.getrusage(resource.RUSAGE_SELF)
        return used.ru_utime + used.ru_stime


class FilledTrainer(AskedTrainer):
    """Such a learner, in a process of its own."""

    def __init__(self, process: WorkerProcess[FilledLearner]) -> None:
        self.process = process

    async def ask(
        self, method: Callable[Concatenate[Learner, P], R], *arguments: P.args, **named: P.kwargs
    ) -> R:
        return await self.process.call(method, *arguments, **named)


def examples(features: Floats, first: int) -> Columns:
    """One a second; what is not a feature is as it mostly is."""
    rng = np.random.default_rng([SEED, first])
    count = len(features)
    amount_minor = rng.lognormal(8, 1, count).astype(np.int64)
    action = (rng.random(count) < 0.03).astype(np.int64)
    is_fraud = rng.random(count) < 0.1
    is_presumed = ~is_fraud & (rng.random(count) < 0.9)
    none = np.zeros(count, dtype=np.bool_)
    places = np.arange(first, first + count, dtype=np.int64)
    inner = Examples(
        features=features,
        id_hash=rng.integers(1, 2**62, count),
        version=places,
        event_time_ms=1_700_000_000_000 + 1_000 * places,
        stratum=strata(amount_minor, action),
        is_fraud=is_fraud,
        posterior=np.where(is_fraud, 0.999, 0.001),
        weight=np.where(is_presumed, 10.0, 1.0),
        is_presumed=is_presumed,
    )
    account = rng.integers(1, 2**62, 50_000)[rng.integers(0, 50_000, count)]
    return Columns(inner, account, amount_minor, action, none, none, action > 0)


def computed(count: int) -> Iterator[Floats]:
    """Of simulated payments, in their order."""
    profile = configuration.load(ROOT / "config" / "handbook.toml", {})
    config = replace(profile, schema=configuration.load(None, {}).schema)
    history, done = History(config), 0
    for day in days(SimulationParams(day_count=DAYS_MAX)):
        features = history.fold(values_of(day), day.is_fraud.tolist()).features
        yield features[: count - done, :FEATURE_COUNT]
        done += len(features)
        if done >= count:
            return


def features_of(kind: str, count: int) -> Floats:
    if kind == "random":
        return np.random.default_rng(SEED).normal(size=(count, FEATURE_COUNT))
    return np.concatenate(list(computed(count)))


async def lateness_ms(stop: asyncio.Event) -> float:
    """How late it was woken at the worst."""
    worst_s = 0.0
    while not stop.is_set():
        begun_s = time.perf_counter()
        await asyncio.sleep(WAKE_S)
        worst_s = max(worst_s, time.perf_counter() - begun_s - WAKE_S)
    return 1_000 * worst_s


async def timed(worker: WorkerProcess[FilledLearner], work: Any) -> tuple[float, float, float]:
    """Seconds that it takes, of these the processor time of the worker, and how late others are."""
    cpu_s, stop = await worker.call(FilledLearner.cpu_s), asyncio.Event()
    watching = asyncio.create_task(lateness_ms(stop))
    await asyncio.sleep(0.1)
    begun_s = time.perf_counter()
    await work
    taken_s = time.perf_counter() - begun_s
    stop.set()
    return taken_s, await worker.call(FilledLearner.cpu_s) - cpu_s, await watching


async def measured(kind: str, count: int, redis: RedisParams, folder: Path) -> Figures:
    make = partial(FilledLearner, NAMES, PolicyParams(), LearningParams())
    np.save(folder / "features.npy", await asyncio.to_thread(features_of, kind, count))
    params = WorkerParams()
    async with (
        open_savepoints(replace(redis, key_prefix=kind)) as store,
        WorkerProcess(make, params) as first,
        WorkerProcess(make, params) as second,
    ):
        await first.call(FilledLearner.fill, str(folder), count)
        rows, raw_bytes = await first.call(FilledLearner.sizes)
        saving = Savepoints(store, FilledTrainer(first), SavepointParams(after_example_count=1))
        saving.take(1)
        save = await timed(first, saving.save("a log"))
        found = await store.savepoint()
        assert found is not None, "it was not kept"
        restoring = Savepoints(store, FilledTrainer(second), SavepointParams())
        restore = await timed(second, restoring.restore("a log"))
        idle = await timed(first, asyncio.sleep(save[0]))
        again = await second.call(FilledLearner.save, log="a log")
        assert again.sha256 == found.sha256, "it is not what was saved"
    return Figures(
        kind, rows, raw_bytes, again.byte_count, found.piece_count, *save, *restore, idle[2]
    )


async def main(count: int) -> list[Figures]:
    figures = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with EmbeddedServers(folder / "servers", kafka=False) as servers:
            for kind in KINDS:
                redis = RedisParams(url=servers.redis_url)
                figures.append(await measured(kind, count, redis, folder))
    return figures


def row(one: Figures) -> list[str]:
    held = ", ".join(f"{name} {count:,}" for name, count in one.rows.items())
    sizes = [f"{size / 1e6:,.1f}" for size in (one.raw_bytes, one.bytes)]
    times = [
        f"{one.save_s:.1f} ({one.save_cpu_s:.1f})",
        f"{one.save_late_ms:.1f}",
        f"{one.restore_s:.1f} ({one.restore_cpu_s:.1f})",
        f"{one.restore_late_ms:.1f}",
        f"{one.idle_late_ms:.1f}",
    ]
    return [one.kind, held, *sizes, str(one.pieces), *times]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true", help="30,000 transactions")
    options = parser.parse_args()
    about = facts(SEED)
    found = uvloop.run(main(30_000 if options.quick else 600_000))
    print(header(about))
    print_table(
        ("features", "rows held", "MB held", "MB saved", "pieces", "saved in s (worker's CPU)",
         "loop late, ms", "restored in s (worker's CPU)", "loop late, ms", "without, ms"),
        [row(one) for one in found],
    )  # fmt: skip
    write_json(options.json, {**about, "figures": [vars(one) for one in found]})
