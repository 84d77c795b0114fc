"""Seeded data for the benchmarks: a card stream with accounts, merchants and devices."""

from pathlib import Path
from typing import Any

import numpy as np

from sentinel.adapters.registry import ModelDirectory, ModelParams
from sentinel.core.learning.calibration import Calibration
from sentinel.core.learning.params import FitParams
from sentinel.model import fit
from sentinel.records import Feedback

VOICES_FROM_MS = 1_767_225_600_000
INVESTIGATOR_COUNT = 30

CONFIG = """
[schema]
transaction_id = "id"
event_time = "time_ms"
event_time_format = "epoch_ms"
account = "card"
amount = "amount"
amount_format = "minor"
entities = {{ merchant = "merchant", device = "device" }}
future_s_max = 1e9

[entities.account]
kind = "events"
events_max = 32
entities_max = {entities_max}

[entities.merchant]
kind = "tiles"
tile = "6h"

[entities.device]
kind = "tiles"
tile = "6h"
entities_max = {entities_max}

[topics]
partition_count = {partition_count}

[model]
directory = "{directory}"

[[features]]
name = "amount"
stat = "amount"

[[features]]
name = "{{stat}}"
stat = ["hour", "weekday"]

[[features]]
name = "account_{{stat}}_{{window}}"
entity = "account"
stat = ["count", "sum", "max"]
window = ["1h", "1d", "7d"]

[[features]]
name = "account_{{stat}}"
entity = "account"
stat = ["ratio", "z_score", "time_since_last"]

[[features]]
name = "account_decayed_12h"
entity = "account"
stat = "decayed_sum"
half_life = "12h"

[[features]]
name = "account_merchants_1d"
entity = "account"
stat = "distinct"
field = "merchant"
window = "1d"

[[features]]
name = "merchant_{{stat}}_{{window}}"
entity = "merchant"
stat = ["count", "mean"]
window = ["1d", "7d"]

[[features]]
name = "device_{{stat}}_7d"
entity = "device"
stat = ["count", "sum", "max"]
window = "7d"
"""
FEATURE_COUNT = 24


def write_config(folder: Path, *, partition_count: int = 4, entities_max: int = 200_000) -> Path:
    """The benchmark's configuration: 24 features of three entities."""
    path = folder / "bench.toml"
    text = CONFIG.format(
        partition_count=partition_count, entities_max=entities_max, directory=folder / "models"
    )
    path.write_text(text)
    return path


def write_model(
    folder: Path, names: list[str], *, tree_count: int = 200, reference: Any = None
) -> str:
    """A model of 200 trees with 31 leaves on random data; returns its version.

    `reference`: what a manifest has of what drift is compared with, if anything.
    """
    rng = np.random.default_rng(7)
    features = rng.lognormal(3, 2, (20_000, len(names)))
    labels = (features[:, 0] * rng.random(20_000) > np.quantile(features[:, 0], 0.9)).astype(int)
    params = FitParams(tree_count=tree_count, leaf_count_max=31)
    text = fit(features, labels, params=params, feature_names=names)
    directory = ModelDirectory(ModelParams(directory=str(folder / "models")))
    calibration = Calibration(slope=1.0, intercept=-4.0)  # about one alert in a thousand
    manifest: dict[str, Any] = {
        "features": names,
        "calibration": {"slope": calibration.slope, "intercept": calibration.intercept},
        "usual": {"low": [0.0] * len(names), "high": [1.0] * len(names)},
    }
    if reference is not None:
        manifest["reference"] = reference
    version = directory.free_version(names)
    directory.add(version, text, manifest)
    return version


def card_stream(count: int, *, account_count: int, seed: int = 11) -> tuple[list[str], list[bytes]]:
    """Accounts and JSON records, about 160 bytes each; busy merchants are few, as in life."""
    rng = np.random.default_rng(seed)
    accounts = rng.integers(0, account_count, count)
    merchants = (rng.pareto(1.2, count) * 50).astype(np.int64) % 20_000
    devices = accounts * 2 + (rng.random(count) < 0.1)
    amounts = np.maximum((rng.lognormal(8, 1, count)).astype(np.int64), 1)
    # As many a second as a national scheme: 2,000 transactions in a second of event time.
    times_ms = 1_700_000_000_000 + np.arange(count) // 2
    columns = (c.tolist() for c in (accounts, merchants, devices, amounts, times_ms))
    names = [f"card-{account:08d}" for account in accounts.tolist()]
    records = [
        b'{"id":"tx-%012d","time_ms":%d,"card":"card-%08d","amount":%d,"merchant":"m-%06d",'
        b'"device":"dev-%09d","country":"GB","channel":"online","mcc":5411}'
        % (i, time_ms, account, amount, merchant, device)
        for i, (account, merchant, device, amount, time_ms) in enumerate(zip(*columns, strict=True))
    ]
    return names, records


def voice_stream(count: int) -> list[Feedback]:
    """Feedback on transactions of long ago, in some order."""
    rng = np.random.default_rng(11)
    found: list[Feedback] = []
    number = 0
    while len(found) < count:
        is_fraud = bool(rng.random() < 0.3)
        voices = [
            ("investigator", f"i{who}", bool(rng.random() < 0.9) == is_fraud)
            for who in rng.choice(INVESTIGATOR_COUNT, 3, replace=False)
        ]
        if number % 10 == 0:
            voices.append(("chargeback", "issuer", is_fraud))
        found += [
            Feedback(
                transaction_id=f"old{number}",
                label="fraud" if says_fraud else "genuine",
                source=source,
                who=who,
                observed_ms=VOICES_FROM_MS + 1000 * number,
                event_time_ms=VOICES_FROM_MS,
                entities={"account": f"A{number % 1000}"},
            )
            for source, who, says_fraud in voices
        ]
        number += 1
    return found[:count]
