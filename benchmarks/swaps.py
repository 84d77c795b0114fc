"""Promotions and rollbacks under load: how fast, how smooth, and whether every decision is right.

Part of `benchmarks/updates.py`. Each change is made by the function behind `sentinel models
promote` or `rollback`; it is timed from its call, the start of a command of its own not included,
to the first decision of the other version in the last partition that has one.
"""

import argparse
import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.decided import Checked, decided, takeovers
from benchmarks.harness import Instance, Site, print_table
from benchmarks.latency import generated
from benchmarks.load import Phase, Spec
from benchmarks.spans import STALL_MS, Arrivals, arrivals, longest_gap_ms, stalls
from benchmarks.update_site import WHO, begun, spec_of, update_site
from sentinel.core.registry.transitions import promoted, rolled_back
from sentinel.operations.models import registry as app
from sentinel.serving_model import serving_model
from sentinel.stored.versions import Artifact

FIRST, SECOND = 0, 1  # the versions' places
LAST_S = 2.0  # behind the last change


@dataclass(frozen=True, slots=True)
class Change:
    """A promotion or a rollback: what was asked for, from when to when (epoch seconds)."""

    kind: str
    begin_s: float
    end_s: float

    @property
    def code(self) -> int:
        """The version that decides afterwards."""
        return SECOND if self.kind == "promoted" else FIRST


async def measure_swaps(
    folder: Path, models: Path, versions: tuple[Artifact, Artifact], options: argparse.Namespace
) -> dict[str, Any]:
    """One instance and one span of load, in which all the changes are made."""
    duration_s = 2 * options.swaps * options.pause + LAST_S + options.limit
    phase = Phase("swaps", options.rate, options.warmup, duration_s)
    async with update_site(folder, models, options) as at:
        spec = spec_of(at, phase, options)
        async with Instance(at, probe_ms=options.probe_ms) as instance:
            await instance.ready()
            await app.add(at.config, versions[SECOND], who=WHO, why="a continuation")
            changes, result = await _changed(at, spec, instance, versions, options)
            samples = instance.samples()
        found = arrivals(at.folder / "phase-0.npz", append_times=result["append_times"])
        names = [feature.name for feature in at.config.features]
        serving = {one.version: serving_model(one, names) for one in versions}
        rows = await decided(at, serving)
    return {
        "versions": list(serving),
        "late_ms": result["late_ms"],
        **correctness(rows, found, changes),
        "changes": change_figures(rows, found, samples, changes, pause_s=options.pause),
    }


async def _changed(
    at: Site,
    spec: Spec,
    instance: Instance,
    versions: tuple[Artifact, Artifact],
    options: argparse.Namespace,
) -> tuple[list[Change], dict[str, Any]]:
    """Make the changes while transactions come; they, and what the generator says."""
    loading = asyncio.create_task(generated(spec, at.folder))
    try:
        await begun(instance, spec, loading)
        changes = []
        for _ in range(options.swaps):
            # After the first rollback the version is archived as a bad one: only force takes it.
            taken = partial(promoted, version=versions[SECOND].version, force=True)
            for kind, step in (
                ("promoted", partial(taken, approval_needed=False)),
                ("rolled back", rolled_back),
            ):
                begin_s = time.time()
                by: dict[str, Any] = {"who": WHO, "why": "the benchmark", "at_ms": app.now_ms()}
                done = await app.change_registry(at.config, [partial(step, **by)])
                if done.unpublished:
                    raise SystemExit(f"a change was not published: {done.unpublished}")
                changes.append(Change(kind, begin_s, time.time()))
                await asyncio.sleep(max(options.pause - (time.time() - begin_s), 0))
        await asyncio.sleep(LAST_S)
        await asyncio.to_thread(Path(spec.stop_file).touch)
        (result,) = await loading
    finally:
        loading.cancel()
        await asyncio.gather(loading, return_exceptions=True)
    return changes, result


def correctness(
    rows: Sequence[Checked], found: Arrivals, changes: Sequence[Change]
) -> dict[str, Any]:
    """Whether each transaction has one decision, and each decision the score of its version."""
    counts = [one.code.size for one in rows]
    after = 0
    after_wrong = 0
    for one in rows:
        offsets = takeovers(one.code, [change.code for change in changes])
        is_after = (np.arange(one.code.size) >= offsets[1]) & (one.code == FIRST)
        after += int(is_after.sum())
        after_wrong += int((is_after & ~one.is_exact).sum())
    total = sum(counts)
    return {
        "sent": int(found.counts.sum()),
        "decided": total,
        "lost_or_doubled": sum(
            abs(int(sent) - count) for sent, count in zip(found.counts, counts, strict=True)
        )
        + sum(int((~one.is_in_place).sum()) for one in rows),
        "inexact": sum(int((~one.is_exact).sum()) for one in rows),
        "telling_share": sum(int(one.is_telling.sum()) for one in rows) / max(total, 1),
        "decided_after_rollback": after,
        "inexact_after_rollback": after_wrong,
    }


def change_figures(
    rows: Sequence[Checked],
    found: Arrivals,
    samples: Sequence[dict[str, Any]],
    changes: Sequence[Change],
    *,
    pause_s: float,
) -> list[dict[str, Any]]:
    """How each change went; the half of the pause behind it stands beside the other half."""
    wanted = [change.code for change in changes]
    first_s = np.array(
        [found.decided_s(number, takeovers(one.code, wanted)) for number, one in enumerate(rows)]
    )  # (partitions, changes)
    figures = []
    for number, change in enumerate(changes):
        middle_s, end_s = change.begin_s + pause_s / 2, change.begin_s + pause_s
        halves = {"around": (change.begin_s, middle_s), "elsewhere": (middle_s, end_s)}
        figures.append(
            {
                "kind": change.kind,
                "called_s": change.end_s - change.begin_s,
                "first_s": float(first_s[:, number].min() - change.begin_s),
                "everywhere_s": float(first_s[:, number].max() - change.begin_s),
                "gap_ms": {
                    name: longest_gap_ms(found.seen, *half) for name, half in halves.items()
                },
                "p99_ms": {
                    name: float(np.quantile(found.within(*half), 0.99))
                    for name, half in halves.items()
                },
                "stalls": {name: stalls(samples, *half) for name, half in halves.items()},
            }
        )
    return figures


def show(figures: dict[str, Any]) -> None:
    """The tables."""
    changes = figures["changes"]
    print_table(
        ("", "call s", "first s", "everywhere s", "gap ms", "elsewhere", "p99 ms", "elsewhere",
         "stalls", "elsewhere"),
        [_row(number, change) for number, change in enumerate(changes)],
    )  # fmt: skip
    for kind in ("promoted", "rolled back"):
        took_s = [change["everywhere_s"] for change in changes if change["kind"] == kind]
        print(f"  {kind:12} {np.median(took_s):.2f} s (median), {max(took_s):.2f} s (longest)")
    for name in ("around", "elsewhere"):
        own = sum(one["own_ms"] > STALL_MS for change in changes for one in change["stalls"][name])
        print(f"  stalls of the loop's own work {name}: {own}")
        gaps_ms = [change["gap_ms"][name] for change in changes]
        print(f"  gap {name:9} {np.median(gaps_ms):.0f} ms (median), {max(gaps_ms):.0f} (longest)")
    print(
        f"  {figures['decided']:,} decisions of {figures['sent']:,} transactions: "
        f"{figures['lost_or_doubled']:,} lost or decided twice, {figures['inexact']:,} with "
        f"another score than that of the version they name"
    )
    print(
        f"  the other version's score would be another one in {figures['telling_share']:.2%}; "
        f"{figures['decided_after_rollback']:,} decisions after a rollback, "
        f"{figures['inexact_after_rollback']:,} with another score"
    )


def _row(number: int, change: dict[str, Any]) -> list[str]:
    cells = [change["called_s"], change["first_s"], change["everywhere_s"]]
    pairs = [
        change[name][half] for name in ("gap_ms", "p99_ms") for half in ("around", "elsewhere")
    ]
    counts = [len(change["stalls"][half]) for half in ("around", "elsewhere")]
    return [
        f"{number + 1} {change['kind']}",
        *(f"{cell:.2f}" for cell in cells),
        *(f"{cell:.0f}" for cell in pairs),
        *map(str, counts),
    ]
