"""By which thresholds an old decision was made, and whether they say the same now."""

import uuid
from dataclasses import replace
from typing import Any

import pytest

from sentinel.adapters.redis import RedisParams
from sentinel.config import Config, versioned
from sentinel.operations.operating.layers import reloadable_values
from sentinel.operations.operating.past import past_policy
from sentinel.operations.stores import open_operating
from sentinel.stored.switches import ConfigInForce
from tests.engine.samples import a_config

CONFIG = versioned(a_config())
DECIDED = {"config_version": CONFIG.version, "probability": 0.5, "action": "review"}


@pytest.mark.integration
@pytest.mark.parametrize(
    ("others", "action"),
    [
        ({}, "review"),
        ({"probability": 0.6}, "block"),
        ({"probability": 0.39999}, "approve"),
        ({"probability": float("nan")}, ""),
        ({"experiment": "fast@1.0"}, ""),
        ({"explored": True}, ""),
    ],
)
async def test_the_thresholds_of_then_are_known(
    redis_params: RedisParams, others: dict[str, Any], action: str
) -> None:
    config = on(redis_params)
    values = reloadable_values(CONFIG)
    async with open_operating(config.redis) as store:
        await store.keep_config(ConfigInForce(CONFIG.version, values, {}, 5, "host-1"))

    found = await past_policy(config, DECIDED | others)

    assert found is not None
    assert (found.policy, found.action) == (CONFIG.policy, action)


@pytest.mark.integration
async def test_what_nobody_knows_or_another_sentinel_wrote_is_none(
    redis_params: RedisParams,
) -> None:
    config = on(redis_params)
    values = {"policy.of_tomorrow": 1}
    async with open_operating(config.redis) as store:
        await store.keep_config(ConfigInForce("other", values, {}, 5, "host-1"))

    assert await past_policy(config, DECIDED) is None
    assert await past_policy(config, DECIDED | {"config_version": "other"}) is None


def on(params: RedisParams) -> Config:
    return replace(CONFIG, redis=replace(params, key_prefix=uuid.uuid4().hex))
