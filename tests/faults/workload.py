"""What is sent: a card stream with everything in it that the contract speaks of, from a seed.

Accounts, two kinds of shared entity, records that cannot be read, records that come days late, and
feedback, some of which takes back what other feedback said. A chunk depends on the seed and its
number alone.
"""

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sentinel.records import Feedback

BEGIN_MS = 1_700_000_000_000
STEP_MS = 1_000  # of event time from one transaction to the next
DAY_MS = 86_400_000
ACCOUNT_COUNT = 3_000
MERCHANT_COUNT = 400
LABEL_DELAY_CHUNKS = 8  # feedback concerns what was flushed long before it is sent

TOML = """
[schema]
transaction_id = "id"
event_time = "time_ms"
event_time_format = "epoch_ms"
account = "card"
amount = "amount"
amount_format = "minor"
entities = { merchant = "merchant", device = "device" }
future_s_max = 1e9

[entities.account]
kind = "events"
events_max = 32
entities_max = 4096

[entities.merchant]
kind = "tiles"
tile = "6h"
entities_max = 4096

[entities.device] # fewer in memory than there are: they come and go
kind = "tiles"
tile = "6h"
entities_max = 4096

[[features]]
name = "amount"
stat = "amount"

[[features]]
name = "account_{stat}_{window}"
entity = "account"
stat = ["count", "sum"]
window = ["1h", "1d"]

[[features]]
name = "account_{stat}"
entity = "account"
stat = ["ratio", "time_since_last"]

[[features]]
name = "account_decayed_12h"
entity = "account"
stat = "decayed_sum"
half_life = "12h"

[[features]]
name = "merchant_{stat}_1d"
entity = "merchant"
stat = ["count", "mean"]
window = "1d"

[[features]]
name = "device_{stat}_7d"
entity = "device"
stat = ["count", "max"]
window = "7d"

[[features]]
name = "account_frauds_7d"
entity = "account"
stat = "fraud_count"
window = "7d"

[[features]]
name = "merchant_frauds_7d"
entity = "merchant"
stat = "fraud_count"
window = "7d"
"""
FEATURE_COUNT = 14
# Of the features these many, from the first on, follow from the account's own log alone; the
# shared ones behind them also depend on how the partitions interleave, the last ones on when a
# label came.
ACCOUNT_FEATURE_COUNT = 8
UNLABELLED_FEATURE_COUNT = 12

POISON = (
    b"{not json",
    b"",
    b'{"id":"x"}',
    b'{"id":"x","time_ms":1700000000000,"card":"","amount":5,"merchant":"m","device":"d"}',
    b'{"id":"x","time_ms":1700000000000,"card":"c","amount":-5,"merchant":"m","device":"d"}',
    b'{"id":"x","time_ms":17,"card":"c","amount":5,"merchant":"m","device":"d"}',
    b'\xff\xfe{"id":"x"}',
    b"[" * 2_000,
)


@dataclass(frozen=True, slots=True)
class Chunk:
    """Records that are sent together, each under its account, and the feedback beside them."""

    accounts: list[str]
    values: list[bytes]
    poison_count: int
    voices: list[Feedback] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Workload:
    """A stream without an end, chunk by chunk."""

    seed: int
    chunk_size: int = 100
    poison_share: float = 0.003
    late_share: float = 0.003
    label_share: float = 0.01
    row_ms: int = STEP_MS
    late_ms: int = 3 * DAY_MS
    trailer_ms: int = DAY_MS // 2  # behind the last one
    is_changing: bool = False  # each sixth day, for a day: larger amounts, cards nobody knows

    def chunk(self, number: int) -> Chunk:
        made = _columns(self, number)
        values = [
            b'{"id":"t%d","time_ms":%d,"card":"card-%d","amount":%d,"merchant":"m-%d",'
            b'"device":"d-%d"}' % row
            for row in zip(*made, strict=True)
        ]
        rng = np.random.default_rng((self.seed, number))
        bad = np.flatnonzero(self._is_poison(number)).tolist()
        for i in bad:
            values[i] = POISON[int(rng.integers(len(POISON)))]
        accounts = [f"card-{account}" for account in made[2]]
        return Chunk(accounts, values, len(bad), self._voices(number))

    def _is_poison(self, number: int) -> NDArray[np.bool_]:
        rng = np.random.default_rng((self.seed, number, 3))
        found: NDArray[np.bool_] = rng.random(self.chunk_size) < self.poison_share
        return found

    def _voices(self, number: int) -> list[Feedback]:
        """Frauds of long ago, some of them taken back, and now and then a voice nobody can use.

        Never on a record that could not be read: what such a label changes depends on when it comes
        (its tile counts it if another transaction is there by then), and so does the state.
        """
        about = number - LABEL_DELAY_CHUNKS
        if about < 0:
            return []
        rng = np.random.default_rng((self.seed, number, 1))
        is_chosen = rng.random(self.chunk_size) < self.label_share
        chosen = np.flatnonzero(is_chosen & ~self._is_poison(about)).tolist()
        rows = list(zip(*_columns(self, about), strict=True))
        now_ms = BEGIN_MS + number * self.chunk_size * self.row_ms
        voices = [_voice(rows[i], "fraud", now_ms) for i in chosen]
        voices += [_voice(rows[i], "genuine", now_ms + 1) for i in chosen[::3]]
        return [*voices, *(_voice(rows[i], "perhaps", now_ms) for i in chosen[:1])]

    def trailers(self, accounts: list[str], round_number: int, after_chunk: int) -> Chunk:
        """Later than all there was, so that every label falls due: one for each account."""
        place = after_chunk * self.chunk_size + round_number
        time_ms = BEGIN_MS + place * self.row_ms + self.trailer_ms
        values = [
            b'{"id":"z%d","time_ms":%d,"card":"%s","amount":100,"merchant":"m-0","device":"d-0"}'
            % (round_number, time_ms, account.encode())
            for account in accounts
        ]
        return Chunk(accounts, values, 0)


Row = tuple[int, int, int, int, int, int]  # id, event time, account, amount, merchant, device


@lru_cache(maxsize=64)
def _columns(workload: Workload, number: int) -> tuple[list[int], ...]:
    n = workload.chunk_size
    rng = np.random.default_rng((workload.seed, number, 2))
    ids = number * n + np.arange(n)
    times_ms = BEGIN_MS + ids * workload.row_ms
    is_changed = workload.is_changing & ((times_ms - BEGIN_MS) // DAY_MS % 6 == 4)
    times_ms -= np.where(rng.random(n) < workload.late_share, workload.late_ms, 0)
    accounts = rng.integers(0, ACCOUNT_COUNT, n)
    amounts = np.maximum(rng.lognormal(8, 1, n).astype(np.int64), 1)
    merchants = (rng.pareto(1.2, n) * 10).astype(np.int64) % MERCHANT_COUNT
    if workload.is_changing:
        amounts = np.where(is_changed, 3 * amounts, amounts)
        accounts = np.where(is_changed & (rng.random(n) < 0.3), ACCOUNT_COUNT + ids, accounts)
    # Mostly one's own, now and then one that others use as well.
    devices = np.where(rng.random(n) < 0.2, rng.integers(0, 300, n), accounts * 2 + 1_000)
    return tuple(c.tolist() for c in (ids, times_ms, accounts, amounts, merchants, devices))


def _voice(row: Row, label: str, observed_ms: int) -> Feedback:
    number, time_ms, account, _, merchant, device = row
    return Feedback(
        transaction_id=f"t{number}",
        label=label,
        source="chargeback",
        who="bank",
        observed_ms=observed_ms,
        event_time_ms=time_ms,
        entities={
            "account": f"card-{account}",
            "merchant": f"m-{merchant}",
            "device": f"d-{device}",
        },
    )


def write_config(folder: Path) -> Path:
    """Without a model; see `benchmarks.workloads.write_model`."""
    path = folder / "faults.toml"
    path.write_text(TOML)
    return path
