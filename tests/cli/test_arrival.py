"""Somebody's file, from nothing to decisions, as a user types it: init, train, run, produce."""

import asyncio
import json
import shutil
import signal
from pathlib import Path

import polars as pl
import pytest

from sentinel import config as configuration
from sentinel.operations import embedded
from tests import shapes
from tests.children import WAIT_S_MAX
from tests.cli.test_run import await_start, counted, output, sentinel

pytestmark = [pytest.mark.integration, pytest.mark.slow]


@pytest.mark.parametrize("name", ["sparkov.csv", "paysim.csv"])
def test_a_file_is_described_learnt_from_and_decided(tmp_path: Path, name: str) -> None:
    shutil.copy(shapes.FOLDER / name, tmp_path)
    row_count = pl.read_csv(tmp_path / name).height
    for arguments in (("init", name, "--yes"), ("train", name, "-c", "mine.toml")):
        with sentinel(tmp_path, *arguments) as process:
            assert process.wait(WAIT_S_MAX) == 0, output(tmp_path)

    run = ("run", "-c", "mine.toml", "--plain", "--report", "r.json")
    with sentinel(tmp_path, *run) as process:
        await_start(tmp_path, process)
        with sentinel(tmp_path, "produce", name, "-c", "mine.toml") as producing:
            assert producing.wait(WAIT_S_MAX) == 0, output(tmp_path)
        mine = configuration.load(tmp_path / "mine.toml")
        kafka = embedded.running(mine, tmp_path / ".sentinel").kafka
        asyncio.run(counted(kafka, "decisions", until=row_count))
        process.send_signal(signal.SIGTERM)
        assert process.wait(WAIT_S_MAX) == 0, output(tmp_path)

    report = json.loads((tmp_path / "r.json").read_text())
    assert report["decisions"] == report["transactions"] == row_count
    assert report["dead_letters"] == report["unscored"] == 0
    assert report["feedback"] > 0, "its labels need no flag"
    assert f"{row_count:,} transactions and" in output(tmp_path)
    assert "Traceback" not in output(tmp_path)
