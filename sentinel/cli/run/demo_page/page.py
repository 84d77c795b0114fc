"""The page of a demo: recall and money by day, labels, versions, and everything that happened."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sentinel.app.demo.hearing import LabelDay
from sentinel.app.demo.mistake import WHO
from sentinel.app.demo.outcome import (
    COUNTERED_SHARE,
    WINDOW_H,
    DemoDay,
    DemoFigures,
    Served,
    first_alarm,
)
from sentinel.app.demo.script import Script
from sentinel.app.demo.told import Happening
from sentinel.app.demo.waiting import PACE
from sentinel.cli.html.document import document
from sentinel.cli.html.parts import element, html_table, text, when
from sentinel.cli.run.demo_page.plots import Bar, Line, Moment, day_plot, version_plot
from sentinel.cli.run.demo_words import in_a_sentence
from sentinel.simulation.chargebacks import DAY_MS

_TITLE = "Half a year of a small payment company"
_SMOOTH_DAYS = 3
# What is drawn into the pictures; all else is in the table only.
_DRAWN = ("pattern", "performance_alarm", "promoted", "mistake", "rolled_back")

_NOT_DRAWN = ("sentinel run", WHO)  # the first model, and what the mistake tells already


@dataclass(frozen=True, slots=True)
class PlayedDemo:
    """A demo that was played.

    Attributes
    ----------
    labels
        By day since 1970.
    waited_s
        Real seconds, by what was waited for.
    """

    script: Script
    figures: DemoFigures
    days: Sequence[DemoDay]
    happenings: Sequence[Happening]
    versions: Sequence[Served]
    labels: Mapping[int, LabelDay]
    waited_s: Mapping[str, float]
    took_s: float
    decimals: int


def demo_page(played: PlayedDemo) -> str:
    """The page."""
    script, figures = played.script, played.figures
    lead = [
        element("p", element("strong", text(in_a_sentence(figures))), class_="verdict"),
        element(
            "p",
            text(
                f"{script.day_count} days and {figures.transactions:,} transactions of "
                f"{script.customer_count:,} cardholders, played through one running Sentinel in "
                f"{played.took_s:,.0f} seconds; seed {figures.seed}. Frauds are scripted, and that "
                "somebody promotes a bad model. Everything else is what the system did."
            ),
            class_="lead",
        ),
    ]
    moments = list(_moments(played))
    sections = [
        _recall_section(played, moments),
        _money_section(played, moments),
        _label_section(played, moments),
        _version_section(played),
        _event_section(played, moments),
        _figure_section(played),
        _time_section(played),
    ]
    return document(_TITLE, lead, sections)


def _moments(played: PlayedDemo) -> Iterator[Moment]:
    for number, one in enumerate(_drawn(played), start=1):
        yield Moment((one.at_ms - played.script.begin_ms) / DAY_MS, number, one.what)


def _drawn(played: PlayedDemo) -> list[Happening]:
    """What the pictures show: the first alarm that names the cause, and what serves."""
    first = first_alarm(played.happenings, played.script.at_ms(played.script.pattern_day))
    return [
        one
        for one in played.happenings
        if one is first or (one.kind in _DRAWN and one.facts.get("who") not in _NOT_DRAWN)
    ]


def _section(title: str, *content: str) -> str:
    return element("section", element("h2", text(title)), *content)


def _figure(picture: str, caption: str) -> str:
    return element("figure", picture, element("figcaption", text(caption)), class_="broad")


def _recall_section(played: PlayedDemo, moments: Sequence[Moment]) -> str:
    days = played.days
    ours = _smooth([(one.caught, one.frauds) for one in days])
    static = _smooth([(one.static_caught, one.frauds) for one in days])
    plot = day_plot(
        [Line("Sentinel", ours, "ours"), Line("static", static, "static")],
        moments,
        "Recall by day, of Sentinel and of the static model",
        lambda value: f"{value:.0%}",
        most=1.0,
    )
    return _section(
        "Recall",
        _figure(
            plot,
            f"Of the frauds, in truth, how many were not approved; {_SMOOTH_DAYS} days together. "
            "Static is the first model, which never learns.",
        ),
        element(
            "ol",
            *(element("li", text(f"day {one.day:.0f}: {one.words}")) for one in moments),
        ),
    )


def _money_section(played: PlayedDemo, moments: Sequence[Moment]) -> str:
    unit = 10**played.decimals
    lines = [
        Line("Sentinel", _smooth([(one.lost / unit, 1) for one in played.days]), "ours"),
        Line("static", _smooth([(one.static_lost / unit, 1) for one in played.days]), "static"),
    ]
    plot = day_plot(
        lines, moments, "Money lost by day, with Sentinel and with the static model",
        lambda value: f"{value:,.0f}",
    )  # fmt: skip
    return _section(
        "Money lost",
        _figure(plot, f"By frauds that were approved, a day; {_SMOOTH_DAYS} days together."),
    )


def _label_section(played: PlayedDemo, moments: Sequence[Moment]) -> str:
    first = played.script.begin_ms // DAY_MS
    found = [played.labels.get(first + day, LabelDay()) for day in range(len(played.days))]
    lines = [
        Line("fraud", [float(one.fraud) for one in found], "ours"),
        Line("genuine", [float(one.genuine) for one in found], "static"),
        Line("disputed", [float(one.contradicted) for one in found], "third"),
    ]
    plot = day_plot(
        lines, moments, "Labels by day: fraud, genuine, and votes that contradict each other",
        lambda value: f"{value:,.0f}",
    )  # fmt: skip
    changed = sum(one.changed for one in found)
    caption = (
        "Labels that became known, by the day on which they did; disputed are alerts on which "
        f"investigators did not agree. {changed:,} labels took the place of another word later."
    )
    return _section("Labels", _figure(plot, caption))


def _version_section(played: PlayedDemo) -> str:
    begin_ms, end = played.script.begin_ms, len(played.days)
    bad = {str(x.facts["version"]) for x in played.happenings if x.kind == "mistake"}
    bars = [
        Bar(
            one.version,
            (one.from_ms - begin_ms) / DAY_MS,
            end if one.to_ms is None else (one.to_ms - begin_ms) / DAY_MS,
            one.version in bad,
        )
        for one in played.versions
    ]
    rows = [
        (text(one.version), when(one.from_ms), "" if one.to_ms is None else when(one.to_ms),
         text(one.who))
        for one in played.versions
    ]  # fmt: skip
    return _section(
        "Versions",
        _figure(version_plot(bars, end, "Which version served when"), "What served, and when."),
        html_table("Champions", ("version", "from (UTC)", "to", "made so by"), rows),
    )


def _event_section(played: PlayedDemo, moments: Sequence[Moment]) -> str:
    numbers = {id(one): f"{m.number}" for one, m in zip(_drawn(played), moments, strict=True)}
    rows = [
        (
            when(one.at_ms),
            text(f"{(one.at_ms - played.script.begin_ms) // DAY_MS}"),
            text(numbers.get(id(one), "")),
            text(one.kind.replace("_", " ")),
            text(one.what),
        )
        for one in played.happenings
    ]
    headers = ("when (UTC)", "day", "in the pictures", "kind", "what")
    return _section("Everything that happened", html_table("Events", headers, rows, numbers=(1, 2)))


def _figure_section(played: PlayedDemo) -> str:
    figures = played.figures
    rows = [
        ("saved", f"{figures.saved:,.0f} of {figures.lost:,.0f}"),
        ("recall before the pattern", f"{figures.recall_before:.1%}"),
        (f"recall in the worst {WINDOW_H} hours", f"{figures.recall_low:.1%}"),
        ("recall in the two weeks before the mistake", f"{figures.recall_after:.1%}"),
        ("the same of the static model", f"{figures.static_recall_after:.1%}"),
        ("first alarm that names the cause", _hours_text(figures.hours_to_alarm)),
        ("a better model is promoted", _hours_text(figures.hours_to_promotion)),
        (
            f"countered: recall is {COUNTERED_SHARE:.0%} of before, and stays so",
            _hours_text(figures.hours_to_countered),
        ),
        ("the same of the static model", _hours_text(figures.static_hours_to_countered)),
        ("the bad model is rolled back", _hours_text(figures.rolled_back_after_hours)),
    ]
    return _section(
        "Figures",
        html_table(
            "Hours are of event time, since the pattern began, or since the mistake",
            ("figure", ""),
            [(text(name), text(value)) for name, value in rows],
        ),
    )


def _time_section(played: PlayedDemo) -> str:
    rows = [
        (text(name), text(f"{seconds:,.1f}"), text(f"{seconds * PACE / 3600:,.1f}"))
        for name, seconds in sorted(played.waited_s.items(), key=lambda one: -one[1])
    ]
    told = (
        "The event clock stands still until what follows from the events has followed, and goes "
        f"on meanwhile at {PACE:,.0f} seconds for each real one: so long was waited for."
    )
    return _section(
        "Time",
        element("p", text(told)),
        html_table("Waits", ("for", "seconds", "hours of event time"), rows, numbers=(1, 2)),
    )


def _hours_text(hours: float | None) -> str:
    return "never" if hours is None else f"after {hours:,.0f} hours"


def _smooth(pairs: Sequence[tuple[float, float]]) -> list[float | None]:
    """Ratios of sums over some days, up to each; None where there is nothing to divide by."""
    found: list[float | None] = []
    for i in range(len(pairs)):
        some = pairs[max(i - _SMOOTH_DAYS + 1, 0) : i + 1]
        below = sum(one[1] for one in some)
        found.append(sum(one[0] for one in some) / below if below else None)
    return found
