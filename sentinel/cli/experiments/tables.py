"""Looks at an experiment, as tables of a terminal."""

from collections.abc import Sequence

from rich.table import Table

from sentinel.cli.experiments import sentences
from sentinel.codec.times import date_text
from sentinel.stored.experiments import Definition
from sentinel.stored.looks import ComparedMetric, LookReport, PlannedLook


def look_table(
    definition: Definition, looks: Sequence[LookReport], decimals: int, *, is_wide: bool
) -> Table:
    """The primary metric look by look, a line for each challenger."""
    metric = definition.metric
    rows = [
        _look_row(definition, look, one, decimals, is_wide=is_wide)
        for look in looks
        for one in look.planned
    ]
    table = Table(title=f"{sentences.metric_name(metric)}: the planned test", title_justify="left")
    for name in rows[0] if rows else ():
        is_number = name in ("look", "matured", "accounts", "difference")
        table.add_column(
            name, justify="right" if is_number else "left", no_wrap=is_number, overflow="fold"
        )
    for row in rows:
        table.add_row(*row.values())
    return table


def _look_row(
    definition: Definition,
    look: LookReport,
    one: PlannedLook,
    decimals: int,
    *,
    is_wide: bool,
) -> dict[str, str]:
    compared = primary_of(look, definition.metric, one.arm)
    interval = None if compared is None else compared.interval
    is_tested = one.statistic is not None and one.boundary is not None
    statistic = sentences.statistic_text(one) if is_tested else "not tested"
    return {
        "look": f"{look.number}",
        **({"until (UTC)": date_text(look.counted_to_ms)[:16]} if is_wide else {}),
        "matured": sentences.percent(look.share),
        "arm": one.arm,
        **({"accounts": f"{look.accounts.get(one.arm, 0):,}"} if is_wide else {}),
        "difference": difference_text(definition, one, decimals),
        "valid at any time": sentences.interval_text(definition.metric, interval, decimals),
        "statistic of boundary": statistic + (", futile" if one.is_futile else ""),
    }


def untested_lines(look: LookReport) -> list[str]:
    """Why the planned test was not made at a look, by challenger."""
    return [f"{one.arm} was not tested: {one.why_not}" for one in look.planned if one.why_not]


def difference_text(definition: Definition, one: PlannedLook, decimals: int) -> str:
    """The difference of the primary metric; of a shadow its own lines have it, in money."""
    if definition.design == "shadow":
        return ""
    return sentences.metric_text(definition.metric, one.estimate, decimals, signed=True)


def primary_of(look: LookReport, metric: str, arm: str) -> ComparedMetric | None:
    """The primary metric of an arm at a look; None if it is not known."""
    found = [one for one in look.compared if one.metric == metric and one.arm == arm]
    return found[0] if found else None


def compared_table(look: LookReport, decimals: int, *, is_wide: bool) -> Table:
    """Every metric of every challenger beside the control."""
    title = f"look {look.number}: every metric; the first one decides"
    table = Table(title=title, title_justify="left")
    cells = ("its value", "control", "difference", "relative", "valid at any time", "p")
    kept = [name for name in cells if is_wide or name not in ("relative", "p")]
    for name in ("metric", "arm", *kept):
        is_number = name not in ("metric", "arm")
        table.add_column(name, justify="right" if is_number else "left", overflow="fold")
    for one in look.compared:
        row = dict(zip(cells, compared_cells(one, decimals), strict=True))
        values = (row[name] for name in kept)
        table.add_row(sentences.metric_name(one.metric), one.arm, *values)
    return table


def compared_cells(one: ComparedMetric, decimals: int) -> tuple[str, ...]:
    """Of a metric: both values, their difference, how much that is, its interval, p."""
    return (
        sentences.metric_text(one.metric, one.value, decimals),
        sentences.metric_text(one.metric, one.control, decimals),
        sentences.metric_text(one.metric, one.estimate, decimals, signed=True),
        sentences.relative_text(one.estimate, one.control),
        sentences.interval_text(one.metric, one.interval, decimals),
        "" if one.p is None else f"{one.p:.2g}",
    )
