"""Which examples a candidate is trained on, and which calibrate it.

The newest are held out, as a model is too sure of the rows it was trained on; what is older is
trained on, with a share of the memory beside it and with fewer of the genuine.
"""

from dataclasses import dataclass, field, replace

import numpy as np

from sentinel.core.learning.training_data.examples import Bools, Examples, newest
from sentinel.core.learning.training_data.memory import Memory
from sentinel.core.learning.training_data.replay import ReplayParams, TrainingSet, training_set
from sentinel.core.learning.training_data.undersampling import is_kept, kept_share


@dataclass(frozen=True, slots=True)
class SelectionParams:
    """How many of which examples.

    Attributes
    ----------
    window_row_count
        So many examples count as new, the newest, beside those that are replayed.
    replay
        What of the memory is replayed.
    replay_ratio_max
        All that is replayed weighs at most so many times what is new, or the past would outweigh
        the present, the more the longer it was; 0 replays nothing.
    genuine_per_fraud
        Of genuine rows so many to a fraud are trained on, all if there are fewer.
    calibration_share
        The share of the new examples, the newest, on which no tree but the calibration is fitted.
    row_count_min, fraud_count_min
        With fewer rows to train on, or fewer of either class, there is no candidate.
    calibration_fraud_count_min
        The same for the frauds, and the genuine, that calibrate.
    """

    window_row_count: int = 200_000
    replay: ReplayParams = field(default_factory=ReplayParams)
    replay_ratio_max: float = 2.0  # benchmarks/forgetting.py
    genuine_per_fraud: float = 50.0
    calibration_share: float = 0.15
    row_count_min: int = 1_000
    fraud_count_min: int = 50
    calibration_fraud_count_min: int = 20

    def __post_init__(self) -> None:
        counts = (self.row_count_min, self.fraud_count_min, self.calibration_fraud_count_min)
        if min(counts) < 1:
            raise ValueError("row_count_min and the fraud counts must be at least 1")
        if self.window_row_count < self.row_count_min:
            raise ValueError("window_row_count must be at least row_count_min")
        if not 0 <= self.replay_ratio_max <= 1e6:
            raise ValueError("replay_ratio_max must be in 0..1e6")
        if not 0 < self.genuine_per_fraud <= 1e6:
            raise ValueError("genuine_per_fraud must be in (0, 1e6]")
        if not 0 < self.calibration_share < 1:
            raise ValueError("calibration_share must be in (0, 1)")


@dataclass(frozen=True, slots=True)
class Unfit:
    """The examples are not enough for a candidate; more may be."""

    reason: str


@dataclass(frozen=True, slots=True)
class Selection:
    """What one candidate is made of.

    Attributes
    ----------
    training
        What its trees are fitted on.
    kept_share
        The share of the genuine rows that is in it.
    held_out
        What calibrates it, ascending by event time.
    until_ms
        Event time at which `held_out` begins; all that trains is older.
    """

    training: TrainingSet
    kept_share: float
    held_out: Examples
    until_ms: int


def select(
    memory: Memory, new: Examples, params: SelectionParams, *, draw: int
) -> Selection | Unfit:
    """Cut the new examples in two by event time, and put a share of the memory to the older.

    Parameters
    ----------
    memory, new, draw
        As of `training_set`. Of the memory neither what is held out nor anything as new is taken,
        nor what a newer version withdraws.
    """
    last = newest(new)
    ordered = _latest(last, params.window_row_count)
    if len(ordered) == 0:
        return Unfit("there are no examples")
    cut = int((1.0 - params.calibration_share) * len(ordered))
    until_ms = int(ordered.event_time_ms[cut])
    is_older = ordered.event_time_ms < until_ms
    training = training_set(memory, ordered.take(is_older), params.replay, draw=draw)
    is_wanted = (training.rows.event_time_ms < until_ms) & (training.weight > 0)
    is_wanted &= ~training.is_replayed | ~_is_stale(training.rows, last)
    if params.replay_ratio_max == 0:
        is_wanted &= ~training.is_replayed
    training = _taken(training, is_wanted)
    share = kept_share(training.rows.is_fraud, genuine_per_fraud=params.genuine_per_fraud)
    is_there = is_kept(training.rows.id_hash, training.rows.is_fraud, share)
    training = _bounded(_taken(training, is_there), params.replay_ratio_max)
    held_out = ordered.take(~is_older)
    lack = _lack(training.rows, "to train on", params.row_count_min, params.fraud_count_min)
    lack = lack or _lack(held_out, "to calibrate on", 1, params.calibration_fraud_count_min)
    return lack or Selection(training, share, held_out, until_ms)


def unseen(examples: Examples, since_ms: int, params: SelectionParams) -> Examples | Unfit:
    """The examples that may calibrate trees which were trained until then, ascending by time."""
    later = examples.take(examples.event_time_ms >= since_ms)
    found = _latest(newest(later), params.window_row_count)
    return _lack(found, "to calibrate on", 1, params.calibration_fraud_count_min) or found


def _latest(last: Examples, row_count: int) -> Examples:
    """The latest of those that count, ascending by event time, of one example a transaction."""
    counting = last.take(last.weight * last.certainty > 0)
    order = np.argsort(counting.event_time_ms, kind="stable")  # ties by transaction
    return counting.take(order[-row_count:])


def _is_stale(rows: Examples, last: Examples) -> Bools:
    """Of which transactions something newer is known, ascending by `id_hash` in `last`."""
    at = np.minimum(np.searchsorted(last.id_hash, rows.id_hash), len(last) - 1)
    found: Bools = (last.id_hash[at] == rows.id_hash) & (last.version[at] > rows.version)
    return found


def _taken(training: TrainingSet, at: Bools) -> TrainingSet:
    return TrainingSet(training.rows.take(at), training.weight[at], training.is_replayed[at])


def _bounded(training: TrainingSet, ratio_max: float) -> TrainingSet:
    """The rows with the weights of what is replayed lowered alike, if they add up to too much."""
    replayed = float(training.weight[training.is_replayed].sum())
    allowed = ratio_max * float(training.weight[~training.is_replayed].sum())
    if replayed <= allowed:
        return training
    factor = np.where(training.is_replayed, allowed / replayed, 1.0)
    lighter = replace(training, weight=factor * training.weight)
    return _taken(lighter, lighter.weight > 0)


def _lack(rows: Examples, purpose: str, row_count_min: int, fraud_count_min: int) -> Unfit | None:
    fraud_count = int(np.count_nonzero(rows.is_fraud))
    genuine_count = len(rows) - fraud_count
    if len(rows) < row_count_min:
        return Unfit(f"{len(rows)} examples {purpose}, at least {row_count_min} are needed")
    if min(fraud_count, genuine_count) < fraud_count_min:
        return Unfit(
            f"{fraud_count} frauds and {genuine_count} genuine {purpose}, "
            f"at least {fraud_count_min} of each are needed"
        )
    return None
