"""Settings that a person applies to all running instances, and takes back."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sentinel.codec.transactions import TransactionDecoder
from sentinel.config import ENVIRONMENT_PREFIX, Config, read
from sentinel.core.applied import applied_config
from sentinel.core.experiments.definition import policy_over
from sentinel.engine.operating.desk import APPLIED, change_applied
from sentinel.errors import ConfigError, RecordError
from sentinel.operations.models.registry import now_ms
from sentinel.operations.operating.layers import (
    reloadable_values,
    rest_of,
    setting_changes,
    with_values,
)
from sentinel.operations.operating.reloadable import is_reloadable
from sentinel.operations.operating.switching import tell_now
from sentinel.operations.said import checked_text
from sentinel.operations.stores import open_experiments, open_operating
from sentinel.stored.routing import RoutingPlan
from sentinel.stored.switches import AppliedConfig


@dataclass(frozen=True, slots=True)
class ConfigChange:
    """What came of it.

    Attributes
    ----------
    after
        What is applied now.
    changed
        By setting what it was and what it is; None for what each instance's own file says.
    is_new
        Whether anything else is applied than before.
    untold
        Why the topics do not tell of it yet; empty when they do.
    """

    after: AppliedConfig
    changed: Mapping[str, tuple[Any, Any]]
    is_new: bool
    untold: str = ""


@dataclass(frozen=True, slots=True)
class WantedSettings:
    """What a file wants of instances.

    Attributes
    ----------
    config
        As the file and this environment say.
    values
        What may change while instances run, as the file alone says.
    overridden
        Settings of these that this environment has otherwise: its variables are not applied.
    """

    config: Config
    values: Mapping[str, Any]
    overridden: tuple[str, ...]


def wanted_of(file: Path | None) -> WantedSettings:
    """What a file wants. Raises ConfigError for all that `sentinel check-config` refuses."""
    written = read(file)
    config = written.config()
    TransactionDecoder(config.schema)
    others = {
        name: value
        for name, value in written.environment.items()
        if not is_reloadable(".".join(name.removeprefix(ENVIRONMENT_PREFIX).lower().split("__")))
    }
    values = reloadable_values(replace(written, environment=others).config())
    return WantedSettings(config, values, tuple(setting_changes(values, reloadable_values(config))))


async def waiting_for_restart(config: Config, wanted: WantedSettings) -> tuple[str, list[str]]:
    """What a file has otherwise than the instance that was started last; and which one that is.

    Nothing where none is known.
    """
    async with open_operating(config.redis) as store:
        newest = await store.configs(1)
    if not newest:
        return "", []
    return newest[0].instance, list(setting_changes(newest[0].rest, rest_of(wanted.config)))


async def apply_settings(
    config: Config, wanted: WantedSettings, *, who: str, why: str
) -> ConfigChange:
    """Let these settings go over the files of all instances.

    Raises ConfigError where a running experiment would be left with a policy without sense.
    """
    async with open_experiments(config.redis) as store:
        _check_arms(await store.plan(), with_values(config, wanted.values))
    return await _apply(config, wanted.values, who=who, why=why)


async def reset_settings(config: Config, *, who: str, why: str) -> ConfigChange:
    """Let every instance's own file hold again."""
    return await _apply(config, {}, who=who, why=why)


async def applied_settings(config: Config) -> AppliedConfig:
    """What is applied. Raises ConfigError where it is damaged."""
    async with open_operating(config.redis) as store:
        try:
            return await store.applied()
        except RecordError as error:
            raise ConfigError(
                f"the applied configuration is damaged in the store: {error.detail}"
            ) from error


async def _apply(config: Config, values: Mapping[str, Any], *, who: str, why: str) -> ConfigChange:
    who, why = checked_text("--who", who, is_needed=True), checked_text("--why", why)
    at_ms = now_ms()
    async with open_operating(config.redis) as store:
        newest = await store.configs(1)
        # Where nothing was applied before, instances had what their own files say.
        base = newest[0].values if newest and values else {}
        try:
            before, after = await change_applied(
                store,
                lambda found: applied_config(found, values, base, who=who, why=why, at_ms=at_ms),
            )
        except RecordError as error:
            raise ConfigError(
                f"the applied configuration is damaged in the store: {error.detail}"
            ) from error
        changed = setting_changes(before.values or base, after.values or base)
        untold = ""
        if after != before:
            untold = await tell_now(config, store, APPLIED, who=who, why=why)
    return ConfigChange(after, changed, after != before, untold)


def _check_arms(plan: RoutingPlan, config: Config) -> None:
    for one in plan.experiments:
        for arm in one.arms:
            try:
                policy_over(config.policy, arm.policy)
            except (TypeError, ValueError) as error:
                raise ConfigError(
                    f"the experiment {one.id} runs, and its arm {arm.name} would be left with a "
                    f"policy that makes no sense: {error}"
                ) from error
