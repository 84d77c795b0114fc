"""Accounts to arms, a whole batch at a time.

One keyed hash for each account, and two rounds of mixing for each experiment: the first says in
which slot of the layer the account is, the second where it stands between the arms. Nothing is
remembered, so that it is the same in every process and after every restart. A challenger's part of
[0, 1) grows from where it begins: who was in it stays there.
"""

import numba
import numpy as np
from numpy.typing import NDArray

from sentinel.core.experiments.assignment.keys import salt_of
from sentinel.core.experiments.assignment.siphash import HashKey, Words, siphash_span
from sentinel.core.experiments.definition import ARM_COUNT_MAX
from sentinel.core.features.hashing import hash64
from sentinel.records import Floats, Ints, Transactions
from sentinel.stored.routing import SLOT_COUNT, RoutedArm, RoutedExperiment, RoutingPlan
from sentinel.texts import Bytes, Spans, Texts

RADIX = ARM_COUNT_MAX + 1  # of a code: for each experiment 0 or the number of the arm, from 1

Mask = NDArray[np.bool_]

_MIX_1 = np.uint64(0xFF51AFD7ED558CCD)  # murmur3's finaliser, as in `features.hashing`
_MIX_2 = np.uint64(0xC4CEB9FE1A85EC53)
_33, _11 = np.uint64(33), np.uint64(11)
_UNIT = 2.0**-53


@numba.njit(cache=True, nogil=True, inline="always")
def _uniform(base: np.uint64, salt: np.uint64) -> float:
    h = base ^ salt
    h = (h ^ (h >> _33)) * _MIX_1
    h = (h ^ (h >> _33)) * _MIX_2
    h = h ^ (h >> _33)
    return np.float64(h >> _11) * _UNIT


@numba.njit(cache=True, nogil=True)
def _assign(
    data: Bytes,
    start: Spans,
    length: Spans,
    key: Words,
    holdout: float,
    salts: Words,
    slots: Floats,
    arm_count: Ints,
    arm_start: Floats,
    arm_end: Floats,
    is_eligible: Mask,
    out: Ints,
) -> None:
    """Codes into `out`; row e of `salts` and `slots` is experiment e, [0] of arms the control."""
    for row in range(start.size):
        base = siphash_span(data, start[row], max(length[row], 0), key[0], key[1])
        code = 0
        if _uniform(base, key[2]) >= holdout:
            radix = 1
            for e in range(arm_count.size):
                slot = _uniform(base, salts[e, 0])
                if is_eligible[e, row] and slots[e, 0] <= slot < slots[e, 1]:
                    place = _uniform(base, salts[e, 1])
                    arm = 0
                    for j in range(1, arm_count[e]):
                        if arm_start[e, j] <= place < arm_end[e, j]:
                            arm = j
                            break
                    code += (arm + 1) * radix
                radix *= RADIX
        out[row] = code


class Assignment:
    """Assigns by a plan.

    Attributes
    ----------
    experiments
        In the order of the digits of a code.
    """

    def __init__(self, plan: RoutingPlan, key: HashKey) -> None:
        self.experiments = [one for one in plan.experiments if not one.is_paused]
        self._holdout = plan.holdout
        self._key = np.array([key.low, key.high, salt_of("holdout", "", key)], dtype=np.uint64)
        names = [(one.layer, one.id) for one in self.experiments]
        salts = [[salt_of("layer", a, key), salt_of("experiment", b, key)] for a, b in names]
        self._salts = np.array(salts, dtype=np.uint64).reshape(-1, 2)
        slots = [one.slots for one in self.experiments]
        self._slots = np.array(slots, dtype=np.float64).reshape(-1, 2) / SLOT_COUNT
        self._count = np.array([len(one.arms) for one in self.experiments], dtype=np.int64)
        self._start, self._end = np.zeros((2, len(self.experiments), ARM_COUNT_MAX))
        for e, one in enumerate(self.experiments):
            for j, arm in enumerate(one.arms[1:], start=1):
                self._start[e, j], self._end[e, j] = arm.start, arm.start + arm.share
        self._wanted = [
            {name: hash64(list(values)) for name, values in one.segments.items()}
            for one in self.experiments
        ]
        self._has_segments = any(self._wanted)

    def codes(self, rows: Transactions) -> Ints:
        """Which arms each of n transactions is in, int64 (n,): see RADIX; 0 where it is in none."""
        accounts = rows.entities["account"]
        out = np.empty(len(rows), dtype=np.int64)
        _assign(
            accounts.data, accounts.start, accounts.length, self._key, self._holdout, self._salts,
            self._slots, self._count, self._start, self._end, self._eligible(rows), out,
        )  # fmt: skip
        return out

    def _eligible(self, rows: Transactions) -> Mask:
        """Which transactions are of the segments of which experiment, bool (experiments, n)."""
        found = np.ones((len(self.experiments), len(rows)), dtype=np.bool_)
        if self._has_segments:
            for e, wanted in enumerate(self._wanted):
                for name, values in wanted.items():
                    column = rows.categorical.get(name)
                    found[e] &= False if column is None else np.isin(hash64(column), values)
        return found

    def arms_of(self, code: int) -> list[tuple[RoutedExperiment, int]]:
        """What a code stands for: experiments, and the number of the arm in each."""
        found = []
        for one in self.experiments:
            code, digit = divmod(code, RADIX)
            if digit:
                found.append((one, digit - 1))
        return found


def warm() -> None:
    """Compile or load the kernel, by assigning one account."""
    arms = (RoutedArm("control", "", {}, 0.0, 0.5), RoutedArm("challenger", "", {}, 0.0, 0.5))
    one = RoutedExperiment("warm@1", "main", 0, (0, SLOT_COUNT), arms)
    zero, text = np.zeros(1, dtype=np.int64), Texts.of(["a"])
    rows = Transactions(text, zero, zero, zero, zero, {"account": text})
    Assignment(RoutingPlan(experiments=(one,)), HashKey(0, 0)).codes(rows)
