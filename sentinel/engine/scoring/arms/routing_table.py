"""Which arm decides a transaction here: a plan, with the models that it names."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np

from sentinel.core.decision import Codes, PolicyParams
from sentinel.core.experiments.assignment.assigning import Assignment
from sentinel.core.experiments.assignment.siphash import HashKey
from sentinel.core.experiments.definition import policy_over
from sentinel.engine.scoring.deciding import Arm
from sentinel.records import Ints, Transactions
from sentinel.serving_model import ServingModel
from sentinel.stored.routing import RoutedExperiment, RoutingPlan


@dataclass(frozen=True, slots=True)
class Routed:
    """A batch by its arms.

    Attributes
    ----------
    arms
        Who decides; more than the batch may have.
    arm_of
        (n,): the number of each row's.
    shadowed
        The rows that the challenger of a shadow experiment scores, too; empty without one.
    """

    arms: tuple[Arm, ...]
    arm_of: Codes
    shadowed: Ints


class RoutingTable:
    """Routes by a plan.

    Parameters
    ----------
    models
        By version, those of the plan that can serve here; an arm without one falls back.
    loading
        Versions that are on their way: to wait for them is no failure.
    """

    def __init__(
        self,
        plan: RoutingPlan,
        key: HashKey,
        models: Mapping[str, ServingModel],
        loading: Collection[str] = (),
    ) -> None:
        self.plan = plan
        self._loading = frozenset(loading)
        self._assignment = Assignment(plan, key)
        self._models = models
        self._policy: PolicyParams | None = None
        self._champion: ServingModel | None = None
        self._failed: frozenset[str] = frozenset()
        self._arms: list[Arm] = []
        self._numbers: dict[int, int] = {}  # of arms, by the code of an assignment
        self._shadows: dict[int, bool] = {}  # whether a code's rows are shadowed
        self.shadow = self._shadow()

    def _shadow(self) -> ServingModel | None:
        """The model that scores beside; None without one, or where it cannot."""
        versions = [one.arms[1].version for one in self._assignment.experiments if one.is_shadow]
        return self._models.get(versions[0]) if versions else None

    def route(
        self,
        rows: Transactions,
        champion: ServingModel,
        failed: Mapping[str, str],
        policy: PolicyParams,
    ) -> Routed:
        """Who decides each of n rows, given what serves now and which versions have failed here.

        The arms are those that any batch had so far, so that what depends on them stays the same.

        Parameters
        ----------
        policy
            Of the configuration: arms that set something go over it.
        """
        is_same = champion is self._champion and policy is self._policy
        if not is_same or self._failed != failed.keys():
            self._champion, self._failed = champion, frozenset(failed)
            self._policy = policy
            self._arms, self._numbers, self._shadows = [], {}, {}
        codes = self._assignment.codes(rows)
        found, at = np.unique(codes, return_inverse=True)
        for code in found.tolist():
            if code not in self._numbers:
                self._add(code, champion, policy)
        arm_of = np.array([self._numbers[code] for code in found.tolist()], dtype=np.int64)[at]
        return Routed(tuple(self._arms), arm_of, self._shadowed(found, at))

    def _shadowed(self, found: Ints, at: Ints) -> Ints:
        if self.shadow is None or self.shadow.version in self._failed:
            return np.empty(0, dtype=np.int64)
        return np.flatnonzero(np.array([self._shadows[code] for code in found.tolist()])[at])

    def _add(self, code: int, champion: ServingModel, policy: PolicyParams) -> None:
        """The arm of a code: of several experiments at once each one gives what it sets."""
        taken = self._assignment.arms_of(code)
        arm = Arm(champion, policy)
        for one, number in taken:
            arm = self._under(arm, one, number)
        self._shadows[code] = any(one.is_shadow and number == 1 for one, number in taken)
        names = [other.full_name for other in self._arms]
        if arm.full_name not in names:
            self._arms.append(arm)
            names.append(arm.full_name)
        self._numbers[code] = names.index(arm.full_name)

    def _under(self, arm: Arm, one: RoutedExperiment, number: int) -> Arm:
        """The arm, of an experiment more; one whose model is missing decides as the champion."""
        if one.is_shadow:
            return arm  # who is shadowed, is decided as all others are
        routed = one.arms[number]
        named = replace(
            arm,
            name=f"{arm.name}+{routed.name}" if arm.experiment else routed.name,
            experiment=f"{arm.experiment}+{one.tag}" if arm.experiment else one.tag,
            propensity=arm.propensity * routed.share,
        )
        model = self._usable(routed.version) if routed.version else arm.model
        try:
            policy = policy_over(arm.policy, routed.policy)
        except (
            TypeError,
            ValueError,
        ):  # the configuration's has changed since: what is left makes no sense
            return replace(named, is_fallback=True)
        if model is None:
            is_loading = routed.version in self._loading and routed.version not in self._failed
            return replace(named, is_fallback=True, is_loading=is_loading)
        return replace(named, model=model, policy=policy)

    def _usable(self, version: str) -> ServingModel | None:
        if version in self._failed:
            return None
        if self._champion is not None and version == self._champion.version:
            return self._champion
        return self._models.get(version)
