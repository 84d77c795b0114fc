"""What a tree cannot see in a column's values: how common they are, and the amount's decimals.

No label is looked at here.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl

from benchmarks.card_groups import ACCOUNT
from sentinel.records import Floats

# Codes of a card or an address have no order that a tree could split by; how common each is has
# one. Combinations tell apart what one column alone does not.
COUNTED: tuple[tuple[str, ...], ...] = (
    *((name,) for name in ("card1", "card2", "card3", "card5", "addr1", "addr2")),
    ("R_emaildomain",),
    ("DeviceInfo",),
    ("TransactionAmt",),
    ("card1", "addr1"),
    ACCOUNT,
    ("ProductCD", "TransactionAmt"),
    ("card1", "TransactionAmt"),
)


def value_counts(
    frame: pl.DataFrame, train_count: int, counted: Sequence[tuple[str, ...]] = COUNTED
) -> tuple[Floats, list[str]]:
    """Of how many training rows each row shares the values, (n, len(counted)), and the names.

    A value that the training rows do not have counts 0, however common it gets.

    Parameters
    ----------
    train_count
        So many rows at the start are counted.
    counted
        The columns whose values are taken together, for each number; a missing value is one, too.
    """
    result = np.empty((len(frame), len(counted)))
    for j, names in enumerate(counted):
        columns = frame.select(names)
        known = columns.head(train_count).group_by(names).len()
        joined = columns.join(known, on=names, how="left", nulls_equal=True, maintain_order="left")
        result[:, j] = joined["len"].fill_null(0).to_numpy()
    return result, ["count_" + "_".join(names) for names in counted]


def amount_decimals(frame: pl.DataFrame) -> tuple[Floats, list[str]]:
    """What follows the amount's point, in thousandths, and in how many digits, (n, 2); the names.

    Amounts converted from another currency have three digits.
    """
    thousandths = np.round(frame["TransactionAmt"].to_numpy() * 1_000).astype(np.int64) % 1_000
    digits = np.select([thousandths % 10 != 0, thousandths % 100 != 0, thousandths != 0], [3, 2, 1])
    names = ["amount_thousandths", "amount_digits"]
    return np.column_stack([thousandths, digits]).astype(np.float64), names
