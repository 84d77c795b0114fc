"""`sentinel demo` from its first day to its page: what happens, and in which order."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_drift_page import Page
from tests.cli.test_run import call

pytestmark = [pytest.mark.integration, pytest.mark.slow]

Event = dict[str, Any]


@pytest.mark.timeout(1_500)
def test_a_new_fraud_is_told_learnt_and_countered_and_a_bad_model_goes_back(
    tmp_path: Path,
) -> None:
    """The order alone: how many hours each takes hangs on the machine."""
    report = tmp_path / "report.json"
    command = [sys.executable, "-m", "sentinel", "demo", "--short", "--seed", "1"]
    options = ["--out", str(tmp_path / "out"), "--report", str(report)]
    done = subprocess.run(
        [*command, *options], cwd=tmp_path, env=os.environ, text=True, capture_output=True,
        timeout=1_400,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr

    told = json.loads(report.read_bytes())
    events: list[Event] = told["events"]
    pattern = position(events, 0, lambda one: one["kind"] == "pattern")
    alarm = position(
        events, pattern,
        lambda one: "alarm" in one["kind"]
        and any(name in one["what"] for name in ("missed_frauds", "terminal_"))
        and " up" in one["what"],
    )  # fmt: skip
    promoted = position(
        events, alarm, lambda one: one["kind"] == "promoted" and "by training" in one["what"]
    )
    mistake = position(events, promoted, lambda one: one["kind"] == "mistake")
    position(events, mistake, lambda one: one["kind"] == "rolled_back")
    assert [one["at"] for one in events] == sorted(one["at"] for one in events)

    assert told["recall_low"] < 0.75 * told["recall_before"], "it hurts"
    days = told["days"]
    since = next(
        i for i, one in enumerate(days) if begins_ms(told, i) >= events[promoted]["at"]
    )  # fmt: skip
    later = [one for one in days[since:] if one["new_frauds"]]
    ours, static = (sum(one[name] for one in later) for name in ("new_caught", "static_new_caught"))
    assert ours > 1.2 * static, "what was learnt catches the new fraud"
    assert told["saved"] > 0
    assert told["rolled_back_after_hours"] is not None

    page = Page()
    page.feed((tmp_path / "out" / "demo.html").read_text())
    assert (page.faults, page.open) == ([], [])
    assert "saved of" in done.stdout
    assert str(tmp_path / "out" / "demo.html") in done.stdout


def position(events: list[Event], begin: int, is_it: Callable[[Event], bool]) -> int:
    """Of the first such event from there on."""
    found = [i for i, one in enumerate(events) if i >= begin and is_it(one)]
    assert found, [one["what"] for one in events[begin:]]
    return found[0]


def begins_ms(told: dict[str, Any], day: int) -> int:
    first: int = told["versions"][0]["from_ms"]
    return first + day * 86_400_000


def test_a_folder_that_is_not_a_demos_is_not_deleted(tmp_path: Path) -> None:
    (tmp_path / "out" / "run").mkdir(parents=True)
    (tmp_path / "out" / "run" / "mine.txt").write_text("mine")

    said = call(tmp_path, "demo", "--out", "out", exit_code=2)

    assert "is no folder of a demo" in said
    assert (tmp_path / "out" / "run" / "mine.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--short", "--days", "40"), "give one of them"),
        (("--report", "nowhere/report.json"), "its folder does not exist"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_started(
    options: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    assert said in call(tmp_path, "demo", *options, exit_code=2)
    assert not (tmp_path / ".sentinel").exists()
