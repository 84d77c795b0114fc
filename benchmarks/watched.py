"""`sentinel run` for a benchmark: the same, and every half second a line on how it is doing.

    python -m benchmarks.watched CONFIG SAMPLES DURATION [PROBE_MS]

The counters and histograms only grow; whoever reads two lines knows what happened between them.
With PROBE_MS a task asks to be woken so often, and each line has the times at which it was woken
much later since the line before: the probe of the metrics, every 50 ms, sees one short stall in
some.
"""

import asyncio
import gc
import json
import os
import resource
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TextIO

import uvloop

from sentinel import config as configuration
from sentinel.adapters.redis import RedisStateStore
from sentinel.app.run import RunOptions, run
from sentinel.app.status import Status
from sentinel.config import Config
from sentinel.metrics import Histogram
from sentinel.ports import Fences

Load = Callable[[RedisStateStore, str, Sequence[str], Fences], Awaitable[Any]]

INTERVAL_S = 0.5
STALL_NOTED_MS = 10.0
STALL_COUNT_MAX = 1_000  # a line
PAGE_BYTES = resource.getpagesize()


class Pauses:
    """How long the garbage collector held everything, by generation."""

    def __init__(self) -> None:
        self.seconds = Histogram()
        self.total_s = 0.0
        self._begun_s = 0.0
        gc.callbacks.append(self._note)

    def _note(self, phase: str, _: dict[str, int]) -> None:
        if phase == "start":
            self._begun_s = time.perf_counter()
        else:
            took_s = time.perf_counter() - self._begun_s
            self.total_s += took_s
            self.seconds.observe(took_s)


class Loads(Counter[str]):
    """How many entities of each kind the store was asked for: those that were not in memory."""

    def watch(self) -> None:
        """Count what every state store of this process is asked for from now on."""
        for name in ("load_owned", "load_shared"):
            setattr(RedisStateStore, name, self._counted(getattr(RedisStateStore, name)))

    def _counted(self, load: Load) -> Load:
        async def counted(
            store: RedisStateStore, entity: str, keys: Sequence[str], fences: Fences
        ) -> Any:
            self[entity] += len(keys)
            return await load(store, entity, keys, fences)

        return counted


class Stalls:
    """When the loop woke a task late, and how much of the delay was work of the loop's own thread.

    The rest is what the machine's other work took from it.
    """

    def __init__(self) -> None:
        self._found: list[dict[str, float]] = []

    async def watch(self, probe_s: float) -> None:
        """Note them until cancelled."""
        while True:
            asked_s, used_s = time.monotonic() + probe_s, time.thread_time()
            await asyncio.sleep(probe_s)
            late_ms = (time.monotonic() - asked_s) * 1000
            if late_ms > STALL_NOTED_MS and len(self._found) < STALL_COUNT_MAX:
                own_ms = (time.thread_time() - used_s) * 1000
                self._found.append({"at_s": time.time(), "late_ms": late_ms, "own_ms": own_ms})

    def taken(self) -> list[dict[str, float]]:
        """Those since the last call."""
        found, self._found = self._found, []
        return found


class Sampler:
    """Writes one line each interval; given to the run as what shows it."""

    def __init__(self, sink: TextIO, stalls: Stalls) -> None:
        self._sink = sink
        self._stalls = stalls
        self._loads = Loads()
        self._loads.watch()
        self._pauses = Pauses()
        self._due_s = 0.0

    def __call__(self, status: Status) -> None:
        now_s = time.monotonic()
        if now_s < self._due_s or status.instance is None:
            return
        self._due_s = now_s + INTERVAL_S
        json.dump(self._sample(status), self._sink)
        self._sink.write("\n")
        self._sink.flush()

    def _sample(self, status: Status) -> dict[str, Any]:
        instance, metrics = status.instance, status.metrics
        assert instance is not None
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return {
            "at_s": time.time(),
            "is_ready": instance.health().status != "starting",
            "transactions": metrics.transactions,
            "decisions": metrics.decisions,
            "dead_letters": metrics.dead_letters,
            "feedback": metrics.feedback,
            "degraded": metrics.degraded,
            "alerts": metrics.alerts,
            "examples": metrics.examples,
            "deployments": metrics.deployments,
            "commits": metrics.commits,
            "lag": instance.lag(),
            "first_record_s": metrics.first_record_s,
            "last_decision_s": metrics.last_decision_s,
            "loads": dict(self._loads),
            "entities": instance.entity_counts(),
            "stage_s": dict(metrics.stage_s),
            "cpu_s": usage.ru_utime + usage.ru_stime,
            "rss_bytes": resident_bytes(os.getpid()),
            "gc_s": self._pauses.total_s,
            "stalls": self._stalls.taken(),
            "histograms": {
                "engine": metrics.engine_s.counts.tolist(),
                "latency": metrics.latency_s.counts.tolist(),
                "loop_lag": metrics.loop_lag_s.counts.tolist(),
                "batch_size": metrics.batch_size.counts.tolist(),
                "gc": self._pauses.seconds.counts.tolist(),
            },
        }


def resident_bytes(pid: int) -> int:
    """Memory that a process has in use now, not at its highest."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES


async def watched(
    config: Config, options: RunOptions, sampler: Sampler, stalls: Stalls, probe_s: float
) -> None:
    """The run, with the probe beside it if there is to be one."""
    probing = asyncio.create_task(stalls.watch(probe_s)) if probe_s else None
    try:
        await run(config, options, lambda *_: None, sampler, lambda: None)
    finally:
        if probing is not None:
            probing.cancel()
            await asyncio.gather(probing, return_exceptions=True)


def main() -> None:
    config_file, samples_file, duration_s, *rest = sys.argv[1:]
    probe_s = float(rest[0]) / 1000 if rest else 0.0
    config = configuration.load(Path(config_file))
    options = RunOptions(stream=False, duration_s=float(duration_s))
    gc.freeze()  # as the command does
    with Path(samples_file).open("w") as sink:
        stalls = Stalls()
        uvloop.run(watched(config, options, Sampler(sink, stalls), stalls, probe_s))


if __name__ == "__main__":
    main()
