"""The report of an experiment as one page: no network, no script, to read, to print, to hear."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from sentinel.cli.experiments import sentences
from sentinel.cli.experiments.html.plots import (
    Point,
    interval_plot,
    is_clipped,
    statistic_plot,
)
from sentinel.cli.experiments.tables import compared_cells, difference_text, primary_of
from sentinel.cli.html.document import as_sentence, document
from sentinel.cli.html.parts import element, html_table, text, when
from sentinel.core.experiments.metrics import METRICS
from sentinel.operations.experiments.acting import Shown
from sentinel.stored.experiments import Definition
from sentinel.stored.looks import LookReport, PlannedLook


def experiment_page(found: Shown, decimals: int, *, made_ms: int) -> str:
    """The whole page.

    Parameters
    ----------
    decimals
        Of the currency's amounts.
    made_ms
        When, in processing time.
    """
    stored = found.stored
    lines = sentences.standing_lines(stored)
    lead = [
        element("p", text(f"{lines[0]}."), class_="verdict"),
        *(element("p", text(as_sentence(line)), class_="lead") for line in lines[1:]),
    ]
    if started := sentences.started_text(stored):
        control = f"; the control is version {stored.control}" if stored.control else ""
        lead.append(element("p", text(as_sentence(f"{started}{control}")), class_="lead"))
    made = element("p", "Made ", when(made_ms), " UTC.", class_="lead")
    sections = [*_compared(stored.definition), *_looks(found, decimals), *_guards(found)]
    return document(f"Experiment {stored.definition.id}", [*lead, made], sections)


def _compared(definition: Definition) -> Iterator[str]:
    yield element("h2", "What is compared")
    rows = [
        (text(arm.name), text(sentences.percent(arm.share)), text(sentences.arm_text(arm)))
        for arm in definition.arms
    ]
    caption = "The arms; the first one is the control"
    yield html_table(caption, ("arm", "share", "decides by"), rows, numbers=(1,))
    told = [line for line in sentences.definition_lines(definition) if not line.startswith("  ")]
    told[0] = told[0].removeprefix(f"{definition.id}: ")
    yield element("ul", *(element("li", text(as_sentence(line))) for line in told))


def _looks(found: Shown, decimals: int) -> Iterable[str]:
    definition, looks = found.stored.definition, found.looks
    if not looks:
        yield element("h2", "Looks")
        yield element("p", "There was no look yet.")
        return
    for arm in definition.challengers:
        yield element("h2", text(f"{arm.name}: {sentences.metric_name(definition.metric)}"))
        yield from _figures(definition, looks, arm.name, decimals)
        yield _look_rows(definition, looks, arm.name, decimals)
    last = looks[-1]
    if last.compared:
        yield element("h2", "Every metric at the last look")
        yield _metric_rows(last, decimals)
    if shadow := sentences.shadow_lines(last, decimals):
        yield element("h2", "What one model alone finds")
        yield element("ul", *(element("li", text(as_sentence(line))) for line in shadow))
    yield element("h2", "Who was in which arm")
    yield from _accounts(definition, looks)
    if last.notes:
        yield element("h2", "Notes")
        yield element("ul", *(element("li", text(as_sentence(note))) for note in last.notes))


def _figures(
    definition: Definition, looks: Sequence[LookReport], arm: str, decimals: int
) -> Iterator[str]:
    metric = definition.metric
    better = METRICS[metric].better
    intervals = _interval_points(definition, looks, arm, decimals)
    if intervals:
        last = intervals[-1]
        label = (
            f"Difference of {metric} between {arm} and the control at each look, with an interval "
            f"that is valid at any time. {last.words}. The table below has all numbers."
        )
        clipped = (
            " Intervals of early looks go beyond the picture." if is_clipped(intervals) else ""
        )
        told = (
            f"{arm} less the control, with the interval that is valid at any time; {better} is "
            "better"
        )
        yield element(
            "figure",
            interval_plot(intervals, label, _value_axis(metric, decimals)),
            element("figcaption", text(f"{as_sentence(told)}{clipped}")),
        )
    statistics = [
        Point(
            look.share, one.statistic, -one.boundary, one.boundary,
            f"look {look.number}: {one.statistic:+.2f}, boundary ±{one.boundary:.2f}",
        )
        for look, one in _planned(looks, arm)
        if one.statistic is not None and one.boundary is not None
    ]  # fmt: skip
    if statistics:
        last = statistics[-1]
        label = (
            f"Statistic of the planned test of {arm} against its boundary at each look. "
            f"{last.words}. The table below has all numbers."
        )
        told = (
            "the statistic of the planned test; beyond the dashed boundary the arms are told apart"
        )
        yield element(
            "figure",
            statistic_plot(statistics, label, lambda value: f"{value:g}"),
            element("figcaption", text(as_sentence(told))),
        )
    if not intervals and not statistics:
        yield element("p", "Nothing could be tested yet; the table says why.")


def _planned(looks: Sequence[LookReport], arm: str) -> list[tuple[LookReport, PlannedLook]]:
    return [(look, one) for look in looks for one in look.planned if one.arm == arm]


def _interval_points(
    definition: Definition, looks: Sequence[LookReport], arm: str, decimals: int
) -> list[Point]:
    metric, found = definition.metric, []
    for look in looks:
        one = primary_of(look, metric, arm)
        if one is None or one.estimate is None or one.interval is None:
            continue
        value = sentences.metric_text(metric, one.estimate, decimals, signed=True)
        between = sentences.interval_text(metric, one.interval, decimals)
        words = f"look {look.number}: {value}, valid at any time {between}"
        found.append(Point(look.share, one.estimate, *one.interval, words))
    return found


def _value_axis(metric: str, decimals: int) -> Callable[[float], str]:
    def say(value: float) -> str:
        said = sentences.metric_text(metric, value, decimals, signed=True)
        return said.removesuffix(" points") + (" pt" if said.endswith(" points") else "")

    return say


def _look_rows(definition: Definition, looks: Sequence[LookReport], arm: str, decimals: int) -> str:
    rows = []
    for look, one in _planned(looks, arm):
        compared = primary_of(look, definition.metric, arm)
        interval = None if compared is None else compared.interval
        futile = ", futile" if one.is_futile else ""
        rows.append(
            (
                f"{look.number}",
                when(look.counted_to_ms),
                text(sentences.percent(look.share)),
                text(difference_text(definition, one, decimals)),
                text(sentences.interval_text(definition.metric, interval, decimals)),
                text(sentences.statistic_text(one) + futile),
            )
        )
    headers = (
        "look", "outcomes until (UTC)", "of the plan", "difference", "valid at any time",
        "statistic of boundary",
    )  # fmt: skip
    return html_table(f"{arm}: every look", headers, rows, numbers=(0, 2, 3))


def _metric_rows(look: LookReport, decimals: int) -> str:
    rows = [
        (
            text(sentences.metric_name(one.metric)),
            text(one.arm),
            *map(text, compared_cells(one, decimals)),
        )
        for one in look.compared
    ]
    headers = (
        "metric", "arm", "its value", "control", "difference", "relative", "valid at any time", "p",
    )  # fmt: skip
    caption = f"Look {look.number}; the first metric decides, p of the others is adjusted"
    return html_table(caption, headers, rows, numbers=(2, 3, 4, 5, 6, 7))


def _accounts(definition: Definition, looks: Sequence[LookReport]) -> Iterator[str]:
    last = looks[-1]
    total = max(sum(last.accounts.values()), 1)
    rows = [
        (
            text(arm.name),
            f"{last.accounts.get(arm.name, 0):,}",
            text(sentences.percent(round(last.accounts.get(arm.name, 0) / total, 4))),
            f"{last.transactions.get(arm.name, 0):,}",
        )
        for arm in definition.arms
    ]
    headers = ("arm", "accounts", "of all", "transactions")
    yield html_table(f"At look {last.number}", headers, rows, numbers=(1, 2, 3))
    if ratio := sentences.ratio_text(last):
        yield element("p", text(as_sentence(ratio)))


def _guards(found: Shown) -> Iterator[str]:
    if not found.guards:
        return
    yield element("h2", "Guardrails")
    rows = [
        (
            text(one.arm),
            text(one.guardrail.replace("_", " ")),
            f"{one.limit:g}",
            text(f"{sentences.evidence_text(one.evidence)} to 1"),
            f"{one.needed:,.0f} to 1",
        )
        for one in found.guards
    ]
    headers = ("arm", "guardrail", "limit", "evidence that it is exceeded", "stops at")
    yield html_table("As they stood last", headers, rows, numbers=(2, 3, 4))
