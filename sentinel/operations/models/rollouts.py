"""What a person does with rollouts: looks at them, agrees to a step, ends one, asks for one."""

from collections.abc import Callable
from dataclasses import dataclass

from sentinel.config import Config
from sentinel.core.rollouts import transitions
from sentinel.engine.rollouts.desk import ChangedRollout, begin_rollout, change_rollout
from sentinel.errors import ConfigError
from sentinel.operations.data.sender import Sender, tell_all
from sentinel.operations.models.registry import now_ms
from sentinel.operations.said import checked_text
from sentinel.operations.stores import open_models, open_rollouts
from sentinel.ports import RolloutStore
from sentinel.stored.rollouts import ROLLOUT_COUNT_MAX, StoredRollout
from sentinel.stored.versions import RegistryState


@dataclass(frozen=True, slots=True)
class RolloutChanged:
    """How a rollout is now, and why the topics do not tell of it; empty when they do."""

    after: StoredRollout
    unpublished: str


async def list_rollouts(config: Config, count: int = ROLLOUT_COUNT_MAX) -> list[StoredRollout]:
    """The newest, the last one first."""
    async with open_rollouts(config.redis) as store:
        return await store.rollouts(count)


async def show_rollout(config: Config, number: int | None) -> StoredRollout:
    """One, or the newest. Raises ConfigError if there is none."""
    async with open_rollouts(config.redis) as store:
        return await _found(store, number)


async def approve_step(
    config: Config, number: int | None, place: str, *, who: str, why: str
) -> RolloutChanged:
    """Agree to a step, or to "champion"; empty: to whatever comes next."""
    who = checked_text("--who", who, is_needed=True)

    def agreed(one: StoredRollout) -> StoredRollout:
        return transitions.approved(one, place or one.next_place, who=who, at_ms=now_ms())

    return await _change(config, number, agreed, who=who, why=why or "somebody agrees")


async def abort_rollout(
    config: Config, number: int | None, *, who: str, why: str
) -> RolloutChanged:
    """End one: the champion decides for all within seconds, and the version stays in staging."""

    def ended(one: StoredRollout) -> StoredRollout:
        return transitions.aborted(one, at_ms=now_ms())

    return await _change(config, number, ended, who=who, why=why)


async def start_rollout(config: Config, version: str, *, who: str, why: str) -> RolloutChanged:
    """Ask for a version in staging to be taken through the steps of the configuration."""
    who, why = checked_text("--who", who, is_needed=True), checked_text("--why", why)
    version = checked_text("VERSION", version, is_needed=True)
    async with open_models(config.redis) as models:
        champion = _champion_beside(await models.registry_state(), version)
    steps = config.rollouts.steps_for(is_urgent=False)

    def make(number: int) -> StoredRollout:
        reason = f"asked for by {who}" + (f": {why}" if why else "")
        return transitions.begun(
            *(number, version, champion),
            trigger="by_hand", reason=reason, steps=steps, at_ms=now_ms(),
        )  # fmt: skip

    async with open_rollouts(config.redis) as store:
        under_way = [one for one in await store.rollouts(1) if not one.is_over]
        if under_way and under_way[0].status != "watching":
            raise ConfigError(
                f"rollout {under_way[0].number} of {under_way[0].version} is under way, and there "
                "is one at a time: `sentinel rollouts abort` ends it"
            )
        done = await begin_rollout(store, make, who=who, at_ms=now_ms())
    return RolloutChanged(done.after, await _tell(config, done))


def _champion_beside(registry_state: RegistryState, version: str) -> str:
    """What serves now. Raises ConfigError where the version cannot be rolled out."""
    stage = registry_state.stages.get(version)
    if registry_state.champion is None:
        raise ConfigError("the registry has no champion yet: `sentinel run` brings it its first")
    if stage != "staging":
        said = "unknown to the registry" if stage is None else f"in {stage}"
        raise ConfigError(
            f"version {version} is {said}: only one in staging is rolled out; "
            "`sentinel models stage` brings it there"
        )
    return registry_state.champion


async def _change(
    config: Config,
    number: int | None,
    change: Callable[[StoredRollout], StoredRollout],
    *,
    who: str,
    why: str,
) -> RolloutChanged:
    who, why = checked_text("--who", who, is_needed=True), checked_text("--why", why)
    async with open_rollouts(config.redis) as store:
        wanted = (await _found(store, number)).number
        try:
            done = await change_rollout(store, wanted, change, who=who, why=why, at_ms=now_ms())
        except ValueError as error:
            raise ConfigError(str(error)) from error
    return RolloutChanged(done.after, await _tell(config, done))


async def _found(store: RolloutStore, number: int | None) -> StoredRollout:
    one = None if number is None else await store.rollout(number)
    if one is not None:
        return one
    newest = await store.rollouts(1)
    if number is None and newest:
        return newest[0]
    known = f"; the newest is {newest[0].number}" if newest else ": there is none yet"
    raise ConfigError(f"there is no rollout{'' if number is None else f' {number}'}{known}")


async def _tell(config: Config, done: ChangedRollout) -> str:
    async def tell(sender: Sender) -> None:
        await sender.rollout(done.record)
        await sender.audit([] if done.entry is None else [done.entry])

    return await tell_all(config, tell)
