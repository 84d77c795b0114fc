"""Sums over the accounts of one arm: all that a comparison with dependent rows needs.

Rows of one account are alike, so an account is what is counted, and a metric is a ratio of two sums
over accounts: y of n, such as frauds of transactions, or money of transactions. With x, a covariate
of the account from before the experiment, the sums also carry what CUPED needs.
"""

from dataclasses import astuple, dataclass, fields
from typing import Any, NamedTuple, Self

import numpy as np

from sentinel.records import Floats

Number = int | float
VALUE_COUNT = 4  # of an account's vector (1, n, y, x)


class Outcome(NamedTuple):
    """What is known of an account so far, in one arm and step: y of n, and its covariate."""

    y: Number
    n: Number
    x: Number = 0


@dataclass(slots=True)
class ArmSums:
    """Sums over accounts; of whole numbers they are exact, whatever was added and taken back.

    Attributes
    ----------
    accounts
        How many there are.
    with_some, with_rest
        Accounts with y other than 0, and with y other than n: of a rate the fewer of both say how
        far the normal law can be trusted.
    n, y, x, nn, ny, nx, yy, yx, xx
        Sums over accounts of what each has, and of products.
    """

    accounts: int = 0
    with_some: int = 0
    with_rest: int = 0
    n: Number = 0
    y: Number = 0
    x: Number = 0
    nn: Number = 0
    ny: Number = 0
    nx: Number = 0
    yy: Number = 0
    yx: Number = 0
    xx: Number = 0

    def replace(self, before: Outcome | None, after: Outcome | None) -> None:
        """An account has another outcome than before; None where it does not count."""
        if before is not None:
            self._count(before, -1)
        if after is not None:
            self._count(after, 1)

    def _count(self, one: Outcome, sign: int) -> None:
        y, n, x = one
        self.accounts += sign
        self.with_some += sign * (y != 0)
        self.with_rest += sign * (y != n)
        self.n += sign * n
        self.y += sign * y
        self.x += sign * x
        self.nn += sign * n * n
        self.ny += sign * n * y
        self.nx += sign * n * x
        self.yy += sign * y * y
        self.yx += sign * y * x
        self.xx += sign * x * x

    def __add__(self, other: "ArmSums") -> "ArmSums":
        """Of the accounts of both, which are different ones."""
        return ArmSums(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    def __sub__(self, other: "ArmSums") -> "ArmSums":
        """Without the accounts of the other."""
        return ArmSums(*(a - b for a, b in zip(astuple(self), astuple(other), strict=True)))

    @property
    def rate(self) -> float:
        """y of n; NaN of nothing."""
        return self.y / self.n if self.n else float("nan")

    @property
    def positives(self) -> int:
        """Accounts with the rarer outcome."""
        return min(self.with_some, self.with_rest)

    def gram(self) -> Floats:
        """Sums of the products of (1, n, y, x) with itself, float64 (4, 4)."""
        return np.array(
            [
                [self.accounts, self.n, self.y, self.x],
                [self.n, self.nn, self.ny, self.nx],
                [self.y, self.ny, self.yy, self.yx],
                [self.x, self.nx, self.yx, self.xx],
            ],
            dtype=np.float64,
        )

    def to_dict(self) -> dict[str, Number]:
        """To store: the fields in their order."""
        return {one.name: getattr(self, one.name) for one in fields(self)}

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> Self:
        """What `to_dict` gave."""
        return cls(**stored)
