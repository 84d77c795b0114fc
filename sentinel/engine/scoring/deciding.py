"""From scores to decisions: what each arm's policy makes of the scores of the arm's model."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sentinel.codec.decisions import ArmStamp, Verdicts
from sentinel.core.decision import APPROVE, SEVERITIES, Codes, PolicyParams, actions, severities
from sentinel.core.exploration import exploration, explored_actions
from sentinel.core.fallback import APPROVING, FallbackParams, ruled
from sentinel.records import Floats, Transactions
from sentinel.serving_model import ServingModel

CHAMPION = "champion"


@dataclass(frozen=True, slots=True)
class Arm:
    """Who decides some of the transactions: a model, and a policy over its probabilities.

    Attributes
    ----------
    propensity
        How likely a transaction was to be decided by this arm, in (0, 1].
    experiment
        Of which it is an arm, and at which step; empty outside of all experiments. Of several at
        once, names and experiments are joined by "+".
    is_fallback
        Whether the arm has another model, which cannot score here: the champion does.
    is_loading
        Whether that is because its model is on its way: no failure of it.
    """

    model: ServingModel
    policy: PolicyParams
    name: str = CHAMPION
    propensity: float = 1.0
    experiment: str = ""
    is_fallback: bool = False
    is_loading: bool = False

    @property
    def full_name(self) -> str:
        """What it is called where arms of several experiments are told apart."""
        return f"{self.experiment}:{self.name}" if self.experiment else self.name

    def stamp(self) -> ArmStamp:
        """What its decisions have in common."""
        return ArmStamp(
            name=self.name,
            model_version=self.model.version,
            recommended=tuple(self.policy.recommended.get(name, ()) for name in SEVERITIES),
            explore_share=self.policy.explore_share,
            propensity=self.propensity,
            experiment=self.experiment,
        )


def decide(
    rows: Transactions,
    features: Floats,
    arms: Sequence[Arm],
    arm_of: Codes,
    raw: Floats,
    fallback: FallbackParams = APPROVING,
) -> Verdicts:
    """What is to become of n rows; a row depends on no other one.

    Parameters
    ----------
    features
        (n, n_features): they go into the decisions.
    arm_of
        (n,): which of the arms decides each row.
    raw
        (n,): the raw score by that arm's model; NaN where it has none: rules of thumb decide, and
        there is neither score nor probability.
    """
    unscored = np.flatnonzero(np.isnan(raw))
    raw = np.where(np.isnan(raw), -np.inf, raw)  # for the policy of its arm it is of no interest
    score, probability = np.empty_like(raw), np.empty_like(raw)
    action, severity = np.empty_like(arm_of), np.empty_like(arm_of)
    explored: dict[int, bool] = {}
    for number, arm in enumerate(arms):
        at = slice(None) if len(arms) == 1 else np.flatnonzero(arm_of == number)
        if isinstance(at, np.ndarray) and not at.size:
            continue
        score[at] = arm.model.score(raw[at])
        probability[at] = own = arm.model.probability(raw[at])
        action[at] = actions(own, arm.policy)
        severity[at] = severities(own, arm.policy)
        if arm.policy.explore_share:
            of_arm = np.where(arm_of == number, action, APPROVE)
            explored |= exploration(rows.transaction_id, rows.amount_minor, of_arm, arm.policy)
    action = explored_actions(action, explored)
    rules: dict[int, str] = {}
    if unscored.size:
        found = ruled(rows.amount_minor[unscored], fallback)
        action = action.copy()
        action[unscored], severity[unscored] = found.action, found.severity
        score[unscored] = probability[unscored] = np.nan
        rules = {int(unscored[i]): rule for i, rule in found.hits.items()}
    return Verdicts(score, probability, action, severity, arm_of, features, explored, rules=rules)
