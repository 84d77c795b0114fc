"""An experiment on Apache Kafka and Redis: processes die and take over, and nobody changes arms."""

import asyncio
import json
import os
from collections import defaultdict
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import pytest_asyncio

from sentinel import config as configuration
from sentinel.adapters.embedded import EmbeddedServers
from sentinel.config import Config
from sentinel.core.experiments.assignment.assigning import Assignment
from sentinel.core.experiments.assignment.keys import key_of
from sentinel.core.experiments.outcomes.cells import Cell, MetricSums
from sentinel.operations.experiments.acting import (
    create_experiment,
    show_experiment,
    start_experiment,
)
from sentinel.operations.stores import open_experiments
from sentinel.records import Transactions
from sentinel.stored.experiments import ArmSpec, Definition
from sentinel.texts import Texts
from tests.children import WAIT_S_MAX
from tests.cli.test_run import output, sentinel
from tests.kafka.cluster import KafkaCluster
from tests.kafka.test_run import (
    PRODUCE,
    REPORT,
    ROWS,
    RUN,
    await_decisions,
    await_starts,
    by_decision,
    folder,
    published,
    settings,
)

__all__ = ["folder"]  # a fixture

pytestmark = [pytest.mark.asyncio(loop_scope="module")]

SECRET = "a secret of ours"
ARMS = (ArmSpec("control", 0.5), ArmSpec("lower", 0.5, policy={"review_min": 0.05}))
CUTS = Definition("cuts", "split", ARMS, duration="5d", looks=3, maturity="2d", metric="alert_rate")
NOTHING = Definition("aa", "split", (ArmSpec("a", 0.7), ArmSpec("b", 0.3)), layer="aa")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def kafka(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[KafkaCluster]:
    async with KafkaCluster(tmp_path_factory.mktemp("experiments")) as cluster:
        yield cluster


async def begun(config: Config) -> Assignment:
    """Both experiments run; who is assigned to what."""
    for one in (CUTS, NOTHING):
        await create_experiment(config, one, who="ada")
        done = await start_experiment(config, one.name, who="ada")
        assert not done.unpublished
    async with open_experiments(config.redis) as store:
        return Assignment(await store.plan(), key_of(SECRET))


def assigned(assignment: Assignment, accounts: list[str]) -> dict[str, str]:
    """The arms of each account, as a decision names them."""
    zero, texts = np.zeros(len(accounts), dtype=np.int64), Texts.of(accounts)
    codes = assignment.codes(Transactions(texts, zero, zero, zero, zero, {"account": texts}))
    return {
        account: "+".join(one.arms[number].name for one, number in assignment.arms_of(code))
        for account, code in zip(accounts, codes.tolist(), strict=True)
    }


async def test_accounts_keep_their_arms_when_processes_die_and_nothing_is_counted_twice(
    kafka: KafkaCluster, servers: EmbeddedServers, folder: Path
) -> None:
    env = settings(
        kafka,
        servers,
        "arms",
        SENTINEL__EXPERIMENTS__SECRET=SECRET,
        SENTINEL__ENGINE__COMMIT_INTERVAL_S="0.3",
        SENTINEL__ARCHIVE__INTERVAL_S="0.5",
        SENTINEL__ARCHIVE__EXAMPLES_INTERVAL_S="0.5",
    )
    with patch.dict(os.environ, env):
        config = configuration.load(folder / "small.toml")
    paced = (*PRODUCE, "--speed", "100000x", "--label-delay", "1d")
    with sentinel(folder, *RUN, settings=env) as first:
        await await_starts(folder, 1)
        assignment = await begun(config)
        with sentinel(folder, *paced, settings=env) as producing:
            await await_decisions(kafka, "arms-decisions", 800)
            with sentinel(folder, *RUN, settings=env) as second:  # a rebalance
                await await_decisions(kafka, "arms-decisions", 1_500)
                first.kill()
                await await_decisions(kafka, "arms-decisions", 2_500)
                second.kill()
            assert await asyncio.to_thread(producing.wait, WAIT_S_MAX) == 0, output(folder)
    with sentinel(folder, *RUN, *REPORT, settings=env) as process:
        assert await asyncio.to_thread(process.wait, WAIT_S_MAX) == 0, output(folder)

    repeated = by_decision(await published(kafka, "arms-decisions"))
    assert all(len(set(values)) == 1 for values in repeated.values())
    decisions = [json.loads(values[0]) for values in repeated.values()]
    assert len(decisions) == ROWS
    wanted = assigned(assignment, sorted({one["account"] for one in decisions}))
    assert {one["account"]: one["arm"] for one in decisions} == wanted
    assert {one["experiment"] for one in decisions} == {"cuts@1.0+aa@1.0"}

    archive = ("archive", "run", "-c", "small.toml", "--exit-when-idle", "5")
    with sentinel(folder, *archive, settings=env) as process:
        assert await asyncio.to_thread(process.wait, WAIT_S_MAX) == 0, output(folder)
    told = [json.loads(value) for value in await published(kafka, "arms-outcomes")]
    [last] = [
        one
        for one in told
        if one["kind"] == "look" and one["experiment"] == "cuts@1" and one["look"] == 3
    ]
    assert counts_of(last) == recounted(decisions, last)

    with sentinel(folder, *RUN, *REPORT, settings=env) as process:  # which has the look
        assert await asyncio.to_thread(process.wait, WAIT_S_MAX) == 0, output(folder)
    shown = await show_experiment(config, "cuts")
    assert shown.looks[-1].number == 3
    assert shown.stored.verdict is not None
    assert "Traceback" not in output(folder)


def counts_of(look: dict[str, Any]) -> dict[str, tuple[int, int]]:
    """By arm, transactions and alerts of a look."""
    sums = MetricSums.from_dict(look["metrics"]["alert_rate"])
    return {
        arm.name: (int(sums.cells[Cell(0, arm.name)].n), int(sums.cells[Cell(0, arm.name)].y))
        for arm in ARMS
    }


def recounted(decisions: list[dict[str, Any]], look: dict[str, Any]) -> dict[str, tuple[int, int]]:
    """The same from the decisions one by one."""
    found: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for one in decisions:
        if one["event_time_ms"] <= look["counted_to_ms"] and "duplicate" not in one["degraded"]:
            counts = found[one["arm"].split("+")[0]]
            counts[0] += 1
            counts[1] += one["action"] != "approve"
    return {arm: (n, y) for arm, (n, y) in found.items()}
