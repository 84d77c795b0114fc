"""The benchmark on the Handbook's data from file to figures, on a small file of its form."""

import json
from pathlib import Path

import pytest

from benchmarks import handbook
from benchmarks.handbook_online import STRATEGIES
from tests.benchmarks.test_handbook import frame


@pytest.mark.slow
def test_the_folds_and_the_online_run_are_printed_and_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, out = tmp_path / "transactions.parquet", tmp_path / "figures.json"
    frame(9_600, day_count=160).write_parquet(file)

    handbook.main(["--data", str(file), "--quick", "--json", str(out)])

    figures = json.loads(out.read_text())
    assert set(figures) == {"about", "folds", "online"}
    assert len(figures["folds"]) == 2
    assert set(figures["online"]) == set(STRATEGIES)
    assert [len(run["weeks"]) for run in figures["online"].values()] == [3] * 4
    printed = capsys.readouterr().out
    assert "XGBoost, chosen on validation" in printed
    assert "week from day" in printed
