"""Health is progress: what is fine, what is degraded, and why."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from sentinel.metrics import Metrics
from sentinel.ports import Broker
from sentinel.records import TopicPartition

HealthName = Literal["ok", "starting", "degraded", "stuck", "maintenance"]

_PROBE_S = 0.05
_STUCK_AFTER_S = 10.0
_SLOW_AFTER_S = 3.0


@dataclass(frozen=True, slots=True)
class Health:
    """One word, and the reasons for it."""

    status: HealthName
    reasons: tuple[str, ...] = ()

    @property
    def is_ready(self) -> bool:
        """Whether transactions that come now will be decided soon."""
        return self.status in ("ok", "degraded", "maintenance")

    def beside(self, trouble: str) -> "Health":
        """The same with what troubles a helper, if anything: it ends nothing, and is said."""
        if not trouble:
            return self
        status = "degraded" if self.status == "ok" else self.status
        return Health(status, (*self.reasons, trouble))


def health(
    *,
    is_assigned: bool,
    is_recovering: bool,
    store_away: bool,
    lag: int | None,
    idle_s: float,
    silent: tuple[str, float] | None,
    unconfirmed_s: float,
    commit_interval_s: float,
    troubles: Sequence[str] = (),
    maintenance: str = "",
) -> Health:
    """Judge an instance: what it does not do for 10 s although it should, it is stuck with.

    Parameters
    ----------
    lag
        Records that wait.
    idle_s
        Since the last record was taken.
    silent
        The partition that Kafka has been silent about for longest, and for how long.
    unconfirmed_s
        Since all outputs and offsets were last known to be safe.
    troubles
        What else is not as it should be, though transactions are decided.
    maintenance
        Why somebody works on it, so that troubles are no surprise; empty while nobody does. What is
        stuck is stuck all the same.
    """
    if not is_assigned:
        return Health("starting", ("waiting for partitions",))
    stuck = []
    if silent is not None and silent[1] > _STUCK_AFTER_S:
        stuck.append(f"Kafka has not answered for {silent[1]:.0f} s about {silent[0]}")
    if lag and idle_s > _STUCK_AFTER_S and not is_recovering:
        stuck.append(f"no progress for {idle_s:.0f} s with {lag} records waiting")
    if unconfirmed_s > _STUCK_AFTER_S + 2 * commit_interval_s:
        stuck.append(f"no commit has been confirmed for {unconfirmed_s:.0f} s")
    if stuck:
        return Health("stuck", tuple(stuck))
    if is_recovering:
        return Health("starting", ("replaying",))
    away = ["the state store is away"] if store_away else []
    if unconfirmed_s > _SLOW_AFTER_S + 2 * commit_interval_s:
        away.append(f"commits are slow: none has been confirmed for {unconfirmed_s:.0f} s")
    reasons = (*away, *troubles)
    if maintenance:
        return Health("maintenance", (maintenance, *reasons))
    return Health("degraded", reasons) if reasons else Health("ok")


def longest_silence(
    broker: Broker, partitions: Iterable[TopicPartition]
) -> tuple[str, float] | None:
    """The partition that the cluster has been silent about for longest; None without any."""
    silences = [
        (f"{at.topic}-{at.partition}", silent_s)
        for at in partitions
        if (silent_s := broker.silent_s(at)) is not None
    ]
    return max(silences, key=lambda one: one[1], default=None)


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
