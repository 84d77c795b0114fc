"""The benchmark of segments: its tables hold shares of what was planted."""

import json
from pathlib import Path

from benchmarks.drift_segments import main


def test_it_writes_its_figures(tmp_path: Path) -> None:
    main(["--quick", "--json", str(tmp_path / "a.json")])

    found = json.loads((tmp_path / "a.json").read_text())
    assert found["benchmark"] == "drift_segments"
    assert [(row["rows"], row["change"]) for row in found["windows"]] == [
        (rows, change)
        for rows in ("independent", "20 each")
        for change in ("in one segment", "in all")
    ]
    for row in found["windows"]:
        assert row["column named"] <= row["planted"] == 3
    assert found["minutes"][0]["minutes"] == 20
    assert found["minutes"][-1]["median"] >= 1
