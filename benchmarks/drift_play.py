"""The Handbook's stream played through the engine, on an in-memory broker and stores.

A model is trained on the first days. The days behind them are decided, counted and watched for
drift as in production; labels come as the Handbook has them, a week after each fraud, and what
nobody labelled is presumed genuine after two. What `sentinel archive run` does, to make examples of
them, is done here.
"""

import asyncio
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import default_rng

from sentinel import config as configuration
from sentinel.adapters.memory import MemoryDocuments
from sentinel.codec.records import encode
from sentinel.codec.stored import decode_stored
from sentinel.config import Config
from sentinel.operations.data.history import History
from sentinel.operations.models.train import train
from sentinel.records import Example, TopicPartition
from sentinel.serving_model import serving_model
from sentinel.simulation.handbook import Day
from sentinel.stored.drift import Alarm, WindowReport
from sentinel.stored.versions import Artifact
from sentinel.stores import StoredDrift
from tests.engine.clock import run, until
from tests.engine.learning_world import serve
from tests.engine.world import MemoryInstance, World
from tests.kept import KeptModels

CONFIG = Path(__file__).parents[1] / "config" / "handbook.toml"
PUBLISHED_COUNT = 15  # of the features, from the first one on
WARM_DAYS = 40  # before the first day that is watched: longer than the published features look back
LABEL_DAYS, PRESUMED_DAYS = 7, 14
GENUINE_SHARE = 0.1  # of the presumed genuine, how many become examples
DAY_MS = 86_400_000
VERSION = "1.0.0"
WINDOWS_MAX = 10_000


@dataclass(frozen=True, slots=True)
class DayFigures:
    """What decisions of a day were worth, in truth."""

    day: int
    rows: int
    frauds: int
    alerts: int
    caught: int
    missed_minor: float  # a transaction


@dataclass(frozen=True, slots=True)
class Told:
    """What was said of an alarm, and on which day of the stream somebody could hear it."""

    day: float
    alarm: Alarm


@dataclass(slots=True)
class Played:
    """What came of a stream."""

    figures: list[DayFigures] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    windows: list[WindowReport] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Trained:
    """A model of the first days, and the days that fill the state behind it."""

    artifact: Artifact
    config: Config
    first_ms: int
    warm: Sequence[Day]


def config_of() -> Config:
    """The Handbook's configuration with its published features; nothing is updated."""
    found = configuration.load(CONFIG, {})
    schema = replace(found.schema, event_time_format="epoch_ms", amount_format="minor")
    return replace(
        found,
        schema=schema,
        features=found.features[:PUBLISHED_COUNT],
        kafka=replace(found.kafka, bootstrap_servers="in memory"),
        topics=replace(found.topics, partition_count=1),
        engine=replace(found.engine, batch_count_max=2_048),
        drift=replace(found.drift, step="1h", grace="1h"),  # there are few transactions a minute
        updates=replace(found.updates, is_on=False),
        version="timeline",
    )


def encoded(day: Day, *, amount_factor: int = 1) -> list[bytes]:
    """A day's records as they are sent."""
    columns = (
        day.transaction_id.tolist(),
        day.event_time_ms.tolist(),
        day.customer_id.tolist(),
        day.terminal_id.tolist(),
        (day.amount_minor * amount_factor).tolist(),
    )
    return [
        b'{"TRANSACTION_ID":"%d","TX_DATETIME":%d,"CUSTOMER_ID":"%d","TERMINAL_ID":"%d",'
        b'"TX_AMOUNT":%d}' % row
        for row in zip(*columns, strict=True)
    ]


def trained(days: Sequence[Day]) -> Trained:
    """Learn from these days."""
    config = config_of()
    values = [value for day in days for value in encoded(day)]
    is_fraud = np.concatenate([day.is_fraud for day in days])
    rows = History(config).fold(values, is_fraud.tolist())
    times_ms = rows.transactions.event_time_ms
    accounts = rows.transactions.entities["account"]
    text, manifest = train(
        rows.features, is_fraud.astype(np.int64), times_ms, [str(one) for one in accounts], config
    )
    warm = days[-WARM_DAYS - LABEL_DAYS :]
    return Trained(
        Artifact(VERSION, text, manifest), config, int(times_ms[0]) // DAY_MS * DAY_MS, warm
    )


def played(model: Trained, days: Iterator[Day], *, cents_as_units: range) -> Played:
    """Decide and watch these days; on some of them amounts are sent a hundred times too large."""
    names = [feature.name for feature in model.config.features]
    models = KeptModels()
    serve(models, model.artifact)
    world = World(
        config=model.config,
        models=models,
        serving=serving_model(model.artifact, names),
        artifact=model.artifact,
    )
    return run(_Play(world, model, cents_as_units).through(days))


class _Play:
    """One stream on its way."""

    def __init__(self, world: World, model: Trained, cents_as_units: range) -> None:
        self._world = world
        self._model = model
        self._cents_as_units = cents_as_units
        self._decided: dict[int, tuple[Day, list[dict[str, Any]]]] = {}
        self._seen = 0
        self._read = 0
        self._let_go: dict[str, int] = {}
        self._rng = default_rng(1)
        self._found = Played()
        self._store = StoredDrift(MemoryDocuments(world.drift))

    async def through(self, days: Iterator[Day]) -> Played:
        config, frauds = self._model.config, dict[int, Day]()
        quiet = replace(config, drift=replace(config.drift, enabled=False))
        async with self._world.instance(config=quiet) as instance:
            for day in self._model.warm:
                await self._decide(instance, day, frauds)
            await instance.stop()
        self._read = len(self._world.records("decisions"))
        async with self._world.instance() as instance:
            await until(lambda: instance.parts.summaries.binning is not None)
            await until(lambda: instance.parts.drift.watch is not None)
            for day in days:
                await self._decide(instance, day, frauds)
                self._judge(day)
                self._learn(day.index)
                await self._watched(instance, day.index)
            await instance.stop()
        self._found.windows = await self._store.windows(WINDOWS_MAX)
        return self._found

    async def _decide(self, instance: MemoryInstance, day: Day, labels: dict[int, Day]) -> None:
        labels[day.index] = day
        if (known := labels.pop(day.index - LABEL_DAYS, None)) is not None:
            self._world.send_feedback(
                [_voice(known, int(i)) for i in np.flatnonzero(known.is_fraud)]
            )
        factor = 100 if day.index in self._cents_as_units else 1
        for value in encoded(day, amount_factor=factor):
            self._world.append("transactions", value)
        await instance.idle()

    def _judge(self, day: Day) -> None:
        records = self._world.records("decisions")[self._read :]
        self._read += len(records)
        decided = [json.loads(record.value or b"") for record in records]
        assert [int(one["transaction_id"]) for one in decided] == day.transaction_id.tolist()
        self._decided[day.index] = day, decided
        is_alert = np.array([one["action"] != "approve" for one in decided])
        missed = day.amount_minor[day.is_fraud & ~is_alert].sum()
        self._found.figures.append(
            DayFigures(
                day.index, len(day), int(day.is_fraud.sum()), int(is_alert.sum()),
                int((is_alert & day.is_fraud).sum()), float(missed) / len(day),
            )
        )  # fmt: skip

    def _learn(self, today: int) -> None:
        """What turns out to be true becomes examples: frauds, and later the presumed genuine."""
        for behind, is_fraud in ((LABEL_DAYS, True), (PRESUMED_DAYS, False)):
            day, decided = self._decided.get(today - behind, (None, []))
            if day is None:
                continue
            chosen = day.is_fraud == is_fraud
            if not is_fraud:
                chosen &= self._rng.random(len(day)) < GENUINE_SHARE
            for i in np.flatnonzero(chosen).tolist():
                example = _example(day, decided[i], i, is_fraud=is_fraud)
                self._world.append("examples", encode(example))

    async def _watched(self, instance: MemoryInstance, today: int) -> None:
        tail = instance.ports.drift_tail
        await until(lambda: not tail.lag("summaries") and not tail.lag("examples"))
        await asyncio.sleep(11)  # it is saved, and what it said is out
        records = self._world.records("drift-alerts")
        for record in records[self._seen :]:
            alarm = decode_stored(Alarm, record.value or b"")
            at = (alarm.changed_ms - self._model.first_ms) / DAY_MS
            # Whoever waits for labels hears it when they come, not when the transaction was.
            day = today + 1.0 if alarm.detector == "examples" else at
            self._found.told.append(Told(day, alarm))
        self._seen = len(records)
        for name in ("transactions", "decisions", "alerts"):  # what is judged is let go
            kept = self._world.cluster.log(TopicPartition(name, 0)).records
            for i in range(self._let_go.get(name, 0), len(kept)):
                kept[i] = replace(kept[i], value=b"")
            self._let_go[name] = len(kept)


def _voice(day: Day, i: int) -> dict[str, Any]:
    at_ms = int(day.event_time_ms[i])
    entities = {"account": str(day.customer_id[i]), "terminal": str(day.terminal_id[i])}
    return {
        "transaction_id": str(day.transaction_id[i]),
        "label": "fraud",
        "source": "ground_truth",
        "observed_ms": at_ms + LABEL_DAYS * DAY_MS,
        "event_time_ms": at_ms,
        "entities": entities,
    }


def _example(day: Day, decision: dict[str, Any], i: int, *, is_fraud: bool) -> Example:
    share = 1.0 if is_fraud else GENUINE_SHARE
    return Example(
        id=f"example-{day.transaction_id[i]}",
        transaction_id=str(day.transaction_id[i]),
        decision_id=decision["decision_id"],
        event_time_ms=int(day.event_time_ms[i]),
        account=str(day.customer_id[i]),
        amount_minor=int(day.amount_minor[i]),
        score=decision["score"],
        probability=decision["probability"],
        action=decision["action"],
        model_version=VERSION,
        arm="champion",
        features={},
        label="fraud" if is_fraud else "genuine",
        posterior=float(is_fraud),
        source="ground_truth" if is_fraud else "presumed",
        label_delay_ms=LABEL_DAYS * DAY_MS if is_fraud else None,
        propensity=share,
        weight=1.0 / share,
    )
