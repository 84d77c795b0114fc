"""Looks at an experiment, as tables of a terminal."""

from collections.abc import Sequence

from rich.table import Table

from sentinel.cli.experiments import sentences
from sentinel.codec.times import date_text
from sentinel.stored.experiments import Definition
from sentinel.stored.looks import ComparedMetric, LookReport, PlannedLook


def look_table(definition: Definition, looks: Sequence[LookReport], decimals: int) -> Table:
    """The primary metric look by look, a line for each challenger."""
    metric = definition.metric
    title = f"{sentences.metric_name(metric)}: the planned test"
    table = Table(title=title, title_justify="left")
    numbers = ("look", "matured", "accounts", "difference")
    for name in (
        "look", "until (UTC)", "matured", "arm", "accounts", "difference", "valid at any time",
        "statistic of boundary",
    ):  # fmt: skip
        is_number = name in numbers
        table.add_column(
            name, justify="right" if is_number else "left", no_wrap=is_number, overflow="fold"
        )
    for look in looks:
        for one in look.planned:
            table.add_row(*_look_cells(definition, look, one, decimals))
    return table


def _look_cells(
    definition: Definition, look: LookReport, one: PlannedLook, decimals: int
) -> tuple[str, ...]:
    compared = primary_of(look, definition.metric, one.arm)
    interval = None if compared is None else compared.interval
    count = look.accounts.get(one.arm)
    return (
        f"{look.number}",
        date_text(look.counted_to_ms)[:16],
        sentences.percent(look.share),
        one.arm,
        "" if count is None else f"{count:,}",
        difference_text(definition, one, decimals),
        sentences.interval_text(definition.metric, interval, decimals),
        sentences.statistic_text(one) + (", futile" if one.is_futile else ""),
    )


def difference_text(definition: Definition, one: PlannedLook, decimals: int) -> str:
    """The difference of the primary metric; of a shadow its own lines have it, in money."""
    if definition.design == "shadow":
        return ""
    return sentences.metric_text(definition.metric, one.estimate, decimals, signed=True)


def primary_of(look: LookReport, metric: str, arm: str) -> ComparedMetric | None:
    """The primary metric of an arm at a look; None if it is not known."""
    found = [one for one in look.compared if one.metric == metric and one.arm == arm]
    return found[0] if found else None


def compared_table(look: LookReport, decimals: int) -> Table:
    """Every metric of every challenger beside the control."""
    title = f"look {look.number}: every metric; the first one decides"
    table = Table(title=title, title_justify="left")
    for name in (
        "metric", "arm", "its value", "control", "difference", "relative", "valid at any time", "p",
    ):  # fmt: skip
        is_number = name not in ("metric", "arm")
        table.add_column(name, justify="right" if is_number else "left", overflow="fold")
    for one in look.compared:
        table.add_row(sentences.metric_name(one.metric), one.arm, *compared_cells(one, decimals))
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
