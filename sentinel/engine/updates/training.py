"""Training: examples in, now and then a better champion out.

The control plane's instance, the one that owns the feedback partition, reads all examples into the
trainer's process (of those that a savepoint holds, the savepoint), asks it for a candidate when an
update is due, and takes what the gate lets through to the registry, from where every instance
follows. Each step is noted before it is taken (`engine/registry/lifecycle.py`):
whoever takes over goes on.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from sentinel.codec.records import decode_command
from sentinel.codec.stored import encode_stored
from sentinel.core.learning.triggers import Progress, Trigger
from sentinel.core.registry import transitions
from sentinel.engine.control import ControlPlane
from sentinel.engine.patience import Patience
from sentinel.engine.registry.lifecycle import (
    RESTART,
    SERVES,
    Update,
    audit_entry_of,
    begun_entry,
    interrupted,
    judgement_of,
    update_of,
)
from sentinel.engine.registry.registrar import Registrar, back_to
from sentinel.engine.updates.awaiting import Awaiting, Outlook
from sentinel.engine.updates.intake import Intake
from sentinel.engine.updates.params import UpdateParams
from sentinel.engine.updates.savepoints import Savepoints
from sentinel.engine.updates.watching import LEARNER_ERRORS, Watching
from sentinel.errors import ModelError, RecordError, TransientError, WorkerLostError
from sentinel.metrics import Metrics
from sentinel.ports import Broker, ModelStore, Tail, Trainer, Updated
from sentinel.records import InputRecord
from sentinel.stored.versions import Artifact

log = logging.getLogger(__name__)

_POLL_S = 0.5
_POLL_COUNT_MAX = 500  # more would hold the loop for too long at once
# Polls before what was asked for is begun: examples of before may be under way.
_PATIENCE_COUNT = 6
_ELSEWHERE = "somebody has decided otherwise"


class TrainingTask:
    """Reads examples and leads one update at a time through its life.

    Parameters
    ----------
    control
        Where it is, is trained.
    config_version
        Stands in the manifests of what is made here, as in those of first models.
    """

    def __init__(
        self,
        *,
        broker: Broker,
        tail: Tail,
        store: ModelStore,
        trainer: Trainer,
        registrar: Registrar,
        savepoints: Savepoints,
        control: ControlPlane,
        example_topic: str,
        control_topic: str,
        metrics: Metrics,
        awaiting: Awaiting,
        watching: Watching,
        params: UpdateParams,
        config_version: str,
    ) -> None:
        self._broker = broker
        self._tail = tail
        self._store = store
        self._trainer = trainer
        self._registrar = registrar
        self._savepoints = savepoints
        self._control = control
        self._example_topic = example_topic
        self._control_topic = control_topic
        self._metrics = metrics
        self._awaiting = awaiting
        self._params = params
        self._config_version = config_version
        self._noted: bytes | None = None
        self._update: Update | None = None  # None: to be read from the store
        self._asked_by: str | None = None
        self._patience_count = self._control_next = 0
        self._intake = Intake(trainer, metrics)
        self._candidate: Artifact | None = None  # on its way into the registry
        self._watching = watching
        self._forget()

    def _forget(self) -> None:
        """The worker has nothing: it is given what was saved, and the examples since."""
        self._is_empty = True
        self._next_offset, self._newest_ms = 0, -1
        self._new_count = 0  # examples since the last update
        self._watching.forget_examples()
        self._update = None  # from where to read is found out anew

    @property
    def update(self) -> Update | None:
        """How the newest update stands, as far as this instance knows."""
        return self._update

    @property
    def outlook(self) -> Outlook | None:
        """What the next one waits for; None before that was looked at."""
        return self._awaiting.outlook

    async def run(self) -> None:
        """Train as long as the control plane is here, until cancelled."""
        lost, waiting = Patience("the trainer's process was lost"), Patience("training waits")

        async def try_step() -> None:
            try:
                await self.step()
                lost.over()
                waiting.over()
            except WorkerLostError as error:
                self._forget()
                await lost.failed(error)  # one that cannot begin would be begun all the time
            except (TransientError, *LEARNER_ERRORS) as error:
                self._update = None  # what is noted is read again: it may have been saved
                await waiting.failed(error)

        await self._control.run(try_step, self._let_go)

    def _let_go(self) -> None:
        self._update = None
        self._watching.end()

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
            await self._savepoints.save(self._broker.log_of(self._example_topic))

    async def _take_up(self) -> None:
        """Go on where whoever trained before has stopped."""
        self._noted = await self._store.update()
        logs = [self._broker.log_of(topic) for topic in (self._example_topic, self._control_topic)]
        found = update_of(self._noted, *logs)
        if found.state == "training":
            await self._registrar.tell(begun_entry(found))
            found, is_made_again = interrupted(found)
            self._asked_by = self._asked_by or (RESTART if is_made_again else None)
        if found.state == "idle" and found.number:
            await self._tell_finished(found)
        elif found.version:
            await self._registrar.repeat(found.version)
        self._control_next = max(self._control_next, found.control_to)
        if self._is_empty:
            await self._restore(found)
        self._new_count = min(self._new_count, max(self._next_offset - found.examples_to, 0))
        self._tail.seek(self._control_topic, self._control_next)
        self._tail.seek(self._example_topic, self._next_offset)
        self._update = found

    async def _restore(self, update: Update) -> None:
        """What was saved is as if it had been read."""
        saved = await self._savepoints.restore(self._broker.log_of(self._example_topic))
        if saved is not None:
            self._next_offset, self._newest_ms = saved.next_offset, saved.newest_ms
            self._count(max(saved.next_offset - update.examples_to, 0))
        self._is_empty = False

    def _count(self, fresh: int) -> None:
        """So many examples have come since the last update was begun."""
        self._new_count += fresh
        self._watching.take(fresh)

    async def _begin_anew(self, offset: int) -> None:
        """The topic is not the one that was read: what is held is of another log."""
        await self._savepoints.refuse()
        await self._trainer.forget()
        self._forget()
        raise TransientError(f"the examples begin anew at {offset}: what was held is forgotten")

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
        if records[0].offset < self._next_offset:
            await self._begin_anew(records[0].offset)
        self._newest_ms = max(self._newest_ms, await self._intake.take(records))
        fresh = sum(record.offset >= self._update.examples_to for record in records)
        self._next_offset = records[-1].offset + 1
        self._savepoints.take(len(records))
        self._count(fresh)

    async def _advance(self) -> None:
        """One step of the update under way, or the first of the next one."""
        update = self._update
        assert update is not None
        if update.state == "made":
            await self._register(update)
        elif update.state == "promoting":
            await self._promote(update)
        elif not await self._has_moved(update) and (due := await self._due(update)) is not None:
            await self._begin(update, due)

    async def _has_moved(self, update: Update) -> bool:
        """Whether one that waits or is watched came to anything: else the next may begin."""
        if update.state == "waiting":
            return await self._is_decided(update)
        return update.state == "watching" and await self._is_watched_out(update)

    async def _due(self, update: Update) -> Trigger | None:
        """Why the next update is due. It takes the place of one that waits or is watched."""
        if not self._params.is_on or (self._newest_ms < 0 and self._asked_by is None):
            return None
        progress = Progress(
            now_ms=max(self._newest_ms, update.updated_ms),
            updated_ms=update.updated_ms,
            example_count=self._new_count,
            asked_by=self._asked_by,
            is_recalibrated=update.is_recalibrated,
        )
        return await self._awaiting.due(progress, self._next_offset)

    async def _begin(self, update: Update, trigger: Trigger) -> None:
        registry_state = await self._store.registry_state()
        if registry_state.champion is None:
            return
        if update.state != "idle":
            update = await self._finish(update, "the next update took its place")
        update = update.next(
            trigger,
            updated_ms=max(self._newest_ms, update.updated_ms),
            examples_to=self._next_offset,
            control_to=self._control_next,
            champion=registry_state.champion,
        )
        await self._note(update)
        self._asked_by, self._new_count = None, 0
        await self._registrar.tell(begun_entry(update))
        try:
            champion = await self._store.load(registry_state.champion)
            updated = await self._trainer.update(champion, draw=update.number % 2**32)
        except LEARNER_ERRORS as error:
            log.warning("update %d makes no candidate: %r", update.number, error)
            await self._finish(update, f"no candidate: {error}")
            return
        except WorkerLostError as error:
            self._forget()  # first: what follows may fail, too
            await self._finish(update, f"no candidate: {error}")
            raise
        await self._made(update, champion, updated)

    async def _made(self, update: Update, champion: Artifact, updated: Updated) -> None:
        """Note what the trainer has found, and put a candidate into the store."""
        verdict, made = updated.verdict, updated.made
        update = replace(update, judgement=judgement_of(updated))
        self._metrics.updates[updated.outcome] += 1
        await self._registrar.tell(audit_entry_of(update, "judged", updated.facts()))
        if made is None or verdict is None:
            await self._finish(update, updated.reason)
            return
        facts = {"config_version": self._config_version, **update.origin}
        change = transitions.kind_of_change(champion.manifest, {**made.manifest, **facts})
        version = await self._registrar.free_version(champion.version, change)
        update = update.to(
            "made",
            strategy=made.strategy,
            version=version,
            verdict=verdict.outcome,
            outcome=updated.reason,
        )
        self._candidate = made.artifact(version, **facts)
        await self._note(update)
        await self._register(update)

    async def _register(self, update: Update) -> None:
        """Give the candidate its place on the registry. Done twice, it finds it there."""
        version = update.version
        if not await self._is_kept(update):
            await self._finish(update, "the candidate was lost before it was stored")
            return
        registry_state = await self._store.registry_state()
        why = update.outcome
        if version not in registry_state.stages:
            await self._registrar.change(transitions.registered, version, why=why)
            registry_state = await self._store.registry_state()
        if registry_state.stages[version] == "development" and update.verdict != "not_yet":
            step = transitions.staged if update.verdict == "promote" else transitions.refused
            await self._registrar.change(step, version, why=why)
        if update.verdict != "promote":
            await self._finish(update, why)
        elif self._params.needs_approval:
            await self._note(update.to("waiting"))
        else:
            await self._note(update.to("promoting"))

    async def _is_kept(self, update: Update) -> bool:
        """Whether the candidate is in the registry, and nobody else's; put there if need be."""
        made = self._candidate
        if made is not None and made.manifest["update"] == update.number:
            try:
                await self._store.add(made)
            except ModelError as error:
                log.error("%s", error)
            self._candidate = None
        found = await self._store.manifests([update.version])
        return found.get(update.version, {}).get("update") == update.number

    async def _is_decided(self, update: Update) -> bool:
        """Whether somebody has said what becomes of one that waits, and what was done about it."""
        registry_state = await self._store.registry_state()
        stage = registry_state.stages.get(update.version)
        if stage not in ("staging", "production"):
            await self._finish(update, _ELSEWHERE)
        elif stage == "production" or update.version in registry_state.approvals:
            await self._note(update.to("promoting"))
        else:
            return False
        return True

    async def _promote(self, update: Update) -> None:
        registry_state = await self._store.registry_state()
        stage = registry_state.stages.get(update.version)
        if stage not in ("staging", "production"):
            await self._finish(update, f"it is in {stage}, {_ELSEWHERE}")
            return
        needs_approval = self._params.needs_approval
        if stage == "staging" and needs_approval and update.version not in registry_state.approvals:
            await self._note(update.to("waiting"))
            return
        before = self._watching.counts()
        if stage == "staging":
            step = partial(transitions.promoted, approval_needed=needs_approval)
            await self._registrar.change(step, update.version, why=update.outcome)
        watch_ms = round(self._params.watch.watch_s * 1000)
        until_ms = max(self._newest_ms, update.updated_ms) + watch_ms
        self._watching.begin(before)
        await self._note(update.to("watching", watch_until_ms=until_ms))

    async def _is_watched_out(self, update: Update) -> bool:
        """Look after a new champion: whether the watch has ended, and with it the update."""
        registry_state = await self._store.registry_state()
        if registry_state.champion != update.version:
            why = await self._registrar.why_rolled_back(update.version)
            await self._finish(update, _ELSEWHERE if why is None else f"rolled back: {why}")
            return True
        found = await self._watching.harm(update)
        may_go_back = self._params.watch.is_automatic and update.champion in registry_state.before
        if found is not None and may_go_back:
            step = back_to(update.champion)
            await self._registrar.change(step, update.version, why=found)
            await self._finish(update, f"rolled back: {found}")
            return True
        if self._newest_ms > update.watch_until_ms:
            await self._finish(update, SERVES)
            return True
        return False

    async def _finish(self, update: Update, outcome: str) -> Update:
        update = update.to("idle", outcome=outcome)
        await self._note(update)
        self._savepoints.ask()
        await self._tell_finished(update)
        return update

    async def _tell_finished(self, update: Update) -> None:
        await self._registrar.tell(audit_entry_of(update, "finished", {"outcome": update.outcome}))

    async def _note(self, update: Update) -> None:
        """Write down how it stands, before anything is done about it."""
        after = encode_stored(update)
        await self._store.note_update(self._noted, after)
        log.info("update %d: %s %s", update.number, update.state, update.outcome or update.reason)
        self._noted, self._update = after, update
