"""Pictures of an experiment, look by look."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sentinel.cli.html.parts import element, text

_WIDTH, _HEIGHT, _TOP, _BOTTOM, _LEFT, _RIGHT = 640.0, 240.0, 12.0, 40.0, 74.0, 70.0
_NOTHING = 1e-250  # no difference at all
_CLIPPED_FROM = 4.0  # times as far from 0 as what the last look says: early looks know little


@dataclass(frozen=True, slots=True)
class Point:
    """A look in a picture.

    Attributes
    ----------
    share
        Of the plan, in (0, 1].
    value
        The estimate, or the statistic.
    low, high
        Of the interval, or the boundary to either side.
    words
        What is said of it.
    """

    share: float
    value: float
    low: float
    high: float
    words: str


def interval_plot(points: Sequence[Point], label: str, say: Callable[[float], str]) -> str:
    """The estimate at each look, with the interval that is valid at any time."""
    frame = _Frame.around(points)
    drawn = []
    for one in points:
        x = frame.x(one.share)
        drawn.append(
            f'<line class="whisker" x1="{x:.1f}" x2="{x:.1f}" y1="{frame.y(one.high):.1f}" '
            f'y2="{frame.y(one.low):.1f}"/>'
        )
    return _picture(frame, [*drawn, *_dots(frame, points)], label, say)


def statistic_plot(points: Sequence[Point], label: str, say: Callable[[float], str]) -> str:
    """The statistic at each look, between the boundaries."""
    frame = _Frame.around(points)
    high = [(frame.x(one.share), frame.y(one.high)) for one in points]
    low = [(frame.x(one.share), frame.y(one.low)) for one in points]
    values = [(frame.x(one.share), frame.y(one.value)) for one in points]
    drawn = [
        f'<polygon class="inside" points="{_path([*high, *reversed(low)])}"/>',
        f'<polyline class="bound" points="{_path(high)}"/>',
        f'<polyline class="bound" points="{_path(low)}"/>',
        *(
            f'<line class="mark" x1="{x - 5:.1f}" x2="{x + 5:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>'
            for x, y in [*high, *low]
        ),
        f'<polyline class="statistic" points="{_path(values)}"/>',
        _said(high[-1][0] + 6, high[-1][1] + 4, "boundary", "start"),
        *_dots(frame, points),
    ]
    return _picture(frame, drawn, label, say)


@dataclass(frozen=True, slots=True)
class _Frame:
    """Where values are in the picture."""

    least: float
    most: float
    is_clipped: bool

    @classmethod
    def around(cls, points: Sequence[Point]) -> "_Frame":
        edges = [edge for one in points for edge in (one.low, one.value, one.high)]
        last = max(abs(points[-1].low), abs(points[-1].high), abs(points[-1].value))
        limit = max(_CLIPPED_FROM * last, *(1.2 * abs(one.value) for one in points)) or _NOTHING
        least, most = max(min(*edges, 0.0), -limit), min(max(*edges, 0.0), limit)
        is_clipped = min(edges) < -limit or max(edges) > limit
        if most - least < _NOTHING:
            least, most = -1.0, 1.0
        return cls(least * 1.05, most * 1.05, is_clipped)

    def x(self, share: float) -> float:
        return _LEFT + min(share, 1.0) * (_WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        height = _HEIGHT - _TOP - _BOTTOM
        inside = min(max(value, self.least), self.most)
        return _TOP + (self.most - inside) / (self.most - self.least) * height


def is_clipped(points: Sequence[Point]) -> bool:
    """Whether some look is beyond the picture."""
    return _Frame.around(points).is_clipped


def _picture(frame: _Frame, drawn: Sequence[str], label: str, say: Callable[[float], str]) -> str:
    left, right, bottom = frame.x(0), frame.x(1), _HEIGHT - _BOTTOM
    lines, names = [], []
    for value in _ticks(frame.least, frame.most):
        y = frame.y(value)
        strong = ' class="axis"' if value == 0 else ""
        lines.append(f'<line{strong} x1="{left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        names.append(_said(left - 6, y + 4, say(value), "end"))
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        x = frame.x(share)
        lines.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{bottom}" y2="{bottom + 4}"/>')
        names.append(_said(x, bottom + 17, f"{share:.0%}", "middle"))
    names.append(_said(left, bottom + 34, "of the plan, matured", "start"))
    return element(
        "svg", *lines, *drawn, *names,
        viewBox=f"0 0 {_WIDTH:g} {_HEIGHT:g}", role="img", aria_label=label,
    )  # fmt: skip


def _dots(frame: _Frame, points: Sequence[Point]) -> list[str]:
    found = [
        f'<circle cx="{frame.x(one.share):.1f}" cy="{frame.y(one.value):.1f}" r="4">'
        f"<title>{text(one.words)}</title></circle>"
        for one in points
    ]
    x, y = frame.x(points[-1].share), frame.y(points[-1].value)
    last = points[-1].words.partition(": ")[2].partition(",")[0]
    return [*found, _said(x + 8, y + 4, last, "start", is_strong=True)]


def _path(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _said(x: float, y: float, words: str, anchor: str, *, is_strong: bool = False) -> str:
    strong = ' class="strong"' if is_strong else ""
    return f'<text{strong} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{text(words)}</text>'


def _ticks(least: float, most: float) -> list[float]:
    """Round values, 0 among them, three to seven."""
    raw = (most - least) / 5
    size = 10.0 ** math.floor(math.log10(raw))
    step = next(one * size for one in (1.0, 2.0, 5.0, 10.0) if one * size >= raw)
    return [i * step for i in range(math.ceil(least / step), math.floor(most / step) + 1)]
