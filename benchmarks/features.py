"""What the features of a transaction cost: microseconds, and bytes an entity.

A stream of payments is folded as the engine does it: look up what is missing, take it in, read the
features, count the rows in. The state is first filled with a month of history, and every batch is
new: its identifiers are fresh strings, whose hashes Python has not yet cached.
"""

import argparse
import json
import platform
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sentinel.core.features import packing
from sentinel.core.features.spec import EntityParams, FeatureParams
from sentinel.core.features.state import FeatureState
from sentinel.records import Floats, Transactions
from sentinel.texts import Texts

SEED = 1
BATCH_COUNTS = (1, 64, 512)
BATCH_COUNT_FILL = 1024
DAY_MS = 86_400_000


class Profile(NamedTuple):
    """A set of features, and the population whose payments it sees."""

    name: str
    entities: dict[str, EntityParams]
    features: tuple[FeatureParams, ...]
    population: dict[str, int]
    rows_a_day: int
    history_days: int


class Quartiles(NamedTuple):
    """Lower quartile, median and upper quartile."""

    low: float
    median: float
    high: float


class Speed(NamedTuple):
    """Microseconds a transaction, with all of `missing`, `admit` and `fold`."""

    profile: str
    batch: int
    us: Quartiles


class Size(NamedTuple):
    """Bytes of one entity: its rows in memory, and its stored blob."""

    profile: str
    entity: str
    kind: str
    memory_bytes: int
    blob_bytes: Quartiles
    cut_us: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results here, too")
    parser.add_argument("--quick", action="store_true", help="fewer rounds: under 45 s")
    options = parser.parse_args()
    round_count = 15 if options.quick else 60
    speeds: list[Speed] = []
    sizes: list[Size] = []
    for profile in (handbook(), handbook_tiles(), card()):
        stream = Stream(profile)
        state = filled(profile, stream)
        sizes += measured_sizes(profile, state)
        for batch_count in BATCH_COUNTS:
            speeds.append(measured_speed(profile, state, stream, batch_count, round_count))
            print(speed_line(speeds[-1]), flush=True)
    print()
    for size in sizes:
        print(size_line(size))
    if options.json:
        options.json.write_text(json.dumps(report(speeds, sizes), indent=2) + "\n")


def handbook() -> Profile:
    """The fifteen features that the Fraud Detection Handbook publishes."""
    features = [
        FeatureParams(name="amount", stat="amount"),
        FeatureParams(name="weekend", stat="weekend"),
        FeatureParams(name="night", stat="night"),
    ]
    features += [
        FeatureParams(
            name=f"account_{stat}_{window}",
            stat=stat,
            entity="account",
            window=window,
            include_current=True,
        )
        for window in ("1d", "7d", "30d")
        for stat in ("count", "mean")
    ]
    features += [
        FeatureParams(
            name=f"terminal_{stat}_{window}",
            stat=stat,
            entity="terminal",
            window=window,
            delay="7d",
            empty=0.0,
        )
        for window in ("1d", "7d", "30d")
        for stat in ("count", "fraud_share")
    ]
    return Profile(
        name="handbook",
        entities={
            "account": EntityParams(events_max=256),
            "terminal": EntityParams(events_max=256),
        },
        features=tuple(features),
        population={"account": 5_000, "terminal": 10_000},
        rows_a_day=9_600,
        history_days=38,
    )


def handbook_tiles() -> Profile:
    """The same, with a day's tiles at the terminals."""
    terminal = EntityParams(kind="tiles", tile="1d")
    profile = handbook()
    return profile._replace(name="tiles", entities={**profile.entities, "terminal": terminal})


def card() -> Profile:
    """Card payments: short windows over an account's last events, and two shared entities."""
    account = [
        FeatureParams(name=f"{stat}_{window}", stat=stat, entity="account", window=window)
        for window in ("1h", "1d", "7d")
        for stat in ("count", "sum", "mean", "max")
    ]
    account += [
        FeatureParams(
            name="merchants_7d", stat="distinct", entity="account", window="7d", field="merchant"
        ),
        FeatureParams(name="decayed", stat="decayed_sum", entity="account", half_life="1d"),
        FeatureParams(name="since_last", stat="time_since_last", entity="account"),
    ]
    shared = [
        FeatureParams(name=f"{entity}_{stat}", stat=stat, entity=entity, window="1d")
        for entity in ("merchant", "device")
        for stat in ("count", "mean")
    ]
    return Profile(
        name="card",
        entities={
            "account": EntityParams(events_max=32),
            "merchant": EntityParams(kind="tiles", tile="1h"),
            "device": EntityParams(kind="tiles", tile="1h"),
        },
        features=(*account, *shared),
        population={"account": 50_000, "merchant": 5_000, "device": 40_000},
        rows_a_day=100_000,
        history_days=4,
    )


class Stream:
    """An endless seeded stream of payments, in the order of event time."""

    def __init__(self, profile: Profile) -> None:
        self._rng = np.random.default_rng(SEED)
        self._population = profile.population
        self._gap_ms = DAY_MS / profile.rows_a_day
        self._offset = 0
        self._time_ms = 1_700_000_000_000

    def rows(self, count: int) -> Transactions:
        """The next `count` payments."""
        rng = self._rng
        gaps = rng.exponential(self._gap_ms, count).astype(np.int64)
        times = self._time_ms + np.cumsum(gaps)
        offsets = np.arange(self._offset, self._offset + count)
        self._time_ms = int(times[-1])
        self._offset += count
        entities = {
            name: Texts.of(f"{name}-{i:08}" for i in rng.integers(0, size, count).tolist())
            for name, size in self._population.items()
        }
        return Transactions(
            transaction_id=Texts.of(f"transaction-{i:012}" for i in offsets.tolist()),
            partition=np.zeros(count, dtype=np.int64),
            offset=offsets,
            event_time_ms=times,
            amount_minor=rng.integers(100, 30_000, count),
            entities=entities,
        )


def filled(profile: Profile, stream: Stream) -> FeatureState:
    """State after the profile's days of history."""
    state = FeatureState(profile.entities, profile.features, amount_decimals=2)
    state.warm()
    for _ in range(profile.rows_a_day * profile.history_days // BATCH_COUNT_FILL):
        fold(state, stream.rows(BATCH_COUNT_FILL))
    return state


def fold(state: FeatureState, rows: Transactions) -> Floats:
    state.admit_new(rows)
    return state.fold(rows).features


def measured_speed(
    profile: Profile, state: FeatureState, stream: Stream, batch_count: int, round_count: int
) -> Speed:
    """Time rounds of some thousand rows; what turned dirty is cut between rounds."""
    call_count = max(4, 4096 // batch_count)
    seconds = np.empty(round_count)
    for i in range(round_count):
        batches = [stream.rows(batch_count) for _ in range(call_count)]
        start = time.perf_counter()
        for rows in batches:
            fold(state, rows)
        seconds[i] = time.perf_counter() - start
        state.confirm(state.cut(0, count_max=1 << 40))
    us = seconds * 1e6 / (call_count * batch_count)
    return Speed(profile.name, batch_count, quartiles(us))


def measured_sizes(profile: Profile, state: FeatureState) -> list[Size]:
    """Sizes of all entities of the state, and the time to pack one when all are cut at once."""
    sizes = []
    for entity, table in state.tables.items():
        start = time.perf_counter()
        cut = table.cut(0, count_max=1 << 40)
        elapsed_s = time.perf_counter() - start
        table.confirm(cut)
        plan = table.plan
        sizes.append(
            Size(
                profile=profile.name,
                entity=entity,
                kind=plan.params.kind,
                memory_bytes=plan.word_count * 8 * (2 if plan.shared else 1),
                blob_bytes=quartiles(
                    packing.blob_sizes(plan, table.rows.parts, cut.parts).astype(float)
                ),
                cut_us=elapsed_s * 1e6 / cut.parts.size,
            )
        )
    return sizes


def quartiles(values: Floats) -> Quartiles:
    low, median, high = np.quantile(values, [0.25, 0.5, 0.75])
    return Quartiles(float(low), float(median), float(high))


def speed_line(speed: Speed) -> str:
    us = speed.us
    text = f"{us.median:.2f} ({us.low:.2f}-{us.high:.2f}) us a transaction"
    return f"{speed.profile:>9} batch {speed.batch:>4}: {text}"


def size_line(size: Size) -> str:
    blob = size.blob_bytes
    return (
        f"{size.profile:>9} {size.entity:>9} ({size.kind}): {size.memory_bytes} bytes in memory, "
        f"{blob.median:.0f} ({blob.low:.0f}-{blob.high:.0f}) stored, {size.cut_us:.2f} us to pack"
    )


def report(speeds: list[Speed], sizes: list[Size]) -> dict[str, object]:
    return {
        "benchmark": "features",
        "machine": {"processor": platform.machine(), "python": platform.python_version()},
        "seed": SEED,
        "speeds": [{**s._asdict(), "us": s.us._asdict()} for s in speeds],
        "sizes": [{**s._asdict(), "blob_bytes": s.blob_bytes._asdict()} for s in sizes],
    }


if __name__ == "__main__":
    main()
