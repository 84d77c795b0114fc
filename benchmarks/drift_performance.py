"""How soon a rising error rate is found on matured examples, and how often one that is not there.

    python -m benchmarks.drift_performance [--streams N] [--delays N] [--seed N] [--json FILE]
                                           [--quick] [--no-peers]

Errors come with a rate of 0.05, and of 0.08 from the 5,000th example on. The detector is told the
base rate, or estimates it from 5,000 or 20,000 examples of before, anew for each stream. Clustered:
each account has 20 examples in a row and an error rate of its own (Beta, intraclass correlation
0.1). "No care" takes such examples for independent.

Beside it stand river's detectors, NannyML's accuracy and Evidently's z-test of chunks of 1,000,
with their defaults, in environments of their own that are made on demand; our own ADWIN (river's
forgets its whole window behind a cut, ours the older part), one that never alarms, and one that
always does after 1,000 examples. A false alarm is any alarm without a change; a delay is that of
the first alarm after it, in examples.
"""

import argparse
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator, default_rng

from benchmarks.harness import facts, header, print_table, write_json
from benchmarks.peers.environments import (
    DRIFT_PEERS,
    DriftPeer,
    PeerFailedError,
    ask,
)
from sentinel.core.drift.counts.counting import size_groups
from sentinel.core.drift.detectors.adwin import AdwinParams, AdwinState, after_outcomes
from sentinel.core.drift.detectors.base_rates import BaseRate, base_rate
from sentinel.core.drift.detectors.bernoulli import Outcomes
from sentinel.core.drift.detectors.examples import (
    ExampleParams,
    ExampleState,
    after_examples,
)
from sentinel.records import Ints

SEED = 2026
RATE, RISEN = 0.05, 0.08
CHANGE = 5_000
AFTER = 20_000  # examples that are waited for
STREAM = 100_000
EACH = 1_000
PARAMS = ExampleParams()


@dataclass(frozen=True, slots=True)
class Kind:
    """How examples of an account are alike."""

    name: str
    rows: int
    likeness: float

    def draw(self, rng: Generator, n: int, rate: float) -> tuple[Outcomes, Ints]:
        """Outcomes and accounts of n examples."""
        k = -(-n // self.rows)
        own = np.full(k, rate)
        if self.likeness:
            spread = 1 / self.likeness - 1
            own = rng.beta(rate * spread, (1 - rate) * spread, size=k)
        outcomes = (rng.random((k, self.rows)) < own[:, None]).astype(np.int8)
        accounts = np.repeat(rng.integers(2**62, size=k), self.rows)
        return outcomes.ravel()[:n], accounts[:n]

    def changed(self, rng: Generator) -> tuple[Outcomes, Ints]:
        """A stream with a change."""
        parts = [self.draw(rng, CHANGE, RATE), self.draw(rng, AFTER, RISEN)]
        return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])


REFERENCE = 20_000  # examples of before, for those who want them
KINDS = (Kind("independent", 1, 0.0), Kind("clustered", 20, 0.1))
Alarms = Callable[[Outcomes, Ints], list[int]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--streams", type=int, default=100, help="of 100,000 without a change")
    parser.add_argument("--delays", type=int, default=400)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--no-peers", action="store_true", help="nobody else is asked")
    parser.add_argument(
        "--peer", choices=[peer.name for peer in DRIFT_PEERS], help="this one alone"
    )
    parser.add_argument("--quick", action="store_true", help="5 streams: a minute")
    options = parser.parse_args()
    if options.quick:
        options.streams, options.delays = 5, 20
    about = facts(options.seed)
    print(header(about), flush=True)
    rows = []
    for number, kind in enumerate(KINDS):
        rng, few = default_rng([options.seed, number]), max(1, options.streams // 5)
        if options.peer is None:
            for name, make in ours(kind, rng).items():
                rows.append(judged(kind, name, make, options.streams, options.delays, rng))
            for name, alarms in PLAIN.items():
                make = partial(_same, alarms)
                rows.append(judged(kind, name, make, few, options.delays // 4, rng))
        for peer in () if options.no_peers else DRIFT_PEERS:
            if options.peer in (None, peer.name):
                rows += of_peer(peer, kind, few, options.delays // 4, rng)
    print_table(list(rows[0]), [[_cell(v) for v in row.values()] for row in rows])
    write_json(options.json, {"benchmark": "drift_performance", **about, "figures": rows})


def _same(alarms: Alarms, _: Generator) -> Alarms:
    return alarms


def _cell(value: Any) -> str:
    return (
        f"{value:,.3g}"
        if isinstance(value, float) and value < 1000
        else (value if isinstance(value, str) else f"{value:,.0f}")
    )


def ours(kind: Kind, rng: Generator) -> dict[str, Callable[[Generator], Alarms]]:
    """Sentinel's, by where it has the base rate from; made anew for each stream."""
    known = BaseRate("error", "up", RATE, 0.0, kind.likeness)

    def estimated(n: int) -> Callable[[Generator], Alarms]:
        return lambda rng: detector(base_rate("error", "up", *kind.draw(rng, n, RATE)))

    found: dict[str, Callable[[Generator], Alarms]] = {
        "Sentinel, rate known": lambda _: detector(known),
        "Sentinel, from 5,000": estimated(5_000),
        "Sentinel, from 20,000": estimated(20_000),
    }
    if kind.likeness:
        found["Sentinel, known, no care"] = lambda _: detector(replace(known, likeness=0.0))
    return found


def detector(base: BaseRate) -> Alarms:
    """The places at which it alarms."""

    def alarms(outcomes: Outcomes, accounts: Ints) -> list[int]:
        groups, times = size_groups(accounts), np.arange(len(outcomes))
        fresh = ExampleState.fresh([base])
        _, events = after_examples(fresh, [base], outcomes[:, None], groups, times, PARAMS)
        return [event.example for event in events if event.kind == "alarm"]

    return alarms


def windowed(outcomes: Outcomes, _: Ints) -> list[int]:
    """Our own ADWIN."""
    params = AdwinParams()
    return [int(p) for p in after_outcomes(AdwinState.fresh(params), outcomes, params)[1]]


PLAIN: dict[str, Alarms] = {
    "ADWIN of our own": windowed,
    "never": lambda _outcomes, _accounts: [],
    "every 1,000": lambda outcomes, _: list(range(EACH, len(outcomes) + 1, EACH)),
}


def judged(
    kind: Kind,
    name: str,
    make: Callable[[Generator], Alarms],
    stream_count: int,
    delay_count: int,
    rng: Generator,
) -> dict[str, Any]:
    """A row of the table."""
    false = 0
    for _ in range(stream_count):
        false += len(make(rng)(*kind.draw(rng, STREAM, RATE)))
    places = [make(rng)(*kind.changed(rng)) for _ in range(delay_count)]
    return _row(kind, name, false, stream_count, places)


def _row(
    kind: Kind, name: str, false: int, stream_count: int, places: list[list[int]]
) -> dict[str, Any]:
    # A stream on which it alarmed before the change tells of what came after it all the same.
    found = [min((p - CHANGE for p in one if p > CHANGE), default=np.inf) for one in places]
    ordered = np.sort(found)
    around = 0.5 * np.sqrt(len(found))
    at = [int(np.clip(len(found) / 2 + s * around, 0, len(found) - 1)) for s in (-1, 1)]
    low, high = ordered[at]
    return {
        "examples": kind.name,
        "detector": name,
        "false / 100,000": false / stream_count,
        "s.e. ": float(np.sqrt(max(false, 1)) / stream_count),
        "median delay": float(np.median(ordered)),
        "s.e.": float((high - low) / 2) if np.isfinite(high) else float("inf"),
        "p95": float(np.quantile(ordered, 0.95, method="higher")),
        "missed": float(np.mean(~np.isfinite(ordered))),
    }


def of_peer(
    peer: DriftPeer, kind: Kind, stream_count: int, delay_count: int, rng: Generator
) -> list[dict[str, Any]]:
    """Somebody else's detectors on as many streams as a slower one can be asked for."""
    stream_count, delay_count = (max(1, n // peer.part) for n in (stream_count, delay_count))
    arrays = {
        "silent": [kind.draw(rng, STREAM, RATE)[0] for _ in range(stream_count)],
        "changed": [kind.changed(rng)[0] for _ in range(delay_count)],
        "reference": [kind.draw(rng, REFERENCE, RATE)[0] for _ in range(delay_count)],
    }
    with tempfile.TemporaryDirectory() as folder:
        streams, alarms = Path(folder) / "streams.npz", Path(folder) / "alarms.json"
        silent, changed, reference = (np.array(rows) for rows in arrays.values())
        np.savez(streams, silent=silent, changed=changed, reference=reference)
        try:
            ask(peer, streams, alarms)
        except PeerFailedError as error:
            print(f"{peer.name} {error}")
            return []
        found = json.loads(alarms.read_text())
    return [
        _row(kind, f"{peer.name} {name}", sum(map(len, one["silent"])), stream_count,
             one["changed"])
        for name, one in found.items()
    ]  # fmt: skip


if __name__ == "__main__":
    main()
