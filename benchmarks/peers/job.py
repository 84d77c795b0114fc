"""The job that every peer does: one transaction in, its features, its score, its decision out.

Plain Python, with state in dictionaries, as a competent user would write it: integers where the
sums must be exact, a deque of an account's last 32 payments, six-hour tiles for merchants and
devices, one pass over what a window may hold. The 24 features, their order, and the fields of the
decision are those of `benchmarks/workloads.py`. Nothing is stored: a peer that kept its state
safe, as Sentinel does, would be slower.

LightGBM predicts with one thread (several spin, and cost more than they bring for so few rows) and
without checking names; `decide_many` predicts a whole batch with one call, which is the stronger
way for those that hand batches over.
"""

import json
import sys
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import orjson

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
WEEK_MS = 7 * DAY_MS
TILE_MS = 6 * HOUR_MS
HALF_LIFE_MS = 12 * HOUR_MS
EVENTS_MAX = 32
NAN = float("nan")

Read = tuple[int, int, bytes]  # partition, offset, value
Tile = list[int]  # its number, count, sum, largest amount


class Job:
    """State, model and clock of one peer."""

    def __init__(self, model_file: str, input_topic: str) -> None:
        self._booster = lightgbm.Booster(model_file=model_file)
        self._topic = input_topic
        self._accounts: dict[str, deque[tuple[int, int, str]]] = {}
        self._merchants: dict[str, deque[Tile]] = {}
        self._devices: dict[str, deque[Tile]] = {}
        self.done = 0
        self.first_s: float | None = None
        self._first_cpu_s = 0.0
        self.model_version = Path(model_file).parent.name

    def decide(self, partition: int, offset: int, value: bytes) -> tuple[bytes, bytes]:
        """Key and value of the decision of one transaction."""
        return self.decide_many([(partition, offset, value)])[0]

    def decide_many(self, records: Sequence[Read]) -> list[tuple[bytes, bytes]]:
        """The same of several, scored with one call."""
        if self.first_s is None:
            self.first_s, self._first_cpu_s = time.monotonic(), time.process_time()
        transactions = [orjson.loads(value) for _, _, value in records]
        features = [self.features(transaction) for transaction in transactions]
        scores = self._booster.predict(
            np.array(features), num_threads=1, validate_features=False, raw_score=False
        ).tolist()
        decided = [
            self._decision(record, transaction, row, score)
            for record, transaction, row, score in zip(
                records, transactions, features, scores, strict=True
            )
        ]
        self.done += len(decided)
        return decided

    def features(self, transaction: dict[str, Any]) -> list[float]:
        """What was known before the transaction; then it is counted in."""
        now_ms: int = transaction["time_ms"]
        amount: int = transaction["amount"]
        merchant: str = transaction["merchant"]
        row = [amount / 100, now_ms // HOUR_MS % 24, (now_ms // DAY_MS + 3) % 7]
        row += self._account_features(transaction["card"], merchant, now_ms, amount)
        row += _merchant_features(_shared(self._merchants, merchant), now_ms)
        device = _shared(self._devices, transaction["device"])
        count, total, largest = _tiles_in(device, now_ms - WEEK_MS)
        row += [count, total / 100, largest / 100 if count else NAN]
        _count_in(self._merchants[merchant], now_ms, amount)
        _count_in(self._devices[transaction["device"]], now_ms, amount)
        return row

    def _account_features(
        self, account: str, merchant: str, now_ms: int, amount: int
    ) -> list[float]:
        events = self._accounts.get(account)
        if events is None:
            events = self._accounts[account] = deque(maxlen=EVENTS_MAX)
        hour, day, week = now_ms - HOUR_MS, now_ms - DAY_MS, now_ms - WEEK_MS
        counts, totals, largest = [0, 0, 0], [0, 0, 0], [0, 0, 0]
        every = squares = 0
        decayed = 0.0
        merchants = set()
        for time_ms, paid, where in events:
            every += paid
            squares += paid * paid
            decayed += paid * 2.0 ** ((time_ms - now_ms) / HALF_LIFE_MS)
            if time_ms > day:
                merchants.add(where)
            window = 0 if time_ms > hour else 1 if time_ms > day else 2 if time_ms > week else 3
            for i in range(window, 3):
                counts[i] += 1
                totals[i] += paid
                if paid > largest[i]:
                    largest[i] = paid
        n = len(events)
        mean = every / n if n else NAN
        spread = ((squares - every * mean) / (n - 1)) ** 0.5 if n > 1 else NAN
        row: list[float] = []
        for i in range(3):
            row += (counts[i], totals[i] / 100, largest[i] / 100 if counts[i] else NAN)
        row += (
            amount / mean if n and mean else NAN,
            (amount - mean) / spread if n > 1 and spread else NAN,
            (now_ms - events[-1][0]) / 1000 if n else NAN,
            decayed / 100,
            float(len(merchants)),
        )
        events.append((now_ms, amount, merchant))
        return row

    def _decision(
        self, record: Read, transaction: dict[str, Any], row: list[float], score: float
    ) -> tuple[bytes, bytes]:
        partition, offset, _ = record
        action = "block" if score > 0.8 else "review" if score > 0.2 else "approve"
        decision = {
            "decision_id": f"{self._topic}-{partition}-{offset}",
            "transaction_id": transaction["id"],
            "event_time_ms": transaction["time_ms"],
            "account": transaction["card"],
            "entities": {"merchant": transaction["merchant"], "device": transaction["device"]},
            "amount_minor": transaction["amount"],
            "score": score,
            "probability": score,
            "action": action,
            "severity": "low" if action == "approve" else "high",
            "recommended": [],
            "degraded": [],
            "features": row,
            "model_version": self.model_version,
            "arm": "champion",
            "propensity": 1.0,
            "shadow_scores": {},
            "rule_hits": [],
            "v": 1,
        }
        return transaction["card"].encode(), orjson.dumps(decision)

    def report(self) -> None:
        """Tell the benchmark what was done; call it when the last decision is flushed."""
        assert self.first_s is not None
        figures = {
            "count": self.done,
            "duration_s": time.monotonic() - self.first_s,
            "cpu_s": time.process_time() - self._first_cpu_s,
        }
        # Faust puts a logger in the place of the standard output.
        print(json.dumps(figures), file=sys.__stdout__, flush=True)


def _shared(entities: dict[str, deque[Tile]], key: str) -> deque[Tile]:
    tiles = entities.get(key)
    if tiles is None:
        tiles = entities[key] = deque(maxlen=29)  # of a week, and the one begun
    return tiles


def _tiles_in(tiles: deque[Tile], from_ms: int) -> tuple[int, int, int]:
    count = total = largest = 0
    first = from_ms // TILE_MS
    for number, tile_count, tile_total, tile_largest in tiles:
        if number > first:
            count += tile_count
            total += tile_total
            if tile_largest > largest:
                largest = tile_largest
    return count, total, largest


def _merchant_features(tiles: deque[Tile], now_ms: int) -> list[float]:
    row: list[float] = []
    for window_ms in (DAY_MS, WEEK_MS):
        count, total, _ = _tiles_in(tiles, now_ms - window_ms)
        row += (count, total / count / 100 if count else NAN)
    return row


def _count_in(tiles: deque[Tile], now_ms: int, amount: int) -> None:
    number = now_ms // TILE_MS
    if not tiles or tiles[-1][0] != number:
        tiles.append([number, 0, 0, 0])
    tile = tiles[-1]
    tile[1] += 1
    tile[2] += amount
    if amount > tile[3]:
        tile[3] = amount
