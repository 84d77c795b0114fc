"""What happened when within one run: latencies, gaps and stalls of a span of its time."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import Span
from benchmarks.latency import HALF_MS, latencies_ms
from sentinel.records import Floats, Ints

STALL_MS = 20.0


@dataclass(frozen=True, slots=True)
class Arrivals:
    """What the generator's arrays of a phase say.

    Attributes
    ----------
    due_ms, latency_ms
        Of each transaction behind the warm-up, in the order sent: epoch milliseconds for which it
        was planned, and what it took from then to its decision.
    before
        For each partition how many transactions went before this phase.
    counts
        For each partition how many there were, those before included.
    seen
        Rows of (partition, first offset behind it, epoch ms): how far decisions were at what time.
    """

    due_ms: Floats
    latency_ms: Floats
    before: Ints
    counts: Ints
    seen: Floats

    def within(self, begin_s: float, end_s: float) -> Floats:
        """Latencies of the transactions that were due between two times (epoch seconds)."""
        return self.latency_ms[(self.due_ms >= begin_s * 1000) & (self.due_ms < end_s * 1000)]

    def decided_s(self, partition: int, offsets: Ints) -> Floats:
        """Epoch seconds at which the decisions at these offsets were there, shape (n,)."""
        rows = self.seen[self.seen[:, 0] == partition]
        found: Floats = rows[np.searchsorted(rows[:, 1], offsets, side="right"), 2] / 1000
        return found


def arrivals(arrays: Path, *, append_times: bool) -> Arrivals:
    """Read the arrays of a phase."""
    with np.load(arrays) as found:
        columns = (found[name] for name in ("due_ms", "partition", "before", "seen", "measured"))
        due_ms, partitions, before, seen, measured = columns
    latencies = latencies_ms(due_ms, partitions, before, seen, measured)
    counts = before + np.bincount(partitions, minlength=before.size)
    due_ms = due_ms[measured.astype(bool)]
    return Arrivals(due_ms, latencies + HALF_MS * append_times, before, counts, seen)


def longest_gap_ms(seen: Floats, begin_s: float, end_s: float) -> float:
    """The longest time for which some partition had no decision that ended between two times.

    0 if no partition had two.

    Parameters
    ----------
    seen
        As of `Arrivals`.
    begin_s, end_s
        Epoch seconds.
    """
    longest = 0.0
    for partition in np.unique(seen[:, 0]):
        at_ms = np.sort(seen[seen[:, 0] == partition, 2])
        is_inside = (at_ms[1:] >= begin_s * 1000) & (at_ms[1:] <= end_s * 1000)
        longest = max(longest, float(np.diff(at_ms)[is_inside].max(initial=0.0)))
    return longest


def stalls(samples: Sequence[dict[str, Any]], begin_s: float, end_s: float) -> list[dict[str, Any]]:
    """When the loop stood still for longer than `STALL_MS`, and how much of it was its own work."""
    found = [stall for sample in samples for stall in sample["stalls"]]
    return [
        stall
        for stall in found
        if begin_s <= stall["at_s"] <= end_s and stall["late_ms"] > STALL_MS
    ]


def span_figures(
    found: Arrivals, samples: Sequence[dict[str, Any]], begin_s: float, end_s: float
) -> dict[str, Any]:
    """What a span of time (epoch seconds) amounts to.

    The highest loop lag is the middle of its histogram's bucket, within 6 %.
    """
    latencies = found.within(begin_s, end_s)
    if latencies.size == 0:
        raise SystemExit("a span has no transaction")
    span = Span(samples, begin_s, end_s)
    lag_p99, lag_max = span.quantiles_ms("loop_lag", 0.99, 1.0)
    stood = stalls(samples, begin_s, end_s)
    return {
        "begin_s": begin_s,
        "duration_s": end_s - begin_s,
        "count": int(latencies.size),
        "latency_ms": {
            "p50": float(np.quantile(latencies, 0.5)),
            "p99": float(np.quantile(latencies, 0.99)),
            "max": float(latencies.max()),
        },
        "engine_p99_ms": span.quantiles_ms("engine", 0.99)[0],
        "loop_lag_ms": {"p99": lag_p99, "max": lag_max},
        "stalls": stood,
        "stall_count": len(stood),
        "own_stall_count": sum(stall["own_ms"] > STALL_MS for stall in stood),
        "gap_ms": longest_gap_ms(found.seen, begin_s, end_s),
        "instance_cpu": span.gain("cpu_s") / span.duration_s,
    }
