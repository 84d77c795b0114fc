"""What the models say of a batch, whichever of them can say something.

A champion that cannot score what has come is left for the version before it, and the whole batch
is decided by that one; a shadow is dropped. Where there is nothing to go back to, what has no score
is approved: without a model there is no reason to stop a payment, and its decision says that none
has looked at it.
"""

import logging
from dataclasses import dataclass, replace

import numpy as np

from sentinel.codec.decisions import Verdicts
from sentinel.core.decision import PolicyParams, actions, severities
from sentinel.core.exploration import exploration, explored_actions, is_shadowed
from sentinel.core.features.hashing import hash64
from sentinel.engine.scoring.serving import Serving
from sentinel.errors import ModelError
from sentinel.metrics import Metrics
from sentinel.records import Floats, Transactions
from sentinel.serving_model import ServingModel

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class JudgedBatch:
    """A batch with all that the models say of it.

    Attributes
    ----------
    model
        The one that has decided all of it.
    shadow_version
        What scores beside it; empty if nothing does.
    unscored
        The rows of which no model could say anything.
    """

    verdicts: Verdicts
    model: ServingModel
    shadow_version: str
    unscored: list[int]


class Judge:
    """Asks the models that serve.

    Parameters
    ----------
    shadow_share
        The share of the transactions that a shadow scores, too.
    """

    def __init__(
        self, serving: Serving, policy: PolicyParams, metrics: Metrics, *, shadow_share: float
    ) -> None:
        self._serving = serving
        self._policy = policy
        self._metrics = metrics
        self._shadow_share = shadow_share

    def judge(self, rows: Transactions, features: Floats) -> JudgedBatch:
        """What is to become of rows with these features."""
        raw = self._champion_scores(features)
        model = self._serving.champion
        is_unscored = np.isnan(raw)
        unscored = np.flatnonzero(is_unscored).tolist()
        self._metrics.unscored += len(unscored)
        # The least of all log-odds: neither score nor probability, and no action.
        verdicts = self._verdicts(rows, features, model, np.where(is_unscored, -np.inf, raw))
        if self._serving.shadow is not None:
            verdicts = self._shadowed(rows, verdicts, self._serving.shadow)
        shadow = self._serving.shadow
        return JudgedBatch(verdicts, model, "" if shadow is None else shadow.version, unscored)

    def _champion_scores(self, features: Floats) -> Floats:
        """Raw scores of what is the champion then; NaN where there are none to be had."""
        while True:
            model = self._serving.champion
            raw, why = _tried(model, features)
            if not why:
                return raw
            was_blind = self._serving.is_blind
            if self._serving.fail(model.version, why):
                self._metrics.scoring_failures += 1
                after = self._serving.champion.version
                log.error("model %s: %s; %s serves again", model.version, why, after)
                continue
            if not was_blind:
                self._metrics.scoring_failures += 1
                log.error("model %s: %s; what has no score is approved", model.version, why)
            return raw

    def _verdicts(
        self, rows: Transactions, features: Floats, model: ServingModel, raw: Floats
    ) -> Verdicts:
        probability = model.probability(raw)
        action = actions(probability, self._policy)
        explored = exploration(rows.transaction_id, rows.amount_minor, action, self._policy)
        return Verdicts(
            score=model.score(raw),
            probability=probability,
            action=explored_actions(action, explored),
            severity=severities(probability, self._policy),
            features=features,
            explored=explored,
        )

    def _shadowed(self, rows: Transactions, verdicts: Verdicts, shadow: ServingModel) -> Verdicts:
        """With the shadow's scores of a share of the rows, the same ones each time."""
        at = np.flatnonzero(is_shadowed(hash64(rows.transaction_id), self._shadow_share))
        if at.size == 0:
            return verdicts
        raw, why = _tried(shadow, verdicts.features[at])
        if why:
            self._serving.fail(shadow.version, why)
            self._metrics.shadow_failures += 1
            log.error("model %s: %s; it scores beside the champion no more", shadow.version, why)
            return verdicts
        self._metrics.shadowed += at.size
        scores = shadow.score(raw).tolist()
        return replace(verdicts, shadow=dict(zip(at.tolist(), scores, strict=True)))


def _tried(model: ServingModel, features: Floats) -> tuple[Floats, str]:
    """Raw scores, and why there are not all; NaN stands for those that are missing."""
    try:
        raw = model.model.raw_scores(features)
    except ModelError as error:
        return np.full(len(features), np.nan), f"it cannot score: {error.detail}"
    if np.isnan(raw).any():
        return raw, "it has no score for some transactions"
    return raw, ""
