"""What of its examples a learner has too little of, for an update to be judged."""

import numpy as np

from sentinel.core.learning.awaiting import Need
from sentinel.core.learning.training_data.columns import Columns
from sentinel.core.learning.training_data.hold_out import HeldOut
from sentinel.learner.manifests import Lineage
from sentinel.learner.params import LearningParams


def needs(
    rows: Columns,
    held_out: HeldOut,
    since: Lineage,
    params: LearningParams,
    *,
    gate_begin_ms: int | None,
) -> tuple[Need, ...]:
    """What an update asks for before it makes a candidate, and the old frauds that its gate does.

    Parameters
    ----------
    rows
        Mature ones, ascending by event time.
    since
        Of the champion.
    gate_begin_ms
        Event time from which on it would be judged; None while there is too little.
    """
    unseen = rows.take(rows.examples.event_time_ms >= since.trained_until_ms)
    # Only a part of what is mature may be the gate's, the rest is trained on.
    allowed = min(len(unseen), int(params.gate_share_max * len(rows)))
    newest = unseen.take(slice(len(unseen) - allowed, len(unseen)))
    if gate_begin_ms is None:
        gate_begin_ms = int(rows.examples.event_time_ms[-1]) if len(rows) else 0
    old = held_out.between(since.held_out_since_ms, gate_begin_ms)
    gate = params.gate
    found = [
        Need("mature examples that the model has not seen", allowed, gate.example_count_min),
        Need("frauds of different accounts among them", _frauds(newest), gate.fraud_count_min),
    ]
    if allowed:
        found.append(Need("genuine among them", int((~newest.examples.is_fraud).sum()), 1))
    old_frauds = "older frauds that no model is trained on, before more than a recalibration"
    found.append(Need(old_frauds, _frauds(old), gate.fraud_count_min, is_required=False))
    return tuple(found)


def _frauds(rows: Columns) -> int:
    """Accounts with a fraud that counts."""
    return int(np.unique(rows.group[rows.examples.is_fraud & ~rows.is_selective]).size)
