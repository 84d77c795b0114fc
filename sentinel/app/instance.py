"""Builds one instance from its configuration and runs it until it is told to stop."""

import asyncio
import gc
import logging
import os
import socket
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack, suppress
from functools import partial
from typing import Any, Self

from sentinel.adapters.kafka import KafkaBroker, KafkaTail
from sentinel.adapters.machine import LocalMachine
from sentinel.adapters.pool import ExplainerPool
from sentinel.adapters.pool.trainer import TrainerProcess
from sentinel.adapters.redis import RedisStateStore
from sentinel.adapters.registry import ModelDirectory
from sentinel.app.company import Company
from sentinel.app.observed import ObservedInstance
from sentinel.app.reload.settings import LiveSettings
from sentinel.app.warming import warm_instance
from sentinel.app.wiring.assembly import Parts, assemble
from sentinel.app.wiring.control_plane import registrar
from sentinel.app.wiring.shared import Ports
from sentinel.config import Config
from sentinel.core.features.packing import log_numbers
from sentinel.core.features.state import FeatureState, layout_of
from sentinel.engine.health import Health, health, longest_silence, watch_loop
from sentinel.engine.patience import Patience
from sentinel.engine.registry.remembered import RegistryMemory
from sentinel.engine.scoring.ownership import Ownership
from sentinel.engine.store.history import Beginning, beginning_of
from sentinel.engine.store.owner import StoreOwner, own
from sentinel.engine.store.watch import StoreWatch
from sentinel.engine.tasks import end, outlast
from sentinel.errors import ModelError, SentinelError, TransientError
from sentinel.learner.learner import Learner
from sentinel.metrics import Metrics
from sentinel.operations.models.local import FIRST_WHO, LocalModels, adopt, tell_adopted
from sentinel.operations.stores import (
    drift_documents,
    experiment_documents,
    feedback_documents,
    registry_documents,
)
from sentinel.operations.topics import refuse_wrong, topic_specs
from sentinel.serving_model import ServingModel
from sentinel.stored.versions import Artifact
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

log = logging.getLogger(__name__)

_WARMING_S_MAX = 10.0  # for the explainer; alone on a machine it takes three
_FAREWELL_S_MAX = 0.5


class Instance(ObservedInstance):
    """One scoring process: adapters in, tasks running, an orderly stop.

    Parameters
    ----------
    metrics, memory
        Kept by the caller, so that counts go on over restarts after a transient failure, and what
        was seen of the registry is known.
    """

    def __init__(
        self,
        config: Config,
        serving: ServingModel,
        artifact: Artifact,
        metrics: Metrics,
        memory: RegistryMemory | None = None,
        settings: LiveSettings | None = None,
    ) -> None:
        super().__init__(serving)
        self._config = config
        self.settings = settings or LiveSettings(config, config)
        self._artifact = artifact
        self.metrics = metrics
        self._memory = memory or RegistryMemory()
        self.name = f"{socket.gethostname()}-{os.getpid()}"
        self._resources = AsyncExitStack()
        self._adoption_failure: SentinelError | None = None  # of the last time it was tried
        self._warnings: list[str] = []  # of topics
        self._company: Company | None = None
        self.beginning = Beginning(None, is_cold=True)

    async def __aenter__(self) -> Self:
        config = self._config
        async with AsyncExitStack() as stack:
            input_topic = config.topics.full(config.topics.transactions)
            # Labels go out at least once in any case: a repeated one is known by its feedback.
            exact = [input_topic] if config.engine.delivery == "exactly_once" else []
            broker = await stack.enter_async_context(KafkaBroker(config.kafka, exactly_once=exact))
            specs = topic_specs(config)
            await broker.ensure_topics(specs)
            facts = await broker.topic_facts([spec.name for spec in specs])
            self._warnings = refuse_wrong(config, facts)
            self._company = Company(broker.group_members, self._group_topics())
            layout = layout_of(config.entities, config.features)
            store = await stack.enter_async_context(RedisStateStore(config.redis, layout=layout))
            owner = await own(
                *(store, broker, input_topic),
                group_id=config.kafka.group_id,
                key_prefix=config.redis.key_prefix,
            )
            self.beginning = await beginning_of(store, input_topic, owner.partition_count, layout)
            if self.beginning.is_cold:
                log.warning("%s: features begin empty; `sentinel backfill FILE` stores what a "
                            "history says of them, before a start", self.beginning)  # fmt: skip
            self._watch = StoreWatch(store)
            await self._watch.begin()
            cases = await stack.enter_async_context(feedback_documents(config.redis))
            registry = await stack.enter_async_context(registry_documents(config.redis))
            drift = await stack.enter_async_context(drift_documents(config.redis))
            experiments = await stack.enter_async_context(experiment_documents(config.redis))
            models = LocalModels(StoredModels(registry), ModelDirectory(config.model))
            names = [feature.name for feature in config.features]
            trainer = TrainerProcess(
                partial(Learner, names, config.policy, config.learning), config.trainer
            )
            pool = await stack.enter_async_context(ExplainerPool(config.pool))
            pool.register(self._artifact.version, self._artifact.text)
            self._ports = Ports(
                name=self.name,
                broker=broker,
                tail=await stack.enter_async_context(self._tail("labels")),
                store=store,
                cases=StoredCases(cases),
                explainer=pool,
                models=models,
                reports=StoredReports(registry),
                model_updates_tail=await stack.enter_async_context(self._tail("model_updates")),
                training_tail=await stack.enter_async_context(self._tail("examples", "control")),
                trainer=await stack.enter_async_context(trainer),
                savepoints=StoredSavepoints(registry),
                drift=StoredDrift(drift),
                drift_tail=await stack.enter_async_context(self._tail("summaries", "examples")),
                experiments=StoredExperiments(experiments),
                rollouts=StoredRollouts(experiments),
                routing_tail=await stack.enter_async_context(self._tail("experiments")),
                experiments_tail=await stack.enter_async_context(
                    self._tail("outcomes", "examples")
                ),
                operating=StoredOperating(registry),
                operating_tail=await stack.enter_async_context(self._tail("control")),
                copies=models.copy,
                machine=LocalMachine(
                    config.engine.memory_mb_max, [config.model.directory, config.archive.directory]
                ),
            )
            self._parts = assemble(
                config, self._serving, self._ports, self._state(owner), self.metrics, self._memory,
                owner=owner, watch=self._watch, health=self.health, settings=self.settings,
            )  # fmt: skip
            self._resources = stack.pop_all()
        return self

    def _group_topics(self) -> list[str]:
        topics = self._config.topics
        return [topics.full(topics.transactions), topics.full(topics.feedback)]

    def _tail(self, *topics: str) -> KafkaTail:
        names = self._config.topics
        return KafkaTail(self._config.kafka, [names.full(getattr(names, one)) for one in topics])

    def _state(self, owner: StoreOwner) -> FeatureState:
        config, history = self._config, self.beginning.history
        return FeatureState(
            config.entities,
            config.features,
            amount_decimals=config.schema.amount_decimals,
            recent_ids=config.schema.recent_ids,
            partition_count=owner.partition_count,
            log=log_numbers(owner.log_names()),
            past_ms=None if history is None else history.past_ms(owner.partition_count),
        )

    async def __aexit__(self, *_: object) -> None:
        await self._resources.aclose()

    async def run(self, stop: asyncio.Event) -> None:
        """Score until `stop` is set, then hand everything over in order.

        Raises what the first failing task raised, as it was.
        """
        assert self._parts is not None
        # The first alert is to have its reasons; on a machine too busy for that it has none.
        warming = asyncio.create_task(self._parts.deployment.warm(), name="warming")
        try:
            await warm_instance(self._parts.state, self._serving, self._config)
            await asyncio.wait({warming}, timeout=_WARMING_S_MAX)
            await self._run(self._parts, stop, warming)
        finally:
            await end([warming])

    async def _run(self, parts: Parts, stop: asyncio.Event, warming: "asyncio.Task[None]") -> None:
        assert self._ports is not None
        clock_s = asyncio.get_running_loop().time
        await parts.operating.begin()
        await self._adopt(parts)
        # What is here by now stays: looking through it took the collector 20-30 ms each time.
        gc.collect()
        gc.freeze()
        joining = asyncio.create_task(  # first of all: nobody may poll before
            self._ports.broker.subscribe(
                self._group_topics(),
                on_assigned=parts.ownership.on_assigned,
                on_revoked=parts.ownership.on_revoked,
            ),
            name="joining",
        )
        running = [
            asyncio.create_task(work, name=name)
            for name, work in (
                ("dispatcher", parts.dispatcher.run()),
                ("preparation", parts.pipeline.prepare()),
                ("pipeline", parts.pipeline.run()),
                ("feedback", parts.feedback.run()),
                ("labels", parts.labels.run()),
                ("ownership", parts.ownership.watch()),
                *self._learning(parts),
                ("reporting", parts.reporting.run()),
                ("operating", parts.operating.run()),
                *self._watching(parts),
                ("machine", parts.machine.run()),
                ("loop watch", watch_loop(self.metrics, clock_s)),
                *([] if self._company is None else [("company", self._company.run())]),
            )
        ]
        running = [joining, warming, *running]
        stopping = asyncio.create_task(stop.wait(), name="stop")
        try:
            await outlast(joining, running)
            await outlast(stopping, running)
            await self._hand_over(parts.ownership, running)
        finally:
            await end([stopping, *running])
            with suppress(TimeoutError):  # what it said expires by itself
                async with asyncio.timeout(_FAREWELL_S_MAX):
                    await parts.reporting.stop()
            await parts.pipeline.aclose()
            await parts.alerts.aclose()

    async def _adopt(self, parts: Parts) -> None:
        """Serve what the registry says from the first record on; notes what kept it from that.

        What serves comes before the word of it, which whoever starts next can say, too.
        """
        assert self._ports is not None
        if self._config.model.version:
            return
        try:
            await parts.deployment.follow()  # an empty registry may be one that has lost all
            await adopt(parts.models, self._artifact)
            await parts.deployment.follow()
            await parts.routing.begin()
            teller = registrar(self._config, self._ports, who=FIRST_WHO, models=parts.models)
            await tell_adopted(parts.models, teller)
        except (TransientError, ModelError) as error:
            self._adoption_failure = error
        else:
            self._adoption_failure = None

    async def _deploy(self, parts: Parts) -> None:
        """Follow the registry; an empty one gets its first model as soon as it can be asked."""
        patience = Patience(f"{self.version} serves, the model registry is asked again", wait_s=0.5)
        while (failure := self._adoption_failure) is not None:
            await patience.failed(failure)
            await self._adopt(parts)
        patience.over()
        await parts.deployment.run()

    def _learning(self, parts: Parts) -> "list[tuple[str, Coroutine[Any, Any, None]]]":
        """What has other models serve; nothing may when the configuration names one."""
        if self._config.model.version:
            return []
        return [
            ("deployment", self._deploy(parts)),
            ("training", parts.training.run()),
            ("routing", parts.routing.run()),
            ("experiments", parts.experiments.run()),
        ]

    def _watching(self, parts: Parts) -> "list[tuple[str, Coroutine[Any, Any, None]]]":
        """What looks for drift."""
        if not self._config.drift.enabled:
            return []
        return [("drift columns", parts.drift_columns.run()), ("drift", parts.drift.run())]

    async def _hand_over(
        self, ownership: Ownership, running: "Sequence[asyncio.Task[None]]"
    ) -> None:
        """Hand everything over, as far as there is time for it."""
        handing = asyncio.create_task(ownership.hand_over(), name="hand over")
        over = asyncio.create_task(outlast(handing, running), name="over")
        try:
            done, _ = await asyncio.wait([over], timeout=self._config.engine.shutdown_s_max)
            if done:
                over.result()
            else:
                log.warning("not everything could be written in time; the next start replays it")
        finally:
            await end([over, handing])

    def health(self) -> Health:
        """How this instance is, judged from its progress."""
        if self._parts is None:
            return Health("starting", ("connecting",))
        assert self._ports is not None
        parts, now_s = self._parts, asyncio.get_running_loop().time()
        broker = self._ports.broker
        return health(
            is_assigned=parts.ownership.assigned.is_set(),
            is_recovering=any(p.is_recovering for p in parts.partitions.values()),
            store_away=parts.loader.away_since_s is not None or parts.checkpoints.store_failing,
            lag=self.lag(),
            idle_s=now_s - parts.dispatcher.last_progress_s,
            silent=longest_silence(broker, broker.assignment()),
            # What was before there were partitions was waiting for them.
            unconfirmed_s=now_s - max(parts.checkpoints.confirmed_s, parts.ownership.assigned_s),
            commit_interval_s=self._config.engine.commit_interval_s,
            troubles=[one for one in self._troubles(parts) if one],
            maintenance=parts.operating.maintenance,
        )

    def _troubles(self, parts: Parts) -> list[str]:
        asked = (
            *(parts.deployment, parts.routing, parts.alerts, parts.labels, parts.feedback),
            *(parts.training, parts.drift, parts.experiments, parts.placement, parts.ownership),
            *(self._watch, self.settings, parts.operating),
        )
        company = "" if self._company is None else self._company.trouble
        told = [one.trouble for one in asked]
        return [*told, *parts.machine.troubles, company, *self._warnings]
