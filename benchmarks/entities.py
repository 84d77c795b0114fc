"""What one live account costs as their number grows: bytes of memory, time a transaction.

    python -m benchmarks.entities COUNT ROUNDS [PROFILE]

The engine's part alone, in a process of its own for each number of accounts: look up, read the
features, count in, batch by batch. The profile is
`card`, the features of `config/card.toml`, or `bench`, the 24 features of the other benchmarks. The
number of merchants and devices stays the same. Prints one line of JSON; `benchmarks/scale.py` makes
the table.
"""

import gc
import json
import os
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.watched import resident_bytes
from benchmarks.workloads import write_config
from sentinel import config as configuration
from sentinel.core.features.state import FeatureState
from sentinel.records import Floats, Ints, Transactions
from sentinel.texts import Texts

SEED = 5
BATCH_COUNT = 512
FILL_COUNT = 4_096
BATCHES_A_ROUND = 20
WRITE_COUNT = 65_536  # rows between two cuts, as a second of the stream may have
MERCHANT_COUNT = DEVICE_COUNT = 20_000
CARD = Path(__file__).parents[1] / "config" / "card.toml"
START_MS = 1_700_000_000_000
EVERYTHING = 1 << 40


def main() -> None:
    count, round_count = int(sys.argv[1]), int(sys.argv[2])
    profile = sys.argv[3] if len(sys.argv) > 3 else "card"
    print(json.dumps(measure(count, round_count, profile)))


def measure(count: int, round_count: int, profile: str) -> dict[str, Any]:
    """Fill a state with accounts, then time rows that are spread over them in two ways."""
    rng = np.random.default_rng(SEED)
    state = empty_state(count, profile)
    stream = Stream(rng)
    fill(state, stream, np.arange(MERCHANT_COUNT) % FILL_COUNT)  # every merchant and device
    before = _memory()
    fill(state, stream, np.arange(count))
    after = _memory()
    new_count = len(state.tables["account"]) - min(count, FILL_COUNT)
    spread = {"uniform": uniform, "zipf": zipf}
    us: dict[str, list[float]] = {name: [] for name in spread}
    for _ in range(round_count):
        for name, draw in spread.items():
            us[name].append(_timed(state, stream, draw, count, rng))
    return {
        "profile": profile,
        "accounts": count,
        "bytes_an_account": (after - before) / new_count,
        "row_bytes": state.tables["account"].plan.word_count * 8,
        "us": {
            name: dict(zip(("low", "median", "high"), _quartiles(values), strict=True))
            for name, values in us.items()
        },
    }


def empty_state(count: int, profile: str) -> FeatureState:
    """State with room for so many accounts."""
    if profile == "card":
        config = configuration.load(CARD, {})
    else:
        with tempfile.TemporaryDirectory() as name:
            config = configuration.load(write_config(Path(name)), {})
    room = {"account": count + FILL_COUNT, "merchant": MERCHANT_COUNT, "device": DEVICE_COUNT}
    entities = {
        name: replace(params, entities_max=room[name] + FILL_COUNT)
        for name, params in config.entities.items()
    }
    state = FeatureState(entities, config.features, amount_decimals=2)
    state.warm()
    return state


class Stream:
    """Payments in the order of event time, every identifier a fresh string."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._offset = 0

    def rows(self, accounts: Ints) -> Transactions:
        """One payment of each of the accounts."""
        rng, n = self._rng, accounts.size
        offsets = np.arange(self._offset, self._offset + n)
        self._offset += n
        shared = {"merchant": MERCHANT_COUNT, "device": DEVICE_COUNT}
        entities = {
            kind: Texts.of(f"{kind}-{i:08}" for i in (offsets % size).tolist())
            for kind, size in shared.items()
        }
        entities["account"] = Texts.of(f"account-{i:08}" for i in accounts.tolist())
        return Transactions(
            transaction_id=Texts.of(f"transaction-{i:012}" for i in offsets.tolist()),
            partition=np.zeros(n, dtype=np.int64),
            offset=offsets,
            event_time_ms=START_MS + offsets // 2,
            amount_minor=rng.integers(100, 30_000, n),
            entities=entities,
            numeric={"card_present": np.ones(n)},
            categorical={
                name: Texts.of([text] * n)
                for name, text in (("country", "GB"), ("channel", "pos"), ("mcc", "5411"))
            },
        )


def fill(state: FeatureState, stream: Stream, accounts: Ints) -> None:
    """One payment of each account, cut and confirmed as the engine does."""
    for begin in range(0, accounts.size, FILL_COUNT):
        rows = stream.rows(accounts[begin : begin + FILL_COUNT])
        state.admit_new(rows)
        state.fold(rows)
        if begin % WRITE_COUNT == 0:
            state.confirm(state.cut(0, count_max=EVERYTHING))
    state.confirm(state.cut(0, count_max=EVERYTHING))


def uniform(rng: np.random.Generator, count: int, n: int) -> Ints:
    """Every account as often as any other: the worst for caches."""
    return rng.integers(0, count, n)


def zipf(rng: np.random.Generator, count: int, n: int) -> Ints:
    """The k-th account as often as 1/k, and the busy ones anywhere in memory."""
    ranks = np.exp(rng.random(n) * np.log(count + 1)).astype(np.int64) - 1
    # A multiplication by an odd prime spreads neighbours; counts are no multiples of it.
    found: Ints = np.minimum(ranks, count - 1) * 7_368_787 % count
    return found


def _timed(state: FeatureState, stream: Stream, draw: Any, count: int, rng: Any) -> float:
    """Microseconds of CPU a transaction, of some batches; CPU, since others share the machine."""
    batches = [stream.rows(draw(rng, count, BATCH_COUNT)) for _ in range(BATCHES_A_ROUND)]
    begun_ns = time.thread_time_ns()
    for rows in batches:
        state.missing(rows)
        state.fold(rows)
    used_ns = time.thread_time_ns() - begun_ns
    state.confirm(state.cut(0, count_max=EVERYTHING))
    return used_ns / 1_000 / (BATCH_COUNT * BATCHES_A_ROUND)


def _memory() -> int:
    gc.collect()
    return resident_bytes(os.getpid())


def _quartiles(values: list[float]) -> Floats:
    found: Floats = np.quantile(np.array(values), [0.25, 0.5, 0.75])
    return found


if __name__ == "__main__":
    main()
