"""Exploration: of what would be blocked, a small random share is reviewed instead.

Nobody sees whether a blocked transaction was fraud, so that a model which learns from what became
known never hears that it blocks too much. Those that are reviewed instead have a truth, and stand
for all that were at stake, each with the weight 1 / share.

No budget is counted: a decision that is repeated after a crash must come out the same, and a
counter would not be where it was. So chance is a hash of the transaction's identifier.
"""

import numpy as np
from numpy.typing import NDArray

from sentinel.core.decision import BLOCK, REVIEW, Codes, PolicyParams
from sentinel.core.features.hashing import hash64, is_drawn
from sentinel.records import Ints
from sentinel.texts import Texts

_SALT = 0x6578706C6F726531  # any other number would do, but for 0; it may never change
_SHADOW_SALT = 0x736861646F776564


def is_explored(hashes: Ints, share: float) -> NDArray[np.bool_]:
    """Which of those at stake are reviewed, bool (n,): the same ones each time.

    Independent of which are sampled by the same hashes (`maturity.is_sampled`).

    Parameters
    ----------
    hashes
        int64 (n,): `hash64` of the transactions' identifiers.
    """
    return is_drawn(hashes, _SALT, share)


def is_shadowed(hashes: Ints, share: float) -> NDArray[np.bool_]:
    """Which transactions the shadow scores, too, bool (n,): the same ones each time.

    Parameters
    ----------
    hashes
        As of `is_explored`, and independent of it.
    """
    return is_drawn(hashes, _SHADOW_SALT, share)


def exploration(
    transaction_id: Texts, amount_minor: Ints, action: Codes, policy: PolicyParams
) -> dict[int, bool]:
    """The would-be blocks that are at stake, and which of them are reviewed instead.

    Parameters
    ----------
    transaction_id, amount_minor
        n identifiers, and int64 (n,) amounts in minor units.
    action
        int64 (n,): what the policy says without exploration.

    Returns
    -------
    dict
        By row, ascending: True for one that is to be reviewed. Rows that would not be blocked, or
        are of a larger amount than may be explored, are not in it; none is when exploring is off.
    """
    assert len(transaction_id) == amount_minor.size == action.size
    if policy.explore_share == 0.0:
        return {}
    is_at_stake = (action == BLOCK) & (np.abs(amount_minor) <= policy.explore_amount_minor_max)
    at = np.flatnonzero(is_at_stake)
    if at.size == 0:
        return {}  # as in most small batches: a dozen calls of numpy less
    chosen = is_explored(hash64(transaction_id.take(at)), policy.explore_share)
    return dict(zip(at.tolist(), chosen.tolist(), strict=True))


def explored_actions(action: Codes, explored: dict[int, bool]) -> Codes:
    """The actions with REVIEW where the exploration says so, int64 (n,)."""
    chosen = [row for row, is_chosen in explored.items() if is_chosen]
    if not chosen:
        return action
    assert np.all(action[chosen] == BLOCK)
    changed = action.copy()
    changed[chosen] = REVIEW
    return changed
