"""What is counted of an arm for its guardrails, and of which accounts it was counted before.

To whom something happens for the first time is, of two equal arms, the one's or the other's account
as their shares are, whatever happened before: accounts are drawn by a keyed hash that knows nothing
of them. Transactions of one account are alike, and say no more than the first of them.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sentinel.records import Ints

# A loss counts by its size: of the classes up to 1/8, 1/4, 1/2 of a typical one, and larger.
LOSS_SIZES = (0.125, 0.25, 0.5, 1.0)
_NO_LOSSES = (0,) * len(LOSS_SIZES)


@dataclass(frozen=True, slots=True)
class GuardrailCounts:
    """Of one arm, since the last time.

    Attributes
    ----------
    alerted, blocked
        Accounts of which a transaction was reviewed or blocked, blocked, for the first time.
    lost
        Accounts of which a fraud was let through, for the first time, by size (`loss_classes`).
    batches, failed, slow
        The arm's parts of batches; those that its model failed to score; those that took too long.
    """

    alerted: int = 0
    blocked: int = 0
    lost: tuple[int, ...] = _NO_LOSSES
    batches: int = 0
    failed: int = 0
    slow: int = 0

    def __post_init__(self) -> None:
        assert len(self.lost) == len(LOSS_SIZES)
        assert min(self.alerted, self.blocked, *self.lost, self.failed, self.slow) >= 0
        assert max(self.failed, self.slow) <= self.batches


class SeenAccounts:
    """The accounts to which something has happened in an experiment, up to a limit."""

    def __init__(self, count_max: int, hashes: Iterable[int] = ()) -> None:
        self._count_max = count_max
        self._hashes = set(hashes)

    def __len__(self) -> int:
        return len(self._hashes)

    def are_new(self, accounts: Ints) -> NDArray[np.bool_]:
        """Which of these are seen for the first time, bool (n,); they are remembered.

        Once there are too many, none is new.

        Parameters
        ----------
        accounts
            int64 (n,): hashes of accounts to which it has happened now, in that order.
        """
        found = np.zeros(accounts.size, dtype=np.bool_)
        for i, account in enumerate(accounts.tolist()):
            if account not in self._hashes and len(self._hashes) < self._count_max:
                self._hashes.add(account)
                found[i] = True
        return found

    def state(self) -> list[int]:
        """All of them, ascending, to be stored."""
        return sorted(self._hashes)


def loss_classes(amounts_minor: Ints, typical_minor: int) -> tuple[int, ...]:
    """How many of some losses are of each size, as many as LOSS_SIZES.

    Parameters
    ----------
    amounts_minor
        int64 (n,): what each account has lost when its first loss became known.
    """
    edges = np.array(LOSS_SIZES[:-1]) * typical_minor
    classes = np.searchsorted(edges, np.abs(amounts_minor), side="left")
    return tuple(np.bincount(classes, minlength=len(LOSS_SIZES)).tolist())
