"""The report of drift as one page: no network, no script, to read, to print, to hear."""

from collections.abc import Iterable, Sequence

from sentinel.cli.drift import sentences
from sentinel.cli.drift.html.heat import heat_map, legend
from sentinel.cli.drift.html.histogram import histogram
from sentinel.cli.html.document import as_sentence, document
from sentinel.cli.html.parts import badge, element, html_table, text, when
from sentinel.core.drift.telling import moved, worst_first
from sentinel.operations.drift.examples import AlarmExamples
from sentinel.operations.drift.report import DriftReport
from sentinel.operations.drift.status import SCALES, newest_of_each
from sentinel.stored.drift import Alarm, Harm, WindowReport

_HISTOGRAM_COUNT_MAX = 24
_ALARM_COUNT_MAX = 200
_WINDOW_COUNT_MAX = 60


def page(found: DriftReport, decimals: int, *, of_alarm: bool = False) -> str:
    """The whole page.

    Parameters
    ----------
    decimals
        Of the currency's amounts.
    of_alarm
        Only about its one alarm.
    """
    only = found.alarms[0].column if of_alarm else ""
    title = f"Drift: {sentences.alarm_headline(found.alarms[0])}" if of_alarm else "Drift report"
    return document(title, _lead(found), _sections(found, decimals, only))


def _lead(found: DriftReport) -> list[str]:
    status = found.status
    lines = [
        sentences.watched_line(status),
        sentences.reference_line(status.reference),
    ]
    made = element("p", "Made ", when(found.made_ms), " UTC.", class_="lead")
    lacking = [element("p", text(one), class_="lacking") for one in status.lacking]
    told = [element("p", text(as_sentence(one)), class_="lead") for one in lines]
    return [*told, made, *lacking]


def _sections(found: DriftReport, decimals: int, only: str) -> list[str]:
    suppressed = frozenset(one.column for one in found.status.suppressions)
    ongoing = worst_first(one for one in found.alarms if not one.is_over)
    over = [one for one in found.alarms if one.is_over]
    sections = []
    if not only or ongoing:
        sections += [element("h2", "Open alarms"), *_ongoing(found, ongoing, suppressed, decimals)]
    sections += [element("h2", "What changed, and when"), *_heat_maps(found.windows, only)]
    sections += [element("h2", "How it changed"), *_histograms(found, only)]
    if not only:
        sections += [element("h2", "Causes"), *_causes(found)]
        sections += [element("h2", "Harm"), *_harm(found, decimals)]
    if over:
        sections += [element("h2", "Alarms that are over"), _over_table(over[:_ALARM_COUNT_MAX])]
    if not only and found.status.suppressions:
        told = [
            element("li", text(sentences.suppression_line(one)))
            for one in found.status.suppressions
        ]
        sections += [element("h2", "Suppressed"), element("ul", *told)]
    return sections


# --- alarms -----------------------------------------------------------------------------------


def _ongoing(
    found: DriftReport, alarms: Sequence[Alarm], suppressed: frozenset[str], decimals: int
) -> Iterable[str]:
    if not alarms:
        yield element("p", text(as_sentence(sentences.alarms_line(found.status))))
        return
    shown = alarms[:_ALARM_COUNT_MAX]
    rows = [
        (
            text(moved(one)),
            badge(one.severity),
            when(one.since_ms),
            text(sentences.effect_text(one)),
            text(sentences.kind_text(one.kind)),
            text(sentences.status_text(one, suppressed)),
        )
        for one in shown
    ]
    headers = ("what", "severity", "since (UTC)", "effect", "kind", "stands")
    caption = (
        f"{sentences.how_many(len(alarms), 'alarm')}, the worst first; sd: standard deviations"
    )
    yield html_table(caption, headers, rows, numbers=(3,))
    for one in shown:
        yield _alarm(one, found.examples.get(one.id), decimals)


def _alarm(alarm: Alarm, examples: AlarmExamples | None, decimals: int) -> str:
    life = [
        element("li", text(f"{when_said}: {what}" if when_said else what))
        for when_said, what in sentences.life(alarm)
    ]
    words = [element("p", text(alarm.words))] if alarm.words else []
    harm = [] if alarm.harm is None else [_harm_table(alarm.harm, decimals, moved(alarm))]
    named = f"{alarm.id}, compared with version {alarm.version}"
    return element(
        "section",
        element("h3", badge(alarm.severity), " ", text(moved(alarm))),
        *words,
        element("ol", *life, class_="life"),
        *harm,
        *_examples(alarm, examples, decimals),
        element("p", text(named), class_="lead"),
    )


def _examples(alarm: Alarm, examples: AlarmExamples | None, decimals: int) -> Iterable[str]:
    """Transactions among those that the alarm is about."""
    if examples is None:
        return
    if examples.why:
        yield element("p", text(as_sentence(f"no example: {examples.why}")))
        return
    rows = [tuple(map(text, sentences.example_cells(one, decimals))) for one in examples.found]
    many = sentences.how_many(len(rows), "transaction")
    caption = f"{moved(alarm)}: {many} where it grew most"
    yield html_table(caption, sentences.EXAMPLE_HEADERS, rows, numbers=(3, 4, 6))


def _over_table(alarms: Sequence[Alarm]) -> str:
    rows = [
        (
            text(moved(one)),
            badge(one.severity),
            when(one.since_ms),
            "" if one.closed_ms is None else when(one.closed_ms),
            text(sentences.effect_text(one)),
            text(one.words),
            text(sentences.status_text(one)),
            text(one.note),
        )
        for one in alarms
    ]
    headers = (
        "what",
        "severity",
        "since (UTC)",
        "over (UTC)",
        "effect",
        "in words",
        "stands",
        "note",
    )
    return html_table("The newest first", headers, rows, numbers=(4,))


# --- windows ----------------------------------------------------------------------------------


def _heat_maps(windows: Sequence[WindowReport], only: str) -> Iterable[str]:
    if not windows:
        yield element("p", "No window is complete yet.")
        return
    yield legend()
    for scale in SCALES:
        if of_scale := [one for one in windows if one.scale == scale]:
            yield heat_map(scale, of_scale, only)


def _histograms(found: DriftReport, only: str) -> Iterable[str]:
    """Of each column with an alarm, in the newest window that calls it changed."""
    columns = [one.column for one in worst_first(one for one in found.alarms if not one.is_over)]
    for window in newest_of_each(found.windows):
        columns += [one.name for one in window.findings if one.alarm]
    names = [only] if only else list(dict.fromkeys(columns))
    if not names:
        yield element("p", "Nothing has changed lately.")
    for name in names[:_HISTOGRAM_COUNT_MAX]:
        yield element("h3", text(name))
        yield _histogram(found, name)
    if (more := len(names) - _HISTOGRAM_COUNT_MAX) > 0:
        yield element("p", f"And {more:,} more.")


def _histogram(found: DriftReport, name: str) -> str:
    for window in found.windows:
        for finding in window.findings:
            if finding.name == name and finding.alarm:
                until = sentences.until_text(window.end_ms)
                called = f"{sentences.window_name(window)} until {until} UTC"
                is_of = found.status.version == window.version
                names = found.cell_names.get(name, []) if is_of else []
                kind, changed = sentences.kind_text(finding.kind), sentences.changed_text(finding)
                words = f"{kind}: {changed}".strip(": ")
                said = [element("p", text(as_sentence(words)))] if words else []
                return "".join(said) + histogram(finding, names, called)
    return element("p", "No window that is kept calls it changed.")


def _causes(found: DriftReport) -> Iterable[str]:
    rows = [
        (
            text(sentences.window_name(one)),
            when(one.end_ms),
            f"{one.row_count:,}",
            _changed(one),
            text(sentences.causes_text(one)),
            text(_actions(one)),
        )
        for one in found.windows[:_WINDOW_COUNT_MAX]
    ]
    if not rows:
        yield element("p", "No window is complete yet.")
        return
    caption = (
        "The newest windows; columns that moved together are one cause, the most suspect first"
    )
    headers = ("window", "until (UTC)", "rows", "changed", "causes", "decisions")
    yield html_table(caption, headers, rows, numbers=(2, 3))


def _changed(window: WindowReport) -> str:
    return f"{sum(one.alarm for one in window.findings):,} of {len(window.findings):,}"


def _actions(window: WindowReport) -> str:
    total = max(sum(window.actions.values()), 1)
    return ", ".join(f"{name} {count / total:.2%}" for name, count in window.actions.items())


def _harm(found: DriftReport, decimals: int) -> Iterable[str]:
    told = [window for window in newest_of_each(found.windows) if window.harm is not None]
    if not told:
        yield element("p", "No harm is estimated of the newest windows.")
        return
    yield element(
        "p",
        f"As far as scores tell: <strong>{text(sentences.SUPPOSING)}</strong>. A change of fraud "
        "itself is not seen here before labels come.",
    )
    for window in told:
        if window.harm is not None:
            until = sentences.until_text(window.end_ms)
            called = f"{sentences.window_name(window)} until {until} UTC"
            yield _harm_table(window.harm, decimals, called)


def _harm_table(harm: Harm, decimals: int, of: str) -> str:
    rows = [tuple(map(text, row)) for row in sentences.harm_rows(harm, decimals)]
    caption = f"{of}: harm, {sentences.SUPPOSING}"
    return html_table(caption, ("", "reference", "window"), rows, numbers=(1, 2))
