"""The view has a line for drift, where the instance watches for it."""

import io

import pytest

from sentinel.cli.run.view import drift_words
from sentinel.cli.texts import PlainConsole
from sentinel.core.drift.telling import DriftView, drift_view, moved, worst_first
from tests.cli.drift_samples import NOW_MS, an_alarm


@pytest.mark.parametrize(
    ("view", "words"),
    [
        (DriftView(), "nothing open"),
        (DriftView(0, "", NOW_MS), "nothing open since 09-01 10:00"),
        (DriftView(1, "amount up", NOW_MS), "1 alarm open: amount up since 09-01 10:00"),
        (DriftView(1_200, "amount up", NOW_MS), "1,200 alarms open: amount up since 09-01 10:00"),
        (DriftView(is_reference_missing=True), "nothing open, a reference is being gathered"),
    ],
)
def test_the_watch_is_told_in_a_line(view: DriftView, words: str) -> None:
    assert drift_words(view) == words


def test_the_worst_alarm_that_is_told_comes_first() -> None:
    alarms = [
        an_alarm(1, severity="info"),
        an_alarm(2, severity="critical", column="hour", is_suppressed=True),
        an_alarm(3, severity="critical", column="country", part="unseen"),
        an_alarm(4, severity="critical", column="score", status="closed"),
    ]

    view = drift_view(alarms, quiet_since_ms=NOW_MS, is_reference_missing=False)

    assert [one.id[-1] for one in worst_first(alarms)] == ["3", "4", "2", "1"]
    assert (view.open_count, view.first) == (3, "unseen values of country up")
    assert view.first_since_ms == an_alarm().since_ms


def test_without_an_alarm_the_view_says_since_when() -> None:
    view = drift_view([an_alarm(status="closed")], quiet_since_ms=7, is_reference_missing=True)

    assert view == DriftView(0, "", 7, is_reference_missing=True)


def test_what_moved_is_named_with_its_part() -> None:
    parts = ("value", "missing", "unseen", "rate")

    assert [moved(an_alarm(part=part, side="down")) for part in parts] == [
        "amount down",
        "missing values of amount down",
        "unseen values of amount down",
        "amount down",
    ]


def test_a_column_of_a_stranger_does_nothing_in_the_line() -> None:
    said = io.StringIO()

    PlainConsole(file=said, width=400).print(drift_words(DriftView(1, "[bold]\x1b[31m up")))

    assert said.getvalue() == "1 alarm open: [bold]\\x1b[31m up\n"
