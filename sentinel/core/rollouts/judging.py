"""By which experiment a step of a rollout is judged, and what its verdict means for the rollout."""

from typing import Literal, NamedTuple

from sentinel.core.rollouts.params import RolloutParams
from sentinel.stored.experiments import ArmSpec, Definition, StoredExperiment, VerdictName
from sentinel.stored.rollouts import StepName, StoredRollout

CONTROL, CANDIDATE = "champion", "candidate"
_PREFIX = "rollout-"

_EQUAL: frozenset[VerdictName] = frozenset({"keep", "futility", "undecided"})


class StepJudgement(NamedTuple):
    """What an experiment means for the step that it judges."""

    outcome: Literal["running", "passed", "refused"]
    why: str


def experiment_name(one: StoredRollout) -> str:
    """What the experiment of the step that runs or comes next is called."""
    return f"{_PREFIX}{one.number}-{one.next_place}"


def is_of_rollout(definition: Definition) -> bool:
    """Whether a rollout carries out what becomes of an experiment."""
    return definition.name.startswith(_PREFIX)


def definition_of(one: StoredRollout, params: RolloutParams) -> Definition:
    """The experiment that judges the next step."""
    step: StepName = one.steps[one.place]
    name, version = experiment_name(one), one.version
    if step == "shadow":
        arms = (ArmSpec(CONTROL, 1.0), ArmSpec(CANDIDATE, params.shadow_share, version))
        return Definition(
            name, "shadow", arms,
            layer=params.layer, metric=params.metric, duration=params.shadow_for,
            looks=params.looks,
        )  # fmt: skip
    if step == "canary":
        return Definition(
            name, "canary", _two(params.canary_share, version),
            layer=params.layer, metric=params.metric, looks=1, decides="guardrails",
            duration=params.urgent_canary_for if one.is_urgent else params.canary_for,
        )  # fmt: skip
    return Definition(
        name, "ramp", _two(params.ramp_steps[-1], version),
        layer=params.layer, metric=params.metric, looks=params.looks,
        duration=params.ramp_for, steps=params.ramp_steps, step=params.ramp_step,
    )  # fmt: skip


def step_judgement(found: StoredExperiment, *, equal: str) -> StepJudgement:
    """What becomes of the step; `equal` as in `RolloutParams`."""
    verdict = found.verdict
    if verdict is None:
        said = "is paused" if found.status == "paused" else "runs"
        return StepJudgement("running", f"experiment {found.definition.id} {said}")
    words = f"{verdict.name}: {verdict.why}"
    if verdict.name == "promote" or (verdict.name in _EQUAL and equal == "go_on"):
        return StepJudgement("passed", words)
    return StepJudgement("refused", words)


def _two(share: float, version: str) -> tuple[ArmSpec, ArmSpec]:
    return ArmSpec(CONTROL, 1.0 - share), ArmSpec(CANDIDATE, share, version)
