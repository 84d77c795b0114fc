"""Votes as columns, in an order of their own: who said it first changes nothing."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from sentinel.records import Floats, Ints


@dataclass(frozen=True, slots=True)
class Votes:
    """n votes of annotators on tasks.

    Attributes
    ----------
    task, annotator
        int64 (n,): numbers below `task_count` and `annotator_count`.
    says_fraud
        bool (n,).
    weight
        float64 (n,), in [0, 1]: how much of a vote it is.
    """

    task: Ints
    annotator: Ints
    says_fraud: NDArray[np.bool_]
    weight: Floats
    task_count: int
    annotator_count: int

    def __post_init__(self) -> None:
        n = self.task.size
        assert self.annotator.shape == self.says_fraud.shape == self.weight.shape == (n,)
        assert n == 0 or (self.weight.min() >= 0 and self.weight.max() <= 1)

    @classmethod
    def of(
        cls,
        task: Ints,
        annotator: Ints,
        says_fraud: NDArray[np.bool_],
        weight: Floats | None = None,
        *,
        task_count: int,
        annotator_count: int,
    ) -> Self:
        """Sorted, so that sums do not depend on the order in which the votes came."""
        if weight is None:
            weight = np.ones(task.size)
        order = np.lexsort((weight, says_fraud, annotator, task))
        return cls(
            task[order],
            annotator[order],
            says_fraud[order],
            weight[order],
            task_count,
            annotator_count,
        )

    def __len__(self) -> int:
        return self.task.size

    @property
    def kind(self) -> Ints:
        """Who says what, in one number: twice the annotator's, one more for fraud; int64 (n,)."""
        return 2 * self.annotator + self.says_fraud

    def weighed(self, weight: Floats) -> "Votes":
        """The same votes with other weights, float64 (n,)."""
        return replace(self, weight=weight)


def numbers_of(names: Sequence[str]) -> tuple[list[str], Ints]:
    """The different names, sorted, and the number of each name among them."""
    found, numbers = np.unique(np.array(names, dtype=object), return_inverse=True)
    return found.tolist(), numbers.astype(np.int64)


def temporal_weight(age_s: Floats, half_life_s: float) -> Floats:
    """How much of a vote is left at an age, in seconds; 1 throughout when the half-life is 0."""
    if half_life_s == 0:
        return np.ones_like(age_s)
    found: Floats = np.exp2(-np.maximum(age_s, 0.0) / half_life_s)
    return found
