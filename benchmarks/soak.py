"""Does it stay as it is? Memory and loop lag over many minutes at a fixed rate.

    python -m benchmarks.soak [--minutes N] [--rate N] [--kafka] [--json FILE] [--quick]

The open-loop generator of `benchmarks/load.py` sends for N minutes; the instance writes down twice
a second how it is doing. After a warm-up memory is fitted with a straight line by least squares:
its slope, in MB an hour, with its standard error. The errors of neighbouring samples are not
independent, so it is widened by their correlation.

Tansu keeps its whole log in memory, and looks through every batch of a partition at each fetch
(`benchmarks/latency.py`): a soak on it measures the broker after some minutes. Long ones belong on
Kafka, `--kafka`.
"""

import argparse
import asyncio
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import uvloop

from benchmarks.harness import (
    Instance,
    Span,
    facts,
    header,
    make_model,
    print_table,
    site,
    write_json,
)
from benchmarks.latency import FILL_RATE, KAFKA_LINGER_MS, SEED, TANSU_LINGER_MS, generated
from benchmarks.load import Phase, Spec
from sentinel.records import Floats

WINDOW_S = 5.0
WARMUP_SHARE, WARMUP_S_MAX = 0.2, 180.0  # caches and pools fill
HOUR_S = 3_600.0
MB = 1 << 20


class Slope(NamedTuple):
    """A straight line's slope, and how far it may be off (one standard error)."""

    value: float
    error: float


def slope_of(x: Floats, y: Floats) -> Slope:
    """Least squares, float64 (n,) each, n >= 4.

    The standard error counts only as many independent samples as the residuals' correlation from
    one to the next leaves, n (1 - r) / (1 + r).
    """
    assert x.shape == y.shape
    assert x.size >= 4
    centred = x - x.mean()
    spread = float(centred @ centred)
    value = float(centred @ (y - y.mean()) / spread)
    residuals = y - y.mean() - value * centred
    total = float(residuals @ residuals)
    r = float(residuals[1:] @ residuals[:-1]) / total if total > 0 else 0.0
    r = min(max(r, 0.0), 0.99)
    independent = max(x.size * (1 - r) / (1 + r), 3.0)
    variance = total / x.size * independent / (independent - 2)
    return Slope(value, float(np.sqrt(variance / (spread * independent / x.size))))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--rate", type=float, default=10_000.0)
    parser.add_argument("--accounts", type=int, default=100_000)
    parser.add_argument("--kafka", action="store_true", help="Apache Kafka instead of Tansu")
    parser.add_argument("--linger-ms", type=float, help="of the generator: 1 on Kafka, 10 on Tansu")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--quick", action="store_true", help="a quarter of a minute")
    options = parser.parse_args()
    if options.quick:
        options.minutes, options.accounts = 0.25, 20_000
    about = facts(SEED)
    figures = uvloop.run(measure(options))
    broker = "Apache Kafka" if options.kafka else "Tansu"
    print(f"\n{options.minutes:g} minutes at {options.rate:,.0f} a second, {broker}")
    print(f"  {header(about)}")
    every = max(len(figures["windows"]) // 12, 1)
    print_table(
        ("after s", "a second", "lag", "memory MB", "loop lag p99 ms", "engine p99 ms", "cpu"),
        [_row(window) for window in figures["windows"][::every]],
    )
    slope = figures["memory_mb_an_hour"]
    print(f"  memory   {slope['value']:+,.1f} ± {slope['error']:,.1f} MB an hour")
    print(f"  loop lag p99 {figures['loop_lag_p99_ms']:.1f} ms")
    late = figures["late_ms"]
    print(f"  the generator was late by {late['p50']:.2f} ms (p50), {late['p99']:.2f} ms (p99)")
    write_json(options.json, {"benchmark": "soak", "broker": broker, **about, **figures})


def _row(window: dict[str, float]) -> list[str]:
    return [
        f"{window['after_s']:,.0f}",
        f"{window['rate']:,.0f}",
        f"{window['lag']:,.0f}",
        f"{window['memory_mb']:,.1f}",
        f"{window['loop_lag_p99_ms']:.1f}",
        f"{window['engine_p99_ms']:.1f}",
        f"{window['cpu']:.0%}",
    ]


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    """One instance, one generator, N minutes."""
    duration_s = options.minutes * 60
    warmup_s = min(duration_s * WARMUP_SHARE, WARMUP_S_MAX)
    linger_ms = options.linger_ms or (KAFKA_LINGER_MS if options.kafka else TANSU_LINGER_MS)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        models = await asyncio.to_thread(make_model, folder / "model")
        async with site(
            folder, kafka=options.kafka, entities_max=4 * options.accounts, models=models
        ) as at:
            spec = Spec(
                kafka_servers=at.kafka_servers,
                input_topic=at.input_topic,
                decision_topic=at.decision_topic,
                partition_count=at.config.topics.partition_count,
                account_count=options.accounts,
                fill_count=int(1.5 * options.accounts),
                fill_rate=FILL_RATE,
                linger_s=linger_ms / 1000,
                phases=(Phase("soak", options.rate, warmup_s, duration_s - warmup_s),),
                seed=SEED,
                observe=False,
            )
            async with Instance(at, duration_s=2 * duration_s + 600) as instance:
                await instance.ready()
                (result,) = await generated(spec, folder)
                samples = instance.samples()
    return {**figures_of(samples, result["begin_s"], result["end_s"]), "late_ms": result["late_ms"]}


def figures_of(samples: list[dict[str, Any]], begin_s: float, end_s: float) -> dict[str, Any]:
    """What the samples between two times (epoch seconds) amount to."""
    span = Span(samples, begin_s, end_s)
    times_s = np.array([sample["at_s"] for sample in span.inside])
    memory_mb = np.array([sample["rss_bytes"] for sample in span.inside]) / MB
    slope = slope_of(times_s / HOUR_S, memory_mb)
    windows = []
    for from_s in np.arange(begin_s, end_s - WINDOW_S / 2, WINDOW_S).tolist():
        # The sample before belongs to a window, too: it is what the others are compared with.
        window = Span(samples, from_s - 0.6, from_s + WINDOW_S)
        windows.append(
            {
                "after_s": from_s - begin_s,
                "rate": window.gain("transactions") / window.duration_s,
                "lag": float(window.last["lag"] or 0),
                "memory_mb": window.last["rss_bytes"] / MB,
                "loop_lag_p99_ms": window.quantiles_ms("loop_lag", 0.99)[0],
                "engine_p99_ms": window.quantiles_ms("engine", 0.99)[0],
                "cpu": window.gain("cpu_s") / window.duration_s,
            }
        )
    return {
        "memory_mb_an_hour": slope._asdict(),
        "loop_lag_p99_ms": span.quantiles_ms("loop_lag", 0.99)[0],
        "engine_p99_ms": span.quantiles_ms("engine", 0.99)[0],
        "windows": windows,
    }


if __name__ == "__main__":
    main()
