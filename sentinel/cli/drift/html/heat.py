"""The heat map: which feature changed, and when."""

from bisect import bisect_right
from collections.abc import Sequence

from sentinel.cli.drift.sentences import p_text
from sentinel.cli.html.parts import element, scrolling, spoken, text, when
from sentinel.stored.drift import ColumnFinding, Scale, WindowReport

# From these effects on a cell is darker. Below the first nobody would act on a change.
LEVELS = (0.02, 0.05, 0.1, 0.2)
_WINDOW_COUNTS: dict[Scale, int] = {"rows": 20, "hour": 24, "day": 21, "week": 14}
_ROW_COUNT_MAX = 60
_TITLES: dict[Scale, str] = {
    "rows": "By number of rows",
    "hour": "By hour",
    "day": "By day",
    "week": "Seven days at a time",
}


def heat_map(scale: Scale, windows: Sequence[WindowReport], only: str = "") -> str:
    """Features by time, of windows of one scale, the newest first; `only` one of the features."""
    shown = list(reversed(windows[: _WINDOW_COUNTS[scale]]))
    found = [{one.name: one for one in window.findings} for window in shown]
    names = [only] if only else _most_suspect_first(found)
    rows = [_row(name, found) for name in names[:_ROW_COUNT_MAX]]
    heads = [element("th", when(window.end_ms, short=True), scope="col") for window in shown]
    caption = (
        f"{_TITLES[scale]}: the effect in each feature. Times are the ends of windows, in UTC."
    )
    body = element(
        "table",
        element("caption", text(caption)),
        element("thead", element("tr", element("th", "feature", scope="col"), *heads)),
        element("tbody", *rows),
        class_="heat",
    )
    more = len(names) - len(rows)
    note = f"{more:,} more features changed less." if more > 0 else ""
    return (
        element("h3", text(_TITLES[scale]))
        + scrolling(body, caption)
        + (element("p", text(note)) if note else "")
    )


def legend() -> str:
    """What colours and signs mean."""
    bounds = [f"below {LEVELS[0]:g}", *(f"from {level:g}" for level in LEVELS)]
    items = [
        element("li", element("span", text(said), class_=f"swatch level{i}"))
        for i, said in enumerate(bounds)
    ]
    return element("ul", *items, class_="legend", aria_label="Colours of effects") + element(
        "p",
        "The effect is a distance from 0, alike, to 1, nothing in common: of a number the largest "
        "distance between the two distributions, of values the share that lies elsewhere. "
        "<b>▲</b> marks what the test calls a change; a dark cell without it may be chance.",
    )


def _most_suspect_first(found: Sequence[dict[str, ColumnFinding]]) -> list[str]:
    """Features that changed most often first; of the same, those with the largest effect."""
    names = dict.fromkeys(name for window in found for name in window)

    def suspicion(name: str) -> tuple[int, float]:
        met = [window[name] for window in found if name in window]
        return sum(one.alarm for one in met), max(one.effect for one in met)

    return sorted(names, key=suspicion, reverse=True)


def _row(name: str, found: Sequence[dict[str, ColumnFinding]]) -> str:
    cells = [_cell(window.get(name)) for window in found]
    return element("tr", element("th", text(name), scope="row"), *cells)


def _cell(finding: ColumnFinding | None) -> str:
    if finding is None:
        return element("td", "–", spoken("not tested"))
    level = bisect_right(LEVELS, finding.effect)
    number = f"{finding.effect:.2f}".removeprefix("0")
    if not finding.alarm:
        return element("td", number, class_=f"level{level}")
    words = " ".join(one for one in ("changed", finding.kind.replace("_", " ")) if one)
    mark = element("span", "▲", aria_hidden="true")
    title = f"p {p_text(finding.p)}; {finding.words or words}"
    return element(
        "td", mark, number, spoken(f", {words}"), class_=f"level{level} changed", title=title
    )
