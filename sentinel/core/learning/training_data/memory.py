"""What a trainer remembers of all examples there ever were, within a bound of rows and of bytes.

Two parts share the rows. The recent frauds, all of them up to a number and an age; and a sample of
the whole history, in which every stratum has a floor of rows, so that many do not wash out few.

The sample is a priority sample (Duffield, Lund and Thorup, Priority sampling for estimation of
arbitrary subset sums, JACM 54, 2007): the rows with the smallest keys u / w, with w the example's
weight and u in [0, 1) a hash of its transaction instead of chance. A row is in it iff its key is
below a threshold that the others set, so that it was in with probability min(1, w * threshold), and
sums over rows divided by that are unbiased (rank conditioning: Cohen and Kaplan, Summarizing data
using bottom-k sketches, PODC 2007). Unlike Efraimidis and Spirakis' u ** (1 / w) its key is one
division, which is the same to the bit everywhere.

Keys only ever fall and thresholds only ever fall, hence what was turned away never has to come
back, and the memory depends on which examples there were but not on how they were batched, nor on
whether some came twice. Nor on their order, if the versions of one transaction come in theirs, as
in a partition of Kafka: otherwise a bounded memory would have to know each version it forgot.

A row stands for a transaction in a stratum. When a newer version is in another stratum or withdraws
it, the row stays as a ghost which is never learnt from: whom it kept out cannot come back either.
"""

from dataclasses import dataclass

import numpy as np

from sentinel.core.features.hashing import rehashed, uniform
from sentinel.core.learning.training_data.examples import Bools, Examples, joined, no_examples
from sentinel.records import Floats, Ints

_SALT = 0x72656D656D626572  # not to know what `maturity.is_sampled` took; it may never change
# Of a row without its features: seven columns of eight bytes and four of one.
_ROW_BYTE_COUNT = 7 * 8 + 4
_LONG_AGO_MS = -(2**62)


@dataclass(frozen=True, slots=True)
class MemoryParams:
    """How much is remembered.

    Attributes
    ----------
    row_count_max, byte_count_max
        The memory never has more rows, nor its columns more bytes. While examples are added, both
        the old memory and the new one exist.
    fraud_count_max, fraud_age_max_s
        Frauds are all remembered up to this number, the newest, but for half of the rows at most,
        and up to this age, in event time behind the newest example: one that is dated years ahead
        makes all frauds old, and must not come here.
    stratum_count
        Strata are numbered below it.
    floor_share
        The share of the sample's rows that is divided among the strata, as many for each, as far as
        it has examples. What a stratum leaves is not lost.
    """

    row_count_max: int = 200_000
    byte_count_max: int = 256 * 2**20
    fraud_count_max: int = 50_000
    fraud_age_max_s: float = 180 * 86_400.0
    stratum_count: int = 64
    floor_share: float = 0.5

    def __post_init__(self) -> None:
        if self.row_count_max < 1 or self.byte_count_max < 1:
            raise ValueError("row_count_max and byte_count_max must be at least 1")
        if self.fraud_count_max < 0 or not 0 <= self.fraud_age_max_s <= 1e10:
            raise ValueError("expected fraud_count_max >= 0 and fraud_age_max_s in 0..1e10")
        if not 1 <= self.stratum_count <= 65_536:
            raise ValueError("stratum_count must be in 1..65536")
        if not 0 <= self.floor_share <= 1:
            raise ValueError("floor_share must be in [0, 1]")


@dataclass(frozen=True, slots=True)
class Memory:
    """The remembered rows, ascending by `id_hash` and stratum, and what was needed to choose them.

    Attributes
    ----------
    rows
        Of a live row, the example that counts. A ghost's version is the newest of its transaction.
    is_live
        bool (n,): whether there is something to learn from it, else it is a ghost.
    is_recent_fraud
        bool (n,): whether it is kept as a recent fraud; some version of it in its stratum was one.
    sampling_weight
        float64 (n,): the largest weight it had in its stratum; 0 if it is not in the sample.
    stratum_threshold
        float64 (stratum_count,): the smallest key in the stratum that has no place in its floor.
    threshold
        The smallest key that has no place at all; infinite as long as there is place.
    newest_ms
        The event time of the newest example.
    """

    params: MemoryParams
    rows: Examples
    is_live: Bools
    is_recent_fraud: Bools
    sampling_weight: Floats
    stratum_threshold: Floats
    threshold: float = np.inf
    newest_ms: int = _LONG_AGO_MS

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def byte_count(self) -> int:
        own = (self.is_live, self.is_recent_fraud, self.sampling_weight, self.stratum_threshold)
        return self.rows.byte_count + sum(column.nbytes for column in own)

    def inclusion_probability(self) -> Floats:
        """How likely each row was to be remembered, float64 (n,), in (0, 1].

        1 of a recent fraud, else min(1, sampling weight * the larger of both thresholds). For those
        few transactions which have a ghost beside them it is an approximation, too large or small
        by one place of the sample, because the ghost draws the same number.
        """
        threshold = np.maximum(self.stratum_threshold[self.rows.stratum], self.threshold)
        sampled = np.minimum(_times(self.sampling_weight, threshold), 1.0)
        return np.where(self.is_recent_fraud, 1.0, sampled)

    def with_examples(self, batch: Examples) -> "Memory":
        """The memory that has seen these, too; it costs a sort of the memory and the batch."""
        assert batch.features.shape[1] == self.rows.features.shape[1]
        assert np.all(batch.stratum < self.params.stratum_count)
        if len(batch) == 0:
            return self
        units = _merged(self, batch)
        newest_ms = max(self.newest_ms, int(batch.event_time_ms.max()))
        key = _key(units.rows.id_hash, units.sampling_weight)
        _, fraud_count_max, sample_count_max, floor_count = _places(self.params, batch)
        in_floor, stratum_threshold = _floors(units, key, floor_count, self.stratum_threshold)
        in_fill, threshold = _fill(key, in_floor, sample_count_max, self.threshold)
        in_sample = in_floor | in_fill
        is_recent = _recent_frauds(units, newest_ms, fraud_count_max, self.params)
        kept = in_sample | is_recent
        return Memory(
            self.params,
            units.rows.take(kept),
            units.is_live[kept],
            is_recent[kept],
            np.where(in_sample, units.sampling_weight, 0.0)[kept],
            stratum_threshold,
            threshold,
            newest_ms,
        )


def empty_memory(params: MemoryParams, *, feature_count: int) -> Memory:
    """A memory of nothing; raises ValueError if the bytes are too few for a row of each stratum."""
    rows = no_examples(feature_count)
    if _places(params, rows)[0] < params.stratum_count:
        raise ValueError("row_count_max or byte_count_max is too small for a row of each stratum")
    none = np.empty(0, dtype=np.bool_)
    thresholds = np.full(params.stratum_count, np.inf)
    return Memory(params, rows, none, none, np.empty(0), thresholds)


@dataclass(frozen=True, slots=True)
class _Units:
    """One row for each transaction and stratum, ascending by both; columns as in `Memory`."""

    rows: Examples
    is_live: Bools
    is_recent_fraud: Bools
    sampling_weight: Floats


def _places(params: MemoryParams, like: Examples) -> tuple[int, int, int, int]:
    """How many rows there are: in all, for frauds, for the sample, and for a stratum's floor."""
    row_byte_count = 8 * like.features.shape[1] + _ROW_BYTE_COUNT
    by_bytes = (params.byte_count_max - 8 * params.stratum_count) // row_byte_count
    row_count = max(min(params.row_count_max, by_bytes), 0)
    fraud_count = min(params.fraud_count_max, row_count // 2)
    sample_count = row_count - fraud_count
    return (
        row_count,
        fraud_count,
        sample_count,
        int(params.floor_share * sample_count) // params.stratum_count,
    )


def _merged(memory: Memory, batch: Examples) -> _Units:
    """Of the remembered and the new the newest in each stratum, with what the older ones leave."""
    rows = joined([memory.rows, batch])
    counts = batch.weight > 0
    is_live = np.concatenate([memory.is_live, counts])
    was_fraud = np.concatenate([memory.is_recent_fraud, batch.is_fraud & counts])
    weight = np.concatenate([memory.sampling_weight, batch.weight])
    order = np.lexsort((rows.version, rows.stratum, rows.id_hash))
    id_hash, stratum, version = (c[order] for c in (rows.id_hash, rows.stratum, rows.version))
    is_other_id = np.diff(id_hash) != 0
    first = np.flatnonzero(np.append(True, is_other_id | (np.diff(stratum) != 0)))
    last = np.append(first[1:], order.size) - 1
    # The newest version of the transaction in any stratum; the rows of one are neighbours.
    first_of_id = np.flatnonzero(np.append(True, is_other_id))
    row_count_of_id = np.diff(np.append(first_of_id, order.size))
    newest = np.repeat(np.maximum.reduceat(version, first_of_id), row_count_of_id)[last]
    units = rows.take(order[last])
    is_live = is_live[order[last]] & (units.version == newest)
    units.version[:] = newest
    return _Units(
        units,
        is_live,
        np.logical_or.reduceat(was_fraud[order], first),
        np.maximum.reduceat(weight[order], first),
    )


def _key(id_hash: Ints, weight: Floats) -> Floats:
    """The priority of each row, the smaller the better, float64 (n,); infinite of weight 0."""
    u = uniform(rehashed(id_hash, _SALT))
    return np.divide(u, weight, out=np.full(u.size, np.inf), where=weight > 0)


def _floors(units: _Units, key: Floats, floor_count: int, before: Floats) -> tuple[Bools, Floats]:
    """Which rows are the `floor_count` best of their stratum, and each stratum's next key."""
    stratum = units.rows.stratum
    order = np.lexsort((units.rows.id_hash, key, stratum))
    ranked = stratum[order]
    rank = np.empty(order.size, dtype=np.int64)
    rank[order] = np.arange(order.size) - np.searchsorted(ranked, ranked, side="left")
    in_floor = (rank < floor_count) & np.isfinite(key)
    after = before.copy()
    is_out = ~in_floor
    np.minimum.at(after, stratum[is_out], key[is_out])
    return in_floor, after


def _fill(
    key: Floats, in_floor: Bools, sample_count_max: int, before: float
) -> tuple[Bools, float]:
    """Which of the other rows take the places that the floors leave, and the next key."""
    place_count = sample_count_max - int(np.count_nonzero(in_floor))
    assert place_count >= 0
    # Ascending by transaction already, so that a stable sort breaks ties by it.
    others = np.flatnonzero(~in_floor & np.isfinite(key))
    ranked = others[np.argsort(key[others], kind="stable")]
    in_fill = np.zeros(key.size, dtype=np.bool_)
    in_fill[ranked[:place_count]] = True
    turned_away = ranked[place_count : place_count + 1]
    return in_fill, min(before, float(np.min(key[turned_away], initial=np.inf)))


def _recent_frauds(
    units: _Units, newest_ms: int, fraud_count_max: int, params: MemoryParams
) -> Bools:
    """Which rows are kept as frauds: the newest that are not too old, ties as they stand."""
    oldest_ms = newest_ms - round(params.fraud_age_max_s * 1000)
    time = units.rows.event_time_ms
    candidates = np.flatnonzero(units.is_recent_fraud & (time >= oldest_ms))
    chosen = candidates[np.argsort(-time[candidates], kind="stable")[:fraud_count_max]]
    is_recent = np.zeros(time.size, dtype=np.bool_)
    is_recent[chosen] = True
    return is_recent


def _times(weight: Floats, threshold: Floats) -> Floats:
    """The product, with 0 for a weight of 0 and an infinite threshold."""
    return np.multiply(weight, threshold, out=np.zeros(weight.size), where=weight > 0)
