"""The whole system as it stands: what runs, what waits for what, and what needs a person."""

from contextlib import AsyncExitStack
from dataclasses import dataclass

from sentinel.adapters.redis import RedisParams
from sentinel.config import Config
from sentinel.core.drift.telling import worst_first
from sentinel.core.rollouts.judging import is_of_rollout
from sentinel.engine.registry.lifecycle import Update
from sentinel.engine.updates.awaiting import Outlook
from sentinel.errors import RecordError
from sentinel.operations.models.registry import now_ms
from sentinel.operations.models.updates import decoded_updates
from sentinel.operations.stores import (
    open_drift,
    open_experiments,
    open_models,
    open_operating,
    open_reports,
    open_rollouts,
)
from sentinel.stored.drift import ALARM_COUNT_MAX, Alarm
from sentinel.stored.experiments import EXPERIMENT_COUNT_MAX, StoredExperiment
from sentinel.stored.rollouts import StoredRollout
from sentinel.stored.switches import Switches
from sentinel.stored.versions import RegistryState, ServingReport


@dataclass(frozen=True, slots=True)
class Overview:
    """How everything stands.

    Attributes
    ----------
    instances
        What each running instance serves, and how it is.
    rollout
        The newest; None before the first.
    experiments
        Those that run, are paused, or wait for a person.
    alarms
        Those that are not over, the worst first.
    switches
        What is paused; None where that is damaged.
    """

    at_ms: int
    instances: list[ServingReport]
    registry_state: RegistryState
    update: Update | None
    outlook: Outlook | None
    rollout: StoredRollout | None
    experiments: list[StoredExperiment]
    alarms: list[Alarm]
    switches: Switches | None


async def overview(config: Config) -> Overview:
    """As the stores have it now. Raises ConfigError where what is noted of updates is damaged."""
    redis = config.redis
    async with AsyncExitStack() as stack:
        models = await stack.enter_async_context(open_models(redis))
        reports = await stack.enter_async_context(open_reports(redis))
        rollouts = await stack.enter_async_context(open_rollouts(redis))
        experiments = await stack.enter_async_context(open_experiments(redis))
        drift = await stack.enter_async_context(open_drift(redis))
        updates = decoded_updates(await models.update(), await models.outlook())
        newest = await rollouts.rollouts(1)
        found = await experiments.experiments(EXPERIMENT_COUNT_MAX)
        alarms = await drift.alarms(ALARM_COUNT_MAX)
        return Overview(
            at_ms=now_ms(),
            instances=await reports.reports(),
            registry_state=await models.registry_state(),
            update=updates.update,
            outlook=updates.outlook,
            rollout=newest[0] if newest else None,
            experiments=[one for one in found if one.status not in ("draft", "ended")],
            alarms=worst_first(one for one in alarms if not one.is_over),
            switches=await _switches(redis),
        )


async def _switches(params: RedisParams) -> Switches | None:
    async with open_operating(params) as store:
        try:
            return await store.switches()
        except RecordError:
            return None


def needs_a_person(found: Overview) -> list[str]:
    """What needs a person, in sentences that say what they can do."""
    wanted = [f"instance {one.instance}: {one.why}" for one in found.instances if one.why]
    if found.switches is None:
        wanted.append("what is paused is damaged in the store: instances go on as they were")
    wanted += [
        f"instance {one.instance} is {one.health}: {'; '.join(one.health_reasons)}"
        for one in found.instances
        if one.health == "stuck"
    ]
    update, rollout = found.update, found.rollout
    if update is not None and update.state == "waiting":
        wanted.append(
            f"version {update.version} may serve when somebody approves it: "
            f"`sentinel models approve {update.version}`"
        )
    if rollout is not None and rollout.needs_person and not rollout.is_over:
        wanted.append(f"rollout {rollout.number} of {rollout.version}: {rollout.waits_for}")
    wanted += [
        f"experiment {one.definition.id} has a verdict that waits: "
        f"`sentinel experiments show {one.definition.name}`"
        for one in found.experiments
        if one.status == "waiting" and not is_of_rollout(one.definition)
    ]
    wanted += [
        f"a critical alarm is open: {one.words or f'{one.column} {one.part} {one.side}'}; "
        f"`sentinel drift ack {one.id}` says that you have seen it"
        for one in found.alarms
        if one.severity == "critical" and one.status == "open"
    ]
    return wanted
