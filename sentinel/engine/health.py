"""Health is progress: what is fine, what is degraded, and why."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from sentinel.metrics import Metrics
from sentinel.ports import Broker
from sentinel.records import TopicPartition

HealthName = Literal["ok", "degraded", "stuck", "starting"]

_PROBE_S = 0.05
_STUCK_AFTER_S = 10.0


@dataclass(frozen=True, slots=True)
class Health:
    """One word, and the reasons for it."""

    status: HealthName
    reasons: tuple[str, ...] = ()


def health(
    *,
    is_assigned: bool,
    is_recovering: bool,
    store_away: bool,
    lag: int | None,
    idle_s: float,
) -> Health:
    """Judge an instance. With records waiting and none taken for 10 s it is stuck."""
    if not is_assigned or is_recovering:
        return Health("starting", ("waiting for partitions" if not is_assigned else "replaying",))
    if lag and idle_s > _STUCK_AFTER_S:
        return Health("stuck", (f"no progress for {idle_s:.0f} s with {lag} records waiting",))
    if store_away:
        return Health("degraded", ("the state store is away",))
    return Health("ok")


def total_lag(broker: Broker, partitions: Iterable[TopicPartition]) -> int | None:
    """Records that wait on these partitions; None while nothing is known."""
    known = [lag for at in partitions if (lag := broker.lag(at)) is not None]
    return sum(known) if known else None


async def watch_loop(metrics: Metrics, clock_s: Callable[[], float]) -> None:
    """Measure how late the event loop wakes a task that asked for 50 ms of sleep."""
    while True:
        asked_s = clock_s() + _PROBE_S
        await asyncio.sleep(_PROBE_S)
        metrics.loop_lag_s.observe(max(clock_s() - asked_s, 0.0))
