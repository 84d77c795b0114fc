"""Alerts: the decisions that a person should see, with their reasons, computed off the loop."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial

from sentinel.codec.decisions import alert
from sentinel.core.decision import account_range, reasons
from sentinel.core.features.spec import FeatureParams
from sentinel.engine.params import EngineParams
from sentinel.engine.tasks import end
from sentinel.errors import ModelError, TransientError
from sentinel.metrics import Metrics
from sentinel.ports import Broker, Explainer
from sentinel.records import Floats, OutputRecord, TopicPartition
from sentinel.serving_model import ServingModel

log = logging.getLogger(__name__)

_LASTING_S = 10.0  # as long as what is called stuck
_SAY_AGAIN_S = 600.0


@dataclass(frozen=True, slots=True)
class Flagged:
    """Decisions of one partition and batch that are not approvals."""

    source: TopicPartition
    keys: list[bytes]
    decisions: list[bytes]
    features: Floats  # (n, n_features)
    usual: Floats  # (n, 2): mean and spread of the account's own amounts
    reason_count_max: int


class Alerts:
    """Publishes alerts as soon as their reasons are known, or without them when that fails."""

    def __init__(
        self,
        broker: Broker,
        explainer: Explainer,
        topic: str,
        features: Sequence[FeatureParams],
        metrics: Metrics,
        params: EngineParams,
        *,
        clock_s: Callable[[], float],
    ) -> None:
        self._broker = broker
        self._explainer = explainer
        self._topic = topic
        self._names = [feature.name for feature in features]
        self._amounts = [i for i, feature in enumerate(features) if feature.stat == "amount"]
        self._metrics = metrics
        self._params = params
        self._clock_s = clock_s
        self._why = ""  # the newest had no reasons; empty if they had
        self._since_s = 0.0  # when that began
        self._newest_s = 0.0  # when it was so last
        self._said_s = float("-inf")
        self._rows_waiting = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._ready: dict[TopicPartition, list[OutputRecord]] = {}  # by what they come of
        self._sending: dict[TopicPartition, asyncio.Lock] = {}
        self.last: list[bytes] = []  # the newest few, for a person to look at

    def submit(self, flagged: Flagged, serving: ServingModel | None) -> None:
        """Start explaining and publishing; a cut waits for it.

        `serving` has decided; None if no model has, so that there is nothing to explain.
        """
        count = len(flagged.decisions)
        explain = self._rows_waiting + count <= self._params.explain_rows_max
        if not explain:
            self._note(f"{self._rows_waiting} wait for theirs already")
        self._rows_waiting += count
        self._metrics.alerts += count
        explained_by = serving if explain else None
        task = asyncio.create_task(self._publish(flagged, explained_by), name="alerts")
        self._tasks.add(task)

    def at_cut(self) -> Callable[[], Awaitable[None]]:
        """What has been submitted and may not be out yet, to be waited for."""
        return partial(self._settle, frozenset(self._tasks))

    async def _settle(self, tasks: frozenset[asyncio.Task[None]]) -> None:
        if tasks:
            await asyncio.gather(*tasks)
        self._tasks -= tasks

    async def aclose(self) -> None:
        """Drop what is not out; it is replayed."""
        await end(self._tasks)

    async def _publish(self, flagged: Flagged, serving: ServingModel | None) -> None:
        contributions = None
        if serving is not None:
            contributions = await self._contributions(flagged, serving)
        values = []
        for i, decision in enumerate(flagged.decisions):
            found = []
            if serving is not None and contributions is not None:
                own = account_range(*flagged.usual[i].tolist())
                found = reasons(
                    self._names,
                    flagged.features[i],
                    contributions[i],
                    serving.usual,
                    dict.fromkeys(self._amounts, own) if own is not None else {},
                    count_max=flagged.reason_count_max,
                )
            values.append(alert(decision, found, explained=contributions is not None))
        self._rows_waiting -= len(values)
        if contributions is None:
            self._metrics.unexplained += len(values)
        self.last = [*self.last, *values][-5:]
        records = [OutputRecord(k, v) for k, v in zip(flagged.keys, values, strict=True)]
        self._ready.setdefault(flagged.source, []).extend(records)
        await self._send(flagged.source)

    async def _send(self, source: TopicPartition) -> None:
        """Publish all that is ready for a partition: many small batches would wait for each other.

        Whoever comes to the lock next finds its records sent by the one before.
        """
        async with self._sending.setdefault(source, asyncio.Lock()):
            records = self._ready.pop(source, [])
            if records:
                await self._broker.publish(self._topic, source.partition, records, source=source)

    async def _contributions(self, flagged: Flagged, serving: ServingModel) -> Floats | None:
        """Contribution of each feature, or None when the worker could not answer in time."""
        try:
            async with asyncio.timeout(self._params.explain_wait_s):
                found = await self._explainer.contributions(serving.version, flagged.features)
        except TimeoutError:
            self._note(f"the explainer takes more than {self._params.explain_wait_s:g} s")
            return None
        except (TransientError, ModelError) as error:
            self._note(str(error))
            return None
        self._note("")
        return found

    def _note(self, why: str) -> None:
        """Why some have no reasons; empty if some had theirs. Said when it begins."""
        now_s = self._clock_s()
        if not why:
            self._why = ""
            return
        if not self._why:
            self._since_s = now_s
            if now_s - self._said_s >= _SAY_AGAIN_S:
                log.warning("alerts go out without reasons: %s", why)
                self._said_s = now_s
        self._why, self._newest_s = why, now_s

    @property
    def trouble(self) -> str:
        """Why no alert has had its reasons for a while; empty if some had."""
        if not self._why or self._newest_s - self._since_s < _LASTING_S:
            return ""
        return f"alerts go out without reasons: {self._why}"
