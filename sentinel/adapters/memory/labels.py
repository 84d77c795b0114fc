"""The label store port in memory."""

from collections.abc import Mapping, Sequence
from typing import Self

from sentinel.adapters.memory.faults import Faults
from sentinel.records import LabelName


class MemoryLabelStore:
    """`ports.LabelStore` on a dictionary that outlives it and that several may share."""

    def __init__(self, labels: dict[str, LabelName], *, faults: Faults | None = None) -> None:
        self._labels = labels
        self._faults = faults or Faults()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def current(self, transaction_ids: Sequence[str]) -> list[LabelName | None]:
        with self._faults.call("labels.current"):
            return [self._labels.get(transaction_id) for transaction_id in transaction_ids]

    async def save(self, labels: Mapping[str, LabelName]) -> None:
        with self._faults.call("labels.save"):
            self._labels.update(labels)
