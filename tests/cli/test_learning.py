"""What a person is told of updates: in the view, on plain lines, and by `sentinel update show`."""

import asyncio
from dataclasses import replace
from io import StringIO
from typing import Any

import pytest

from sentinel.app.status import Status
from sentinel.cli.models.learning import (
    awaited_summary,
    headline,
    is_at_work,
    status_lines,
    tally,
)
from sentinel.cli.run.view import View, _picture
from sentinel.cli.texts import PlainConsole
from sentinel.config import Config
from sentinel.core.features.spec import FeatureParams
from sentinel.core.learning.awaiting import Awaited
from sentinel.engine.health import Health
from sentinel.engine.partitions.labels import LabelsWaiting
from sentinel.engine.registry.lifecycle import Answer, Judgement, Try, Update
from sentinel.engine.store.history import Beginning
from sentinel.engine.updates.awaiting import Outlook
from sentinel.metrics import Metrics
from sentinel.operations.models.updates import UpdateStatus

FRAUDS = Awaited("frauds among mature examples", 38, 100, True, 251.0)
HOURS = Awaited("hours of the examples' time", 31, 48, True, 40.0)
OLD = Awaited("older frauds", 3, 100, False, None)
OUTLOOK = Outlook(at_ms=1_000_000, to_judge=(FRAUDS, OLD), to_begin=(HOURS,))
BEGUN = Update(
    state="training",
    number=3,
    trigger="scheduled",
    reason="every 172800 s",
    champion="1.0.0",
    former="update 2 (scheduled): not yet: [bold]nothing",
)
SAID = Judgement(
    "refuse",
    "retrain: improvement: neither auc nor average_precision shown to be better",
    (
        Try("recalibrate", "3 frauds to calibrate on", None, 0.1),
        Try("retrain", "", 0.74012, 2.04),
    ),
    (
        Answer("latency", "passed", "scoring takes 1.08 times as long"),
        Answer("frauds", "passed", "150 frauds, at least 100 are needed"),
        Answer("improvement", "failed", "neither is shown to be better"),
        Answer("old", "too_little", "89 old frauds, 100 are needed"),
    ),
)
REFUSED = replace(
    BEGUN, state="idle", version="1.1.0", verdict="refuse", outcome=SAID.reason, judgement=SAID
)


class Running:
    """As much of an instance as the view looks at."""

    is_assigned = True
    version = "1.0.0"
    beginning = Beginning(None, is_cold=False)

    def __init__(self, update: Update | None, outlook: Outlook | None) -> None:
        self._learning = update, outlook

    def learning(self) -> tuple[Update | None, Outlook | None]:
        return self._learning

    def health(self) -> Health:
        return Health("ok")

    def lag(self) -> int:
        return 0

    def drift(self) -> None:
        return None

    def experiments(self) -> None:
        return None

    def rollout(self) -> None:
        return None

    def labels_waiting(self) -> LabelsWaiting:
        return LabelsWaiting(0, None)

    def last_alerts(self) -> list[bytes]:
        return []


def status_of(update: Update | None, outlook: Outlook | None, **others: Any) -> Status:
    config = Config(features=(FeatureParams(name="amount", stat="amount"),))
    status = Status(config, Metrics(), "1.0.0", 0.0, **others)
    status.instance = Running(update, outlook)  # type: ignore[assignment]
    return status


def drawn(status: Status) -> str:
    console = PlainConsole(file=StringIO(), width=150, force_terminal=False)
    console.print(_picture(status, 200.0))
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_before_the_first_update_it_is_said_what_it_waits_for() -> None:
    assert status_lines(UpdateStatus(None, OUTLOOK), 1_000_000) == [
        "there was no update yet",
        "the next one waits for",
        "  38 of 100 frauds among mature examples, about 4 minutes",
        "  31 of 48 hours of the examples' time, about 40 seconds",
        "  3 of 100 older frauds, no pace to estimate by",
    ]
    assert status_lines(UpdateStatus(None, None), 0) == ["there was no update yet"]


def test_the_view_says_in_a_line_what_takes_longest() -> None:
    shown = drawn(status_of(None, OUTLOOK))

    assert "38 of 100 frauds among mature examples (and 1 more), about 4 minutes" in shown
    assert awaited_summary(replace(OUTLOOK, to_judge=())) == (
        "31 of 48 hours of the examples' time, about 40 seconds"
    )
    unknown = replace(OUTLOOK, to_begin=(replace(HOURS, wait_s=None),))
    assert awaited_summary(unknown) == (
        "31 of 48 hours of the examples' time (and 1 more), no pace to estimate by"
    )
    assert awaited_summary(Outlook(to_judge=(OLD,))) == "nothing that can be counted"


def test_while_an_update_runs_its_step_is_shown_and_what_the_one_before_came_to() -> None:
    shown = drawn(status_of(BEGUN, OUTLOOK))

    assert "update 3 (scheduled: every 172800 s): candidates are made and judged" in shown
    assert "update 2 (scheduled): not yet: [bold]nothing" in shown, "no markup of anybody's acts"
    assert "38 of 100" not in shown, "nothing is awaited meanwhile"
    assert is_at_work(BEGUN)
    assert not is_at_work(REFUSED)
    assert not is_at_work(None)


def test_when_it_was_judged_the_verdict_is_a_sentence_and_each_check_has_its_reason() -> None:
    shown = " ".join(drawn(status_of(REFUSED, OUTLOOK)).replace("│", " ").split())

    assert f"refused. {SAID.reason}" in shown
    assert "2 checks passed; failed: improvement; too little to tell: old" in shown
    lines = status_lines(UpdateStatus(REFUSED, None), 0)
    assert lines == [
        f"update 3 (scheduled: every 172800 s): refused. {SAID.reason}",
        "candidate 1.1.0, after 1.0.0",
        "  tried recalibrate: 3 frauds to calibrate on",
        "  tried retrain: average precision 0.7401, made in 2.0 s",
        "  passed: latency: scoring takes 1.08 times as long",
        "  passed: frauds: 150 frauds, at least 100 are needed",
        "  failed: improvement: neither is shown to be better",
        "  too little to tell: old: 89 old frauds, 100 are needed",
        "before: update 2 (scheduled): not yet: [bold]nothing",
    ]


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("made", "its candidate 1.1.0 is on its way into the registry"),
        ("waiting", "its candidate 1.1.0 waits for `sentinel models approve`"),
        ("promoting", "its candidate 1.1.0 is on its way to serve"),
        ("watching", "its candidate 1.1.0 serves, and is watched"),
    ],
)
def test_each_step_has_its_words(state: Any, words: str) -> None:
    assert headline(replace(REFUSED, state=state)).endswith(words)


def test_how_an_update_ended_is_said_beside_the_verdict() -> None:
    promoted = replace(SAID, outcome="promote", reason="retrain: auc shown to be better")
    ended = replace(REFUSED, judgement=promoted, outcome="rolled back: too many alerts")

    lines = status_lines(UpdateStatus(ended, None), 0)

    assert lines[0].endswith("promoted. retrain: auc shown to be better")
    assert "rolled back: too many alerts" in lines
    lost = replace(REFUSED, judgement=None, outcome="it was interrupted")
    assert headline(lost).endswith("it was interrupted")


def test_a_look_of_long_ago_says_so() -> None:
    lines = status_lines(UpdateStatus(None, OUTLOOK), 1_000_000 + 600_000)

    assert (
        lines[1] == "the next one waits for (as of about 10 minutes ago: is any instance training?)"
    )


def test_without_checks_there_is_no_tally() -> None:
    assert tally(()) == ""


def test_on_plain_lines_a_step_is_told_once() -> None:
    console = PlainConsole(file=StringIO(), width=100)

    async def watched() -> None:
        view = View(console, live=False)
        for update in (BEGUN, BEGUN, REFUSED, REFUSED):
            view.show(status_of(update, OUTLOOK))
            await asyncio.sleep(0)  # one turn draws a plain frame

    asyncio.run(watched())

    assert isinstance(console.file, StringIO)
    told = [line for line in console.file.getvalue().splitlines() if line.startswith("update 3")]
    assert told == [headline(BEGUN), headline(REFUSED)]


def test_an_archive_that_does_not_run_is_shown_and_degrades_health() -> None:
    class Child:
        trouble = "the archive starts again: it ended with 1, see .sentinel/archive.log"

    status = status_of(None, None, archive=Child())
    shown = drawn(status)

    assert "the archive starts again: it ended with 1" in shown
    assert status.health() == Health("degraded", (Child.trouble,))
    Child.trouble = ""
    assert status.health() == Health("ok")
    assert "the archive runs beside" in drawn(status)
