"""Exploration from the record to the archive: some would-be blocks are reviewed, and say so."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from sentinel.adapters.archive import ArchiveParams, ParquetArchive
from sentinel.app.run import report
from sentinel.app.status import Status
from sentinel.codec.archive import archive_rows, decode_archived
from sentinel.core.exploration import is_explored
from sentinel.core.features.hashing import hash64
from tests.engine.clock import run, until
from tests.engine.samples import NAMES, a_config, transactions
from tests.engine.world import MemoryInstance, World

SENT = transactions(1_500)
SHARE, CAP = 0.1, 8_000


def explored_world(share: float = SHARE) -> World:
    policy = replace(a_config().policy, explore_share=share, explore_amount_minor_max=CAP)
    world = World(config=replace(a_config(commit_interval_s=0.2), policy=policy))
    world.send(SENT)
    return world


@pytest.fixture(scope="module")
def plain() -> World:
    """What is decided without exploration."""
    world = World()
    world.send(SENT)
    run(world.run_through())
    return world


@pytest.fixture(scope="module")
def lived() -> tuple[World, MemoryInstance]:
    world = explored_world()
    return world, run(world.run_through())


def test_only_would_be_blocks_within_the_cap_are_at_stake_and_some_are_reviewed(
    plain: World, lived: tuple[World, MemoryInstance]
) -> None:
    world, instance = lived
    at_stake = [
        d["transaction_id"]
        for d in plain.values("decisions")
        if d["action"] == "block" and d["amount_minor"] <= CAP
    ]
    is_chosen = is_explored(hash64(at_stake), SHARE).tolist()
    chosen = {name for name, choice in zip(at_stake, is_chosen, strict=True) if choice}
    assert 0 < len(chosen) < len(at_stake) < plain_blocks(plain)

    for before, after in zip(plain.values("decisions"), world.values("decisions"), strict=True):
        name = before["transaction_id"]
        changed: dict[str, Any] = {}
        if name in at_stake:
            changed = {"explore_share": SHARE, "explored": name in chosen}
        if name in chosen:
            changed["action"] = "review"
        assert after == before | changed
    assert instance.metrics.explored == len(chosen)
    assert instance.metrics.actions["block"] == plain_blocks(plain) - len(chosen)
    assert world.unsafe == []


def plain_blocks(world: World) -> int:
    return sum(d["action"] == "block" for d in world.values("decisions"))


def test_what_is_explored_is_an_alert_to_review(lived: tuple[World, MemoryInstance]) -> None:
    world, _ = lived
    explored = [d for d in world.values("decisions") if d["explored"]]
    alerts = {a["decision_id"]: a for a in world.values("alerts")}

    assert explored
    for decision in explored:
        alert = alerts[decision["decision_id"]]
        assert (alert["action"], alert["severity"]) == ("review", decision["severity"])
        assert alert["explored"] is True
        assert alert["reasons"]


def test_what_is_explored_is_archived_with_its_share(
    tmp_path: Path, lived: tuple[World, MemoryInstance]
) -> None:
    world, _ = lived
    records = world.records("decisions")
    rows = archive_rows(records, [decode_archived("decisions", record) for record in records])
    files = ParquetArchive(ArchiveParams(directory=str(tmp_path)))
    span = (0, len(records) - 1)

    written = files.log("decisions", "00000000").write(0, span, ("", span[1]), rows, NAMES)
    found = files.read(written)

    values = world.values("decisions")
    assert found["explored"].to_list() == [d["explored"] for d in values]
    assert found["explore_share"].to_list() == [d["explore_share"] for d in values]
    explored = found.filter(pl.col("explored"))
    assert set(explored["action"].to_list()) == {"review"}
    assert set(explored["explore_share"].to_list()) == {SHARE}


def test_after_a_crash_the_same_ones_are_explored(lived: tuple[World, MemoryInstance]) -> None:
    """No counter says how many there were: a repeated decision has the same bytes."""
    world = explored_world()

    async def crash_after(count: int) -> None:
        async with world.instance():
            await until(lambda: len(world.records("decisions")) >= count)

    for count in (300, 700, 1_100):
        run(crash_after(count))
    run(world.run_through())

    decided = world.decisions()
    assert any(len(values) > 1 for values in decided.values()), "nothing was decided again"
    whole = {
        json.loads(r.value or b"")["decision_id"]: r.value for r in lived[0].records("decisions")
    }
    assert {name: set(values) for name, values in decided.items()} == {
        name: {value} for name, value in whole.items()
    }


def test_a_run_reports_how_many_were_explored(lived: tuple[World, MemoryInstance]) -> None:
    world, instance = lived

    async def reported() -> dict[str, Any]:
        return report(Status(world.config, instance.metrics, "v1", 0.0))

    assert asyncio.run(reported())["explored"] == instance.metrics.explored > 0
