"""The page of a demo: it is whole, and nothing in it acts."""

from dataclasses import replace

import pytest

from sentinel.app.demo.hearing import LabelDay
from sentinel.app.demo.outcome import by_day, demo_figures, served
from sentinel.app.demo.told import Happening
from sentinel.cli.run.demo_page.page import PlayedDemo, demo_page
from sentinel.cli.run.demo_page.plots import Bar, Line, Moment, day_plot, version_plot
from sentinel.cli.run.demo_words import in_a_sentence, story_line
from tests.app.test_demo import HAPPENED, SCRIPT, a_decided
from tests.cli.test_drift_page import HOSTILE, Page


def played(*more: Happening) -> PlayedDemo:
    decided = a_decided(learnt_day=20)
    days, happenings = by_day(decided, SCRIPT), [*HAPPENED, *more]
    first_day = SCRIPT.begin_ms // 86_400_000
    return PlayedDemo(
        script=SCRIPT,
        figures=demo_figures(SCRIPT, decided, days, happenings, decimals=2),
        days=days,
        happenings=happenings,
        versions=served(happenings, "1.0.0", SCRIPT.begin_ms),
        labels={first_day + 8: LabelDay(fraud=7, genuine=3, changed=1, contradicted=2)},
        waited_s={"trainer": 12.5, HOSTILE: 1.0},
        took_s=180.0,
        decimals=2,
    )


def read(html: str) -> Page:
    page = Page()
    page.feed(html)
    assert (page.faults, page.open) == ([], [])
    return page


def test_the_page_is_whole_and_needs_nothing_else() -> None:
    page = read(demo_page(played()))

    tags = [tag for tag, _ in page.tags]
    assert tags.count("svg") == 4
    assert not {"script", "link", "img", "iframe"} & set(tags)
    assert not any(name in ("src", "href") for _, attrs in page.tags for name in attrs)
    words = " ".join(page.words)
    for said in ("saved of", "Recall", "Money lost", "Versions", "Everything that happened"):
        assert said in words
    for one in HAPPENED:
        assert one.what in words


def test_whatever_was_written_is_text() -> None:
    hostile = Happening(SCRIPT.at_ms(33), "rollout", HOSTILE, {"version": HOSTILE})
    promoted = Happening(SCRIPT.at_ms(34), "promoted", HOSTILE,
                         {"champion": HOSTILE, "who": HOSTILE})  # fmt: skip

    html = demo_page(played(hostile, promoted))

    page = read(html)
    tags = {tag for tag, _ in page.tags}
    assert not {"script", "img"} & tags
    assert "\x1b" not in html
    assert "\u202e" not in html


def test_pictures_hold_with_nothing_to_show() -> None:
    empty = day_plot([Line("a", [None, None], "ours")], [], "nothing", str)
    assert read(empty).tags[0][0] == "svg"
    flat = day_plot([Line("a", [0.0] * 200, "ours")], [Moment(0, 1, "x")], "flat", str)
    assert "nan" not in flat
    assert read(version_plot([Bar("1.0.0", 0, 10)], 10, "one")).tags[0][0] == "svg"


def test_a_gap_is_no_line() -> None:
    drawn = day_plot([Line("a", [1.0, None, 2.0, 3.0], "ours")], [], "gap", str)

    assert drawn.count('<polyline class="ours"') == 2


@pytest.mark.parametrize(
    ("hours", "said"), [(300.0, "countered in 300 hours"), (None, "pattern not countered")]
)
def test_the_sentence_says_what_it_came_to(hours: float | None, said: str) -> None:
    figures = replace(played().figures, hours_to_countered=hours)

    assert said in in_a_sentence(figures)
    assert "never" in in_a_sentence(figures)


def test_a_line_of_the_story_has_its_day() -> None:
    line = story_line(HAPPENED[4], SCRIPT)

    assert line.startswith("2026-01-19 00:00  day  18  alarm")
    assert line.endswith("missed")
