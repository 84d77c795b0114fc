"""Somebody's file, from nothing to decisions, as a user types it: init, train, run, produce."""

import asyncio
import json
import shutil
import signal
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from sentinel import config as configuration
from sentinel.adapters.kafka import KafkaParams
from sentinel.core.learning.evaluation import average_precision
from sentinel.operations import embedded
from tests import shapes
from tests.children import WAIT_S_MAX
from tests.cli.test_run import await_start, call, output, reading, sentinel

pytestmark = [pytest.mark.integration, pytest.mark.slow]


async def decisions(kafka: KafkaParams, count: int) -> list[dict[str, Any]]:
    """So many decisions, waited for."""
    found: list[bytes] = []
    async with reading(kafka, "decisions") as more:
        while len(found) < count:
            found += await more()
    return [json.loads(value) for value in found]


def decided(folder: Path, file: str, count: int) -> list[dict[str, Any]]:
    """What a run in a folder decides of a file that is played into it, by identifier."""
    with sentinel(folder, "run", "-c", "mine.toml", "--plain", "--report", "r.json") as process:
        await_start(folder, process)
        call(folder, "produce", file, "-c", "mine.toml")
        mine = configuration.load(folder / "mine.toml")
        kafka = embedded.running(mine, folder / ".sentinel").kafka
        found = asyncio.run(decisions(kafka, count))
        process.send_signal(signal.SIGTERM)
        assert process.wait(WAIT_S_MAX) == 0, output(folder)
    assert "Traceback" not in output(folder)
    return found


def test_a_folder_of_payments_without_identifiers_is_learnt_from_and_decided(
    tmp_path: Path,
) -> None:
    rows = pl.read_csv(shapes.FOLDER / "paysim.csv")
    count, half = rows.height, rows.height // 2
    (tmp_path / "paysim").mkdir()
    for name, part in (("part-9", rows[:half]), ("part-10", rows[half:])):
        part.write_csv(tmp_path / "paysim" / f"{name}.csv")
    call(tmp_path, "init", "paysim", "--yes")
    call(tmp_path, "train", "paysim", "-c", "mine.toml")

    found = decided(tmp_path, "paysim", count)

    of_first, of_second = ({f"part-{n}-{i + 1}" for i in range(half)} for n in (9, 10))
    assert {one["transaction_id"] for one in found} == of_first | of_second
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["decisions"] == report["transactions"] == count
    assert report["dead_letters"] == report["unscored"] == 0
    assert report["feedback"] > 0, "its labels need no flag"
    assert f"{count:,} transactions and" in output(tmp_path)


def test_what_the_history_knew_of_terminals_serves_from_the_first_record_on(tmp_path: Path) -> None:
    rows = pl.read_parquet(shapes.FOLDER / "handbook.parquet")
    warm, cold = tmp_path / "warm", tmp_path / "cold"
    warm.mkdir()
    when = pl.col("TX_DATETIME")
    is_today = when >= when.max() - timedelta(days=7)
    today = rows.filter(is_today)
    rows.filter(~is_today).write_parquet(warm / "history.parquet")
    today.write_parquet(warm / "today.parquet")
    call(warm, "init", "history.parquet", "--yes")
    call(warm, "train", "history.parquet", "-c", "mine.toml")
    # The same model, and a store that knows of nothing.
    shutil.copytree(warm, cold, ignore=shutil.ignore_patterns(".sentinel", "output.txt"))

    precision = {}
    for folder in (warm, cold):
        scores = {
            int(one["transaction_id"]): one["score"]
            for one in decided(folder, "today.parquet", len(today))
        }
        precision[folder.name] = average_precision(
            np.array([scores[i] for i in today["TRANSACTION_ID"].to_list()]),
            today["TX_FRAUD"].to_numpy(),
        )

    assert (precision["warm"] or 0) > (precision["cold"] or 1) + 0.1, precision
