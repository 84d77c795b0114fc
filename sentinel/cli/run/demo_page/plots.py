"""Pictures of a demo, day by day."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sentinel.cli.html.parts import element, text

_WIDTH, _HEIGHT, _TOP, _BOTTOM, _LEFT, _RIGHT = 960.0, 260.0, 26.0, 30.0, 60.0, 76.0
_ROW = 22.0
_TICK_COUNT = 5
_APART = 14.0  # between numbers of moments, else they lie on each other


@dataclass(frozen=True, slots=True)
class Line:
    """A value by day, from the first day on.

    Attributes
    ----------
    style
        "ours" or "static", or of labels another class.
    """

    name: str
    values: Sequence[float | None]
    style: str


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that happened on a day; its number stands above the picture."""

    day: float
    number: int
    words: str


@dataclass(frozen=True, slots=True)
class Bar:
    """From one day to another."""

    name: str
    from_day: float
    to_day: float
    is_bad: bool = False


def day_plot(
    lines: Sequence[Line],
    moments: Sequence[Moment],
    label: str,
    say: Callable[[float], str],
    *,
    most: float | None = None,
) -> str:
    """Lines over days, with what happened."""
    day_count = max(len(one.values) for one in lines)
    known = [value for one in lines for value in one.values if value is not None]
    top = most or max([*known, 0.0]) * 1.05 or 1.0

    def x(day: float) -> float:
        return _LEFT + day / day_count * (_WIDTH - _LEFT - _RIGHT)

    def y(value: float) -> float:
        return _TOP + (top - min(value, top)) / top * (_HEIGHT - _TOP - _BOTTOM)

    drawn = []
    for value in _ticks_to(top):
        drawn.append(_rule(x(0), x(day_count), y(value), is_axis=value == 0))
        drawn.append(_words(x(0) - 6, y(value) + 4, say(value), "end"))
    drawn += _day_axis(x, day_count, _HEIGHT - _BOTTOM)
    drawn += _moment_marks(moments, x, _HEIGHT - _BOTTOM)
    for line in lines:
        drawn += [
            f'<polyline class="{line.style}" points="{piece}"/>'
            for piece in _pieces(line.values, x, y)
        ]
    drawn += _names(lines, x(day_count) + 6, y)
    return element(
        "svg", *drawn, viewBox=f"0 0 {_WIDTH:g} {_HEIGHT:g}", role="img", aria_label=label
    )


def version_plot(bars: Sequence[Bar], day_count: int, label: str) -> str:
    """Which version served when."""
    height = _ROW * len(bars) + _BOTTOM

    def x(day: float) -> float:
        return _LEFT + day / day_count * (_WIDTH - _LEFT - _RIGHT)

    drawn = _day_axis(x, day_count, height - _BOTTOM)
    for i, bar in enumerate(bars):
        y, width = i * _ROW + 3, max(x(bar.to_day) - x(bar.from_day), 2.0)
        style = ' class="bad"' if bar.is_bad else ""
        drawn.append(
            f'<rect{style} x="{x(bar.from_day):.1f}" y="{y:.1f}" width="{width:.1f}" height="15"/>'
        )
        drawn.append(_words(x(0) - 6, y + 12, bar.name, "end"))
    return element(
        "svg", *drawn, viewBox=f"0 0 {_WIDTH:g} {height:g}", role="img", aria_label=label
    )


def _pieces(
    values: Sequence[float | None], x: Callable[[float], float], y: Callable[[float], float]
) -> list[str]:
    """A path for each stretch of days without a gap; a day is drawn at its noon."""
    pieces: list[list[str]] = [[]]
    for day, value in enumerate(values):
        if value is None:
            pieces.append([])
        else:
            pieces[-1].append(f"{x(day + 0.5):.1f},{y(value):.1f}")
    return [" ".join(one) for one in pieces if one]


def _names(lines: Sequence[Line], x: float, y: Callable[[float], float]) -> list[str]:
    """At the end of each line, not closer than can be read."""
    ends = sorted(
        (y(next((v for v in reversed(one.values) if v is not None), 0.0)), one.name)
        for one in lines
    )
    found, lowest = [], -math.inf
    for at, name in ends:
        lowest = max(at, lowest + 13)
        found.append(_words(x, lowest + 4, name, "start", is_strong=True))
    return found


def _moment_marks(
    moments: Sequence[Moment], x: Callable[[float], float], bottom: float
) -> list[str]:
    found, last = [], -math.inf
    for one in moments:
        at = x(one.day)
        found.append(
            f'<line class="moment" x1="{at:.1f}" x2="{at:.1f}" y1="{_TOP - 6}" y2="{bottom}">'
            f"<title>{text(one.words)}</title></line>"
        )
        last = max(at, last + _APART)
        found.append(_words(last, _TOP - 10, f"{one.number}", "middle", is_strong=True))
    return found


def _day_axis(x: Callable[[float], float], day_count: int, bottom: float) -> list[str]:
    step = next(one for one in (5, 10, 20, 30, 60, 120) if day_count / one <= 10)
    found = []
    for day in range(0, day_count + 1, step):
        at = x(day)
        found.append(f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{bottom:.1f}" y2="{bottom + 4:.1f}"/>')
        found.append(_words(at, bottom + 17, f"day {day}", "middle"))
    return found


def _rule(left: float, right: float, y: float, *, is_axis: bool) -> str:
    style = ' class="axis"' if is_axis else ""
    return f'<line{style} x1="{left:.1f}" x2="{right:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>'


def _words(x: float, y: float, words: str, anchor: str, *, is_strong: bool = False) -> str:
    strong = ' class="strong"' if is_strong else ""
    return f'<text{strong} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{text(words)}</text>'


def _ticks_to(top: float) -> list[float]:
    """Round values from 0 on."""
    raw = top / _TICK_COUNT
    size = 10.0 ** math.floor(math.log10(raw))
    step = next(one * size for one in (1.0, 2.0, 5.0, 10.0) if one * size >= raw)
    return [i * step for i in range(math.floor(top / step + 1e-9) + 1)]
