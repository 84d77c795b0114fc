"""Transactions that are never trained on: what was learnt long ago is tested on them.

Which they are is told by a hash of the transaction, so that all who train leave out the same ones.
"""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from sentinel.core.features.hashing import is_drawn
from sentinel.core.learning.training_data.columns import Columns, joined, newest, no_columns
from sentinel.core.learning.training_data.examples import Bools
from sentinel.core.learning.training_data.memory import Memory, MemoryParams, empty_memory
from sentinel.records import Ints

_SALT = 0x686F6C642D6F7574  # not to know what else was sampled by the same hashes
_EVER_S = 1e10


def is_held_out(id_hash: Ints, share: float) -> Bools:
    """Which transactions are never trained on, bool (n,): with a larger share those and others.

    Parameters
    ----------
    id_hash
        int64 (n,): `hash64` of the transactions' identifiers.
    share
        In [0, 1].
    """
    return is_drawn(id_hash, _SALT, share)


@dataclass(frozen=True, slots=True)
class HeldOut:
    """What is kept of the examples that are never trained on, within a bound of rows.

    All frauds up to half of the rows, the newest; and a sample of the others by hash, in which a
    row that stands for so many as another has the same chance. The memory keeps them, in one
    stratum and without forgetting by age. Labels that came for a reason that has to do with the
    truth are left out.

    Attributes
    ----------
    rows
        One of each transaction in the memory, ascending by `id_hash`.
    """

    memory: Memory
    rows: Columns

    def with_rows(self, batch: Columns) -> Self:
        """These and the batch, all of it held out."""
        counting = np.where(batch.is_selective, 0.0, batch.examples.weight)
        flat = np.zeros(len(batch), dtype=np.int64)
        examples = replace(batch.examples, stratum=flat, weight=counting)
        memory = self.memory.with_examples(examples)
        rows = newest(joined([self.rows, replace(batch, examples=examples)]))
        kept = rows.take(np.isin(rows.examples.id_hash, memory.rows.id_hash))
        return type(self)(memory, kept)

    def between(self, begin_ms: int, end_ms: int) -> Columns:
        """Those of these event times, each with the weight of all that it stands for."""
        assert np.array_equal(self.rows.examples.id_hash, self.memory.rows.id_hash)
        weight = self.rows.examples.weight / self.memory.inclusion_probability()
        whole = replace(self.rows, examples=replace(self.rows.examples, weight=weight))
        time_ms = self.rows.examples.event_time_ms
        is_between = (time_ms >= begin_ms) & (time_ms < end_ms)
        return whole.take(is_between & (weight > 0))


def nothing_held_out(row_count_max: int, *, feature_count: int) -> HeldOut:
    """Nothing so far, and never more rows than so many; at least 2."""
    assert row_count_max >= 2
    params = MemoryParams(
        row_count_max=row_count_max,
        byte_count_max=2**62,  # the rows bound it
        fraud_count_max=row_count_max // 2,
        fraud_age_max_s=_EVER_S,
        stratum_count=1,
        floor_share=0.0,
    )
    return HeldOut(empty_memory(params, feature_count=feature_count), no_columns(feature_count))
