"""The histogram of a feature: a window against the reference."""

from collections.abc import Sequence

from sentinel.cli.html.parts import element, html_table, text
from sentinel.core.drift.counts.columns import MISSING
from sentinel.stored.drift import ColumnFinding

_WIDTH, _HEIGHT, _TOP, _BOTTOM, _LEFT = 640.0, 190.0, 12.0, 34.0, 44.0
_CHANGED_COUNT = 5  # cells that are told in numbers
_LABEL_COUNT = 5


def histogram(finding: ColumnFinding, names: Sequence[str], window: str) -> str:
    """A picture, and in a table the cells that changed most; nothing if the window has no counts.

    Parameters
    ----------
    names
        What each cell holds; those without a name are numbered.
    window
        Names the window.
    """
    if finding.cells is None or len(finding.cells[0]) != len(finding.cells[1]):
        return element("p", "This window keeps no counts of it.")
    now, before = finding.cells
    kept = [i for i, pair in enumerate(zip(now, before, strict=True)) if max(pair) > 0]
    if not kept:
        return element("p", "This window has no rows of it.")
    labels = [_name(names, i) for i in kept]
    pairs = [(now[i], before[i]) for i in kept]
    most = sorted(range(len(kept)), key=lambda i: -abs(pairs[i][0] - pairs[i][1]))
    rows = [
        (text(labels[i]), f"{pairs[i][1]:.1%}", f"{pairs[i][0]:.1%}", _change(*pairs[i]))
        for i in most[:_CHANGED_COUNT]
    ]
    caption = f"{finding.name}: where the shares of rows changed most"
    headers = ("value", "reference", "window", "change")
    return element(
        "figure",
        _picture(finding.name, window, labels, pairs, has_missing=MISSING in kept),
        element("figcaption", _key(window)),
        html_table(caption, headers, rows, numbers=(1, 2, 3)),
    )


def _name(names: Sequence[str], cell: int) -> str:
    return (names[cell] if cell < len(names) else "") or f"cell {cell + 1}"


def _change(now: float, before: float) -> str:
    return f"{'+' if now >= before else '−'}{abs(now - before) * 100:.1f} points"


def _key(window: str) -> str:
    filled = element("span", "", class_="key filled", aria_hidden="true")
    outlined = element("span", "", class_="key outlined", aria_hidden="true")
    return f"{filled} filled: {text(window)} &nbsp; {outlined} outlined: the reference"


def _picture(
    name: str,
    window: str,
    labels: Sequence[str],
    pairs: Sequence[tuple[float, float]],
    *,
    has_missing: bool,
) -> str:
    top = max(max(pair) for pair in pairs)
    step = (_WIDTH - _LEFT) / len(pairs)
    height = _HEIGHT - _TOP - _BOTTOM
    base = _TOP + height
    bars, edge = [], []
    for i, (now, before) in enumerate(pairs):
        x, tall, line = _LEFT + i * step, now / top * height, base - before / top * height
        told = f"{labels[i]}: {now:.2%}, in the reference {before:.2%}"
        bars.append(
            f'<rect x="{x + 0.12 * step:.1f}" y="{base - tall:.1f}" width="{0.76 * step:.1f}" '
            f'height="{tall:.1f}"><title>{text(told)}</title></rect>'
        )
        edge += [f"{x:.1f},{line:.1f}", f"{x + step:.1f},{line:.1f}"]
    label = f"Histogram of {name}: {window} against the reference; the table below has the numbers"
    return element(
        "svg",
        f'<line x1="{_LEFT}" x2="{_WIDTH}" y1="{base}" y2="{base}"/>',
        *bars,
        f'<polyline points="{" ".join(edge)}"/>',
        _axis_label(_LEFT - 6, _TOP + 8, f"{top:.0%}" if top >= 0.1 else f"{top:.1%}", "end"),
        _axis_label(_LEFT - 6, base, "0", "end"),
        *_labels(labels, step, base, has_missing=has_missing),
        viewBox=f"0 0 {_WIDTH:g} {_HEIGHT:g}",
        role="img",
        aria_label=label,
    )


def _labels(labels: Sequence[str], step: float, base: float, *, has_missing: bool) -> list[str]:
    """A few of the names below their bars, evenly spread; "missing" always."""
    count = min(_LABEL_COUNT, len(labels))
    at = {round(i * (len(labels) - 1) / max(count - 1, 1)) for i in range(count)}
    if has_missing and "missing" in labels:
        place = labels.index("missing")
        at = {i for i in at if abs(i - place) * step > 60} | {place}
    found = []
    for i in sorted(at):
        x = _LEFT + (i + 0.5) * step
        anchor = "end" if x > _WIDTH - 50 else "middle"
        found.append(_axis_label(min(x, _WIDTH - 2), base + 16, labels[i][:22], anchor))
    return found


def _axis_label(x: float, y: float, said: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{text(said)}</text>'
