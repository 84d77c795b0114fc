"""Examples, each once when it is mature: is the version as good as it was?

An example is mature when its transaction is older than the longest that labels take. Taken as they
arrive, frauds would come before the genuine, and those that were reviewed before those that were
not: every change of how fast labels come would look like a change of performance.
"""

import heapq
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from sentinel.core.drift.counts.counting import size_groups
from sentinel.core.drift.detectors.base_rates import BaseRate, Worse, base_calibration, base_rate
from sentinel.core.drift.detectors.bernoulli import UNKNOWN, Outcomes
from sentinel.core.drift.detectors.examples import (
    ExampleEvent,
    ExampleParams,
    ExampleState,
    after_examples,
)
from sentinel.core.drift.outcomes.performance import Performance, performance
from sentinel.core.features.hashing import hash64
from sentinel.records import HISTORY_ARM, Example, Floats, Ints

FALSE_ALERTS, MISSED_FRAUDS, FRAUD_ODDS = "false_alerts", "missed_frauds", "fraud_odds"
# What is watched, and where it moves when it gets worse. The odds of fraud among alerts are watched
# against what the model said of each of them: whether P(fraud | x) is as it was.
OUTCOMES: tuple[tuple[str, Worse], ...] = (
    (FALSE_ALERTS, "up"),
    (MISSED_FRAUDS, "up"),
    (FRAUD_ODDS, "both"),
)
BASE_COUNT = 500  # of each outcome, before it is watched
_RECENT_COUNT = 5_000  # of examples that performance is told of
_CAPACITY = 0.01  # share of the transactions that can be checked


@dataclass(frozen=True, slots=True)
class Mature:
    """What counts of an example."""

    offset: int
    event_ms: int
    account: int  # its hash
    probability: float
    weight: float
    is_fraud: bool
    is_alert: bool

    def outcomes(self) -> list[int]:
        """Of each of OUTCOMES whether it is so; UNKNOWN where the question is not asked."""
        return [
            int(not self.is_fraud) if self.is_alert else int(UNKNOWN),
            int(not self.is_alert) if self.is_fraud else int(UNKNOWN),
            int(self.is_fraud) if self.is_alert else int(UNKNOWN),
        ]


@dataclass(frozen=True, slots=True)
class ExamplePosition:
    """What an example watch must know to go on elsewhere; the rest it reads again.

    Attributes
    ----------
    next_offset
        Examples before it have been read.
    reads_from
        From here on are those that still wait.
    newest_ms
        The newest event time so far.
    """

    next_offset: int = 0
    reads_from: int = 0
    newest_ms: int = 0


class ExampleWatch:
    """Watches the examples of one version.

    Parameters
    ----------
    maturity_ms
        So old is a transaction whose label comes no more.
    base_count
        So many alerts and frauds make the rates with which those behind them are compared.
    """

    def __init__(
        self,
        version: str,
        position: ExamplePosition,
        *,
        maturity_ms: int,
        run_length: int,
        base_count: int = BASE_COUNT,
        bases: Sequence[BaseRate] = (),
        state: ExampleState | None = None,
    ) -> None:
        self.version = version
        self._maturity_ms = maturity_ms
        self._params = ExampleParams(run_length_examples=float(run_length))
        self._base_count = base_count
        self._next_offset = position.next_offset
        self._newest_ms = position.newest_ms
        self._begun = position
        self._read_to = position.reads_from
        self.bases = tuple(bases)
        self.state = ExampleState.fresh(self.bases) if state is None else state
        self._waiting: dict[str, Mature] = {}
        self._order: list[tuple[int, int, str]] = []  # a heap: event time, offset, transaction
        self._gathered: list[Mature] = []
        self._recent: deque[Mature] = deque(maxlen=_RECENT_COUNT)

    @property
    def newest_ms(self) -> int:
        """The newest event time so far."""
        return self._newest_ms

    def position(self) -> ExamplePosition:
        """How far it is; before there are base rates, or all is read again, where it began."""
        if not self.bases or self._read_to < self._next_offset:
            return self._begun
        waiting = [one.offset for one in self._waiting.values()]
        first = min([*waiting, self._next_offset])
        return ExamplePosition(self._next_offset, first, self._newest_ms)

    def take(self, offset: int, example: Example) -> list[ExampleEvent]:
        """One example, in the order of the topic; what it makes mature is judged."""
        is_new = offset >= self._next_offset
        self._read_to = offset + 1
        self._next_offset = max(self._next_offset, offset + 1)
        is_ours = example.model_version == self.version and example.arm != HISTORY_ARM
        is_waiting = self._waiting.pop(example.transaction_id, None) is not None
        matures_ms = example.event_time_ms + self._maturity_ms
        due: list[Mature] = []
        probability = example.probability  # of what no model has scored nothing is asked
        if is_ours and probability is not None and example.label != "withdrawn":
            one = _mature(offset, example, probability)
            if matures_ms > self._newest_ms:
                self._waiting[example.transaction_id] = one
                heapq.heappush(self._order, (one.event_ms, offset, example.transaction_id))
            elif is_new and (example.supersedes is None or is_waiting):
                due.append(one)  # of a correction that comes after its time nothing is made
        if is_new:
            self._newest_ms = max(self._newest_ms, example.event_time_ms)
        due += self._ripe()
        return self._judge(due)

    def _ripe(self) -> Iterable[Mature]:
        until_ms = self._newest_ms - self._maturity_ms
        while self._order and self._order[0][0] <= until_ms:
            _, offset, name = heapq.heappop(self._order)
            one = self._waiting.get(name)
            if one is not None and one.offset == offset:
                del self._waiting[name]
                yield one

    def _judge(self, due: Sequence[Mature]) -> list[ExampleEvent]:
        self._recent.extend(due)
        if not due:
            return []
        if not self.bases:
            self._gather(due)
            return []
        self.state, events = after_examples(
            self.state, self.bases, _outcomes(due), _groups(due), _times(due), self._params,
            probabilities=_probabilities(due),
        )  # fmt: skip
        return list(events)

    def _gather(self, due: Sequence[Mature]) -> None:
        self._gathered += due
        outcomes = _outcomes(self._gathered)
        if (outcomes != UNKNOWN).sum(axis=0).min() < self._base_count:
            return
        accounts = np.array([one.account for one in self._gathered], dtype=np.int64)
        said = _probabilities(self._gathered)
        self.bases = tuple(
            base_calibration(name, worse, outcomes[:, j], said, accounts)
            if name == FRAUD_ODDS
            else base_rate(name, worse, outcomes[:, j], accounts)
            for j, (name, worse) in enumerate(OUTCOMES)
        )
        self.state = ExampleState.fresh(self.bases)
        self._gathered = []

    def performance(self) -> Performance:
        """Of the newest mature examples."""
        recent = list(self._recent)
        return performance(
            _probabilities(recent),
            np.array([int(one.is_fraud) for one in recent], dtype=np.int64),
            np.array([one.is_alert for one in recent], dtype=np.bool_),
            capacity=_CAPACITY,
            weights=np.array([one.weight for one in recent]),
        )


def _mature(offset: int, example: Example, probability: float) -> Mature:
    return Mature(
        offset=offset,
        event_ms=example.event_time_ms,
        account=int(hash64([example.account])[0]),
        probability=probability,
        weight=example.weight,
        is_fraud=example.label == "fraud",
        is_alert=example.action != "approve" or example.is_explored,
    )


def _outcomes(due: Sequence[Mature]) -> Outcomes:
    return np.array([one.outcomes() for one in due], dtype=np.int8)


def _probabilities(due: Sequence[Mature]) -> Floats:
    return np.array([one.probability for one in due])


def _groups(due: Sequence[Mature]) -> Ints:
    return size_groups(np.array([one.account for one in due], dtype=np.int64))


def _times(due: Sequence[Mature]) -> Ints:
    return np.array([one.event_ms for one in due], dtype=np.int64)
