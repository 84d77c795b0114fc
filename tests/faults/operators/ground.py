"""What all strikes stand on: a configuration with few features, and a model of them."""

from dataclasses import dataclass
from pathlib import Path

from benchmarks.workloads import write_model
from sentinel import config as configuration

TOML = """
[engine]
batch_count_max = 256

[schema]
transaction_id = "id"
event_time = "time_ms"
event_time_format = "epoch_ms"
account = "card"
amount = "amount"
amount_format = "minor"
entities = { merchant = "merchant" }

[entities.account] # as few in memory as may be: accounts come back from the store
kind = "events"
events_max = 64
entities_max = 1024

[entities.merchant]
kind = "tiles"
tile = "1d"
entities_max = 1024

[[features]]
name = "amount"
stat = "amount"

[[features]]
name = "account_{stat}"
entity = "account"
stat = ["count", "sum", "fraud_count"]
window = "30d"

[[features]]
name = "merchant_count"
entity = "merchant"
stat = "count"
window = "30d"
"""


@dataclass(frozen=True, slots=True)
class World:
    """What all strikes of a run share: a broker, a configuration and a model."""

    kafka_servers: str
    config: Path
    models: Path


def world(folder: Path, kafka_servers: str) -> World:
    path = folder / "operators.toml"
    path.write_text(TOML)
    names = [feature.name for feature in configuration.load(path, {}).features]
    write_model(folder, names, tree_count=10)
    return World(kafka_servers, path, folder / "models")
