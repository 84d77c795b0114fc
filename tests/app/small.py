"""A small world for the tests of the app: a configuration, a simulated history, a model."""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sentinel import config as configuration
from sentinel.adapters.registry import ModelDirectory, ModelParams
from sentinel.app.builtin.stream import values_of
from sentinel.config import Config
from sentinel.engine.params import TopicParams
from sentinel.operations.data.history import History, joined_rows
from sentinel.operations.models.train import train
from sentinel.records import Floats, Ints
from sentinel.simulation.handbook import SimulationParams, days

DAY_COUNT = 28

# As config/sentinel.toml, but quick: few trees, short spans, few entities in memory.
TOML = """
[schema]
entities = { terminal = "terminal" }

[entities.account]
events_max = 64
entities_max = 4096

[entities.terminal]
kind = "tiles"
tile = "1d"
entities_max = 4096

[topics]
partition_count = 2

[training]
label_delay = "2d"
calibration = "5d"
test = "6d"

[training.fit]
tree_count = 12
leaf_count_max = 8
leaf_row_count_min = 5
learning_rate = 0.2

[[features]]
name = "amount"
stat = "amount"

[[features]]
name = "hour"
stat = "hour"

[[features]]
name = "account_{stat}_7d"
entity = "account"
stat = ["count", "mean", "fraud_count"]
window = "7d"

[[features]]
name = "terminal_risk_7d"
entity = "terminal"
stat = "fraud_share"
window = "7d"
empty = 0
"""


def config_file(folder: Path) -> Path:
    path = folder / "small.toml"
    path.write_text(TOML)
    return path


def config(folder: Path, **sections: Any) -> Config:
    """The small configuration; `sections` replace whole sections."""
    loaded = configuration.load(config_file(folder), {})
    return replace(loaded, model=ModelParams(directory=str(folder / "models")), **sections)


def topics(prefix: str) -> TopicParams:
    return TopicParams(prefix=prefix, partition_count=2)


@cache
def simulated() -> tuple[list[list[bytes]], list[list[bool | None]]]:
    """Records and labels, day by day: about 12,000 transactions."""
    found = list(
        days(SimulationParams(customer_count=250, terminal_count=1000, day_count=DAY_COUNT))
    )
    return [values_of(day) for day in found], [day.is_fraud.tolist() for day in found]


def flat() -> Iterator[tuple[bytes, bool | None]]:
    for values, labels in zip(*simulated(), strict=True):
        yield from zip(values, labels, strict=True)


def folded(config: Config) -> tuple[Floats, Ints, Ints, list[str]]:
    """Features, labels, times and accounts of the simulated history."""
    history = History(config)
    return joined_rows(
        [history.fold(values, labels) for values, labels in zip(*simulated(), strict=True)]
    )


@cache
def _trained() -> tuple[str, dict[str, Any]]:
    """Once, whatever the folder: it takes seconds."""
    with TemporaryDirectory() as folder:
        small = config(Path(folder))
    return train(*folded(small), small)


def add_model(folder: Path) -> Config:
    """The small configuration with a trained champion in its model directory."""
    small = config(folder)
    text, manifest = _trained()
    ModelDirectory(small.model).add("1.0.0", text, manifest)
    return small
