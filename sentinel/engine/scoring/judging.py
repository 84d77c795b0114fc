"""What the models say of a batch, whichever of them can say something.

A champion that cannot score what has come is left for the version before it, and the whole batch
is decided by that one; a shadow is dropped. Where there is nothing to go back to, rules of thumb
decide what has no score, and its decision says that no model has looked at it; or nothing does, and
the records wait.
"""

import logging
import time
from dataclasses import dataclass, field, replace

import numpy as np

from sentinel.codec.decisions import Verdicts
from sentinel.core.decision import PolicyParams
from sentinel.core.exploration import is_shadowed
from sentinel.core.fallback import APPROVING, FallbackParams
from sentinel.core.features.hashing import hash64
from sentinel.engine.scoring.arms.routing_table import Routed, RoutingTable
from sentinel.engine.scoring.deciding import Arm, decide
from sentinel.engine.scoring.serving import Serving
from sentinel.errors import ModelError, TransientError
from sentinel.metrics import Metrics
from sentinel.records import Floats, Ints, Transactions
from sentinel.serving_model import ServingModel

log = logging.getLogger(__name__)

_SLOW_ROW_COUNT = 512  # as in the trial of a version


@dataclass(frozen=True, slots=True)
class Rules:
    """What the configuration says of decisions, exchanged as a whole.

    Attributes
    ----------
    policy
        Arms of experiments go over it.
    shadow_share
        The share of the transactions that a shadow scores, too.
    config_version
        Of the configuration that says so: every decision names it.
    """

    policy: PolicyParams
    shadow_share: float
    config_version: str = ""


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
        The rows of which no model could say anything: rules of thumb have decided.
    fallen_back
        The rows of an arm whose model cannot score here, so that the champion has.
    slow
        The versions that took longer for their rows than a version may.
    config_version
        Of the rules that it was judged by.
    """

    verdicts: Verdicts
    arms: tuple[Arm, ...]
    shadow_version: str
    unscored: list[int]
    fallen_back: list[int] = field(default_factory=list)
    slow: frozenset[str] = frozenset()
    config_version: str = ""


class Judge:
    """Asks the models that serve.

    Parameters
    ----------
    batch_s_max
        How long a version of an experiment may take for 512 rows; longer is slow.
        fallback
        What becomes of rows that no model can score.

    Attributes
    ----------
    rules
        Whoever exchanges them does so between two batches: one is judged in one go.
    """

    def __init__(
        self,
        serving: Serving,
        rules: Rules,
        metrics: Metrics,
        *,
        batch_s_max: float = 0.25,
        fallback: FallbackParams = APPROVING,
    ) -> None:
        self._serving = serving
        self.rules = rules
        self._metrics = metrics
        self._batch_s_max = batch_s_max
        self._fallback = fallback
        self._slow: set[str] = set()

    def judge(self, rows: Transactions, features: Floats) -> JudgedBatch:
        """What is to become of rows with these features.

        Raises TransientError when no model can score all of them and nothing else may decide.
        """
        if self._serving.routing is not None:
            return self._judge_by_arms(self._serving.routing, rows, features)
        raw = self._champion_scores(features)
        arms = (Arm(self._serving.champion, self.rules.policy),)
        arm_of = np.zeros(len(rows), dtype=np.int64)
        unscored = self._unscored(raw)
        verdicts = decide(rows, features, arms, arm_of, raw, self._fallback)
        verdicts, shadow_version = self._beside(rows, verdicts)
        version = self.rules.config_version
        return JudgedBatch(verdicts, arms, shadow_version, unscored, config_version=version)

    def _judge_by_arms(
        self, table: RoutingTable, rows: Transactions, features: Floats
    ) -> JudgedBatch:
        """The same while experiments run: each arm's model scores its own rows, once."""
        routed, raw = self._arm_scores(table, rows, features)
        unscored = self._unscored(raw)
        verdicts = decide(rows, features, routed.arms, routed.arm_of, raw, self._fallback)
        if table.shadow is None:
            verdicts, shadow_version = self._beside(rows, verdicts)
        else:
            verdicts = self._shadowed(verdicts, table.shadow, routed.shadowed)
            shadow_version = table.shadow.version
        fallback = np.array([arm.is_fallback for arm in routed.arms])[routed.arm_of]
        return JudgedBatch(
            verdicts,
            routed.arms,
            shadow_version,
            unscored,
            np.flatnonzero(fallback).tolist(),
            frozenset(self._slow),
            self.rules.config_version,
        )

    def _unscored(self, raw: Floats) -> list[int]:
        """The rows without a score, counted; they are to be decided by something else."""
        found: list[int] = np.flatnonzero(np.isnan(raw)).tolist()
        if found and self._fallback.after == "refuse":
            version = self._serving.champion.version
            why = self._serving.failed.get(version, "it has no score")
            raise TransientError(
                f"model {version}: {why}; no other can score, and fallback.after is "
                '"refuse": the records wait'
            )
        self._metrics.unscored += len(found)
        return found

    def _beside(self, rows: Transactions, verdicts: Verdicts) -> tuple[Verdicts, str]:
        """With the scores of the registry's shadow, and its version; empty without one."""
        shadow = self._serving.shadow
        if shadow is None:
            return verdicts, ""
        share = is_shadowed(hash64(rows.transaction_id), self.rules.shadow_share)
        verdicts = self._shadowed(verdicts, shadow, np.flatnonzero(share))
        return verdicts, "" if self._serving.shadow is None else shadow.version

    def _arm_scores(
        self, table: RoutingTable, rows: Transactions, features: Floats
    ) -> tuple[Routed, Floats]:
        """Raw scores by the model of each row's arm; routed anew where one turns out to fail."""
        while True:
            self._slow.clear()
            champion, failed_count = self._serving.champion, len(self._serving.failed)
            routed = table.route(rows, champion, self._serving.failed, self.rules.policy)
            raw = np.full(len(rows), np.nan)
            models = {arm.model.version: arm.model for arm in routed.arms}
            of_arm = np.array([list(models).index(arm.model.version) for arm in routed.arms])
            by_model = of_arm[routed.arm_of]
            for number, model in enumerate(models.values()):
                at = np.flatnonzero(by_model == number)
                if not at.size:
                    continue
                own = features if at.size == len(rows) else features[at]
                begin_s = time.perf_counter()
                if model is champion:
                    raw[at] = self._champion_scores(own)
                    if self._serving.champion is not champion:
                        break
                else:
                    raw[at] = self._challenger_scores(model, own)
                may_s = self._batch_s_max * max(at.size / _SLOW_ROW_COUNT, 1.0)
                if time.perf_counter() - begin_s > may_s:
                    self._slow.add(model.version)
            if self._serving.champion is champion and (
                len(self._serving.failed) == failed_count or self._serving.is_blind
            ):
                return routed, raw

    def _challenger_scores(self, model: ServingModel, features: Floats) -> Floats:
        """Raw scores of an arm's model; it takes no part any more if there are not all."""
        begin_s = time.perf_counter()
        raw, why = _tried(model, features)
        self._metrics.version_score_s[model.version] += time.perf_counter() - begin_s
        if why:
            self._serving.fail(model.version, why)
            self._note_failure(model.version)
            log.error("model %s: %s; the champion decides in its arm", model.version, why)
        return raw

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
                log.error("model %s: %s; %s", model.version, why, self._instead())
            return raw

    def _instead(self) -> str:
        if self._fallback.after == "refuse":
            return "no other can score: records wait"
        return "rules of thumb decide what has no score"

    def _note_failure(self, version: str) -> None:
        self._metrics.scoring_failures += 1
        self._metrics.version_failures[version] += 1

    def _shadowed(self, verdicts: Verdicts, shadow: ServingModel, at: Ints) -> Verdicts:
        """With the shadow's scores of some of the rows."""
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
