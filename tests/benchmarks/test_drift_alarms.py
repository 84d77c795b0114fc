"""The benchmark of windows: what it plants is what it says, and its tables hold shares."""

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.random import default_rng

from benchmarks.drift_alarms import Setting, main
from benchmarks.drift_rows import (
    CATEGORY_SHARES,
    CHANGES,
    COLUMN_COUNT,
    NUMBER_COUNT,
    PARETO_MAX,
    planted,
    simulated,
)


@pytest.mark.parametrize("per_account", [1, 20, "heavy"])
def test_rows_are_as_many_and_as_alike_as_they_say(per_account: int | str) -> None:
    rows = simulated(default_rng(1), 20_000, per_account)

    assert rows.values.shape == (20_000, COLUMN_COUNT)
    sizes = np.unique(rows.accounts, return_counts=True)[1]
    assert sizes.max() <= (PARETO_MAX if per_account == "heavy" else per_account)
    shares = np.bincount(rows.values[:, NUMBER_COUNT].astype(int)) / 20_000
    assert np.abs(shares - CATEGORY_SHARES).max() < 0.08
    x = rows.values[:, 7]
    same = rows.accounts[1:] == rows.accounts[:-1]
    if per_account != 1:
        assert np.corrcoef(x[1:][same], x[:-1][same])[0, 1] == pytest.approx(0.5, abs=0.15)


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_in_one_column(change: str) -> None:
    rng = default_rng(2)
    rows = simulated(rng, 2_000, 1)
    at = CHANGES[change][0]

    changed = planted(rng, rows, change, at)

    others = [f for f in range(COLUMN_COUNT) if f != at]
    assert np.array_equal(changed.values[:, others], rows.values[:, others], equal_nan=True)
    assert not np.array_equal(changed.values[:, at], rows.values[:, at], equal_nan=True)


def test_a_cap_leaves_so_many_rows_of_an_account() -> None:
    rows = Setting(5_000, 5_000, "heavy", 5).rows(default_rng(3), 5_000)

    assert np.unique(rows.accounts, return_counts=True)[1].max() == 5


def test_it_writes_its_figures(tmp_path: Path) -> None:
    main(["--quick", "--only", "kind", "--only", "derived", "--json", str(tmp_path / "a.json")])

    found = json.loads((tmp_path / "a.json").read_text())
    assert found["benchmark"] == "drift_alarms"
    for row in found["kind"]:
        assert row["alarmed"] <= row["planted"] == 3
    assert {row["correlation"] for row in found["derived"]} == {0.0, 0.9, 0.95, 0.99}
