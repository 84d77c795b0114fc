"""How the plan by which instances route comes to be another one."""

from collections.abc import Sequence
from dataclasses import replace

from sentinel.core.experiments.definition import shares_of, starts_of
from sentinel.stored.experiments import Definition
from sentinel.stored.routing import SLOT_COUNT, RoutedArm, RoutedExperiment, RoutingPlan

RUNNING_COUNT_MAX = 8


def without(plan: RoutingPlan, name: str) -> RoutingPlan:
    """The plan after that experiment has stopped."""
    left = tuple(one for one in plan.experiments if one.id.partition("@")[0] != name)
    key_check = plan.key_check if left else ""
    return replace(plan, number=plan.number + 1, experiments=left, key_check=key_check)


def at_step(plan: RoutingPlan, definition: Definition, step: int) -> RoutingPlan:
    """The plan with one experiment at another step of its ramp. Raises ValueError without it."""
    if plan.running(definition.name) is None:
        raise ValueError(f"{definition.id} is not routed at all: stop it")
    changed = tuple(
        replace(one, step=step, arms=_arms(definition, step, one.arms[0].version))
        if one.id == definition.id
        else one
        for one in plan.experiments
    )
    return replace(plan, number=plan.number + 1, experiments=changed)


def paused(plan: RoutingPlan, definition: Definition, *, is_paused: bool) -> RoutingPlan:
    """The plan with one experiment paused, or going on."""
    changed = tuple(
        replace(one, is_paused=is_paused) if one.id == definition.id else one
        for one in plan.experiments
    )
    return replace(plan, number=plan.number + 1, experiments=changed)


def having(
    plan: RoutingPlan,
    definition: Definition,
    step: int,
    *,
    champion: str,
    key_check: str,
    holdout: float,
) -> RoutingPlan:
    """The plan with one experiment more. Raises ValueError when there is no room for it.

    Parameters
    ----------
    champion
        The version that serves: what a control without a version stands for while the arms
        differ in their models, whatever serves everybody else later.
    key_check
        Of the secret that is configured.
    """
    if plan.key_check and plan.key_check != key_check:
        raise ValueError(
            "[experiments] secret is another one than that with which the running experiments "
            "were started: stop them first, or bring it back"
        )
    if len(plan.experiments) >= RUNNING_COUNT_MAX:
        raise ValueError(f"{RUNNING_COUNT_MAX} experiments run already")
    _check_layers(plan, definition)
    control = definition.control.version
    if not control and "model" in definition.sets:
        control = champion
    one = RoutedExperiment(
        id=definition.id,
        layer=definition.layer,
        step=step,
        slots=_slots(plan, definition),
        arms=_arms(definition, step, control),
        segments=definition.segments,
        is_shadow=definition.design == "shadow",
    )
    return replace(
        plan,
        number=plan.number + 1,
        key_check=key_check,
        holdout=plan.holdout if plan.experiments else holdout,
        experiments=(*plan.experiments, one),
    )


def _check_layers(plan: RoutingPlan, definition: Definition) -> None:
    if plan.running(definition.name) is not None:
        raise ValueError(f"experiment {definition.name} runs already")
    for one in plan.experiments:
        both = definition.sets & _sets(one)
        if both and one.layer != definition.layer:
            raise ValueError(
                f"experiment {one.id} sets the {' and the '.join(sorted(both))}, too: the two "
                f'must share a layer, and that one is in "{one.layer}"'
            )
        if definition.design == "shadow" and one.is_shadow:
            raise ValueError(f"experiment {one.id} is a shadow already, and there is one at most")


def _slots(plan: RoutingPlan, definition: Definition) -> tuple[int, int]:
    """The first part of the layer that is free and large enough. Raises ValueError."""
    if definition.design == "shadow":
        return (0, SLOT_COUNT)  # it takes nothing from anybody
    count = max(round(definition.traffic * SLOT_COUNT), 1)
    taken = sorted(
        one.slots for one in plan.experiments if one.layer == definition.layer and not one.is_shadow
    )
    begin, free = 0, 0
    for slots_begin, slots_end in [*taken, (SLOT_COUNT, SLOT_COUNT)]:
        if slots_begin - begin >= count:
            return (begin, begin + count)
        free = max(free, slots_begin - begin)
        begin = slots_end
    raise ValueError(
        f'layer "{definition.layer}" has {free / SLOT_COUNT:g} of its accounts free in one '
        f"piece, and {definition.name} wants {definition.traffic:g}"
    )


def _arms(definition: Definition, step: int, control: str) -> tuple[RoutedArm, ...]:
    shares, starts = shares_of(definition, step), starts_of(definition)
    versions = [control, *(arm.version for arm in definition.challengers)]
    places: Sequence[tuple[float, float]] = [
        (0.0, shares[0]),
        *zip(starts, shares[1:], strict=True),
    ]
    if definition.design == "shadow":
        places = [(0.0, 1.0), (0.0, definition.challengers[0].share)]
    return tuple(
        RoutedArm(arm.name, version, arm.policy, *place)
        for arm, version, place in zip(definition.arms, versions, places, strict=True)
    )


def _sets(one: RoutedExperiment) -> frozenset[str]:
    if one.is_shadow:
        return frozenset()
    found = {"model"} if any(arm.version for arm in one.arms) else set()
    return frozenset(found | ({"policy"} if any(arm.policy for arm in one.arms) else set()))
