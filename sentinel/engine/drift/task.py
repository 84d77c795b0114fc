"""Watches the stream for drift, where the control plane is.

Summaries are read from where the last saved state needs them. What they close is judged in a
thread; what is found is kept and told before the state that has found it is saved, under names that
a repetition has, too: whoever takes over finds the same again, and it is known.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sentinel.codec.drift.progress import book_values, position_of
from sentinel.codec.drift.references import columns_of
from sentinel.codec.drift.summaries import arrival_of, decode_summary
from sentinel.codec.drift.watches import restore, watch_values
from sentinel.core.drift.counts.reference import Reference
from sentinel.core.drift.counts.segments import Segmentation
from sentinel.core.drift.counts.steps import Arrival, BookPosition, StepBook
from sentinel.core.drift.params import DriftParams
from sentinel.core.drift.telling import DriftView, drift_view
from sentinel.core.drift.watch import (
    ClosedWindow,
    Found,
    HourEvent,
    ReferenceFound,
    StepEvent,
    Watch,
)
from sentinel.core.drift.windows.explaining import Explanation
from sentinel.core.learning.triggers import AlarmTimes
from sentinel.engine.control import ControlPlane
from sentinel.engine.drift.alarms import AlarmDesk, change_of
from sentinel.engine.drift.examples import PerformanceWatch
from sentinel.engine.drift.references import References
from sentinel.engine.drift.windows import Windows
from sentinel.engine.patience import Patience
from sentinel.errors import RecordError
from sentinel.metrics import Metrics
from sentinel.ports import Broker, DriftStore, ModelStore, Tail
from sentinel.records import InputRecord
from sentinel.stored.drift import Alarm, DriftProgress
from sentinel.stored.references import StoredColumns

log = logging.getLogger(__name__)

_POLL_S = 0.5
_POLL_COUNT_MAX = 50
_SAVE_S = 10.0
_SAVES_APART = 50  # times as long as one takes: with many segments there are megabytes to save
_LOOK_S = 5.0  # whether another version is to be watched
_IDLE_S = 1.0


def _is_restored(watch: Watch, values: Mapping[str, Any]) -> bool:
    try:
        restore(watch, values)
    except RecordError as error:
        log.warning("drift is watched anew: %s", error.unquoted)
        return False
    return True


@dataclass(frozen=True, eq=False, slots=True)
class _Judgement:
    """What a step says, and what was known then: the steps behind it may know more.

    Attributes
    ----------
    explanation
        Of what an alarm may come from: the day so far.
    """

    found: Found
    reference: Reference
    explanation: Explanation


class DriftTask:
    """Watches the champion.

    Parameters
    ----------
    silent
        Features whose values never alarm.
    segmentation
        By what the stream is split.
    """

    def __init__(
        self,
        control: ControlPlane,
        broker: Broker,
        tail: Tail,
        store: DriftStore,
        models: ModelStore,
        references: References,
        windows: Windows,
        desk: AlarmDesk,
        performance: PerformanceWatch,
        metrics: Metrics,
        params: DriftParams,
        *,
        topic: str,
        example_topic: str,
        silent: frozenset[str],
        segmentation: Segmentation,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._control = control
        self._broker = broker
        self._tail = tail
        self._store = store
        self._models = models
        self._references = references
        self._windows = windows
        self._desk = desk
        self._performance = performance
        self._metrics = metrics
        self._params = params
        self._topic = topic
        self._example_topic = example_topic
        self._silent = silent
        self._segmentation = segmentation
        self._clock_s = clock_s
        self._watch: Watch | None = None
        self._book = StepBook(BookPosition(), step_ms=params.step_ms, grace_ms=params.grace_ms)
        self._columns = ""
        self._is_kept = False  # whether the store has the reference, and somebody may forget it
        self._saved_s = self._looked_s = 0.0
        self._save_after_s = _SAVE_S
        self._patience = Patience("drift is not watched")

    @property
    def trouble(self) -> str:
        """Why nobody watches for drift, though this instance should; empty if it does."""
        return self._patience.trouble

    @property
    def watch(self) -> Watch | None:
        """What is watched here; None where that is elsewhere, or nothing is known yet."""
        return self._watch

    def view(self) -> DriftView | None:
        """For whoever looks at the instance; None where it does not watch: that is no all-clear."""
        if self._watch is None:
            return None
        return drift_view(
            self._desk.open,
            quiet_since_ms=self._desk.quiet_since_ms,
            is_reference_missing=self._watch.is_gathering,
        )

    def unread(self) -> int | None:
        """Summaries and examples that wait to be read; None while that is not known."""
        lags = [self._tail.lag(topic) for topic in (self._topic, self._example_topic)]
        return None if None in lags else sum(one or 0 for one in lags)

    def alarm_times(self) -> AlarmTimes:
        """When alarms were opened: for whoever decides that a model is to be trained."""
        opened_ms = self._desk.opened_ms
        if self._desk.is_paused():
            return AlarmTimes()
        return AlarmTimes(
            opened_ms(of_performance=False),
            opened_ms(of_performance=True),
            opened_ms(of_performance=False, is_critical=True),
            opened_ms(of_performance=True, is_critical=True),
            self._desk.performance_open_of,
        )

    def retune(self, params: DriftParams) -> None:
        """Watch by another floor or run length from the next step on."""
        self._params = params

    async def run(self) -> None:
        """Watch as long as the control plane is here, until cancelled."""
        step = self._patience.around(self.step, self._let_go)
        await self._control.run(step, self._elsewhere)

    def _elsewhere(self) -> None:
        self._patience.over()
        self._let_go()

    def _let_go(self) -> None:
        self._watch = None

    async def step(self) -> None:
        """Read some summaries, and do what they call for."""
        if self._watch is None and not await self._take_up():
            await asyncio.sleep(_IDLE_S)
            return
        if self._watch is not None and self._watch.params is not self._params:
            self._watch.retune(self._params)
        polled = await self._tail.poll(timeout_s=_POLL_S, count_max=_POLL_COUNT_MAX)
        for record in polled.get(self._topic, ()):
            await self._take(record)
        if examples := polled.get(self._example_topic):
            await self._take_examples(examples)
        now_s = self._clock_s()
        if now_s - self._looked_s >= _LOOK_S:
            self._looked_s = now_s
            await self._follow()
            await self._desk.look()
            await self._desk.go_on()
        # What waits for the end of a pause is found again from where the watch was saved before.
        if now_s - self._saved_s >= self._save_after_s and not self._desk.is_holding:
            await self.save()

    async def save(self) -> None:
        """Note how far the watch is."""
        watch, begin_s = self._watch, self._clock_s()
        if watch is None:
            return
        values = await asyncio.to_thread(watch_values, watch)
        progress = DriftProgress(
            summaries_log=self._broker.log_of(self._topic),
            columns=self._columns,
            version=watch.version,
            book=book_values(self._book.position()),
            watch=values,
            examples_log=self._broker.log_of(self._example_topic),
            examples=self._performance.values(),
        )
        await self._broker.flush()  # what was told of it is out
        await self._store.save(progress)
        self._saved_s = self._clock_s()
        self._save_after_s = max(_SAVE_S, _SAVES_APART * (self._saved_s - begin_s))

    async def _take_up(self) -> bool:
        """Go on where whoever watched before has stopped; False while there is nothing to watch."""
        if (wanted := await self._wanted()) is None:
            return False
        champion, columns = wanted
        saved = await self._store.progress()
        is_same_log = saved is not None and saved.summaries_log == self._broker.log_of(self._topic)
        position = BookPosition()
        if saved is not None and is_same_log:
            position = position_of(saved.book)
        watch = await self._new_watch(champion, columns, position.closed_to_ms)
        is_same = saved is not None and is_same_log and saved.columns == columns.digest
        goes_on = saved is not None and is_same and saved.version == champion
        is_restored = goes_on and _is_restored(watch, saved.watch if saved is not None else {})
        is_anew = goes_on and not is_restored
        self._columns = columns.digest
        self._book = StepBook(
            position, step_ms=self._params.step_ms, grace_ms=self._params.grace_ms
        )  # fmt: skip
        examples = {}
        if saved is not None and saved.examples_log == self._broker.log_of(self._example_topic):
            examples = saved.examples
        self._tail.seek(self._example_topic, self._performance.go_on(examples, champion))
        await self._desk.take_up(position.closed_to_ms)
        # What is read again opens the same alarms again: those are let be.
        since_ms = position.closed_to_ms if is_anew else 0
        await self._desk.supersede(
            position.closed_to_ms, keep=lambda one: self._goes_on(one, champion, since_ms)
        )
        self._tail.seek(self._topic, position.reads_from)
        self._saved_s = self._looked_s = self._clock_s()
        self._watch = watch
        if not is_restored:
            await self.save()  # with which reference it began: soon the stream may give another
        return True

    def _goes_on(self, alarm: Alarm, version: str, since_ms: int) -> bool:
        """Whether an alarm is judged on, by a watch that knows nothing from before `since_ms`."""
        if alarm.version != version or alarm.detector == "examples":
            return alarm.version == version
        is_known = not alarm.is_of_segment or alarm.segment in self._segmentation.names
        return is_known and alarm.opened_ms >= since_ms

    async def _wanted(self) -> tuple[str, StoredColumns] | None:
        """The champion, and in which cells is counted; None while one of them is not known."""
        columns = await self._store.columns()
        champion = (await self._models.registry_state()).champion
        return None if columns is None or champion is None else (champion, columns)

    async def _new_watch(self, version: str, columns: StoredColumns, now_ms: int) -> Watch:
        reference = await self._references.of(version, columns_of(columns.columns), now_ms)
        self._is_kept = await self._store.reference(version) is not None
        log.info(
            "drift: model %s is compared with %s rows of %s", version,
            f"{reference.row_count:,}", reference.origin,
        )  # fmt: skip
        return Watch(
            version, reference, self._params, silent=self._silent, segmentation=self._segmentation
        )

    async def _follow(self) -> None:
        """Another champion, other cells, a reference that is forgotten: all begins anew."""
        assert self._watch is not None
        if (wanted := await self._wanted()) is None:
            return
        champion, columns = wanted
        is_other = champion != self._watch.version or columns.digest != self._columns
        if not is_other and not await self._is_forgotten(champion):
            return
        await self.save()
        now_ms = self._book.position().closed_to_ms
        self._watch = await self._new_watch(champion, columns, now_ms)
        self._columns = columns.digest
        if is_other:
            self._performance.follow(champion)
        await self._desk.supersede(
            now_ms,
            keep=lambda one: not is_other and one.detector == "examples",
        )
        await self.save()

    async def _is_forgotten(self, version: str) -> bool:
        return self._is_kept and await self._store.reference(version) is None

    async def _take(self, record: InputRecord) -> None:
        watch = self._watch
        assert watch is not None
        self._metrics.summaries += 1
        try:
            summary = decode_summary(record)
            if summary.step_ms != self._params.step_ms:
                self._metrics.summaries_refused += 1
                return
            is_ours = summary.columns == self._columns
            arrival = arrival_of(
                summary, record, with_counts=is_ours,
                column_count=watch.feature_count + 1, segmentation=self._segmentation.digest,
            )  # fmt: skip
        except RecordError as error:
            self._metrics.summaries_refused += 1
            log.warning("summary at offset %d: %s", record.offset, error.unquoted)
            return
        for judgement in await asyncio.to_thread(self._judged, arrival):
            await self._tell(judgement)

    async def _take_examples(self, records: Sequence[InputRecord]) -> None:
        watch = self._watch
        assert watch is not None
        changes = await asyncio.to_thread(lambda: list(self._performance.take(records)))
        for change in changes:
            await self._desk.take(change, watch.version, Explanation())

    def _judged(self, arrival: Arrival) -> Sequence[_Judgement]:
        """What the steps say that it closes; many, where somebody catches up."""
        watch = self._watch
        assert watch is not None
        judged: list[_Judgement] = []
        for step in self._book.take(arrival):
            self._metrics.drift_steps += 1
            judged += [
                _Judgement(found, watch.reference, self._explained(found))
                for found in watch.after(step)
            ]
        self._metrics.drift_late = self._book.late_row_count
        return judged

    def _explained(self, found: Found) -> Explanation:
        """What the day so far says of an alarm that is opened."""
        watch = self._watch
        assert watch is not None
        if not isinstance(found, StepEvent | HourEvent):
            return Explanation()
        change = change_of(found, self._segmentation.names)
        if change.is_over:
            return Explanation()
        segments = [change.segment] if change.segment else []
        return self._windows.explain(watch.spans["day"], watch.reference, segments)

    async def _tell(self, judgement: _Judgement) -> None:
        watch, found = self._watch, judgement.found
        assert watch is not None
        if isinstance(found, ReferenceFound):
            await self._references.keep(watch.version, found.reference)
            self._is_kept = True
            log.info("drift: model %s has its reference from the stream", watch.version)
        elif isinstance(found, ClosedWindow):
            explanation = await self._windows.close(
                found, watch.version, judgement.reference, self._columns, self._desk.segments
            )
            self._metrics.drift_windows += 1
            await self._desk.explained(explanation, found.end_ms, is_short=found.scale == "hour")
        else:
            change = change_of(found, self._segmentation.names)
            await self._desk.take(change, watch.version, judgement.explanation)
