"""The demo from its first day to its last: sends, waits, and lets one person make a mistake."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from sentinel.adapters.archive import ParquetArchive
from sentinel.adapters.kafka import KafkaTail
from sentinel.app.builtin.past import GeneratedPast
from sentinel.app.demo.hearing import Hearing
from sentinel.app.demo.mistake import promote_a_bad_model
from sentinel.app.demo.script import Script
from sentinel.app.demo.sending import EventClock
from sentinel.app.demo.told import Happening
from sentinel.app.demo.waiting import WaitingClock
from sentinel.app.status import Status
from sentinel.app.wiring.assembly import Parts
from sentinel.codec.archive import KINDS
from sentinel.codec.records import decode_object
from sentinel.config import Config
from sentinel.core.features.spec import duration_ms
from sentinel.operations.data.sender import Sender
from sentinel.simulation.alert_centre import HOUR_MS
from sentinel.simulation.chargebacks import DAY_MS

log = logging.getLogger(__name__)

_STEP_MS = 12 * HOUR_MS
_COMPACT_DAYS = 10  # as `sentinel archive compact` each night
_FEW, _MANY = 16, 2_000  # transactions that are sent at once
_ROLLOUT_S_MAX = 5.0
_BUSY = frozenset({"training", "made", "promoting"})

Tell = Callable[[Happening], None]
Look = Callable[["Stage"], None]


@dataclass(slots=True)
class Stage:
    """The demo as it stands.

    Attributes
    ----------
    happenings
        Everything that was told, in its order.
    """

    script: Script
    config: Config
    status: Status
    clock: EventClock
    hearing: Hearing
    waiting: WaitingClock
    past: GeneratedPast
    first_version: str
    happenings: list[Happening] = field(default_factory=list)

    @property
    def parts(self) -> Parts | None:
        """What the instance is made of; None while there is none, as when it starts again."""
        return None if self.status.instance is None else self.status.instance.parts


class DemoPerformance:
    """Plays a script on an instance that runs.

    Parameters
    ----------
    directory
        Of the run.
    tell, look
        Called with what happens, and whenever the clock has moved.
    """

    def __init__(self, script: Script, directory: Path, tell: Tell, look: Look) -> None:
        self._script = script
        self._directory = directory
        self._tell = tell
        self._look = look
        self.stage: Stage | None = None

    async def play(self, config: Config, status: Status, stop: asyncio.Event) -> None:
        """All of it; then the run may end."""
        await status.has_partitions.wait()
        script = self._script
        past = await asyncio.to_thread(GeneratedPast.kept, self._directory)
        assert past is not None
        async with Sender(config) as sender:
            topic = config.topics.full(config.topics.examples)
            async with KafkaTail(config.kafka, [topic]) as tail:
                await past.look(tail, topic)
            clock = EventClock(script, sender)
            await clock.begin()
            hearing = Hearing(
                config,
                is_fraud=lambda name: name in clock.truth.frauds,
                vote=clock.hear,
                tell=self._heard,
                now_ms=lambda: clock.now_ms,
            )
            async with hearing:
                waiting = WaitingClock(clock, hearing)
                self.stage = Stage(
                    *(script, config, status, clock, hearing, waiting, past, status.model_version)
                )
                await sender.examples(await past.due(clock.now_ms))
                await self._trained(self.stage)
                while not clock.is_over:
                    await self._day(self.stage, sender)
        stop.set()

    def _heard(self, happening: Happening) -> None:
        assert self.stage is not None
        self.stage.happenings.append(happening)
        self._tell(happening)

    async def _day(self, stage: Stage, sender: Sender) -> None:
        """Until the next midnight, in steps; then whatever follows from it."""
        clock, script = stage.clock, stage.script
        day = (clock.now_ms - script.begin_ms) // DAY_MS
        end_ms = script.at_ms(day + 1)
        await sender.examples(await stage.past.due(end_ms))
        if day == script.pattern_day:
            what = "a new fraud pattern begins: shops that sell online only leak cards"
            self._heard(Happening(script.at_ms(day), "pattern", what))
        while clock.now_ms < end_ms:
            to_ms = min(clock.now_ms - clock.now_ms % _STEP_MS + _STEP_MS, end_ms)
            clock.piece_count_max = _FEW if stage.hearing.is_trying else _MANY
            await clock.speak(to_ms)
            await self._labelled(stage)
            await clock.advance(to_ms)
            await self._decided(stage)
            await self._rolled(stage)
            self._look(stage)
        await self._archived(stage)
        if day % _COMPACT_DAYS == 0:
            await asyncio.to_thread(_compact, stage.config)
        await self._trained(stage)
        if day == script.mistake_day:
            version, what = await promote_a_bad_model(stage.config)
            self._heard(Happening(clock.now_ms, "mistake", what, {"version": version}))
            await self._trained(stage)

    async def _labelled(self, stage: Stage) -> None:
        """Votes are weighed, and their labels have come to whoever counts them."""
        count, metrics = stage.clock.spoken_count, stage.status.metrics
        await stage.waiting.until("votes", lambda: metrics.feedback >= count)
        await stage.waiting.until(
            "labels", lambda: stage.parts is not None and stage.parts.labels.unread() == 0
        )

    async def _decided(self, stage: Stage) -> None:
        count, metrics = stage.clock.sent_count, stage.status.metrics
        await stage.waiting.until("decisions", lambda: metrics.decisions >= count)
        count = metrics.decisions - metrics.actions["approve"]
        await stage.waiting.until("alerts", lambda: stage.hearing.alert_count >= count)

    async def _rolled(self, stage: Stage) -> None:
        """A rollout has gone as far as it can by now; what it waits for may be event time."""
        rollouts, hearing, clock = stage.config.rollouts, stage.hearing, stage.clock

        def is_at_rest() -> bool:
            one = hearing.rollout
            if one is None or one.is_over or one.status == "watching":
                return True
            if one.status != "running":
                return bool(one.waits_for)
            if one.next_place != "canary":
                return True
            lasts = rollouts.urgent_canary_for if one.is_urgent else rollouts.canary_for
            return clock.now_ms < hearing.rollout_since_ms + duration_ms(lasts) + 2 * _STEP_MS

        await stage.waiting.until("rollout", is_at_rest, patience_s=_ROLLOUT_S_MAX)

    async def _archived(self, stage: Stage) -> None:
        """Decisions and labels are in files, and labels have become examples."""
        topics = stage.config.topics
        files = ParquetArchive(stage.config.archive)
        decided = stage.status.metrics.decisions
        labelled = stage.hearing.ends[topics.full(topics.labels)]

        def is_archived() -> bool:
            last = max((one.last for one in files.segments("decisions")), default=-1)
            return last + 1 >= decided

        def are_examples() -> bool:
            notes = files.notes("examples")
            reached = decode_object(notes[0][1])["labels_to"] if notes else {}
            return max(reached.values(), default=0) >= labelled

        await stage.waiting.until("archive", is_archived)
        await stage.waiting.until("examples", are_examples)

    async def _trained(self, stage: Stage) -> None:
        """The trainer has read what there is, it is at nothing, and what it made serves."""
        hearing, metrics, topics = stage.hearing, stage.status.metrics, stage.config.topics
        examples = topics.full(topics.examples)
        await hearing.listen(0.0)
        count = hearing.ends[examples]

        def is_read() -> bool:
            return metrics.examples + metrics.examples_refused >= count

        def is_idle() -> bool:
            update = None if stage.parts is None else stage.parts.training.update
            return update is not None and update.state not in _BUSY

        def is_served() -> bool:
            champion, parts = hearing.champion, stage.parts
            if champion is None or parts is None:
                return champion is None
            watched = None if parts.drift.watch is None else parts.drift.watch.version
            return champion == parts.serving.champion.version == watched

        await stage.waiting.until(
            "drift", lambda: stage.parts is not None and stage.parts.drift.unread() == 0
        )
        await stage.waiting.until("trainer", lambda: is_read() and is_idle())
        await stage.waiting.until("serving", is_served)


def _compact(config: Config) -> None:
    files = ParquetArchive(config.archive)
    for kind in KINDS:
        files.compact(kind, config.archive.compact_row_count_max)
