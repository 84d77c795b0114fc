"""Training: examples in, now and then a better champion out.

The control plane's instance, the one that owns the feedback partition, reads all examples into the
trainer's process, asks it for a candidate when an update is due, and takes what the gate lets
through to the registry, from where every instance follows. Each step is noted before it is taken
(`engine/lifecycle.py`), so that whoever takes over goes on with it.
"""

import asyncio
import hashlib
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any

from sentinel.codec.records import decode_command
from sentinel.codec.stored import decode_stored, encode_stored
from sentinel.core.learning import shelf as shelves
from sentinel.core.learning.triggers import Progress, Trigger, TriggerParams, due_triggers
from sentinel.engine.learner import Made, Updated
from sentinel.engine.lifecycle import Update
from sentinel.engine.registrar import Registrar
from sentinel.engine.watch import Baseline, Watch, WatchParams, harm
from sentinel.errors import ModelError, RecordError, TransientError, WorkerLostError
from sentinel.metrics import Metrics
from sentinel.ports import Broker, ModelStore, Tail, Worker
from sentinel.records import AuditEntry, InputRecord, TopicPartition
from sentinel.versions import Artifact

log = logging.getLogger(__name__)

WHO = "training"

_POLL_S = 0.5
_POLL_COUNT_MAX = 2_000
_ELSEWHERE_S = 1.0
_RETRY_S = 1.0
_PATIENCE_COUNT = 6  # polls before what was asked for is begun: examples of before may be under way


@dataclass(frozen=True, slots=True)
class UpdateParams:
    """When the model is updated, and what a candidate needs to serve.

    Attributes
    ----------
    is_on
        Whether this instance trains when it has the control plane.
    needs_approval
        Whether a named person has to approve what the gate has let through.
    compare_after_count
        So many new examples after a take-over, and again and again, the champion before it is
        asked whether it would have done better.
    """

    is_on: bool = True
    needs_approval: bool = False
    compare_after_count: int = 5_000
    triggers: TriggerParams = field(default_factory=TriggerParams)
    watch: WatchParams = field(default_factory=WatchParams)

    def __post_init__(self) -> None:
        if self.compare_after_count < 1:
            raise ValueError("compare_after_count must be at least 1")


class TrainingTask:
    """Reads examples and leads one update at a time through its life.

    Parameters
    ----------
    home
        Whoever owns this partition trains.
    worker
        Its object is a `Learner`.
    """

    def __init__(
        self,
        *,
        broker: Broker,
        tail: Tail,
        store: ModelStore,
        worker: Worker,
        registrar: Registrar,
        home: TopicPartition,
        example_topic: str,
        control_topic: str,
        metrics: Metrics,
        params: UpdateParams,
    ) -> None:
        self._broker = broker
        self._tail = tail
        self._store = store
        self._worker = worker
        self._registrar = registrar
        self._home = home
        self._example_topic = example_topic
        self._control_topic = control_topic
        self._metrics = metrics
        self._params = params
        self._noted: bytes | None = None
        self._update: Update | None = None  # None: to be read from the store
        self._asked_by: str | None = None
        self._patience_count = 0
        self._control_next = 0
        self._forget()

    def _forget(self) -> None:
        """The worker has nothing: all examples are read again."""
        self._next_offset = 0
        self._newest_ms = -1
        self._new_count = 0  # examples since the last update
        self._since_compared = 0
        self._baseline: Baseline | None = None

    @property
    def update(self) -> Update | None:
        """How the newest update stands, as far as this instance knows."""
        return self._update

    async def run(self) -> None:
        """Train as long as the control plane is here, until cancelled."""
        while True:
            if self._home not in self._broker.assignment():
                self._update = None
                await asyncio.sleep(_ELSEWHERE_S)
                continue
            try:
                await self.step()
            except WorkerLostError as error:
                log.warning(
                    "the trainer's process was lost: %s; it reads the examples again", error
                )
                self._forget()
                self._tail.seek(self._example_topic, 0)
            except TransientError as error:
                log.warning("training waits: %s", error)
                self._update = None  # what is noted is read again: it may have been saved
                await asyncio.sleep(_RETRY_S)

    async def step(self) -> None:
        """Read some of what there is to read; near its end, take the update a step further."""
        if self._update is None:
            await self._take_up()
        read = await self._tail.poll(timeout_s=_POLL_S, count_max=_POLL_COUNT_MAX)
        for record in read.get(self._control_topic, ()):
            self._obey(record)
        if examples := read.get(self._example_topic):
            await self._take(examples)
        self._patience_count = max(self._patience_count - 1, 0) if examples else 0
        lag = self._tail.lag(self._example_topic)
        if lag is not None and lag < _POLL_COUNT_MAX and self._patience_count == 0:
            await self._advance()

    async def _take_up(self) -> None:
        """Go on where whoever trained before has stopped."""
        self._noted = await self._store.update()
        found = Update()
        if self._noted is not None:
            try:
                found = decode_stored(Update, self._noted)
            except RecordError as error:
                log.warning("what was noted of updates is not readable: %s", error)
        if found.log != (log_name := self._broker.cluster_id):
            found = replace(found, log=log_name, examples_to=0, control_to=0)
        if found.state == "training":
            log.info("update %d was interrupted, and is made again", found.number)
            self._asked_by = self._asked_by or "a restart"
            found = found.to("idle", outcome="it was interrupted")
        self._update = found
        self._control_next = max(self._control_next, found.control_to)
        self._tail.seek(self._control_topic, self._control_next)
        self._tail.seek(self._example_topic, self._next_offset)

    def _obey(self, record: InputRecord) -> None:
        self._control_next = record.offset + 1
        try:
            command = decode_command(record.value)
        except RecordError as error:
            log.warning("command at offset %d: %s", record.offset, error)
            return
        if command.kind == "update":
            self._asked_by = command.who
            self._patience_count = _PATIENCE_COUNT

    async def _take(self, records: Sequence[InputRecord]) -> None:
        assert self._update is not None
        rows = [(record.offset, record.timestamp, record.value) for record in records]
        taken = await self._worker.call("take", rows)
        fresh = sum(record.offset >= self._update.examples_to for record in records)
        self._metrics.examples += taken.count
        self._metrics.examples_refused += taken.refused_count
        self._next_offset = records[-1].offset + 1
        self._newest_ms = max(self._newest_ms, taken.newest_ms)
        self._new_count += fresh
        self._since_compared += fresh

    async def _advance(self) -> None:
        """One step of the update under way, or the first of the next one."""
        update = self._update
        assert update is not None
        if update.state == "made":
            await self._register(update)
        elif update.state == "promoting":
            await self._promote(update)
        elif update.state == "waiting" and await self._is_approved(update):
            await self._note(update.to("promoting"))
        elif update.state == "watching" and await self._is_watched_out(update):
            pass
        elif (due := self._due(update)) is not None:
            await self._begin(update, due)

    def _due(self, update: Update) -> Trigger | None:
        """Why the next update is due. It takes the place of one that waits or is watched."""
        if not self._params.is_on or (self._newest_ms < 0 and self._asked_by is None):
            return None
        now_ms = max(self._newest_ms, update.updated_ms)
        progress = Progress(
            now_ms=now_ms,
            updated_ms=update.updated_ms,
            example_count=self._new_count,
            asked_by=self._asked_by,
        )
        found = due_triggers(progress, self._params.triggers)
        return found[0] if found else None

    async def _begin(self, update: Update, trigger: Trigger) -> None:
        shelf = await self._store.shelf()
        if shelf.champion is None:
            return
        if update.state != "idle":
            update = update.to("idle")
        update = update.to(
            "training",
            number=update.number + 1,
            trigger=trigger.kind,
            reason=trigger.reason,
            version="",
            verdict="",
            outcome="",
            updated_ms=max(self._newest_ms, update.updated_ms),
            examples_to=self._next_offset,
            control_to=self._control_next,
            champion=shelf.champion,
        )
        await self._note(update)
        self._asked_by, self._new_count = None, 0
        try:
            champion = await self._store.load(shelf.champion)
            updated = await self._worker.call("update", champion, draw=update.number % 2**32)
        except (ModelError, WorkerLostError) as error:
            await self._finish(update, f"no candidate: {error}")
            raise_if_lost(error)
            return
        await self._made(update, champion, updated)

    async def _made(self, update: Update, champion: Artifact, updated: Updated) -> None:
        """Note what the trainer has found, and put a candidate into the store."""
        verdict, made = updated.verdict, updated.made
        attempts = [asdict(attempt) for attempt in updated.attempts]
        checks = [] if verdict is None else [asdict(check) for check in verdict.checks]
        outcome = "no candidate" if verdict is None else verdict.outcome
        self._metrics.updates[outcome] += 1
        await self._registrar.tell(
            self._entry(update, "judged", {"attempts": attempts, "checks": checks,
                                           "outcome": outcome, "reason": updated.reason})
        )  # fmt: skip
        if made is None or verdict is None:
            await self._finish(update, updated.reason)
            return
        shelf = await self._store.shelf()
        manifest = {**made.manifest, "update": update.number, "trigger": update.trigger}
        change = shelves.kind_of_change(champion.manifest, manifest)
        version = shelves.next_version(shelf.stages, champion.version, change)
        await self._note(
            update.to("made", version=version, verdict=verdict.outcome, outcome=updated.reason)
        )
        await self._store.add(_artifact(version, made, manifest))

    async def _register(self, update: Update) -> None:
        """Give the candidate its place on the shelf. Done twice, it finds it there."""
        version = update.version
        if version not in await self._store.manifests([version]):
            await self._finish(update, "the candidate was lost before it was stored")
            return
        shelf = await self._store.shelf()
        why = update.outcome
        if version not in shelf.stages:
            await self._registrar.change(shelves.registered, version, why=why)
            shelf = await self._store.shelf()
        if shelf.stages[version] == "development" and update.verdict != "not_yet":
            step = shelves.staged if update.verdict == "promote" else shelves.refused
            await self._registrar.change(step, version, why=why)
        if update.verdict != "promote":
            await self._finish(update, why)
        elif self._params.needs_approval:
            await self._note(update.to("waiting"))
        else:
            await self._note(update.to("promoting"))

    async def _is_approved(self, update: Update) -> bool:
        shelf = await self._store.shelf()
        if shelf.stages.get(update.version) != "staging":
            await self._finish(update, "somebody has decided otherwise")
            return False
        return update.version in shelf.approvals

    async def _promote(self, update: Update) -> None:
        shelf = await self._store.shelf()
        stage = shelf.stages.get(update.version)
        if stage not in ("staging", "production"):
            await self._finish(update, f"it is in {stage}, somebody has decided otherwise")
            return
        baseline = self._counts()
        if stage == "staging":
            step = partial(shelves.promoted, approval_needed=self._params.needs_approval)
            await self._registrar.change(step, update.version, why=update.outcome)
        else:  # whoever was before us may not have come to say so
            await self._registrar.repeat(update.version)
        until_ms = max(self._newest_ms, update.updated_ms) + round(
            self._params.watch.watch_s * 1000
        )
        self._baseline, self._since_compared = baseline, 0
        await self._note(update.to("watching", watch_until_ms=until_ms))

    async def _is_watched_out(self, update: Update) -> bool:
        """Look after a new champion: whether the watch has ended, and with it the update."""
        shelf = await self._store.shelf()
        if shelf.champion != update.version:
            await self._finish(update, "somebody has decided otherwise")
            return True
        found = await self._harm(update)
        if found is not None:
            log.warning("%s hurts: %s", update.version, found)
            if self._params.watch.is_automatic and update.champion in shelf.before:
                step = partial(_back, to=update.champion)
                await self._registrar.change(step, update.version, why=found)
                await self._finish(update, f"rolled back: {found}")
                return True
        if self._newest_ms > update.watch_until_ms:
            await self._finish(update, "it serves")
            return True
        return False

    async def _harm(self, update: Update) -> str | None:
        if self._baseline is not None:
            found = harm(Watch(self._baseline, self._counts()), self._params.watch)
            if found is not None:
                return found
        if self._since_compared < self._params.compare_after_count:
            return None
        self._since_compared = 0
        former = await self._store.load(update.champion)
        champion = await self._store.load(update.version)
        verdict = await self._worker.call(
            "compare", former, champion, since_ms=update.updated_ms + 1
        )
        if verdict is None or verdict.outcome != "promote":
            return None
        return f"on newer examples {update.champion}, which served before, is better"

    def _counts(self) -> Baseline:
        metrics = self._metrics
        return Baseline(
            metrics.decisions, metrics.alerts, metrics.probability_sum, metrics.stage_s["score"]
        )

    async def _finish(self, update: Update, outcome: str) -> None:
        await self._note(update.to("idle", outcome=outcome))
        await self._registrar.tell(self._entry(update, "finished", {"outcome": outcome}))

    async def _note(self, update: Update) -> None:
        """Write down how it stands, before anything is done about it."""
        after = encode_stored(update)
        await self._store.note_update(self._noted, after)
        log.info("update %d: %s %s", update.number, update.state, update.outcome or update.reason)
        self._noted, self._update = after, update

    def _entry(self, update: Update, what: str, after: dict[str, Any]) -> AuditEntry:
        return AuditEntry(
            id=f"update-{update.number}-{what}",
            kind="update",
            subject=f"update-{update.number}",
            who=WHO,
            at_ms=update.updated_ms,
            before={"trigger": update.trigger, "reason": update.reason},
            after={"version": update.version, **after},
        )


def _artifact(version: str, made: Made, manifest: dict[str, Any]) -> Artifact:
    sha256 = hashlib.sha256(made.text.encode()).hexdigest()
    return Artifact(version, made.text, {**manifest, "version": version, "sha256": sha256})


def _back(shelf: Any, version: str, *, to: str, **stated: Any) -> Any:
    return shelves.rolled_back(shelf, to=to, **stated)


def raise_if_lost(error: ModelError | WorkerLostError) -> None:
    """A lost process is the caller's business, a damaged model is not."""
    if isinstance(error, WorkerLostError):
        raise error
