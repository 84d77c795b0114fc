"""The case store port in memory."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from sentinel.adapters.memory.shared import OnShared
from sentinel.codec.stored import decode_stored, encode_stored
from sentinel.errors import FencedError
from sentinel.votes import (
    RECENT_COUNT_MAX,
    UNSETTLED_COUNT_MAX,
    Annotator,
    Case,
    Casework,
    FeedbackProgress,
)


@dataclass(slots=True)
class MemoryCases:
    """What a Redis server would keep; it outlives the stores that are opened on it."""

    progress: FeedbackProgress | None = None
    cases: dict[str, bytes] = field(default_factory=dict)
    annotators: dict[str, bytes] = field(default_factory=dict)
    unsettled: dict[str, int] = field(default_factory=dict)
    recent: dict[str, int] = field(default_factory=dict)

    def labels(self) -> dict[str, str]:
        """The label of each transaction that has one."""
        found = {name: decode_stored(Case, data).label for name, data in self.cases.items()}
        return {name: label for name, label in found.items() if label is not None}


class MemoryCaseStore(OnShared[MemoryCases]):
    """`ports.CaseStore` on `MemoryCases` that several of them may share."""

    async def progress(self) -> FeedbackProgress | None:
        with self._faults.call("cases.progress"):
            return self._kept.progress

    async def cases(self, transaction_ids: Sequence[str]) -> dict[str, Case]:
        with self._faults.call("cases.cases"):
            known = [name for name in transaction_ids if name in self._kept.cases]
            return {name: decode_stored(Case, self._kept.cases[name]) for name in known}

    async def annotators(self, names: Sequence[str]) -> dict[str, Annotator]:
        with self._faults.call("cases.annotators"):
            known = [name for name in names if name in self._kept.annotators]
            return {name: decode_stored(Annotator, self._kept.annotators[name]) for name in known}

    async def latest_annotators(self) -> list[Annotator]:
        with self._faults.call("cases.latest"):
            found = [decode_stored(Annotator, data) for data in self._kept.annotators.values()]
            return sorted(found, key=lambda one: one.last_ms, reverse=True)

    async def unsettled(self, count: int) -> list[Case]:
        with self._faults.call("cases.unsettled"):
            return self._newest(self._kept.unsettled, count)

    async def recent(self, count: int) -> list[Case]:
        with self._faults.call("cases.recent"):
            return self._newest(self._kept.recent, count)

    def _newest(self, index: dict[str, int], count: int) -> list[Case]:
        there = [name for name in _newest(index) if name in self._kept.cases]
        return [decode_stored(Case, self._kept.cases[name]) for name in there[:count]]

    async def save(self, before: FeedbackProgress | None, work: Casework) -> None:
        with self._faults.call("cases.save"):
            if self._kept.progress != before:
                raise FencedError("another instance has counted feedback meanwhile")
            self._kept.progress = work.progress
            self._kept.cases |= {name: encode_stored(case) for name, case in work.cases.items()}
            self._kept.annotators |= {n: encode_stored(one) for n, one in work.annotators.items()}
            for name, case in work.cases.items():
                self._kept.recent[name] = case.newest_ms
                self._kept.unsettled.pop(name, None)
                if case.is_unsettled:
                    self._kept.unsettled[name] = case.newest_ms
            _cut(self._kept.unsettled, UNSETTLED_COUNT_MAX)
            _cut(self._kept.recent, RECENT_COUNT_MAX)


def _newest(index: dict[str, int]) -> list[str]:
    """Names of cases, newest first, as a sorted set orders them."""
    return sorted(index, key=lambda name: (index[name], name), reverse=True)


def _cut(index: dict[str, int], count_max: int) -> None:
    """Forget the oldest."""
    if len(index) > count_max:
        for name in _newest(index)[count_max:]:
            del index[name]
