"""What the models say of a batch, whichever of them can say something.

A champion that cannot score what has come is left for the version before it, and the whole batch
is decided by that one; a shadow is dropped. Where there is nothing to go back to, what has no score
is approved: without a model there is no reason to stop a payment, and its decision says that none
has looked at it.
"""

import logging
import time
from dataclasses import dataclass, replace

import numpy as np

from sentinel.codec.decisions import Verdicts
from sentinel.core.decision import PolicyParams
from sentinel.core.exploration import is_shadowed
from sentinel.core.features.hashing import hash64
from sentinel.engine.scoring.deciding import Arm, decide
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
    arms
        Who has decided; a row's is `verdicts.arm`.
    shadow_version
        What scores beside it; empty if nothing does.
    unscored
        The rows of which no model could say anything.
    """

    verdicts: Verdicts
    arms: tuple[Arm, ...]
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
        arms = (Arm(self._serving.champion, self._policy),)
        arm_of = np.zeros(len(rows), dtype=np.int64)
        unscored = np.flatnonzero(np.isnan(raw)).tolist()
        self._metrics.unscored += len(unscored)
        verdicts = decide(rows, features, arms, arm_of, raw)
        if self._serving.shadow is not None:
            verdicts = self._shadowed(rows, verdicts, self._serving.shadow)
        shadow = self._serving.shadow
        return JudgedBatch(verdicts, arms, "" if shadow is None else shadow.version, unscored)

    def _champion_scores(self, features: Floats) -> Floats:
        """Raw scores of what is the champion then; NaN where there are none to be had."""
        while True:
            model = self._serving.champion
            begin_s = time.perf_counter()
            raw, why = _tried(model, features)
            self._metrics.version_score_s[model.version] += time.perf_counter() - begin_s
            if not why:
                return raw
            was_blind = self._serving.is_blind
            if self._serving.fail(model.version, why):
                self._note_failure(model.version)
                after = self._serving.champion.version
                log.error("model %s: %s; %s serves again", model.version, why, after)
                continue
            if not was_blind:
                self._note_failure(model.version)
                log.error("model %s: %s; what has no score is approved", model.version, why)
            return raw

    def _note_failure(self, version: str) -> None:
        self._metrics.scoring_failures += 1
        self._metrics.version_failures[version] += 1

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
