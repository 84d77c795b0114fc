"""`sentinel rollouts` and `sentinel status`, on a real broker and a real store."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sentinel.adapters.kafka import KafkaParams
from sentinel.adapters.redis import RedisParams
from sentinel.core.rollouts import transitions
from sentinel.core.rollouts.holds import Hold
from sentinel.operations.stores import open_models, open_rollouts
from sentinel.stored.rollouts import StoredRollout
from sentinel.stored.versions import RegistryState
from tests.app import small
from tests.cli.folder import Folder

pytestmark = pytest.mark.integration


@pytest.fixture
def folder(
    tmp_path: Path,
    kafka_params: KafkaParams,
    redis_params: RedisParams,
    monkeypatch: pytest.MonkeyPatch,
) -> Folder:
    """With a champion, and a version in staging."""
    monkeypatch.chdir(tmp_path)
    small.config(tmp_path)
    found = Folder(kafka_params, redis_params, words=("rollouts",))
    stages: dict[str, Any] = {"1.0.0": "production", "1.1.0": "staging", "0.9.0": "archived"}

    async def register() -> None:
        async with open_models(replace(found.redis, key_prefix=found.name)) as models:
            state = RegistryState(number=1, stages=stages, champion="1.0.0")
            await models.change(RegistryState(), state, [])

    asyncio.run(register())
    return found


def newest(folder: Folder) -> StoredRollout:
    async def read() -> StoredRollout:
        async with open_rollouts(replace(folder.redis, key_prefix=folder.name)) as store:
            return (await store.rollouts(1))[0]

    return asyncio.run(read())


def put(folder: Folder, before: StoredRollout, after: StoredRollout) -> None:
    async def write() -> None:
        async with open_rollouts(replace(folder.redis, key_prefix=folder.name)) as store:
            assert await store.put(before, after)

    asyncio.run(write())


def test_before_the_first_one_that_is_said(folder: Folder) -> None:
    assert "there was no rollout yet" in folder.said("list")
    assert "there is none yet" in folder.refusal("show", exit_code=2)


def test_a_version_in_staging_is_asked_for_agreed_to_and_ended(folder: Folder) -> None:
    said = folder.said("start", "1.1.0", "--who", "ada", "--why", "to see")
    assert "rollout 1 of version 1.1.0: before shadow, step 1 of 3," in said
    assert "by_hand: asked for by ada: to see" in said
    refusal = folder.refusal("start", "1.1.0", "--who", "ada", exit_code=2)
    assert "rollout 1 of 1.1.0 is under way" in refusal

    said = folder.said("approve", "--step", "canary", "--who", "ben")
    assert "agreed to: canary, by ben" in said
    assert newest(folder).approvals["canary"].who == "ben"
    refusal = folder.refusal("approve", "--step", "blue", "--who", "ben", exit_code=2)
    assert "to come: shadow, canary, ramp, champion" in refusal

    assert "must give the reason" in folder.refusal("abort", "--why", " ", exit_code=2)
    assert "aborted" in folder.said("abort", "1", "--why", "enough", "--who", "ada")
    assert "rollout 1 is aborted" in folder.refusal("abort", "--why", "again", exit_code=2)
    told = json.loads(folder.said("list", "--json"))
    assert (told["status"], told["why"], told["who"]) == ("aborted", "enough", "ada")


@pytest.mark.parametrize(
    ("version", "said"),
    [("0.9.0", "is in archived"), ("7.7.7", "unknown"), ("1.0.0", "is in production")],
)
def test_only_what_is_in_staging_is_rolled_out(folder: Folder, version: str, said: str) -> None:
    assert said in folder.refusal("start", version, exit_code=2)


def test_the_status_says_what_needs_a_person(folder: Folder) -> None:
    status = replace(folder, words=("status",))
    assert "nothing" in status.said().split("needs you")[1]
    folder.said("start", "1.1.0", "--who", "ada")
    one = newest(folder)
    put(folder, one, transitions.held(one, Hold("a person has to agree", needs_person=True)))

    output = status.said()
    assert "champion 1.0.0" in output
    assert "rollout 1 of 1.1.0: a person has to agree" in output.split("needs you")[1]
    found = json.loads(status.said("--json"))
    assert found["rollout"]["needs_person"] is True
