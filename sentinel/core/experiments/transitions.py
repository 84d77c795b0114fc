"""The life of an experiment.

    draft ──► running ◄──► paused
                │  ▲          │
                │  └─ waiting │        waiting: its verdict needs a person
                ▼        │    ▼
              ended ◄────┴────┘

Each step gives the experiment as it is to be, and the plan by which instances route; None where the
plan stays. ValueError says why a step cannot be.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

from sentinel.core.experiments import routing
from sentinel.core.experiments.definition import check_definition
from sentinel.stored.experiments import (
    Definition,
    ExperimentStatus,
    StoredExperiment,
    StoredVerdict,
)
from sentinel.stored.routing import RoutingPlan


class ChangedExperiment(NamedTuple):
    """What an experiment and the plan are to be."""

    experiment: StoredExperiment
    plan: RoutingPlan | None = None


Step = Callable[[StoredExperiment | None, RoutingPlan], ChangedExperiment]


def create(definition: Definition) -> Step:
    """A draft; it takes the place of an earlier draft, and a number more than one that has run."""

    def step(found: StoredExperiment | None, _: RoutingPlan) -> ChangedExperiment:
        check_definition(definition)
        if found is None:
            number = 1
        elif found.status == "draft":
            number = found.definition.number
        elif found.is_over:
            number = found.definition.number + 1
        else:
            raise ValueError(
                f"experiment {found.definition.id} is {_SAID[found.status]}: what it compares is "
                "fixed until it is over"
            )
        return ChangedExperiment(StoredExperiment(replace(definition, number=number)))

    return step


def start(
    *, at_ms: int, champion: str, key_check: str, holdout: float, servable: Sequence[str]
) -> Step:
    """Let it run; `servable` are the versions of the registry that may decide or score."""

    def step(found: StoredExperiment | None, plan: RoutingPlan) -> ChangedExperiment:
        one = _of(found, "draft", doing="started")
        if missing := [v for v in one.definition.versions if v not in servable]:
            raise ValueError(
                f"model {missing[0]} is none that can serve; the registry has "
                f"{', '.join(servable) or 'none'}"
            )
        after = routing.having(
            plan, one.definition, 0, champion=champion, key_check=key_check, holdout=holdout
        )
        routed = after.running(one.definition.name)
        assert routed is not None
        return ChangedExperiment(
            replace(one, status="running", control=routed.arms[0].version, started_ms=at_ms), after
        )

    return step


def ramp(to: int | None = None) -> Step:
    """The next step of its ramp, or a certain one, which may be back."""

    def step(found: StoredExperiment | None, plan: RoutingPlan) -> ChangedExperiment:
        one = _of(found, "running", doing="ramped")
        number = one.step + 1 if to is None else to
        if not 0 <= number < one.definition.step_count:
            raise ValueError(
                f"experiment {one.definition.id} has {one.definition.step_count} steps and is at "
                f"the {_ordinal(one.step + 1)}: there is no {_ordinal(number + 1)}"
            )
        return ChangedExperiment(
            replace(one, step=number), routing.at_step(plan, one.definition, number)
        )

    return step


def pause(found: StoredExperiment | None, plan: RoutingPlan) -> ChangedExperiment:
    """The champion decides for all; the accounts stay the experiment's."""
    one = _of(found, "running", doing="paused")
    after = routing.paused(plan, one.definition, is_paused=True)
    return ChangedExperiment(replace(one, status="paused"), after)


def resume(found: StoredExperiment | None, plan: RoutingPlan) -> ChangedExperiment:
    """Go on after a pause."""
    one = _of(found, "paused", doing="resumed")
    after = routing.paused(plan, one.definition, is_paused=False)
    return ChangedExperiment(replace(one, status="running"), after)


def stop(verdict: StoredVerdict, *, is_waiting: bool = False) -> Step:
    """It routes nothing any more; where a person has to agree, its end waits for them."""

    def step(found: StoredExperiment | None, plan: RoutingPlan) -> ChangedExperiment:
        one = _of(found, "draft", "running", "paused", "waiting", doing="stopped")
        name = one.definition.name
        status: ExperimentStatus = "waiting" if is_waiting else "ended"
        after = None if plan.running(name) is None else routing.without(plan, name)
        return ChangedExperiment(replace(one, status=status, verdict=verdict), after)

    return step


def settle(found: StoredExperiment | None, _: RoutingPlan) -> ChangedExperiment:
    """What its verdict called for is done."""
    one = _of(found, "waiting", doing="settled")
    return ChangedExperiment(replace(one, status="ended"))


_SAID: dict[ExperimentStatus, str] = {
    "draft": "a draft",
    "running": "running",
    "paused": "paused",
    "waiting": "waiting for a person",
    "ended": "over",
}


def _of(
    found: StoredExperiment | None, *statuses: ExperimentStatus, doing: str
) -> StoredExperiment:
    if found is None:
        raise ValueError("there is no experiment of that name")
    if found.status not in statuses:
        raise ValueError(
            f"experiment {found.definition.id} is {_SAID[found.status]}: only one that is "
            f"{' or '.join(_SAID[one] for one in statuses)} can be {doing}"
        )
    return found


def _ordinal(number: int) -> str:
    return {1: "1st", 2: "2nd", 3: "3rd"}.get(number, f"{number}th")
