"""One update of the model beside scoring: what it takes, and what scoring pays for it.

Part of `benchmarks/updates.py`. The old examples are with the trainer before anything is measured.
Then come a span without either, the new examples, and, when the trainer has taken them, the
update, asked for as `sentinel update now` does; it ends when the gate has spoken and what it let
through serves. All the while transactions arrive at one rate.
"""

import argparse
import asyncio
import json
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from benchmarks.harness import Instance, Site, print_table
from benchmarks.latency import generated
from benchmarks.load import Phase
from benchmarks.spans import arrivals, span_figures
from benchmarks.update_examples import Material
from benchmarks.update_site import POLL_S, WHO, begun, check, spec_of, update_site
from sentinel.adapters.kafka import KafkaBroker, KafkaTail
from sentinel.codec.records import keyed
from sentinel.engine.registry.lifecycle import Update
from sentinel.engine.tail import read_to_end
from sentinel.learner.params import STRATEGIES
from sentinel.operations.models import registry as app
from sentinel.operations.models import updates
from sentinel.records import OutputRecord

A_CALL = 5_000  # examples, as the archive publishes them
SETTLE_S = 3.0  # between spans: what waits of the one must not count in the other
TAKEN_S_MAX = 300.0
OVER = ("idle", "waiting", "watching")


async def measure_update(
    folder: Path, models: Path, given: Material, options: argparse.Namespace
) -> dict[str, Any]:
    """One instance, one span of load, one update."""
    phase = Phase("update", options.rate, options.warmup, 2 * options.around + options.limit)
    old, new = ([keyed(one.transaction_id, one) for one in part] for part in (given.old, given.new))
    async with update_site(folder, models, options) as at:
        await publish(at, old)
        spec = spec_of(at, phase, options)
        async with Instance(at, probe_ms=options.probe_ms) as instance:
            await instance.ready()
            await taken(instance, len(old), None)
            loading = asyncio.create_task(generated(spec, at.folder))
            try:
                await begun(instance, spec, loading)
                times = await _update(at, instance, new, len(old), loading, options.around)
                await asyncio.to_thread(Path(spec.stop_file).touch)
                (result,) = await loading
            finally:
                loading.cancel()
                await asyncio.gather(loading, return_exceptions=True)
            samples = instance.samples()
            figures = await told(at, times)
    found = arrivals(at.folder / "phase-0.npz", append_times=result["append_times"])
    spans = {
        "before": (max(result["begin_s"], times["begin_s"]), times["published_s"]),
        "examples come": (times["published_s"], times["taken_s"]),
        "update": (times["asked_s"], times["over_s"]),
        "after": (times["over_s"] + SETTLE_S, times["end_s"]),
    }
    return {
        "example_count": len(new),
        "old_example_count": len(old),
        "spans": {name: span_figures(found, samples, *ends) for name, ends in spans.items()},
        "late_ms": result["late_ms"],
        "alerts": samples[-1]["alerts"],
        **figures,
    }


async def _update(
    at: Site,
    instance: Instance,
    new: Sequence[OutputRecord],
    old_count: int,
    loading: "asyncio.Task[Any]",
    around_s: float,
) -> dict[str, float]:
    """Let the examples come and the update be made; when was what (epoch seconds), and its cost."""
    memory_mb_max = at.config.trainer.memory_mb_max
    times = {"begin_s": time.time()}
    await asyncio.sleep(around_s)
    before_s = trainer_cpu_s(instance.pid, memory_mb_max)
    times["published_s"] = time.time()
    await publish(at, new)
    await taken(instance, old_count + len(new), loading)
    times["taken_s"] = time.time()
    await asyncio.sleep(SETTLE_S)
    taken_s = trainer_cpu_s(instance.pid, memory_mb_max)
    times["asked_s"] = time.time()
    await updates.ask_for_update(at.config, who=WHO, why="to see what it costs")
    await over(at, instance, loading)
    times["over_s"] = time.time()
    made_s = trainer_cpu_s(instance.pid, memory_mb_max)
    await asyncio.sleep(SETTLE_S + around_s)
    times["end_s"] = time.time()
    return {**times, "taking_cpu_s": taken_s - before_s, "update_cpu_s": made_s - taken_s}


async def publish(at: Site, records: Sequence[OutputRecord]) -> None:
    """Onto the topic of examples."""
    topic = at.config.topics.full(at.config.topics.examples)
    async with KafkaBroker(at.config.kafka) as broker:
        for begin in range(0, len(records), A_CALL):
            await broker.publish(topic, 0, records[begin : begin + A_CALL])
            await broker.flush()


async def taken(instance: Instance, count: int, loading: "asyncio.Task[Any] | None") -> None:
    """Wait until the trainer has so many examples."""
    async with asyncio.timeout(TAKEN_S_MAX):
        while instance.samples()[-1]["examples"] < count:
            instance.check() if loading is None else check(instance, loading)
            await asyncio.sleep(POLL_S)


async def over(at: Site, instance: Instance, loading: "asyncio.Task[Any]") -> None:
    """Wait until nothing is left to do but to watch. The load ends it if it takes too long."""
    while True:
        check(instance, loading)
        found = (await updates.update_status(at.config)).update
        if found is not None and found.number > 0 and found.state in OVER:
            return
        await asyncio.sleep(POLL_S)


def trainer_cpu_s(pid: int, memory_mb_max: int) -> float:
    """Processor seconds of an instance's trainer so far: its child that may use so much memory."""
    limit = memory_mb_max * 2**20
    for child in psutil.Process(pid).children():
        with suppress(psutil.NoSuchProcess):
            if child.rlimit(psutil.RLIMIT_DATA)[0] == limit:
                used = child.cpu_times()
                return float(used.user + used.system)
    raise SystemExit("there is no trainer's process")


async def told(at: Site, times: dict[str, float]) -> dict[str, Any]:
    """What the registry and the audit say of the update."""
    update = (await updates.update_status(at.config)).update
    assert update is not None
    judged_s, entry = await judged(at, update)
    served = [
        event.at_ms / 1000
        for event in await app.read_history(at.config)
        if event.kind == "promoted" and event.version == update.version
    ]
    return {
        "cpu_s": {"taking": times["taking_cpu_s"], "update": times["update_cpu_s"]},
        "judged_after_s": judged_s - times["asked_s"],
        "promoted_after_s": served[0] - times["asked_s"] if served else None,
        "over_after_s": times["over_s"] - times["asked_s"],
        "state": update.state,
        "version": update.version,
        "verdict": entry["outcome"],
        "reason": entry["reason"],
        "outcome": update.outcome,
        "attempts": entry["attempts"],
        "checks": entry["checks"],
    }


async def judged(at: Site, update: Update) -> tuple[float, dict[str, Any]]:
    """When (epoch seconds) and what the audit was told of the candidates."""
    topic = at.config.topics.full(at.config.topics.audit)
    async with KafkaTail(at.config.kafka, [topic]) as tail:
        async for records in read_to_end(tail, topic, timeout_s=60.0):
            for record in records:
                entry = json.loads(record.value or b"{}")
                if entry["id"] == f"update-{update.number}-judged":
                    return record.timestamp / 1000, entry["after"]
    raise SystemExit(f"the audit does not tell of the update: {update.outcome}")


def show(figures: dict[str, Any]) -> None:
    """The tables."""
    before = figures["spans"]["before"]
    print_table(
        ("", "s", "p50 ms", "p99 ms", "p50 by before", "p99 by before", "loop lag p99", "max",
         "stalls", "own", "gap ms", "cpu"),
        [_row(name, one, before) for name, one in figures["spans"].items()],
    )  # fmt: skip
    print(f"  an update from {figures['example_count']:,} new examples, "
          f"{figures['old_example_count']:,} old ones beside them")  # fmt: skip
    print_table(
        ("strategy", "came of it", "s", "rows", "frauds", "trees", "average precision"),
        [_attempt(one) for one in figures["attempts"]],
    )
    tried = {one["strategy"] for one in figures["attempts"]}
    if untried := [name for name in STRATEGIES if name not in tried]:
        print(f"  not tried, as what came before was enough: {', '.join(untried)}")
    made_s = sum(one["seconds"] for one in figures["attempts"])
    cpu = figures["cpu_s"]
    print(f"  candidates {made_s:.1f} s; the gate's word after {figures['judged_after_s']:.1f} s, "
          f"all over after {figures['over_after_s']:.1f} s")  # fmt: skip
    print(f"  the trainer's processor time: update {cpu['update']:.1f} s, taking the new examples "
          f"{cpu['taking']:.1f} s")  # fmt: skip
    print(f"  {figures['verdict']}: {figures['reason']}")
    print(f"  at the end: {figures['state']}, {figures['outcome'] or 'nothing to say'}")


def _row(name: str, one: dict[str, Any], before: dict[str, Any]) -> list[str]:
    own, first = one["latency_ms"], before["latency_ms"]
    ratios = [own[share] / first[share] for share in ("p50", "p99")]
    return [
        name,
        f"{one['duration_s']:.1f}",
        *(f"{own[share]:.1f}" for share in ("p50", "p99")),
        *(f"{ratio:.2f}" for ratio in ratios),
        *(f"{one['loop_lag_ms'][share]:.1f}" for share in ("p99", "max")),
        f"{one['stall_count']}",
        f"{one['own_stall_count']}",
        f"{one['gap_ms']:.0f}",
        f"{one['instance_cpu']:.0%}",
    ]


def _attempt(one: dict[str, Any]) -> list[str]:
    precision = one["average_precision"]
    return [
        one["strategy"],
        one["outcome"],
        f"{one['seconds']:.2f}",
        *(f"{one[name]:,}" for name in ("row_count", "fraud_count", "tree_count")),
        "-" if precision is None else f"{precision:.3f}",
    ]
