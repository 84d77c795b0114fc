"""Drift in words, for a terminal and for a page."""

from sentinel.cli.texts import age_text
from sentinel.codec.times import date_text
from sentinel.core.drift.telling import moved
from sentinel.operations.drift.examples import ExampleTransaction
from sentinel.operations.drift.references import ReferenceFacts
from sentinel.operations.drift.status import DriftStatus
from sentinel.stored.drift import Alarm, ColumnFinding, Harm, Suppression, WindowReport

SUPPOSING = "if P(fraud | x) is unchanged"
_ORIGINS = {
    "history": "the history that it was trained on",
    "stream": "the first rows that it decided",
    "parent": "the version before it",
}
_SCALES = {"rows": "rows", "hour": "an hour", "day": "a day", "week": "seven days"}
_PER_COUNT = 1_000  # transactions: of one, missed money has too many zeros to read
_CAUSE_COUNT_MAX = 3
_P_MIN = 1e-99  # whatever is below says no more


def how_many(count: int, one: str, many: str = "") -> str:
    """A number of things."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"


def until_text(time_ms: int) -> str:
    """A time to the minute."""
    return date_text(time_ms)[:16]


def watched_line(status: DriftStatus) -> str:
    """Whose reference is compared with, and how far the watch is."""
    if status.version is None:
        return "watched: nothing"
    if status.watched_to_ms is None:
        return f"watched: version {status.version}"
    return (
        f"watched: version {status.version}, to {date_text(status.watched_to_ms)} UTC of event time"
    )


def reference_line(facts: ReferenceFacts | None) -> str:
    """What it is compared with."""
    if facts is None:
        return "reference: none"
    if facts.row_count == 0:
        return f"reference: {how_many(len(facts.columns), 'feature')}, without rows"
    span = f"{date_text(facts.first_ms)} to {date_text(facts.last_ms)} UTC"
    words = f"reference: {_ORIGINS[facts.origin]}, {span}, {how_many(facts.row_count, 'row')}"
    return words + ("" if facts.score_row_count else ", none of them with a score")


def alarms_line(status: DriftStatus) -> str:
    """How many alarms there are."""
    over = f"; {how_many(status.closed_count, 'alarm is', 'alarms are')} over"
    ending = over if status.closed_count else ""
    if not status.alarms:
        return f"no alarm is open{ending}"
    seen = sum(bool(one.acknowledged_by) for one in status.alarms)
    words = how_many(len(status.alarms), "alarm is open", "alarms are open")
    return words + (f", {seen:,} acknowledged" if seen else "") + ending


def effect_text(alarm: Alarm) -> str:
    """How far it moved."""
    sign = "+" if alarm.side == "up" else "−" if alarm.side == "down" else ""
    return f"{sign}{abs(alarm.effect):.2f} sd"


def status_text(alarm: Alarm, suppressed: frozenset[str] = frozenset()) -> str:
    """Where an alarm is in its life, and who has seen it."""
    words: str = "over" if alarm.is_over else alarm.status
    if alarm.acknowledged_by:
        words = f"{words} by {alarm.acknowledged_by}"
        if alarm.is_over:
            words = f"over, acknowledged by {alarm.acknowledged_by}"
    if alarm.is_suppressed or (alarm.column in suppressed and not alarm.is_over):
        words += ", suppressed"
    return words


def kind_text(kind: str) -> str:
    """The kind of a change, as it is read."""
    return kind.replace("_", " ")


def changed_text(finding: ColumnFinding) -> str:
    """What changed in a column, and where."""
    place = f"in {finding.segment}, only or mostly" if finding.segment else ""
    return "; ".join(one for one in (finding.words, place) if one)


def life(alarm: Alarm) -> list[tuple[str, str]]:
    """What became of an alarm, in its order."""
    found = [
        (f"{date_text(alarm.since_ms)} UTC", "the change began, as an estimate"),
        (f"{date_text(alarm.opened_ms)} UTC", _opened(alarm)),
    ]
    if alarm.acknowledged_by:
        note = f": {alarm.note}" if alarm.note else ""
        found.append(("", f"acknowledged by {alarm.acknowledged_by}{note}"))
    if alarm.closed_ms is not None:
        why = "it is as it was"
        if alarm.is_superseded:
            why = "from then on it was compared with another reference"
        found.append((f"{date_text(alarm.closed_ms)} UTC", f"over: {why}"))
    elif alarm.changed_ms > alarm.opened_ms:
        found.append((f"{date_text(alarm.changed_ms)} UTC", "last looked at: it goes on"))
    return found


def _opened(alarm: Alarm) -> str:
    after = age_text(alarm.opened_ms - alarm.since_ms)
    return f"there was enough evidence: {after} after it began" if after != "0 s" else "it alarmed"


def alarm_headline(alarm: Alarm) -> str:
    """What moved, and since when."""
    return f"{moved(alarm)} since {until_text(alarm.since_ms)} UTC"


def suppression_line(suppression: Suppression) -> str:
    """What is not told, until when, and who wants it so."""
    why = f": {suppression.why}" if suppression.why else ""
    until = until_text(suppression.until_ms)
    return f"{suppression.column} is suppressed until {until} UTC, by {suppression.who}{why}"


def window_name(window: WindowReport) -> str:
    """Which window it is."""
    if window.scale == "rows":
        return how_many(window.row_count, "row")
    return _SCALES[window.scale]


def causes_text(window: WindowReport) -> str:
    """What changed first, columns that moved together as one."""
    if not window.causes:
        changed = [one.name for one in window.findings if one.alarm]
        return ", ".join(changed[:_CAUSE_COUNT_MAX]) or "no change"
    told = [" with ".join(cause[:_CAUSE_COUNT_MAX]) for cause in window.causes[:_CAUSE_COUNT_MAX]]
    more = len(window.causes) - len(told)
    return "; ".join(told) + (f"; and {more:,} more" if more else "")


def harm_rows(harm: Harm, decimals: int) -> list[tuple[str, str, str]]:
    """What it costs: a name, in the reference, in the window."""
    rates = [("precision", harm.precision), ("recall", harm.recall)]
    found = [(name, f"{before:.3f}", f"{now:.3f}") for name, (now, before) in rates]
    now, before = (f"{one / 10**decimals * _PER_COUNT:,.2f}" for one in harm.missed_amount_minor)
    return [*found, (f"missed per {_PER_COUNT:,} transactions", before, now)]


def harm_text(harm: Harm | None, decimals: int) -> str:
    """The same in a line."""
    if harm is None:
        return ""
    told = [f"{name} {before} → {now}" for name, before, now in harm_rows(harm, decimals)]
    return f"{', '.join(told)} ({SUPPOSING})"


EXAMPLE_HEADERS = (
    "transaction", "account", "when (UTC)", "amount", "probability", "decision", "value", "among",
)  # fmt: skip


def example_cells(one: ExampleTransaction, decimals: int) -> tuple[str, ...]:
    """A transaction in a line."""
    amount = f"{one.amount_minor / 10**decimals:,.{decimals}f}"
    return (
        one.transaction_id,
        one.account,
        date_text(one.event_time_ms),
        f"{amount} {one.currency}" if one.currency else amount,
        f"{one.probability:.4f}",
        one.action,
        "missing" if one.value is None else f"{one.value:.6g}",
        one.cell,
    )


def p_text(p: float) -> str:
    """A p-value to two digits."""
    return f"{p:.2g}" if p >= _P_MIN else f"< {_P_MIN:g}"
