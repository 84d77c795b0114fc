"""Where updates are measured: one instance, load that ends when it is told to, and no surprises."""

import argparse
import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from benchmarks.harness import Instance, Site, site
from benchmarks.latency import FILL_RATE, KAFKA_LINGER_MS, SEED, TANSU_LINGER_MS
from benchmarks.load import Phase, Spec
from sentinel.adapters.registry import ModelDirectory, ModelParams
from sentinel.stored.versions import Artifact

WHO = "benchmark"
# The only update is the one that is asked for.
SETTINGS = {
    "SENTINEL__UPDATES__TRIGGERS__AFTER_EXAMPLE_COUNT": "0",
    "SENTINEL__UPDATES__TRIGGERS__EVERY_S": "0",
}
POLL_S = 0.25
START_S_MAX = 300.0


def write_champion(folder: Path, champion: Artifact) -> Path:
    """A model directory in which this is the champion."""
    told = {name: value for name, value in champion.manifest.items() if name != "version"}
    ModelDirectory(ModelParams(directory=str(folder))).add(champion.version, champion.text, told)
    return folder


@asynccontextmanager
async def update_site(
    folder: Path, models: Path, options: argparse.Namespace
) -> AsyncIterator[Site]:
    """Servers and topics; the instance trains on demand only."""
    async with site(
        folder,
        kafka=options.kafka,
        entities_max=max(4 * options.accounts, 10_000),
        settings=SETTINGS,
        models=models,
    ) as at:
        yield at


def spec_of(at: Site, phase: Phase, options: argparse.Namespace) -> Spec:
    """One phase, which may be ended by the stop file."""
    linger_ms = KAFKA_LINGER_MS if options.kafka else TANSU_LINGER_MS
    return Spec(
        kafka_servers=at.kafka_servers,
        input_topic=at.input_topic,
        decision_topic=at.decision_topic,
        partition_count=at.config.topics.partition_count,
        account_count=options.accounts,
        fill_count=int(1.5 * options.accounts),
        fill_rate=FILL_RATE,
        linger_s=linger_ms / 1000,
        phases=(phase,),
        seed=SEED,
        observe=not options.kafka,
        stop_file=str(at.folder / "stop"),
    )


async def begun(instance: Instance, spec: Spec, loading: "asyncio.Task[Any]") -> None:
    """Wait until the warm-up of the first phase is decided."""
    phase = spec.phases[0]
    count = spec.fill_count + int(phase.rate * phase.warmup_s)
    deadline_s = time.monotonic() + START_S_MAX + phase.warmup_s
    while instance.samples()[-1]["transactions"] < count:
        check(instance, loading)
        if time.monotonic() > deadline_s:
            raise SystemExit("the warm-up was not decided in time")
        await asyncio.sleep(POLL_S)


def check(instance: Instance, loading: "asyncio.Task[Any]") -> None:
    """Raise SystemExit when the instance has died, or the load has ended too soon."""
    instance.check()
    if loading.done():
        raise SystemExit("the load ended before all was measured: a larger --limit is needed")
