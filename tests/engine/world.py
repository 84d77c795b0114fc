"""A small world in memory: instances come and go on a cluster and a store that outlive them."""

import asyncio
import itertools
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.random import Generator

from sentinel.adapters.memory import (
    Faults,
    MemoryBroker,
    MemoryCluster,
    MemoryDatabase,
    MemoryDocuments,
    MemoryRecord,
    MemoryStateStore,
    MemoryStore,
    MemoryTail,
)
from sentinel.adapters.pool.trainer import AskedTrainer
from sentinel.app.instance import Instance
from sentinel.app.wiring.assembly import Parts, assemble
from sentinel.app.wiring.shared import Ports
from sentinel.codec.stored import encode_stored
from sentinel.config import Config
from sentinel.core.features.packing import log_numbers
from sentinel.core.features.state import layout_of
from sentinel.core.partitioning import PartitionOf
from sentinel.engine.partitions.input_partition import InputPartition
from sentinel.engine.registry.remembered import RegistryMemory
from sentinel.engine.store.history import beginning_of
from sentinel.engine.store.owner import own
from sentinel.engine.store.watch import StoreWatch
from sentinel.errors import ModelError, RecordError, TrainingError, WorkerLostError
from sentinel.metrics import Metrics
from sentinel.model import Model
from sentinel.operations.topics import topic_specs
from sentinel.ports import Blob, Fence, Fences, MachineLook, PartitionState, Trainer
from sentinel.records import (
    Commit,
    Floats,
    InputRecord,
    OutputRecord,
    TopicPartition,
)
from sentinel.serving_model import ServingModel
from sentinel.stored.versions import Artifact, RegistryState
from sentinel.stores import (
    StoredCases,
    StoredDrift,
    StoredExperiments,
    StoredModels,
    StoredOperating,
    StoredReports,
    StoredRollouts,
    StoredSavepoints,
)
from tests.engine.clock import until
from tests.engine.faults import Part
from tests.engine.samples import DAY_MS, START_MS, a_config, encoded, serving
from tests.kept import KeptCases, KeptModels, KeptReports, KeptSavepoints

_NUMBERS = itertools.count(1)  # of instances


class Latency:
    """How long calls take: not at all without an `rng`, else mostly short, sometimes long.

    While suspended no call begins and none ends, as in a process that was stopped.
    """

    def __init__(self, rng: Generator | None) -> None:
        self._rng = rng
        self._awake = asyncio.Event()
        self._awake.set()

    def suspend(self) -> None:
        self._awake.clear()

    def resume(self) -> None:
        self._awake.set()

    async def awake(self) -> None:
        await self._awake.wait()

    async def pass_by(self) -> None:
        await self.awake()
        if self._rng is not None:
            await asyncio.sleep(float(self._rng.choice([0.0, 0.001, 0.02, 0.4])))
            await self.awake()


class InProcessExplainer:
    """`ports.Explainer` with the model itself; settable to be slow or to fail."""

    def __init__(self, model: ServingModel, faults: Faults) -> None:
        self._models = {model.version: model.model}
        self._texts: dict[str, str] = {}
        self.warm_error: Exception | None = None
        self.warm_delay_s = 0.0
        self._faults = faults
        self.delay_s = 0.0
        self.error: Exception | None = None
        self.row_counts: list[int] = []

    def register(self, version: str, text: str) -> None:
        self._texts[version] = text

    def forget(self, version: str) -> None:
        self._texts.pop(version, None)
        self._models.pop(version, None)

    async def warm(self, version: str) -> str:
        with self._faults.call("warm"):
            if self.warm_error is not None:
                raise self.warm_error
            await asyncio.sleep(self.warm_delay_s)
            if version in self._texts:
                self._models[version] = Model.from_text(version, self._texts[version])
            model = self._models[version]
            rows = np.zeros((1, len(model.feature_names)))
            model.scores(rows)
            try:
                model.contributions(rows)
            except ModelError as error:
                return error.detail
            return ""

    async def contributions(self, model_version: str, features: Floats) -> Floats:
        self.row_counts.append(len(features))
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        if self.error is not None:
            raise self.error
        if model_version not in self._models:
            raise ModelError(model_version, "is not known")
        with self._faults.call("contributions"):
            return self._models[model_version].contributions(features)


class InProcessTrainer(AskedTrainer):
    """`ports.Trainer` with the learner itself; settable to lose it, or to take its time."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._object = make()
        self.lost_at: set[str] = set()  # methods at whose next call the process dies
        self.delay_s: dict[str, float] = {}  # by method
        self.calls: list[str] = []

    async def ask(self, method: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        name = method.__name__
        self.calls.append(name)
        await asyncio.sleep(self.delay_s.get(name, 0.01))
        if name in self.lost_at:
            self.lost_at.remove(name)
            self._object = self._make()
            raise WorkerLostError("the process died")
        try:
            return getattr(self._object, name)(*arguments, **named)
        except WorkerLostError:  # as told: it dies of what it was given
            self._object = self._make()
            raise
        except ModelError as error:
            raise TrainingError(name, str(error)) from error
        except RecordError as error:
            raise TrainingError(name, error.detail) from error
        except Exception as error:
            raise TrainingError(name, repr(error)) from error


class MemoryMachine:
    """`ports.Machine` as a test says it is; its clock is that of the cluster."""

    def __init__(self) -> None:
        self.now = MachineLook()
        self.skew_ms = 0

    async def look(self) -> MachineLook:
        return self.now

    def clock_ms(self) -> int:
        return START_MS + 100 * DAY_MS + self.skew_ms


@dataclass
class World:
    """What outlives an instance, and what a test wants to know of it."""

    config: Config = field(default_factory=a_config)
    cluster: MemoryCluster = field(
        default_factory=lambda: MemoryCluster(clock_ms=lambda: START_MS + 100 * DAY_MS)
    )
    store: MemoryStore = field(default_factory=MemoryStore)
    cases: KeptCases = field(default_factory=KeptCases)
    models: KeptModels = field(default_factory=KeptModels)
    reports: KeptReports = field(default_factory=KeptReports)
    savepoints: KeptSavepoints = field(default_factory=KeptSavepoints)
    drift: MemoryDatabase = field(default_factory=MemoryDatabase)
    experiments: MemoryDatabase = field(default_factory=MemoryDatabase)
    operating: MemoryDatabase = field(default_factory=MemoryDatabase)  # apart, though one database
    machine: MemoryMachine = field(default_factory=lambda: MemoryMachine())
    rng: Generator | None = None  # of latencies, and of what a crash loses
    serving: ServingModel = field(default_factory=serving)
    artifact: Artifact | None = None  # of `serving`, where it matters
    copies: dict[str, Artifact] = field(default_factory=dict)  # of models, on the machines
    unsafe: list[str] = field(default_factory=list)  # what no instance may ever do
    _out: dict[str, str] = field(default_factory=dict)  # action by decision_id
    _alerted: set[str] = field(default_factory=set)
    _looked_to: dict[TopicPartition, int] = field(default_factory=dict)
    _checked: dict[TopicPartition, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for spec in topic_specs(self.config):
            self.cluster.create_topic(spec.name, spec.partition_count)
        if self.models.registry_state is None:
            version = self.serving.version
            registry_state = RegistryState(
                number=1, stages={version: "production"}, champion=version
            )
            self.models.registry_state = encode_stored(registry_state)

    @property
    def partition_count(self) -> int:
        return self.cluster.partition_count("transactions")

    @property
    def labels(self) -> dict[str, str]:
        """The label that each transaction has by now."""
        return self.cases.labels()

    async def copy(self, version: str) -> Artifact | None:
        return self.copies.get(version)

    def send(self, records: Sequence[dict[str, Any] | bytes | None]) -> None:
        """Append transactions, each to the partition of its account; raw bytes to partition 0."""
        partition_of = PartitionOf(self.partition_count)
        for record in records:
            number = partition_of(record["account"]) if isinstance(record, dict) else 0
            value = encoded(record) if isinstance(record, dict) else record
            self.append("transactions", value, partition=number)

    def send_feedback(self, voices: Sequence[dict[str, Any] | bytes]) -> None:
        for one in voices:
            self.append("feedback", encoded(one) if isinstance(one, dict) else one)

    def append(self, topic: str, value: bytes | None, *, partition: int = 0) -> None:
        self.cluster.append(TopicPartition(topic, partition), [OutputRecord(None, value)])

    def records(self, topic: str) -> list[MemoryRecord]:
        return self.cluster.records(topic)

    def values(self, topic: str) -> list[dict[str, Any]]:
        """All that a topic holds, decoded."""
        return [json.loads(record.value or b"null") for record in self.records(topic)]

    def decisions(self) -> dict[str, list[bytes]]:
        """The bytes of all decisions, by decision_id."""
        found = defaultdict(list)
        for record in self.records("decisions"):
            assert record.value is not None
            found[json.loads(record.value)["decision_id"]].append(record.value)
        return dict(found)

    def decision_of(self, transaction_id: str) -> dict[str, Any]:
        found = [d for d in self.values("decisions") if d["transaction_id"] == transaction_id]
        assert found
        return found[-1]

    def committed(self, topic: str = "transactions", partition: int = 0) -> Commit | None:
        return self.cluster.group("sentinel").committed.get(TopicPartition(topic, partition))

    def blobs(self) -> dict[tuple[str, str, str, int], bytes]:
        """Everything stored of entities, by layout, entity, key and part."""
        return {
            (*address, part): data
            for address, parts in self.store.blobs.items()
            for part, data in parts.items()
        }

    def counts(self) -> dict[tuple[str, str, str, int], list[int]]:
        """Everything stored of entities, but for how far each has come in the labels' log.

        There a label that was given again takes a place of its own.
        """
        return {at: [words(blob)[2], *words(blob)[4:]] for at, blob in self.blobs().items()}

    def instance(self, faults: Faults | None = None, **others: Any) -> "MemoryInstance":
        return MemoryInstance(self, faults, **others)

    async def run_through(self) -> "MemoryInstance":
        """Start an instance, let it work through all there is, and stop it in order."""
        async with self.instance() as instance:
            await instance.idle()
            await instance.stop()
        return instance

    def is_done(self) -> bool:
        """Whether everything that was sent has been committed."""
        specs = [("transactions", self.partition_count), ("feedback", 1)]
        places = [TopicPartition(name, i) for name, count in specs for i in range(count)]
        ends = ((at, self.cluster.log(at).end) for at in places)
        return all(
            end == 0 or ((commit := self.committed(*at)) is not None and commit.offset >= end)
            for at, end in ends
        )

    def check_commit(self, commits: Mapping[TopicPartition, Commit]) -> None:
        """Whatever lies before a committed offset must be out."""
        dead = {dict(r.headers)["sentinel.offset"] for r in self.records("dead-letters")}
        for at, commit in commits.items():
            if at.topic != "transactions":
                continue
            self._look_at(at.partition)
            for offset in range(self._checked.get(at, self.cluster.log(at).start), commit.offset):
                name = f"transactions-{at.partition}-{offset}"
                action = self._out.get(name)
                if action is None and str(offset).encode() not in dead:
                    self.unsafe.append(f"{name} is committed and not decided")
                if action not in (None, "approve") and name not in self._alerted:
                    self.unsafe.append(f"{name} is committed and its alert is not out")
            self._checked[at] = commit.offset

    def _look_at(self, partition: int) -> None:
        """Take note of the decisions and alerts that have come out since the last look."""
        for topic in ("decisions", "alerts"):
            at = TopicPartition(topic, partition)
            records = self.cluster.log(at).records
            for record in records[self._looked_to.get(at, 0) :]:
                decision = json.loads(record.value or b"")
                if topic == "alerts":
                    self._alerted.add(decision["decision_id"])
                else:
                    self._out[decision["decision_id"]] = decision["action"]
            self._looked_to[at] = len(records)

    def check_save(self, at: TopicPartition, blobs: Sequence[Blob], state: PartitionState) -> None:
        """No stored state may speak of records that are not committed."""
        commit = self.committed(*at)
        limit = 0 if commit is None else commit.offset
        named = (int(log_numbers([state.log])[0]) << 16) | at.partition
        for blob in blobs:
            log, next_offset = words(blob.data)[1:3]
            if log == named and next_offset > limit:
                self.unsafe.append(f"{blob.entity} {blob.key} at {next_offset}, commit at {limit}")
        if state.replay_from > limit and commit is not None:
            self.unsafe.append(f"{at} replays from {state.replay_from}, commit at {limit}")


def words(blob: bytes) -> list[int]:
    """A blob in words: checksum and version, log, next offset, next label, and the body."""
    return np.frombuffer(blob, "<i8").tolist()  # type: ignore[no-any-return]


class WatchedBroker(MemoryBroker):
    """A broker that takes its time, and tells the world what is committed."""

    def __init__(
        self,
        world: World,
        latency: Latency,
        faults: Faults,
        publish_delay_s: float,
        commit_delay_s: float,
    ) -> None:
        exactly_once = ["transactions"] if world.config.engine.delivery == "exactly_once" else []
        super().__init__(world.cluster, faults=faults, rng=world.rng, exactly_once=exactly_once)
        self._world = world
        self._publish_delay_s = publish_delay_s
        self._commit_delay_s = commit_delay_s
        self._latency = latency

    def expire(self) -> None:
        """The group thinks this member dead, which does not hear of it."""
        assert self._member is not None
        self._cluster.leave("sentinel", self._member)

    async def poll(
        self, partitions: Sequence[TopicPartition], *, timeout_s: float, count_max: int
    ) -> Mapping[TopicPartition, Sequence[InputRecord]]:
        await self._latency.awake()
        found = await super().poll(partitions, timeout_s=timeout_s, count_max=count_max)
        await self._latency.awake()
        return found

    async def publish(
        self,
        topic: str,
        partition: int,
        records: Sequence[OutputRecord],
        *,
        source: TopicPartition | None = None,
    ) -> None:
        await self._latency.pass_by()
        await asyncio.sleep(self._publish_delay_s)
        await super().publish(topic, partition, records, source=source)

    async def flush(self) -> None:
        await self._latency.pass_by()
        await super().flush()
        await self._latency.pass_by()

    async def commit(self, commits: Mapping[TopicPartition, Commit]) -> None:
        await self._latency.pass_by()
        await asyncio.sleep(self._commit_delay_s)
        await super().commit(commits)
        self._world.check_commit(commits)
        await self._latency.pass_by()


class WatchedStore(MemoryStateStore):
    """A state store that takes its time, and tells the world what is saved."""

    def __init__(self, world: World, latency: Latency, layout: str, faults: Faults) -> None:
        super().__init__(world.store, layout=layout, faults=faults)
        self._world = world
        self._latency = latency

    async def load_owned(
        self, entity: str, keys: Sequence[str | None], fences: Fences
    ) -> list[bytes | None]:
        await self._latency.pass_by()
        return await super().load_owned(entity, keys, fences)

    async def load_shared(
        self, entity: str, keys: Sequence[str | None], fences: Fences
    ) -> list[dict[int, bytes]]:
        await self._latency.awake()
        return await super().load_shared(entity, keys, fences)

    async def save(
        self, partition: TopicPartition, fence: Fence, blobs: Sequence[Blob], state: PartitionState
    ) -> Fence:
        await self._latency.pass_by()
        now = await super().save(partition, fence, blobs, state)
        self._world.check_save(partition, blobs, state)
        return now


class WatchedTail(MemoryTail):
    """A tail that may be slow to come."""

    def __init__(self, world: World, faults: Faults, *, delay_s: float) -> None:
        super().__init__(world.cluster, ["labels"], faults=faults)
        self._delay_s = delay_s

    async def poll(
        self, *, timeout_s: float, count_max: int
    ) -> Mapping[str, Sequence[InputRecord]]:
        if self._delay_s:
            await asyncio.sleep(self._delay_s)
        return await super().poll(timeout_s=timeout_s, count_max=count_max)


class MemoryInstance(Instance):
    """The instance of `sentinel run`, on memory adapters, in a task that a test can end."""

    def __init__(
        self,
        world: World,
        faults: Faults | None = None,
        *,
        store_faults: Faults | None = None,
        config: Config | None = None,
        tail_delay_s: float = 0.0,
        publish_delay_s: float = 0.0,
        commit_delay_s: float = 0.0,
        memory: RegistryMemory | None = None,
    ) -> None:
        artifact = world.artifact or Artifact(world.serving.version, "", {})
        super().__init__(config or world.config, world.serving, artifact, Metrics(), memory)
        self._world = world
        self.name = f"memory-{next(_NUMBERS)}"
        self.faults = faults or Faults()
        self.report_faults = Faults()  # apart: they are told by the clock, not by what happens
        self._store_faults = store_faults or self.faults
        self._tail_delay_s = tail_delay_s
        self._broker_delays_s = (publish_delay_s, commit_delay_s)
        self._stop = asyncio.Event()
        self.latency = Latency(world.rng)
        self.explainer = InProcessExplainer(world.serving, self.faults)
        self.trainer: Trainer = InProcessTrainer(lambda: None)
        self.task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Open the adapters and start to run."""
        await self.open()
        return self._start()

    @asynccontextmanager
    async def started(self) -> AsyncIterator[Self]:
        """Start to run; the adapters are open."""
        try:
            yield self._start()
        finally:
            await self.__aexit__()

    def _start(self) -> Self:
        self.task = asyncio.create_task(self.run(self._stop))
        return self

    async def open(self) -> None:
        """As `Instance.__aenter__` does, on memory."""
        world, config, faults = self._world, self._config, self.faults
        async with AsyncExitStack() as stack:
            broker = await stack.enter_async_context(
                WatchedBroker(world, self.latency, faults, *self._broker_delays_s)
            )
            await broker.ensure_topics(topic_specs(config))
            layout = layout_of(config.entities, config.features)
            store = WatchedStore(world, self.latency, layout, self._store_faults)
            owner = await own(
                store, broker, "transactions", group_id="sentinel", key_prefix="sentinel"
            )
            self.beginning = await beginning_of(
                store, "transactions", owner.partition_count, layout
            )
            self._watch = StoreWatch(store, clock_ms=lambda: START_MS)
            await self._watch.begin()
            self._ports = Ports(
                name=self.name,
                broker=broker,
                tail=WatchedTail(world, faults, delay_s=self._tail_delay_s),
                store=store,
                cases=StoredCases(MemoryDocuments(world.cases, faults=Part(faults, "cases."))),
                explainer=self.explainer,
                models=StoredModels(MemoryDocuments(world.models, faults=Part(faults, "models."))),
                reports=StoredReports(
                    MemoryDocuments(world.reports, faults=Part(self.report_faults, "reports."))
                ),
                model_updates_tail=MemoryTail(
                    world.cluster, ["model-updates"], faults=Part(faults, "model_updates_tail.")
                ),
                training_tail=MemoryTail(
                    world.cluster, ["examples", "control"], faults=Part(faults, "training_tail.")
                ),
                trainer=self.trainer,
                savepoints=StoredSavepoints(
                    MemoryDocuments(world.savepoints, faults=Part(faults, "savepoints."))
                ),
                drift=StoredDrift(MemoryDocuments(world.drift, faults=Part(faults, "drift."))),
                drift_tail=MemoryTail(
                    world.cluster, ["summaries", "examples"], faults=Part(faults, "drift_tail.")
                ),
                experiments=StoredExperiments(
                    MemoryDocuments(world.experiments, faults=Part(faults, "experiments."))
                ),
                rollouts=StoredRollouts(
                    MemoryDocuments(world.experiments, faults=Part(faults, "rollouts."))
                ),
                routing_tail=MemoryTail(
                    world.cluster, ["experiments"], faults=Part(faults, "routing_tail.")
                ),
                experiments_tail=MemoryTail(
                    world.cluster,
                    ["outcomes", "examples"],
                    faults=Part(faults, "experiments_tail."),
                ),
                operating=StoredOperating(
                    MemoryDocuments(world.operating, faults=Part(faults, "operating."))
                ),
                operating_tail=MemoryTail(
                    world.cluster, ["control"], faults=Part(faults, "operating_tail.")
                ),
                copies=world.copy,
                machine=world.machine,
            )
            self._parts = assemble(
                config, self._serving, self._ports, self._state(owner), self.metrics, self._memory,
                owner=owner, watch=self._watch, health=self.health, settings=self.settings,
            )  # fmt: skip
            self._resources = stack.pop_all()

    @property
    def parts(self) -> Parts:
        assert self._parts is not None
        return self._parts

    @property
    def ports(self) -> Ports:
        assert self._ports is not None
        return self._ports

    def suspend(self) -> None:
        """Stop the process for longer than its session: the group gives its partitions away."""
        broker = self.ports.broker
        assert isinstance(broker, WatchedBroker)
        self.latency.suspend()
        broker.expire()

    async def __aexit__(self, *_: object) -> None:
        """Gone at once, unless it was stopped in order before."""
        if self.task is not None:
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)
        await super().__aexit__()

    async def idle(self, *, timeout_s: float = 600.0) -> None:
        """Until all that was sent is replayed, decided and committed; raises what ended it."""
        assert self.task is not None
        task = self.task
        await until(lambda: self._is_idle() or task.done(), timeout_s=timeout_s)
        if task.done():
            task.result()
            raise AssertionError("the instance ended by itself")

    def _is_idle(self) -> bool:
        labels_end = self._world.cluster.log(TopicPartition("labels", 0)).end
        partitions = self.parts.partitions.values()
        return (  # what is quick to tell comes first: it is asked a hundred times a second
            self.parts.ownership.assigned.is_set()
            and not any(p.is_recovering for p in partitions)
            and self._world.is_done()
            and all(p.gate.read_to >= labels_end for p in partitions)
            and not any(p.gate.is_opening for p in partitions)
            and all(self._opens_all_it_may(p) for p in partitions)
        )

    def _opens_all_it_may(self, partition: InputPartition) -> bool:
        """Whether the last commit opened the labels that had been read by now."""
        count_max = self._config.engine.batch_count_max
        gate, watermark_ms = partition.gate, partition.watermark_ms
        wanted = gate.waiting.openable(watermark_ms, gate.read_to, count_max=count_max)
        return gate.promised.offset >= wanted.offset or not partition.is_caught_up

    async def stop(self) -> None:
        """Stop in order; raises what went wrong."""
        assert self.task is not None
        self._stop.set()
        await self.task
