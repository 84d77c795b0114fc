"""The report of drift as a page: it is whole, it says what is there, and nothing in it acts."""

import asyncio
import re
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

import pytest

from sentinel.cli.drift.html.histogram import histogram
from sentinel.cli.drift.html.page import page
from sentinel.core.drift.counts.columns import CELL_COUNT
from sentinel.operations.drift.examples import AlarmExamples, ExampleTransaction
from sentinel.operations.drift.report import DriftReport, drift_report
from sentinel.stored.drift import ColumnFinding, Suppression
from tests.cli.drift_samples import (
    CONFIG,
    HARM,
    HOUR_MS,
    NAMES,
    NOW_MS,
    a_window,
    an_alarm,
    fill,
    stores,
)

HOSTILE = "\"><script>alert(1)</script><img src=x onerror='y'>&amp; \x1b[31m\u202e{{7*7}}\n"
VOID = {"meta", "br", "img"}


@dataclass
class Page(HTMLParser):
    """Reads a page as strictly as one can: whatever is opened is closed, in its order."""

    open: list[str] = field(default_factory=list)
    tags: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"</{tag}> at {self.getpos()}")

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def count(self, tag: str) -> int:
        return sum(one == tag for one, _ in self.tags)


def read(html: str) -> Page:
    found = Page()
    found.feed(html)
    found.close()
    assert found.faults == []
    assert found.open == []
    return found


def a_report(alarm: str = "") -> DriftReport:
    async def main() -> DriftReport:
        drift, models = stores()
        await fill(drift)
        return await drift_report(drift, models, CONFIG, alarm=alarm, now_ms=NOW_MS)

    return asyncio.run(main())


@pytest.fixture(scope="module")
def report() -> DriftReport:
    return a_report()


def hostile(report: DriftReport) -> DriftReport:
    """Whatever a stranger can have written is the worst there is."""
    words: dict[str, Any] = {
        "column": HOSTILE,
        "words": HOSTILE,
        "note": HOSTILE,
        "acknowledged_by": HOSTILE,
        "segment": HOSTILE,
    }
    names: dict[str, Any] = {
        "id": HOSTILE,
        "kind": HOSTILE,
        "part": HOSTILE,
        "side": HOSTILE,
        "version": HOSTILE,
    }
    alarms = [an_alarm(**words, **names, harm=HARM), an_alarm(**words, status="closed")]
    window = a_window(changed={HOSTILE: 0.3}, names=[HOSTILE], actions={HOSTILE: 1})
    (finding,) = window.findings
    window = replace(
        window, findings=[replace(finding, words=HOSTILE, kind=HOSTILE, segment=HOSTILE)]
    )
    status = replace(
        report.status,
        version=HOSTILE,
        lacking=[HOSTILE],
        suppressions=[Suppression(HOSTILE, NOW_MS, HOSTILE, HOSTILE)],
        windows=[window],
    )
    cells = {HOSTILE: [HOSTILE] * CELL_COUNT}
    words_of_one = (HOSTILE, HOSTILE, NOW_MS, 1, HOSTILE, 0.5, HOSTILE, 1.0, HOSTILE)
    examples = {HOSTILE: AlarmExamples([ExampleTransaction(*words_of_one)])}
    return replace(
        report, status=status, alarms=alarms, windows=[window], cell_names=cells, examples=examples
    )


def test_the_page_is_whole_and_needs_nothing_else(report: DriftReport) -> None:
    html = page(report, 2)

    found = read(html)
    assert html.startswith('<!doctype html>\n<html lang="en">')
    assert found.count("title") - html.count("<rect") == 1  # of the page
    assert found.count("script") == found.count("link") == found.count("img") == 0
    assert not re.search(r"https?:|url\(|@import|src=|href=", html)


def test_headings_are_in_their_order(report: DriftReport) -> None:
    levels = [int(tag[1]) for tag, _ in read(page(report, 2)).tags if re.fullmatch("h[1-6]", tag)]

    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b <= a + 1 for a, b in pairwise(levels))


def test_every_table_has_a_caption_and_headers_that_say_of_what(report: DriftReport) -> None:
    html = page(report, 2)

    tables = re.findall(r"<table.*?</table>", html, re.DOTALL)
    assert len(tables) >= 7
    for one in tables:
        table = read(one)
        assert table.count("caption") == 1
        assert all(told.get("scope") in ("col", "row") for tag, told in table.tags if tag == "th")
        assert one.count('scope="row"') == one.count("<tr>") - 1
    regions = [told for tag, told in read(html).tags if told.get("role") == "region"]
    assert len(regions) == len(tables)
    assert all(told.get("aria-label") and told.get("tabindex") == "0" for told in regions)


def test_the_heat_map_has_a_row_for_each_feature_and_a_column_for_each_window(
    report: DriftReport,
) -> None:
    hours, days = re.findall(r'<table class="heat">.*?</table>', page(report, 2), re.DOTALL)

    rows = re.findall(r'<th scope="row">(.*?)</th>', hours)
    assert rows[:2] == ["country", "amount"]  # those that changed
    assert set(rows) == set(NAMES)
    assert hours.count('<th scope="col"><time') == 24
    assert days.count('<th scope="col"><time') == 9
    assert hours.index("09-01<br>09:00") < hours.index("09-01<br>10:00")  # the newest is last
    assert hours.count("▲") == 12
    assert hours.count(", changed location") == 12  # and is said, not only drawn
    assert 'class="level4 changed" title="p 1e-12; median 21.5 -&gt; 34.2"' in hours


def test_alarms_are_told_with_their_life_and_harm_with_its_condition(report: DriftReport) -> None:
    alarms = [an_alarm(acknowledged_by="ann", note="the sale", status="acknowledged", harm=HARM)]
    text = read(page(replace(report, alarms=alarms), 2)).text

    assert "there was enough evidence: 30 min after it began" in text
    assert "acknowledged by ann: the sale" in text
    assert "amount up: harm, if P(fraud | x) is unchanged" in text
    assert "As far as scores tell: if P(fraud | x) is unchanged" in text
    assert "missed per 1,000 transactions 34.10 51.20" in text
    assert "hour is suppressed until 2026-09-08 10:00 UTC, by ann: a holiday" in text


def test_the_segment_in_which_a_change_stands_is_told_of_alarms_and_of_windows(
    report: DriftReport,
) -> None:
    segment = 'country "DE"'
    window = a_window(changed={"amount": 0.2})
    findings = [
        replace(one, segment=segment) if one.name == "amount" else one for one in window.findings
    ]
    told = replace(report, alarms=[an_alarm(segment=segment)],
                   windows=[replace(window, findings=findings)])  # fmt: skip
    text = read(page(told, 2)).text

    assert 'amount up in country "DE"' in text
    assert 'Location: median 21.5 -> 34.2; in country "DE", only or mostly.' in text


def test_an_alarm_has_its_examples_or_says_why_not(report: DriftReport) -> None:
    one = ExampleTransaction("t1", "C7", NOW_MS, 123_456, "EUR", 0.25, "review", None, "missing")
    alarms = [an_alarm(1), an_alarm(2, column="country")]
    examples = {
        alarms[0].id: AlarmExamples([one, replace(one, value=21.5, currency=None)]),
        alarms[1].id: AlarmExamples(why="no such decision is in the archive"),
    }
    found = read(page(replace(report, alarms=alarms, examples=examples), 2))

    assert "amount up: 2 transactions where it grew most" in found.text
    assert "t1 C7 2026-09-01 10:00:00 1,234.56 EUR 0.2500 review missing missing" in found.text
    assert "1,234.56 0.2500 review 21.5 missing" in found.text
    assert "No example: no such decision is in the archive." in found.text


def test_a_histogram_is_drawn_for_eyes_and_told_for_ears(report: DriftReport) -> None:
    html = page(report, 2)

    pictures = [told for tag, told in read(html).tags if tag == "svg"]
    assert len(pictures) == 2
    assert all(told["role"] == "img" and told["aria-label"] for told in pictures)
    assert html.count("<rect") == 66
    assert "amount: where the shares of rows changed most" in html


def test_the_cells_that_changed_most_are_told_in_points() -> None:
    now, before = [0.0] * CELL_COUNT, [0.0] * CELL_COUNT
    now[:3], before[:3] = [0.2, 0.5, 0.3], [0.25, 0.25, 0.5]
    finding = ColumnFinding("a", 0.0, True, 0.3, cells=(now, before))

    text = read(histogram(finding, ["web", "shop"], "an hour")).text

    rows = (
        "shop 25.0% 50.0% +25.0 points cell 3 50.0% 30.0% −20.0 points web 25.0% 20.0% −5.0 points"
    )
    assert rows in text


@pytest.mark.parametrize("cells", [None, ([0.0], [0.0]), ([1.0], [0.5, 0.5]), ([], [])])
def test_a_window_without_counts_has_no_histogram(
    cells: tuple[list[float], list[float]] | None,
) -> None:
    found = read(histogram(ColumnFinding("a", 0.0, True, 0.3, cells=cells), [], "an hour"))

    assert found.count("svg") == 0
    assert found.text.startswith("This window")


def test_what_strangers_have_written_is_shown_and_does_nothing(report: DriftReport) -> None:
    html = page(hostile(report), 2)

    found = read(html)
    calm = read(page(report, 2))
    assert {tag for tag, _ in found.tags} <= {tag for tag, _ in calm.tags}
    names = {name for _, told in calm.tags for name in told}
    assert {name for _, told in found.tags for name in told} <= names
    assert "<script>alert(1)</script>" in found.text
    assert all(line.isprintable() for line in html.splitlines())


def test_a_page_of_one_alarm_is_about_its_column() -> None:
    found = read(page(a_report(an_alarm(2).id), 2, of_alarm=True))

    assert found.text.startswith(
        'Drift: unseen values of country up in channel "web" since 2026-09-01 04:00 UTC'
    )
    assert "terminal_rate_28d" not in found.text
    assert found.count("svg") == 1


def test_a_page_of_nothing_says_so(report: DriftReport) -> None:
    async def main() -> DriftReport:
        return await drift_report(*stores(), CONFIG, now_ms=NOW_MS)

    text = read(page(asyncio.run(main()), 2)).text

    assert "Watched: nothing." in text
    assert "no model serves yet: there is nothing to watch" in text
    assert "No alarm is open." in text
    assert "No window is complete yet." in text
    assert "Nothing has changed lately." in text


def test_hundreds_of_features_and_windows_are_bounded(report: DriftReport) -> None:
    names = [f"feature_{i:03}" for i in range(300)]
    changed = dict.fromkeys(names[:100], 0.2)
    windows = [
        a_window("hour", NOW_MS - i * HOUR_MS, names=names, changed=changed) for i in range(50)
    ]

    html = page(replace(report, windows=windows, alarms=[an_alarm(i) for i in range(500)]), 2)

    assert "240 more features changed less." in html
    assert len(html) < 2_000_000
