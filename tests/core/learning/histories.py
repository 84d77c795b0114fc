"""Histories of examples to remember: columns from plain rows, and rows from hypothesis."""

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from sentinel.core.features.hashing import hash64
from sentinel.core.learning.training_data.examples import Examples


@dataclass(frozen=True)
class Row:
    """One example in plain Python; `version` is its place in the history."""

    name: str
    version: int
    time_ms: int
    stratum: int
    is_fraud: bool = False
    weight: float = 1.0
    posterior: float = 0.0


def columns(rows: list[Row]) -> Examples:
    def ints(values: list[int]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        return np.array(values, dtype=np.int64)

    version = ints([row.version for row in rows])
    is_fraud = np.array([row.is_fraud for row in rows], dtype=np.bool_)
    return Examples(
        features=np.stack([version + 0.5, np.full(len(rows), np.nan)], axis=1),
        id_hash=hash64([row.name for row in rows]),
        version=version,
        event_time_ms=ints([row.time_ms for row in rows]),
        stratum=ints([row.stratum for row in rows]),
        is_fraud=is_fraud,
        posterior=np.array([row.posterior for row in rows], dtype=np.float64),
        weight=np.array([row.weight for row in rows], dtype=np.float64),
        is_presumed=~is_fraud & (version % 2 == 0),
    )


@st.composite
def histories(draw: st.DrawFn) -> list[Row]:
    """Up to sixty examples of up to twenty-five transactions, in three strata."""
    time_ms = draw(st.lists(st.integers(0, 9), min_size=25, max_size=25))
    rows = st.tuples(
        st.integers(0, 24),
        st.integers(0, 2),
        st.booleans(),
        st.sampled_from([0.0, 1.0, 1.0, 10.0, 2.5]),
    )
    return [
        Row(f"T{who}", version, time_ms[who] * 1000, stratum, is_fraud, weight, 0.9 * is_fraud)
        for version, (who, stratum, is_fraud, weight) in enumerate(
            draw(st.lists(rows, min_size=1, max_size=60))
        )
    ]
