"""The pieces of training on a world in memory, for tests that take one alone."""

from sentinel.adapters.memory import Faults, MemoryBroker, MemoryDocuments, MemoryTail
from sentinel.engine.audit import AuditLog
from sentinel.engine.registry.registrar import Registrar
from sentinel.engine.updates.intake import Intake
from sentinel.engine.updates.journal import Journal
from sentinel.engine.updates.params import UpdateParams
from sentinel.engine.updates.reader import Reader
from sentinel.engine.updates.savepoints import Savepoints
from sentinel.engine.updates.watching import Watching
from sentinel.metrics import Metrics
from sentinel.ports import ModelStore, Trainer
from sentinel.stores import StoredModels, StoredSavepoints
from tests.engine.clock import run
from tests.engine.learning_world import UPDATES
from tests.engine.world import World

NOW_MS = 5


def a_store(world: World, faults: Faults | None = None) -> StoredModels:
    return StoredModels(MemoryDocuments(world.models, faults=faults))


def a_registrar(world: World, faults: Faults | None = None) -> Registrar:
    broker = MemoryBroker(world.cluster, faults=faults)
    return Registrar(
        a_store(world),
        broker,
        update_topic="model-updates",
        audit=AuditLog(broker, "audit"),
        who="training",
        clock_ms=lambda: NOW_MS,
    )


def a_journal(world: World, faults: Faults | None = None) -> Journal:
    return Journal(a_store(world, faults), a_registrar(world, faults))


def a_watching(
    store: ModelStore, trainer: Trainer, metrics: Metrics, params: UpdateParams = UPDATES
) -> Watching:
    count = params.compare_after_count
    return Watching(store, trainer, metrics, params.watch, compare_after_count=count)


def a_reader(
    world: World,
    trainer: Trainer,
    metrics: Metrics | None = None,
    *,
    params: UpdateParams = UPDATES,
    faults: Faults | None = None,
) -> Reader:
    metrics, broker = metrics or Metrics(), MemoryBroker(world.cluster)
    for topic in ("examples", "control"):
        run(broker.look(topic))
    return Reader(
        broker,
        MemoryTail(world.cluster, ["examples", "control"], faults=faults),
        Intake(trainer, metrics),
        Savepoints(StoredSavepoints(MemoryDocuments(world.savepoints)), trainer, params.savepoint),
        a_watching(a_store(world), trainer, metrics, params),
        example_topic="examples",
        control_topic="control",
    )
