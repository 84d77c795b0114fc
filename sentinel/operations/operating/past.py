"""By which settings a decision was made that names the version of its configuration."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from sentinel.codec.values.settings import section
from sentinel.config import Config
from sentinel.core.decision import ACTIONS, PolicyParams, actions
from sentinel.errors import ConfigError
from sentinel.operations.stores import open_operating

_PREFIX = "policy."


@dataclass(frozen=True, slots=True)
class PastPolicy:
    """The policy of a configuration.

    Attributes
    ----------
    action
        What it makes of the decision's probability; empty where something else had its part: an
        experiment, exploration, or no score at all.
    """

    version: str
    policy: PolicyParams
    action: str


async def past_policy(config: Config, decision: Mapping[str, Any]) -> PastPolicy | None:
    """The policy that an archived decision was made by; None where that is not known any more."""
    version = str(decision["config_version"])
    async with open_operating(config.redis) as store:
        found = await store.config(version)
    if found is None:
        return None
    values = found.values.items()
    table = {name.removeprefix(_PREFIX): v for name, v in values if name.startswith(_PREFIX)}
    try:
        policy = section(PolicyParams, table, name="policy")
    except ConfigError:  # of another version of Sentinel
        return None
    return PastPolicy(version, policy, _action(decision, policy))


def _action(decision: Mapping[str, Any], policy: PolicyParams) -> str:
    probability = decision["probability"]
    is_plain = not (decision.get("experiment") or decision.get("explored"))
    if not is_plain or probability is None or np.isnan(probability):
        return ""
    return ACTIONS[int(actions(np.array([probability]), policy)[0])]
