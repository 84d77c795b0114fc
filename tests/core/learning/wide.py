"""Examples with what the gate asks of them, for tests."""

from dataclasses import replace

import numpy as np
from numpy.random import default_rng

from sentinel.core.features.hashing import hash64
from sentinel.core.learning.training_data.columns import Columns
from sentinel.core.learning.training_data.examples import Bools, Examples
from sentinel.records import Floats


def columns(
    count: int, *, first: int = 0, fraud_share: float = 0.1, weight: Floats | None = None
) -> Columns:
    """Transactions numbered from `first` on, one a second, each of its own account."""
    rng = default_rng([first, count])
    places = np.arange(first, first + count, dtype=np.int64)
    is_fraud = rng.random(count) < fraud_share
    examples = Examples(
        features=np.column_stack([places, places]).astype(np.float64),
        id_hash=hash64([f"T{place}" for place in places]),
        version=places.copy(),
        event_time_ms=places * 1_000,
        stratum=np.zeros(count, dtype=np.int64),
        is_fraud=is_fraud,
        posterior=np.where(is_fraud, 0.99, 0.01),
        weight=np.ones(count) if weight is None else weight,
        is_presumed=~is_fraud,
    )
    none: Bools = np.zeros(count, dtype=np.bool_)
    return Columns(
        examples,
        account=hash64([f"A{place}" for place in places]),
        amount_minor=np.full(count, 5_000, dtype=np.int64),
        action=np.zeros(count, dtype=np.int64),
        is_selective=none,
        is_explored=none.copy(),
        is_investigated=none.copy(),
    )


def labelled(rows: Columns, is_fraud: Bools, *, later: int = 0) -> Columns:
    """The same transactions with these labels, in versions that are so much later."""
    examples = replace(
        rows.examples,
        is_fraud=is_fraud,
        posterior=np.where(is_fraud, 0.99, 0.01),
        version=rows.examples.version + later,
    )
    return replace(rows, examples=examples)
