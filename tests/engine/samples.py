"""What the small world is made of: a config, transactions, voices, and a tiny model."""

import functools
import json
from typing import Any

import numpy as np

from sentinel.adapters.kafka import KafkaParams
from sentinel.codec.schema import SchemaParams
from sentinel.config import Config
from sentinel.core.decision import PolicyParams, Usual
from sentinel.core.drift.params import DriftParams
from sentinel.core.features.spec import EntityParams, FeatureParams
from sentinel.core.learning.calibration import Calibration
from sentinel.core.learning.params import FitParams
from sentinel.engine.params import EngineParams, TopicParams
from sentinel.model import Model, fit
from sentinel.operations.data.history import History
from sentinel.serving_model import ServingModel

START_MS = 1_750_000_000_000
MINUTE_MS = 60_000
DAY_MS = 86_400_000

SCHEMA = SchemaParams(
    event_time_format="epoch_ms",
    entities={"terminal": "terminal"},
    numeric=("distance",),
    categorical=("channel",),
)
ENTITIES = {
    "account": EntityParams(kind="events", events_max=8, grace="6h", entities_max=1024),
    "terminal": EntityParams(kind="tiles", tile="1h", grace="6h", entities_max=1024),
}
FEATURES = (
    FeatureParams(name="amount", stat="amount"),
    FeatureParams(name="hour", stat="hour"),
    FeatureParams(name="distance", stat="value", field="distance"),
    FeatureParams(name="channel", stat="category", field="channel", values=("web", "shop")),
    FeatureParams(name="account_count_1d", stat="count", entity="account", window="1d"),
    FeatureParams(name="account_mean_7d", stat="mean", entity="account", window="7d"),
    FeatureParams(name="account_since_last", stat="time_since_last", entity="account"),
    FeatureParams(
        name="account_terminals", stat="distinct", entity="account", window="1d", field="terminal"
    ),
    FeatureParams(name="account_frauds", stat="fraud_count", entity="account", window="2d"),
    FeatureParams(name="terminal_sum_1h", stat="sum", entity="terminal", window="1h"),
    FeatureParams(name="terminal_frauds", stat="fraud_count", entity="terminal", window="2d"),
)
NAMES = [feature.name for feature in FEATURES]


def a_config(partition_count: int = 1, **engine: Any) -> Config:
    """A config for tests: batches of 16, so that a few hundred records are many batches."""
    return Config(
        schema=SCHEMA,
        entities=ENTITIES,
        features=FEATURES,
        policy=PolicyParams(review_min=0.4, block_min=0.6),
        topics=TopicParams(partition_count=partition_count),
        engine=EngineParams(**{"batch_count_max": 16, "snapshot_after_s": 0.0, **engine}),
        kafka=KafkaParams(bootstrap_servers="in memory"),
        drift=DriftParams(enabled=False),  # it has tests of its own
        version="test",
    )


def transactions(
    count: int,
    *,
    seed: int = 0,
    first: int = 0,
    account_count: int = 12,
    terminal_count: int = 5,
    shuffled_ms: int = 0,
) -> list[dict[str, Any]]:
    """Transactions two minutes apart, from number `first` of an endless stream.

    With `shuffled_ms` they arrive up to so much out of the order of event time.
    """
    rng = np.random.default_rng(seed)
    made = []
    for i in range(first + count):
        late_ms = int(rng.integers(0, shuffled_ms + 1))
        made.append(
            {
                "transaction_id": f"t{i}",
                "event_time": START_MS + 2 * MINUTE_MS * i - late_ms,
                "account": f"a{rng.integers(account_count)}",
                "amount": round(float(rng.lognormal(3, 1)), 2),
                "terminal": f"m{rng.integers(terminal_count)}" if rng.random() < 0.9 else None,
                "distance": float(rng.random()) if rng.random() < 0.8 else None,
                "channel": ("web", "shop", "phone")[rng.integers(3)],
            }
        )
    return made[first:]


def encoded(record: dict[str, Any]) -> bytes:
    return json.dumps(record).encode()


def voice(transaction: dict[str, Any], label: str = "fraud", **others: Any) -> dict[str, Any]:
    """A chargeback about a transaction, half an hour after it."""
    return {
        "transaction_id": transaction["transaction_id"],
        "label": label,
        "source": "chargeback",
        "observed_ms": transaction["event_time"] + 30 * MINUTE_MS,
        "event_time_ms": transaction["event_time"],
        "entities": {"account": transaction["account"], "terminal": transaction["terminal"]},
        **others,
    }


@functools.cache
def serving() -> ServingModel:
    """A tiny model, fitted on random transactions: some are reviewed, some blocked."""
    history = History(a_config())
    values = [encoded(x) for x in transactions(2000, seed=99)]
    features = history.fold(values, [None] * len(values)).features
    rng = np.random.default_rng(99)
    signal = features[:, 0] + 20 * np.nan_to_num(features[:, [2, 4, 7]]).sum(axis=1)
    labels = (signal + rng.normal(0, 30, len(features)) > 260) * 1
    params = FitParams(tree_count=8, leaf_count_max=7, learning_rate=0.3)
    text = fit(features, labels.astype(np.int64), params=params, feature_names=NAMES)
    low, high = np.nanquantile(features, [0.05, 0.95], axis=0)
    model = Model.from_text("v1", text)
    return ServingModel("v1", model, Calibration(slope=1.1), Usual(low, high))
