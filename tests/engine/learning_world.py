"""A small world that learns: model versions that differ, and a learner that does as it is told."""

import functools
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from sentinel.codec.models.artifacts import encode_artifact
from sentinel.codec.records import encode
from sentinel.codec.savepoints import decode_savepoint, encode_savepoint
from sentinel.codec.stored import decode_stored, encode_stored
from sentinel.config import Config
from sentinel.core.learning.awaiting import Need
from sentinel.core.learning.calibration import Calibration
from sentinel.core.learning.gate.judging import Outcome, Verdict
from sentinel.core.learning.params import FitParams
from sentinel.core.learning.triggers import TriggerParams
from sentinel.core.learning.watch import WatchParams
from sentinel.core.registry import transitions
from sentinel.core.rollouts.params import RolloutParams
from sentinel.engine.deployment.champion import DeploymentParams
from sentinel.engine.registry.lifecycle import Update
from sentinel.engine.updates.params import UpdateParams
from sentinel.engine.updates.savepoints import SavepointParams
from sentinel.errors import RecordError
from sentinel.model import fit
from sentinel.operations.data.history import History
from sentinel.ports import Made, Saved, Taken, Updated
from sentinel.records import Floats
from sentinel.serving_model import ServingModel, golden, serving_model
from sentinel.stored.versions import Artifact, Command, ModelEvent, RegistryState
from tests.engine.samples import NAMES, START_MS, a_config, encoded, transactions
from tests.engine.world import InProcessTrainer, World
from tests.kept import KeptModels

Rows = Sequence[tuple[int, int, bytes | None]]

HOUR_MS = 3_600_000
# An update after 50 new examples, which is watched for an hour of event time.
UPDATES = UpdateParams(
    triggers=TriggerParams(
        after_example_count=50, every_s=0.0, gap_min_s=0.0, example_count_min=10
    ),
    watch=WatchParams(watch_s=3_600.0, decision_count_min=40, latency_ratio_max=1e9),
    compare_after_count=30,
    savepoint=SavepointParams(after_example_count=0),
)
# What the gate has let through serves at once.
NO_STEPS = RolloutParams(steps=(), urgent_steps=())


@functools.cache
def training_rows() -> Floats:
    history = History(a_config())
    values = [encoded(x) for x in transactions(800, seed=99)]
    return history.fold(values, [None] * len(values)).features


@functools.cache
def artifact(
    version: str, seed: int = 0, *, slope: float = 1.0, intercept: float = -2.0
) -> Artifact:
    """A tiny model that flags one in four; each seed gives another."""
    features = training_rows()
    rng = np.random.default_rng(seed)
    signal = features[:, 0] + 20 * np.nan_to_num(features[:, [2, 4, 7]]).sum(axis=1)
    labels = (signal + rng.normal(0, 30, len(features)) > 260).astype(np.int64)
    params = FitParams(tree_count=8, leaf_count_max=7, learning_rate=0.3)
    text = fit(features, labels, params=params, feature_names=NAMES)
    low, high = np.nanquantile(features, [0.05, 0.95], axis=0)
    manifest: dict[str, Any] = {
        "features": NAMES,
        "engine": "kernel",
        "calibration": asdict(Calibration(slope, intercept)),
        "usual": {"low": low.tolist(), "high": high.tolist()},
        "strategy": "retrain",
        "fit": {"leaf_count_max": 7},
    }
    manifest["golden"] = golden(
        serving_model(Artifact(version, text, manifest), NAMES), features[:3]
    )
    return Artifact(version, text, manifest)


def model_of(one: Artifact) -> ServingModel:
    """It, ready to serve."""
    return serving_model(one, NAMES)


def put(models: KeptModels, one: Artifact) -> None:
    """Into the registry, without a place on the registry."""
    models.texts[one.version], models.manifests[one.version] = encode_artifact(one)


def change(models: KeptModels, *steps: Any) -> None:
    """Change the registry as a person does: each step is one of `transitions`."""
    for step in steps:
        before = (
            RegistryState()
            if models.registry_state is None
            else decode_stored(RegistryState, models.registry_state)
        )
        after, event = step(before, who="ann", why="tests", at_ms=1)
        models.registry_state = encode_stored(after)
        models.history.append(encode_stored(event))


def serve(models: KeptModels, one: Artifact) -> None:
    """Put a version into the registry and have it serve."""
    put(models, one)
    change(
        models,
        partial(_on, transitions.registered, one.version),
        partial(_on, transitions.staged, one.version),
        partial(_on, partial(transitions.promoted, approval_needed=False), one.version),
    )


def step(change_of: Any, version: str) -> Any:
    """One of `transitions` of a version, for `change`."""
    return partial(_on, change_of, version)


def _on(change_of: Any, version: str, registry_state: RegistryState, **stated: Any) -> Any:
    return change_of(registry_state, version, **stated)


def a_learning_world(
    *, updates: UpdateParams = UPDATES, champion: Artifact | None = None, **others: Any
) -> World:
    """A world whose registry has one model, 1.0.0, that serves."""
    first = champion or artifact("1.0.0")
    models = KeptModels()
    serve(models, first)
    config = a_learning_config(updates=updates, **others)
    return World(config=config, models=models, serving=model_of(first), artifact=first)


def a_learning_config(
    *,
    updates: UpdateParams = UPDATES,
    deployment: DeploymentParams | None = None,
    rollouts: RolloutParams | None = None,
    **engine: Any,
) -> Config:
    config = a_config(**{"commit_interval_s": 0.2, **engine})
    return replace(
        config,
        updates=updates,
        deployment=deployment or DeploymentParams(),
        rollouts=rollouts or NO_STEPS,
    )


def registry_state_of(world: World) -> RegistryState:
    assert world.models.registry_state is not None
    return decode_stored(RegistryState, world.models.registry_state)


def history_of(world: World) -> list[ModelEvent]:
    return [decode_stored(ModelEvent, data) for data in world.models.history]


def update_of(world: World) -> Update:
    """How the newest update stands, as it is noted."""
    return Update() if world.models.update is None else decode_stored(Update, world.models.update)


def send_examples(world: World, count: int, *, hours: float = 0.0) -> None:
    """Examples as the scripted learner reads them: their event time, in hours from the start."""
    begin_ms = START_MS + round(hours * HOUR_MS)
    for i in range(count):
        world.append("examples", encoded({"event_time": begin_ms + i}))


def ask(world: World, who: str = "ann") -> None:
    """Ask for an update, as `sentinel models update` does."""
    world.append("control", encode(Command("update", who)))


@dataclass
class Script:
    """What a learner says, and what it was asked; it outlives the learner.

    Attributes
    ----------
    updates, comparisons
        What comes of each, the next first; an exception is raised.
    seen
        At each update, the offsets of the examples that the learner had by then.
    poison
        What is raised when a batch has an example of this offset.
    saved, restored
        How many examples each savepoint had.
    """

    updates: list[Updated | Exception] = field(default_factory=list)
    comparisons: list[Verdict | Exception | None] = field(default_factory=list)
    seen: list[list[int]] = field(default_factory=list)
    poison: dict[int, Exception] = field(default_factory=dict)
    draws: list[int] = field(default_factory=list)
    parents: list[str] = field(default_factory=list)
    compared: list[tuple[str, str, int]] = field(default_factory=list)
    saved: list[int] = field(default_factory=list)
    restored: list[int] = field(default_factory=list)
    needs: tuple[Need, ...] = ()


class ScriptedLearner:
    """As `engine.learner.Learner`, but what comes of an update stands in a script."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._offsets: list[int] = []
        self._pieces: list[bytes] = []
        self._newest_ms = -1

    def take(self, rows: Rows) -> Taken:
        for offset, _, _ in rows:
            if (error := self._script.poison.get(offset)) is not None:
                raise error
        self._offsets += [offset for offset, _, _ in rows]
        times = [json.loads(value or b"")["event_time"] for _, _, value in rows]
        self._newest_ms = max([self._newest_ms, *times])
        return Taken(len(rows), 0, self._newest_ms, rows[-1][0] + 1)

    def forget(self) -> None:
        self._offsets, self._newest_ms = [], -1

    def save(self, *, log: str) -> Saved:
        """As the learner's: a few pieces, so that there is something between them."""
        self._script.saved.append(len(self._offsets))
        columns = {"offsets": np.array(self._offsets, dtype=np.int64)}
        facts = {"newest_ms": self._newest_ms}
        next_offset = self._offsets[-1] + 1
        found = encode_savepoint(columns, facts, log=log, next_offset=next_offset)
        [body] = found.pieces
        self._pieces = [body[:10], body[10:20], body[20:]]
        return Saved(found.head, found.sha256, len(self._pieces), len(body))

    def piece(self, number: int) -> bytes:
        return self._pieces[number]

    def receive(self, number: int, piece: bytes) -> None:
        self._pieces = [*self._pieces, piece] if number else [piece]

    def restore(self, head: bytes, sha256: str, *, log: str) -> Taken:
        found, columns = decode_savepoint(head, sha256, self._pieces)
        if found.log != log:
            raise RecordError("savepoint", "it is of another log")
        self._offsets, self._newest_ms = columns["offsets"].tolist(), found.facts["newest_ms"]
        self._script.restored.append(len(self._offsets))
        return Taken(0, 0, self._newest_ms, found.next_offset)

    def needs(self, champion: Artifact) -> tuple[Need, ...]:
        return self._script.needs

    def update(self, champion: Artifact, *, draw: int, policy: object = None) -> Updated:
        script = self._script
        script.seen.append(list(self._offsets))
        script.draws.append(draw)
        script.parents.append(champion.version)
        found = script.updates.pop(0) if script.updates else nothing()
        if isinstance(found, Exception):
            raise found
        return found

    def compare(
        self, former: Artifact, champion: Artifact, *, since_ms: int, policy: object = None
    ) -> Verdict | None:
        script = self._script
        script.compared.append((former.version, champion.version, since_ms))
        found = script.comparisons.pop(0) if script.comparisons else None
        if isinstance(found, Exception):
            raise found
        return found


def a_worker(script: Script) -> InProcessTrainer:
    return InProcessTrainer(lambda: ScriptedLearner(script))


def nothing() -> Updated:
    return Updated((), None, None, "too few examples")


def candidate(
    seed: int = 1,
    outcome: Outcome = "promote",
    *,
    one: Artifact | None = None,
    strategy: str = "retrain",
) -> Updated:
    """A candidate, and what the gate says of it."""
    found = one or artifact("0.0.0", seed)
    made = Made(strategy, found.text, {**found.manifest, "strategy": strategy})
    return Updated((), made, Verdict(outcome, ()), f"{strategy}: {outcome}")
