"""Feedback becomes labels: a voice of a trusted source counts as it is."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar, cast

from sentinel.codec.records import decode_feedback, encode
from sentinel.engine.dead_letters import DeadLetters
from sentinel.engine.dispatcher import Inbox
from sentinel.errors import RecordError, TransientError
from sentinel.metrics import Metrics
from sentinel.ports import Broker, LabelStore
from sentinel.records import (
    Batch,
    Feedback,
    InputRecord,
    Label,
    LabelName,
    OutputRecord,
    TopicPartition,
)

LABELS = ("fraud", "genuine")

T = TypeVar("T")

_RETRY_S = 0.25
_ID_LENGTH_MAX = 4096  # no schema takes longer ones (sentinel/codec/transactions.py)


@dataclass(frozen=True, slots=True)
class FeedbackParams:
    """Whose word is enough."""

    trusted_sources: tuple[str, ...] = ("chargeback", "ground_truth")

    def __post_init__(self) -> None:
        if not all(self.trusted_sources):
            raise ValueError("trusted_sources must not hold an empty name")


class FeedbackTask:
    """Reads feedback and publishes labels; the voices of other sources are counted and kept."""

    def __init__(
        self,
        *,
        broker: Broker,
        labels: LabelStore,
        inbox: Inbox,
        label_topic: str,
        dead_letters: DeadLetters,
        progress: dict[TopicPartition, int],
        metrics: Metrics,
        params: FeedbackParams,
        outage_s_max: float,
    ) -> None:
        self._broker = broker
        self._labels = labels
        self._inbox = inbox
        self._label_topic = label_topic
        self._dead_letters = dead_letters
        self._progress = progress
        self._metrics = metrics
        self._params = params
        self._outage_s_max = outage_s_max

    async def run(self) -> None:
        """Work through the inbox until cancelled."""
        while True:
            batch = await self._inbox.take(timeout_s=60.0)
            if batch is not None:
                await self.work(batch)
                self._inbox.done()

    async def work(self, batch: Batch) -> None:
        """Publish the labels of one batch, then note how far it went."""
        for at, records in batch.records.items():
            voices: list[tuple[int, Feedback]] = []
            refused: list[tuple[TopicPartition, InputRecord, RecordError]] = []
            for record in records:
                try:
                    voice = checked(decode_feedback(record.value))
                except RecordError as error:
                    refused.append((at, record, error))
                else:
                    voices.append((record.offset, voice))
            self._metrics.feedback += len(records)
            await self._dead_letters.publish(refused)
            await self._publish_labels(voices)
            self._progress[at] = records[-1].offset + 1

    async def _publish_labels(self, voices: list[tuple[int, Feedback]]) -> None:
        trusted = [(at, v) for at, v in voices if v.source in self._params.trusted_sources]
        settled = [(at, v) for at, v in trusted if v.label in LABELS]
        if not settled:
            return
        ids = list(dict.fromkeys(voice.transaction_id for _, voice in settled))
        known = await self._patiently(lambda: self._labels.current(ids))
        current = dict(zip(ids, known, strict=True))
        records = []
        changed: dict[str, LabelName] = {}
        for offset, voice in settled:
            label = label_of(voice, offset, current)
            records.append(OutputRecord(voice.transaction_id.encode(), encode(label)))
            current[voice.transaction_id] = changed[voice.transaction_id] = label.label
        await self._broker.publish(self._label_topic, 0, records)
        # Labels are out before they are remembered: a crash between repeats them, with the same
        # feedback offset, by which readers know them again.
        await self._broker.flush()
        await self._patiently(lambda: self._labels.save(changed))

    async def _patiently(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask the store again while it is away: labels can wait.

        Its failure would end the instance, and the transactions beside it, which are scored from
        memory meanwhile, cannot wait.
        """
        clock_s = asyncio.get_running_loop().time
        give_up_s = clock_s() + self._outage_s_max
        while True:
            try:
                return await ask()
            except TransientError:
                if self._inbox.is_awaited or clock_s() >= give_up_s:
                    raise
            await asyncio.sleep(_RETRY_S)


def checked(voice: Feedback) -> Feedback:
    """The voice, if its values can be true. Raises RecordError."""
    if not voice.transaction_id:
        raise RecordError("bad_id", "an empty transaction_id")
    identifiers = [voice.transaction_id, *filter(None, (voice.entities or {}).values())]
    if (longest := max(map(len, identifiers))) > _ID_LENGTH_MAX:
        raise RecordError("bad_id", f"an identifier of {longest} characters")
    if voice.label not in (*LABELS, "unsure"):
        raise RecordError("bad_label", f'label "{voice.label}" is not fraud, genuine or unsure')
    if not 0 <= voice.confidence <= 1:
        raise RecordError("bad_confidence", f"confidence {voice.confidence} is not in [0, 1]")
    if len(voice.notes) > 10_000:
        raise RecordError("too_large", f"notes of {len(voice.notes)} characters")
    if voice.event_time_ms is None or not (voice.entities or {}).get("account"):
        raise RecordError("unplaced", "event_time_ms and entities.account are needed")
    return voice


def label_of(voice: Feedback, offset: int, current: Mapping[str, LabelName | None]) -> Label:
    """The label that a trusted voice gives, and what it replaces."""
    assert voice.event_time_ms is not None
    assert voice.entities is not None
    return Label(
        transaction_id=voice.transaction_id,
        label=cast("LabelName", voice.label),
        posterior=1.0 if voice.label == "fraud" else 0.0,
        vote_count=1,
        source=voice.source,
        observed_ms=voice.observed_ms,
        event_time_ms=voice.event_time_ms,
        entities=voice.entities,
        supersedes=current.get(voice.transaction_id),
        feedback_offset=offset,
    )
