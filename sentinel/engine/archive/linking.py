"""Feedback that names a transaction and nothing else: placed once its decision is archived.

Whoever counts votes needs to know when a transaction happened, and of whom. An investigator who
knows its identifier only is helped by the archive: the vote waits until the decision is there, and
goes back to where it came from with both. Votes are known by who gives them on what, so that one
which a crash sends twice counts once.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sentinel.codec.feedback.checking import checked, is_placed
from sentinel.codec.records import decode_feedback, keyed
from sentinel.codec.stored import encode_stored
from sentinel.core.logs import log_id
from sentinel.engine.archive.logs import log_of, noted
from sentinel.engine.feedback.task import observed_ms
from sentinel.errors import FileGoneError, RecordError
from sentinel.ports import Archive, Broker
from sentinel.records import Feedback, InputRecord, TopicPartition

log = logging.getLogger(__name__)

NOTE = "feedback"
WAITING_COUNT_MAX = 100_000
_ENTITY = "entity_"
_JOINED_COUNT_MAX = 5  # in a row that files were joined while they were looked through


@dataclass(frozen=True, slots=True)
class Place:
    """When and of whom a transaction was, and, where that is known, how it was decided.

    Attributes
    ----------
    selected_by
        How it came to be looked at: the action, or "explored".
    """

    event_time_ms: int
    entities: dict[str, str | None]
    probability: float | None = None
    selected_by: str | None = None

    def of(self, feedback: Feedback) -> Feedback:
        """The feedback on that transaction."""
        return replace(
            feedback,
            event_time_ms=self.event_time_ms,
            probability=feedback.probability if self.probability is None else self.probability,
            selected_by=self.selected_by or feedback.selected_by,
            entities=dict(self.entities),
        )


@dataclass(frozen=True, slots=True)
class Waiting:
    """Feedback whose transaction is not known yet, and when it was heard."""

    voice: Feedback  # named so where it is stored
    since_ms: int


@dataclass(frozen=True, slots=True)
class LinkingProgress:
    """How far feedback was looked at, and what of it waits."""

    next_offset: int = 0
    waiting: list[Waiting] = field(default_factory=list)


class Linker:
    """Follows the archive: what waits for a decision is placed when it comes."""

    def __init__(self, files: Archive, broker: Broker, topic: str, *, horizon_s: float) -> None:
        self._files = files
        self._broker = broker
        self._topic = topic
        self._horizon_ms = round(horizon_s * 1000)
        self._log = ""
        self._progress = LinkingProgress()
        self._noted = self._progress  # as it is kept beside the files
        self._searched: set[Path] = set()  # files that hold nothing of what has waited so far
        self._fresh: list[Waiting] = []
        self._now_ms = 0  # when the newest feedback was appended
        self.count = 0

    async def begin(self) -> int:
        """Take up where the one before has stopped; returns from where on feedback is wanted."""
        self._log = await log_of(self._broker, self._topic)
        kept = await asyncio.to_thread(self._files.note, self._log, NOTE)
        if kept is not None:
            self._progress = noted(LinkingProgress, kept, f"{self._log}-{NOTE}.json")
        else:
            self._progress = await self._of_before()
        self._noted, self._searched, self._fresh = self._progress, set(), []
        return self._progress.next_offset

    async def _of_before(self) -> LinkingProgress:
        """What was noted by an older version, which named logs by the cluster, or in another log.

        Of another log the offset means nothing, and what waits is waited for all the same.
        """
        former = log_id(self._broker.cluster_id)
        kept = await asyncio.to_thread(self._files.note, former, NOTE)
        if kept is not None:
            found = noted(LinkingProgress, kept, f"{former}-{NOTE}.json")
            if found.next_offset <= await self._broker.end_offset(TopicPartition(self._topic, 0)):
                return found
        for name, data in await asyncio.to_thread(self._files.notes, NOTE):
            return LinkingProgress(waiting=noted(LinkingProgress, data, name).waiting)
        return LinkingProgress()

    def take(self, records: Sequence[InputRecord]) -> None:
        """Keep the feedback that has to be placed."""
        for record in records:
            self._now_ms = max(self._now_ms, record.timestamp)
            try:
                feedback = checked(decode_feedback(record.value))
            except RecordError:
                continue  # whoever counts votes has refused it
            if not is_placed(feedback):
                self._fresh.append(Waiting(feedback, record.timestamp))
        if records:
            self._progress = replace(self._progress, next_offset=records[-1].offset + 1)

    @property
    def taken_to(self) -> int:
        """The offset behind what was looked at so far."""
        return self._progress.next_offset

    @property
    def is_full(self) -> bool:
        """Whether so many wait that no more should be taken."""
        return len(self._progress.waiting) + len(self._fresh) > WAITING_COUNT_MAX

    async def work(self) -> None:
        """Send back what can be placed, and keep the others with how far feedback was taken.

        Raises FileGoneError when files were joined meanwhile; nothing is lost by it.
        """
        waiting, fresh = self._progress.waiting, self._fresh
        found = await asyncio.to_thread(self._find, waiting, fresh)
        self._fresh = []  # only now: where a file has gone meanwhile, all is looked for again
        placed = [
            _placed(one, found[one.voice.transaction_id])
            for one in (*waiting, *fresh)
            if one.voice.transaction_id in found
        ]
        if placed:
            records = [keyed(feedback.transaction_id, feedback) for feedback in placed]
            await self._broker.publish(self._topic, 0, records)
            await self._broker.flush()
            self.count += len(placed)
        left = [one for one in (*waiting, *fresh) if one.voice.transaction_id not in found]
        oldest_ms = self._now_ms - self._horizon_ms
        for one in (one for one in left if one.since_ms < oldest_ms):
            log.warning(
                "%s/%s has spoken of transaction %s, on which there never was a decision",
                one.voice.source, one.voice.who, one.voice.transaction_id,
                extra={"transaction_id": one.voice.transaction_id},
            )  # fmt: skip
        kept = [one for one in left if one.since_ms >= oldest_ms]
        self._progress = replace(self._progress, waiting=kept)
        if self._progress != self._noted:
            data = encode_stored(self._progress)
            await asyncio.to_thread(self._files.keep, self._log, NOTE, data)
            self._noted = self._progress

    def _find(
        self, waiting: Sequence[Waiting], fresh: Sequence[Waiting]
    ) -> dict[str, dict[str, Any]]:
        """Decisions by transaction: the fresh are looked for everywhere, others in new files."""
        segments = self._files.segments("decisions")
        new = [segment for segment in segments if segment.path not in self._searched]
        found: dict[str, dict[str, Any]] = {}
        for ones, where in ((waiting, new), (fresh, segments)):
            names = sorted({one.voice.transaction_id for one in ones})
            if names and where:
                rows = self._files.matching(where, names).to_dicts()
                found |= {row["transaction_id"]: row for row in rows}
        self._searched = {segment.path for segment in segments}
        return found


def _placed(one: Waiting, decision: dict[str, Any]) -> Feedback:
    place = _place(decision)
    observed = observed_ms(one.voice, one.since_ms, place.event_time_ms)
    return place.of(replace(one.voice, observed_ms=observed))


def _place(decision: dict[str, Any]) -> Place:
    entities = {
        name.removeprefix(_ENTITY): value
        for name, value in decision.items()
        if name.startswith(_ENTITY)
    }
    return Place(
        decision["event_time_ms"],
        {"account": decision["account"], **entities},
        decision["probability"],
        "explored" if decision.get("explored") else decision["action"],  # older files do not say
    )


def archived_places(files: Archive, transaction_ids: Sequence[str]) -> dict[str, Place]:
    """Of those transactions whose decisions are archived, when and of whom they were."""
    if not transaction_ids:
        return {}
    for _ in range(_JOINED_COUNT_MAX):
        try:
            rows = files.matching(files.segments("decisions"), transaction_ids).to_dicts()
        except FileGoneError:  # small files were joined meanwhile
            continue
        return {row["transaction_id"]: _place(row) for row in rows}
    return {}
