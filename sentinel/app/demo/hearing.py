"""What the demo hears of the system: its topics, read as any program beside it may read them."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Any, Self

from sentinel.adapters.kafka import KafkaTail
from sentinel.app.builtin.investigators import votes_on_alert
from sentinel.app.demo.told import Happening, of_alarm, of_model, of_rollout, of_update
from sentinel.codec.records import decode_label, decode_model_event, decode_object
from sentinel.codec.stored import decode_stored
from sentinel.config import Config
from sentinel.records import Feedback, InputRecord
from sentinel.stored.drift import Alarm
from sentinel.stored.rollouts import StoredRollout

_POLL_COUNT_MAX = 2_000


@dataclass(slots=True)
class LabelDay:
    """What became known on a day."""

    fraud: int = 0
    genuine: int = 0
    changed: int = 0  # took the place of another word
    contradicted: int = 0  # votes on an alert that do not agree


class Hearing:
    """Reads along; what is worth telling is told at the event time of the clock.

    Parameters
    ----------
    is_fraud
        What investigators may see of a transaction.
    tell
        Called with each happening.
    """

    def __init__(
        self,
        config: Config,
        *,
        is_fraud: Callable[[str], bool],
        vote: Callable[[Sequence[Feedback]], None],
        tell: Callable[[Happening], None],
        now_ms: Callable[[], int],
    ) -> None:
        topics = config.topics
        readers: Mapping[str, Callable[[InputRecord], None]] = {
            topics.alerts: self._alert,
            topics.labels: self._label,
            topics.model_updates: self._model,
            topics.drift_alerts: self._drift,
            topics.audit: self._audit,
            topics.examples: self._example,
            topics.rollouts: self._rollout,
        }
        self._readers = {topics.full(name): reader for name, reader in readers.items()}
        self._kafka = config.kafka
        self._is_fraud = is_fraud
        self._vote = vote
        self._tell = tell
        self._now_ms = now_ms
        self._resources = AsyncExitStack()
        self.label_days: dict[int, LabelDay] = {}
        self.ends: Counter[str] = Counter()  # of what was read, by topic
        self.alert_count = 0
        self.caught: set[str] = set()
        self.champion: str | None = None
        self.alarms: dict[str, Alarm] = {}
        self.rollout: StoredRollout | None = None  # the newest
        self.rollout_since_ms = 0  # when it was first heard that it stands so

    async def __aenter__(self) -> Self:
        kafka = replace(self._kafka, fetch_wait_ms_max=20)
        tail = KafkaTail(kafka, list(self._readers))
        self._tail = await self._resources.enter_async_context(tail)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._resources.aclose()

    @property
    def is_trying(self) -> bool:
        """Whether a canary decides for some accounts: it is judged by how many batches it had."""
        one = self.rollout
        return one is not None and one.status == "running" and one.next_place == "canary"

    async def listen(self, timeout_s: float) -> None:
        """Read what has come."""
        polled = await self._tail.poll(timeout_s=timeout_s, count_max=_POLL_COUNT_MAX)
        for topic, records in polled.items():
            for record in records:
                self._readers[topic](record)
            self.ends[topic] = records[-1].offset + 1

    def _alert(self, record: InputRecord) -> None:
        alert = decode_object(record.value or b"")
        name = alert["transaction_id"]
        is_fraud = self._is_fraud(name)
        votes = votes_on_alert(alert, is_fraud=is_fraud)
        self.alert_count += 1
        if is_fraud:
            self.caught.add(name)
        if len({vote.label for vote in votes}) > 1:
            self._labels_of_today().contradicted += 1
        self._vote(votes)

    def _label(self, record: InputRecord) -> None:
        label = decode_label(record.value)
        day = self._labels_of_today()
        day.fraud += label.label == "fraud"
        day.genuine += label.label == "genuine"
        day.changed += label.supersedes is not None and label.supersedes != label.label

    def _labels_of_today(self) -> LabelDay:
        return self.label_days.setdefault(self._now_ms() // 86_400_000, LabelDay())

    def _model(self, record: InputRecord) -> None:
        event = decode_model_event(record.value)
        self.champion = event.champion
        self._told(of_model(event))

    def _drift(self, record: InputRecord) -> None:
        alarm = decode_stored(Alarm, record.value or b"")
        before = self.alarms.get(alarm.id)
        self.alarms[alarm.id] = alarm
        self._told(of_alarm(alarm, before))

    def _audit(self, record: InputRecord) -> None:
        if b'"kind":"update"' in (record.value or b""):
            self._told(of_update(decode_object(record.value or b"")))

    def _rollout(self, record: InputRecord) -> None:
        one = decode_stored(StoredRollout, record.value or b"")
        before, self.rollout = self.rollout, one
        if before is None or _stand(before) != _stand(one):
            self.rollout_since_ms = self._now_ms()
            self._told(of_rollout(one))

    def _example(self, record: InputRecord) -> None:
        """Only how many there are is of interest."""

    def _told(self, found: tuple[str, str, dict[str, Any]] | None) -> None:
        if found is not None:
            kind, what, facts = found
            self._tell(Happening(self._now_ms(), kind, what, facts))


def _stand(one: StoredRollout) -> tuple[int, int, str, str]:
    return one.number, one.place, one.status, one.waits_for
