"""Looks after experiments, where the control plane is.

What instances count and what has matured comes on `outcomes`, frauds that were let through on
`examples`. Guardrails stop an arm at once; looks lead to verdicts; a ramp goes up by itself. What a
verdict calls for is stored before it is done, and done again by whoever takes over.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from sentinel.codec.records import decode_example
from sentinel.codec.stored import decode_stored, encode_stored
from sentinel.core.experiments.guardrails.guardrails import Trip
from sentinel.core.experiments.params import ExperimentParams
from sentinel.core.experiments.transitions import ChangedExperiment, Step, ramp, stop
from sentinel.core.features.spec import duration_ms
from sentinel.engine.control import ControlPlane
from sentinel.engine.experiments.desk import ExperimentDesk
from sentinel.engine.experiments.guarding import Guard
from sentinel.engine.experiments.looking import judged
from sentinel.engine.experiments.promoting import Promoter
from sentinel.engine.patience import Patience
from sentinel.errors import RecordError
from sentinel.metrics import Metrics
from sentinel.ports import Broker, ExperimentStore, ModelStore, Tail
from sentinel.records import Example, InputRecord
from sentinel.stored.experiments import (
    EXPERIMENT_COUNT_MAX,
    StoredExperiment,
    StoredVerdict,
)
from sentinel.stored.looks import LookReport
from sentinel.stored.outcomes import CountReport, OutcomeReport
from sentinel.stored.routing import RoutingPlan

log = logging.getLogger(__name__)

WHO = "experiments"
_POLL_S, _POLL_COUNT_MAX = 0.2, 500
_LOOK_S, _SAVE_S, _IDLE_S = 5.0, 15.0, 1.0
_MINUTE_MS = 60_000
_GUARDED_BATCHES_MIN = 50  # or its guardrails have had nothing to look at


@dataclass(frozen=True, slots=True)
class _Progress:
    """How far the topics were read when the guardrails were kept."""

    log: str = ""
    outcomes_to: int = 0
    examples_log: str = ""
    examples_to: int = 0


class ExperimentTask:
    """Watches, judges and ends experiments."""

    def __init__(
        self,
        control: ControlPlane,
        broker: Broker,
        tail: Tail,
        store: ExperimentStore,
        models: ModelStore,
        desk: ExperimentDesk,
        promoter: Promoter,
        metrics: Metrics,
        params: ExperimentParams,
        *,
        topic: str,
        example_topic: str,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._control = control
        self._broker = broker
        self._tail = tail
        self._store = store
        self._models = models
        self._desk = desk
        self._promoter = promoter
        self._metrics = metrics
        self._params = params
        self._topic = topic
        self._example_topic = example_topic
        self._clock_s = clock_s
        self._running: dict[str, StoredExperiment] | None = None  # by id; None while elsewhere
        self._guards: dict[str, Guard] = {}
        self._progress = _Progress()
        self._looked_s = self._saved_s = 0.0
        self._patience = Patience("experiments are not looked after")

    @property
    def trouble(self) -> str:
        """Why nobody looks after experiments, though this instance should; empty if it does."""
        return self._patience.trouble

    @property
    def running(self) -> list[StoredExperiment] | None:
        """What runs, for whoever looks at the instance; None where that is seen to elsewhere."""
        return None if self._running is None else list(self._running.values())

    async def run(self) -> None:
        """Look after experiments as long as the control plane is here, until cancelled."""
        step = self._patience.around(self.step, self._let_go)
        await self._control.run(step, self._elsewhere)

    def _elsewhere(self) -> None:
        self._patience.over()
        self._let_go()

    def _let_go(self) -> None:
        self._running = None

    async def step(self) -> None:
        """Read what there is, and do what it calls for."""
        now_s = self._clock_s()
        if self._running is None:
            await self._take_up()
        elif now_s - self._looked_s >= _LOOK_S:
            await self._look()
        polled = await self._tail.poll(timeout_s=_POLL_S, count_max=_POLL_COUNT_MAX)
        for record in polled.get(self._topic, ()):
            await self._take(record)
        if records := polled.get(self._example_topic):
            await self._take_examples(records)
        if now_s - self._saved_s >= _SAVE_S:
            await self.save()

    async def save(self) -> None:
        """Keep how the guardrails stand, with how far they are."""
        self._saved_s = self._clock_s()
        changed = {name: one for name, one in self._guards.items() if one.is_changed}
        if changed:
            packed = await asyncio.to_thread(lambda: {n: g.packed() for n, g in changed.items()})
            await self._store.keep_guards(packed, encode_stored(self._progress))

    async def _take_up(self) -> None:
        """Go on where whoever saw to it before has stopped."""
        found = await self._kept_progress()
        log_now = self._broker.log_of(self._topic)
        examples_now = self._broker.log_of(self._example_topic)
        self._progress = _Progress(
            log=log_now,
            outcomes_to=found.outcomes_to if found.log == log_now else 0,
            examples_log=examples_now,
            examples_to=found.examples_to if found.examples_log == examples_now else 0,
        )
        self._guards = {}
        self._running = {}
        await self._look()
        for one in await self._store.experiments(EXPERIMENT_COUNT_MAX):
            if not one.is_over:
                await self._desk.tell(one)  # perhaps nobody has heard of it
        self._tail.seek(self._topic, self._progress.outcomes_to)
        self._tail.seek(self._example_topic, self._progress.examples_to)
        self._saved_s = self._clock_s()

    async def _kept_progress(self) -> _Progress:
        kept = await self._store.progress()
        if kept is None:
            return _Progress()
        try:
            return decode_stored(_Progress, kept)
        except RecordError as error:
            log.warning(
                "how far guardrails were is damaged, they read all again: %s", error.unquoted
            )
            return _Progress()

    async def _look(self) -> None:
        """What runs now, by the store: somebody may have changed it; and what waits to be done."""
        self._looked_s = self._clock_s()
        stored = await self._store.experiments(EXPERIMENT_COUNT_MAX)
        self._running = {
            one.definition.id: one for one in stored if one.status in ("running", "paused")
        }
        for name, one in self._running.items():
            if name not in self._guards:
                kept = await self._store.guards(name)
                self._guards[name] = Guard(one.definition, self._params.guardrails, kept)
        self._guards = {n: guard for n, guard in self._guards.items() if n in self._running}
        for one in list(self._running.values()):
            await self._check_models(one)
        for one in stored:
            if one.status == "waiting":
                await self._promoter.go_on(one)

    async def _check_models(self, one: StoredExperiment) -> None:
        """Whether the models of its challengers are still those that may serve."""
        stages = (await self._models.registry_state()).stages
        for arm in one.definition.challengers:
            stage = stages.get(arm.version, "gone")
            if arm.version and stage not in ("staging", "production"):
                why = f"model {arm.version} of arm {arm.name} is {stage} by now"
                await self._end(one, StoredVerdict("invalid", why, arm.name))
                return

    async def _take(self, record: InputRecord) -> None:
        self._progress = replace(self._progress, outcomes_to=record.offset + 1)
        value = record.value or b""
        try:
            if b'"kind":"look"' in value:
                await self._judge(decode_stored(OutcomeReport, value))
            else:
                await self._count(decode_stored(CountReport, value), record.timestamp)
        except RecordError as error:
            log.warning("outcomes at offset %d: %s", record.offset, error.unquoted)

    async def _count(self, counts: CountReport, appended_ms: int) -> None:
        """What arms have decided: guardrails, and the steps of ramps."""
        assert self._running is not None
        for name in sorted({part.experiment for part in counts.parts} & self._running.keys()):
            parts = [part for part in counts.parts if part.experiment == name]
            guard, one = self._guards[name], self._running[name]
            if not await self._trip(one, guard.take(_period(one, appended_ms), parts)):
                await self._go_on(one, max(part.step for part in parts), counts.newest_ms)

    async def _take_examples(self, records: Sequence[InputRecord]) -> None:
        """Frauds that were let through."""
        assert self._running is not None
        self._progress = replace(self._progress, examples_to=records[-1].offset + 1)
        if not self._running:
            return
        frauds: list[Example] = []
        for record in records:
            value = record.value or b""
            if b'"experiment":""' in value or b'"fraud"' not in value:
                continue  # as nearly all
            try:
                example = decode_example(value)
            except RecordError:
                continue
            if example.label == "fraud" and example.action == "approve" and example.experiment:
                frauds.append(example)
        if not frauds:
            return
        for name, one in list(self._running.items()):
            period = _period(one, records[-1].timestamp)
            await self._trip(one, self._guards[name].lose(period, frauds))

    async def _trip(self, one: StoredExperiment, trips: Sequence[Trip]) -> bool:
        """Stop what harms, at once; whether anything did."""
        if not trips:
            return False
        first = trips[0]
        why = f"guardrail {first.guardrail} of arm {first.arm}: {first.why}"
        await self._end(one, StoredVerdict("harm", why, first.arm))
        self._metrics.guardrail_trips += 1
        return True

    async def _go_on(self, one: StoredExperiment, step: int, newest_ms: int) -> None:
        """What comes once a step has lasted and nothing has tripped: the next one of a ramp, and
        the end of what its guardrails decide.
        """
        definition = one.definition
        is_guarded = definition.decides == "guardrails"
        is_timed = definition.design == "ramp" or is_guarded
        if not is_timed or one.status != "running" or step != one.step:
            return
        first_ms = one.first_ms.get(str(step))
        if first_ms is None:
            await self._change(one, _begun(step, newest_ms), f"step {step + 1} has begun")
            return
        if is_guarded:
            await self._end_guarded(one, newest_ms - first_ms)
            return
        is_last = step + 1 >= definition.step_count or not definition.step
        if not is_last and newest_ms - first_ms >= duration_ms(definition.step):
            share = definition.steps[step + 1]
            why = f"{definition.step} without a guardrail: {share:g} of the accounts"
            await self._change(one, ramp(step + 1), why)

    async def _end_guarded(self, one: StoredExperiment, lasted_ms: int) -> None:
        """It has won once it has lasted: nothing has tripped, and there was something to trip."""
        definition, count = one.definition, self._guards[one.definition.id].batch_count
        if lasted_ms < duration_ms(definition.duration) or count < _GUARDED_BATCHES_MIN:
            return
        why = f"{definition.duration}, and {count:,} of its batches, without a guardrail"
        arm = definition.challengers[0].name
        await self._end(one, StoredVerdict("promote", why, arm))

    async def _judge(self, report: OutcomeReport) -> None:
        """A look: what it says is kept with how the tests stand behind it."""
        assert self._running is not None
        one = self._running.get(report.experiment)
        if one is None or report.look <= one.look:
            return  # it has ended, or whoever saw to it before has had this look
        found = await asyncio.to_thread(judged, one, report)
        verdict = found.verdict

        def looked(stored: StoredExperiment | None, plan: RoutingPlan) -> ChangedExperiment:
            """The look and its verdict at once: no crash can leave the one without the other."""
            if stored is None or stored.look >= report.look or stored.is_over:
                raise ValueError("somebody else has had this look")
            after = replace(stored, look=report.look, test=found.test)
            return ChangedExperiment(after) if verdict is None else _stop(verdict)(after, plan)

        why = f"look {report.look} of {report.looks}" if verdict is None else _words(verdict)
        self._metrics.experiment_looks += 1
        after = await self._change(one, looked, why, look=found.look)
        if after is not None and after.status == "waiting":
            await self._promoter.go_on(after)

    async def _end(self, one: StoredExperiment, verdict: StoredVerdict) -> None:
        after = await self._change(one, _stop(verdict), _words(verdict))
        if after is not None and after.status == "waiting":
            await self._promoter.go_on(after)

    async def _change(
        self, one: StoredExperiment, step: Step, why: str, *, look: LookReport | None = None
    ) -> StoredExperiment | None:
        """Take a step; None where somebody has done otherwise meanwhile."""
        assert self._running is not None
        try:
            after = await self._desk.change(one.definition.name, step, why, look=look)
        except ValueError as error:
            log.info("experiment %s: %s", one.definition.id, error)
            self._looked_s = 0.0
            return None
        if after.status in ("running", "paused"):
            self._running[after.definition.id] = after
        else:
            self._running.pop(after.definition.id, None)
            log.info("experiment %s is %s: %s", after.definition.id, after.status, after.why)
        return after


def _stop(verdict: StoredVerdict) -> Step:
    """What a verdict does: a winner waits for what comes of it."""
    return stop(verdict, is_waiting=verdict.name == "promote")


def _words(verdict: StoredVerdict) -> str:
    return f"{verdict.name}: {verdict.why}"


def _begun(step: int, newest_ms: int) -> Step:
    """Note when a step had its first decisions."""

    def note(stored: StoredExperiment | None, _: RoutingPlan) -> ChangedExperiment:
        if stored is None or stored.is_over:
            raise ValueError("it has ended")
        return ChangedExperiment(
            replace(stored, first_ms={**stored.first_ms, str(step): newest_ms})
        )

    return note


def _period(one: StoredExperiment, appended_ms: int) -> int:
    """The number of a minute since it was started; how its guardrails count time."""
    return max(appended_ms - one.started_ms, 0) // _MINUTE_MS
