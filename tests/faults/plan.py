"""From a seed to what goes wrong and when, so that a failure is a seed."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

WatchedBy = Literal["bits", "days", "counts"]


@dataclass(frozen=True, slots=True)
class Fault:
    """One way in which the world fails.

    Attributes
    ----------
    wait_s
        The shortest and the longest span of quiet work before a strike.
    hold_s
        How long what was struck stays so: the shortest and the longest.
    brokers
        On which brokers it can be had.
    partition_count
        Of the transactions. With one, and one instance, every decision is held against the oracle's
        whole; with more, how they interleave shows in the features of shared entities.
    watched_row_ms
        Of event time from one transaction to the next, where the stream changes now and then and
        what the watch for drift makes of it is held against the oracle's; 0: it is not.
    watched_by
        What of it: "bits", all windows and alarms; "days", how much windows count, and which column
        alarms on which day, where decisions follow how partitions interleave; "counts", how much
        windows count, where decisions know less while the store is away.
    """

    name: str
    wait_s: tuple[float, float]
    hold_s: tuple[float, float]
    brokers: tuple[str, ...] = ("tansu", "kafka")
    instance_count: int = 1
    partition_count: int = 2
    watched_row_ms: int = 0
    watched_by: WatchedBy = "bits"


BOTH = ("tansu", "kafka")
KAFKA = ("kafka",)

# A strike waits until the instance works again; then it waits for a moment that nobody chose.
FAULTS: Mapping[str, Fault] = {
    fault.name: fault
    for fault in (
        Fault("kill", (0.2, 2.5), (0.0, 0.5)),
        Fault("kill-one-partition", (0.2, 2.5), (0.0, 0.5), partition_count=1),
        Fault("kill-early", (0.0, 0.6), (0.0, 0.1)),
        Fault("term", (0.2, 2.5), (0.0, 0.5)),
        Fault("stop-pair", (0.5, 3.0), (4.0, 6.0), KAFKA, 2, 4),
        Fault("kill-pair", (0.5, 3.0), (0.0, 1.0), KAFKA, 2, 4),
        Fault("stop", (0.5, 3.0), (3.5, 6.0)),
        Fault("broker-stop", (0.5, 3.0), (0.5, 6.0)),
        Fault("broker-kill", (0.5, 3.0), (0.5, 6.0), KAFKA),
        Fault("broker-of-three", (1.0, 3.0), (1.0, 5.0), ("kafka3",), 1, 3),
        Fault("redis-kill", (0.5, 2.5), (0.2, 4.0)),
        Fault("redis-kill-and-instance", (0.5, 2.5), (0.2, 2.0)),
        Fault("redis-slow", (0.5, 2.5), (5.0, 5.0)),
        Fault("redis-full", (0.5, 2.5), (1.0, 4.0)),
        Fault("storm", (0.2, 4.0), (0.0, 3.0), KAFKA, 3, 6),
        Fault("disk-full", (0.2, 1.0), (0.0, 0.5)),
        Fault("clock", (0.3, 2.0), (0.0, 0.0)),
        Fault("poison", (0.5, 2.0), (0.0, 0.0)),
        Fault("backlog", (0.5, 4.0), (0.0, 0.5)),
        Fault("drift", (0.5, 4.0), (0.0, 2.0), partition_count=1, watched_row_ms=20_000),
        Fault("drift-store", (0.5, 4.0), (0.2, 4.0), BOTH, 1, 1, 20_000, "counts"),
        Fault("drift-pair", (0.5, 4.0), (0.0, 2.0), KAFKA, 2, 4, 5_000, "days"),
    )
}


@dataclass(frozen=True, slots=True)
class Strike:
    """One blow: after how much quiet, for how long, at which of several, and how hard.

    `share` in [0, 1) is for whatever else the fault has to choose.
    """

    wait_s: float
    hold_s: float
    target: int
    share: float


def plan(fault: Fault, seed: int, count: int) -> list[Strike]:
    """The strikes of one run; equal arguments give equal strikes."""
    draw = random.Random(f"{fault.name} {seed}")
    targets = 3 if fault.brokers == ("kafka3",) else fault.instance_count
    return [
        Strike(
            wait_s=draw.uniform(*fault.wait_s),
            hold_s=draw.uniform(*fault.hold_s),
            target=draw.randrange(targets),
            share=draw.random(),
        )
        for _ in range(count)
    ]
