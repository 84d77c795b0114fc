"""What a person sees of a run: a live picture in a terminal, plain lines elsewhere."""

import asyncio
import logging
import math
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from rich.console import Group
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from sentinel.app.status import Status
from sentinel.cli.models.learning import awaited_summary, headline, is_at_work, tally
from sentinel.cli.rollouts.sentences import rollout_line
from sentinel.cli.texts import PlainConsole, fixed, plain, shown
from sentinel.codec.records import decode_object
from sentinel.codec.times import date_text
from sentinel.core.drift.telling import DriftView
from sentinel.metrics import COUNTERS, HISTOGRAMS, Metric, Metrics
from sentinel.stored.experiments import StoredExperiment

log = logging.getLogger(__name__)

_PLAIN_INTERVAL_S = 5.0
_FRAME_S_MAX = 1.0
_TOP_HEIGHT = 9
_EXPERIMENT_COUNT_MAX = 3
_BARS = " ▁▂▃▄▅▆▇█"
_HEALTH_STYLE = {
    "ok": "green",
    "starting": "cyan",
    "degraded": "yellow",
    "stuck": "red",
    "maintenance": "blue",
}
_ACTION_STYLE = {"approve": "green", "review": "yellow", "block": "red"}
# What a person watches: the description of a metric gives it a title.
_WATCHED = [one for one in COUNTERS if one.title and one.name != "decisions"]
_MEASURED = [one for one in HISTOGRAMS if one.title]
_LATENCY = next(one for one in HISTOGRAMS if one.name == "latency_s")


class View:
    """Shows progress while preparing, then the run, each frame in a task of its own.

    A frame that cannot be drawn is told and left out: the next one is drawn, and scoring goes on.
    """

    def __init__(self, console: PlainConsole, *, live: bool) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False, screen=True) if live else None
        self._frame: asyncio.Task[None] | None = None
        self._trouble = ""
        self._said = ""
        self._said_s = 0.0
        self._seen_count = 0
        self._seen_s = time.monotonic()
        self._rate = 0.0
        self._health = "starting"
        self._headline = ""

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Give the terminal back as it was."""
        if self._live is not None:
            self._live.stop()

    def progress(self, what: str, share: float) -> None:
        """What is being prepared, and how much of it is done."""
        if self._live is not None:
            bar = Table.grid(padding=(0, 1))
            bar.add_row(Text(f"{what} …"), ProgressBar(total=1.0, completed=share, width=40))
            self._live.update(bar, refresh=True)
        elif what != self._said:
            self._said = what
            self._console.print(f"{what} …")

    def show(self, status: Status) -> None:
        """The run as it is now; left out while the frame before is still being drawn."""
        if self._frame is not None:
            if not self._frame.done():
                return
            if (error := self._frame.exception()) is not None:
                self._tell_trouble(f"{type(error).__name__}: {error}")
        self._frame = asyncio.create_task(self._draw(status))

    async def drawn(self) -> None:
        """Wait for the frame that was shown last, but no longer than a moment."""
        if self._frame is not None:
            await asyncio.wait({self._frame}, timeout=_FRAME_S_MAX)

    def _tell_trouble(self, words: str) -> None:
        """Once, however many frames have it."""
        if words != self._trouble:
            self._trouble = words
            log.warning("the view could not be drawn, and the run goes on without it: %s", words)

    async def _draw(self, status: Status) -> None:
        now_s = time.monotonic()
        if now_s - self._seen_s >= 1.0:
            count = status.metrics.decisions
            self._rate = (count - self._seen_count) / (now_s - self._seen_s)
            self._seen_count, self._seen_s = count, now_s
        if self._live is not None:
            picture = _picture(status, self._rate)
            await asyncio.to_thread(self._live.update, picture, refresh=True)
            return
        self._tell_update(status)
        health = status.health().status
        is_due = now_s - self._said_s >= _PLAIN_INTERVAL_S and status.instance is not None
        if is_due or health != self._health:
            self._said_s, self._health = now_s, health
            words = " · ".join(
                [
                    _line(status, self._rate),
                    *_plain_outlook(status),
                    *_plain_drift(status),
                    *_plain_paused(status),
                    *_plain_rollout(status),
                    *_plain_experiments(status),
                ]
            )
            self._console.print(words, soft_wrap=True)

    def _tell_update(self, status: Status) -> None:
        """A line whenever an update has come a step further."""
        update, _ = (None, None) if status.instance is None else status.instance.learning()
        if update is None or not update.number or (words := headline(update)) == self._headline:
            return
        self._headline = words
        self._console.print(shown(words), soft_wrap=True)

    async def finish(self, status: Status) -> None:
        """One line when it is over, in place of the picture."""
        await self.drawn()
        self.stop()
        self._console.print(_line(status, self._rate), soft_wrap=True)

    def tell(self, words: str) -> None:
        """A line behind it all."""
        self._console.print(shown(words), soft_wrap=True)


def _line(status: Status, rate: float) -> str:
    metrics = status.metrics
    health, latency = status.health(), metrics.quantiles(_LATENCY)
    words = [
        f"{metrics.decisions:,} decisions",
        f"{rate:,.0f}/s",
        *(word for one in _WATCHED if one.group == "scoring" for word in _words(metrics, one)),
        " ".join([_LATENCY.title, *(f"{q} {_ms(v)}" for q, v in latency.items())]),
        f"lag {_count(status.instance.lag() if status.instance else None)}",
        f"model {status.model_version}",
        *_beginning(status),
        f"health {health.status}{_because(health.reasons)}",
    ]
    return " · ".join(words)


def _beginning(status: Status) -> list[str]:
    """What nobody should have to find out from the scores."""
    beginning, count = status.beginning(), status.metrics.in_history
    cold = [f"started {beginning}"] if beginning is not None and beginning.is_cold else []
    return [*cold, *([f"{count:,} are in the history, and not counted again"] if count else [])]


def _plain_outlook(status: Status) -> list[str]:
    update, outlook = (None, None) if status.instance is None else status.instance.learning()
    if outlook is None or is_at_work(update):
        return []
    return [f"next update awaits {awaited_summary(outlook)}"]


def _because(reasons: tuple[str, ...]) -> str:
    return plain(f" ({', '.join(reasons)})") if reasons else ""


def _words(metrics: Metrics, metric: Metric) -> list[str]:
    """A counter in a line; one that is split by its labels, as they have come up."""
    value = getattr(metrics, metric.name)
    if metric.label:
        return [f"{count:,} {label}" for label, count in value.items()]
    return [f"{value:,} {metric.title}"]


def _ms(value: float | None) -> str:
    return "–" if value is None else f"{value:,.1f} ms"


def _count(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"


def _picture(status: Status, rate: float) -> Group:
    top = Table.grid(expand=True, padding=(0, 1))
    for _ in range(3):
        top.add_column(ratio=1)
    top.add_row(_flow(status, rate), _decisions(status), _scores(status))
    beginning = status.beginning()
    known = [] if beginning is None or beginning.is_cold else [f"at the start: {beginning}"]
    words = [f"model {status.model_version}", *known, *_beginning(status), "Ctrl-C stops in order"]
    footer = Text(" · ".join(words), style="dim")
    alerts = status.instance.last_alerts() if status.instance is not None else []
    shown_alerts = _alerts(alerts, status.config.schema.amount_decimals)
    return Group(top, _learning(status), shown_alerts, footer)


def _flow(status: Status, rate: float) -> Panel:
    metrics, instance = status.metrics, status.instance
    health = status.health()
    rows = Table.grid(padding=(0, 1))
    text = Text(health.status + _because(health.reasons), style=_HEALTH_STYLE[health.status])
    rows.add_row("health", text)
    rows.add_row("throughput", f"{rate:,.0f}/s")
    for one in _MEASURED:
        for name, value in metrics.quantiles(one).items():
            rows.add_row(f"{one.title} {name}", _ms(value))
    rows.add_row("lag", _count(instance.lag() if instance is not None else None))
    return Panel(rows, title="flow", height=_TOP_HEIGHT)


def _decisions(status: Status) -> Panel:
    metrics = status.metrics
    rows = Table.grid(padding=(0, 1))
    waiting = 0 if status.instance is None else status.instance.labels_waiting().count
    waits = {"labels_applied": f", {waiting:,} wait"} if waiting else {}
    for one in _WATCHED:
        value = getattr(metrics, one.name)
        if one.name == "actions":
            for action, style in _ACTION_STYLE.items():
                rows.add_row(Text(action, style=style), f"{value[action]:,}")
        else:
            rows.add_row(one.title, f"{value:,}{waits.get(one.name, '')}")
    return Panel(rows, title=f"{metrics.decisions:,} decisions", height=_TOP_HEIGHT)


def _scores(status: Status) -> Panel:
    """Counts of probabilities on a logarithmic scale: nearly all are close to 0."""
    counts = status.metrics.scores.tolist()
    top = max(max(counts), 1)
    height = _TOP_HEIGHT - 3
    lines = []
    for level in range(height, 0, -1):
        line = ""
        for count in counts:
            filled = math.log1p(count) / math.log1p(top) * height - (level - 1)
            line += _BARS[math.ceil(min(max(filled, 0.0), 1.0) * 8)]
        lines.append(line)
    lines.append("0" + " " * (len(counts) - 2) + "1")
    title = "probability of fraud, log counts"
    return Panel(Text("\n".join(lines)), title=title, height=_TOP_HEIGHT)


def _learning(status: Status) -> Panel:
    """The newest update, with the gate's word on it, and what the next one waits for."""
    rows = Table.grid(padding=(0, 1))
    rows.add_column(no_wrap=True)
    rows.add_column(overflow="fold")
    metrics = status.metrics
    rows.add_row(
        "examples", shown(f"{metrics.examples:,} taken to learn from{_of_archive(status)}")
    )
    update, outlook = (None, None) if status.instance is None else status.instance.learning()
    if update is not None and update.number:
        if update.former and update.judgement is None:
            rows.add_row("before", shown(update.former))
        rows.add_row("newest", shown(headline(update)))
        if update.judgement is not None and (said := tally(update.judgement.answers)):
            rows.add_row("the gate", shown(said))
    if outlook is not None and not is_at_work(update):
        rows.add_row("next awaits", shown(awaited_summary(outlook)))
    if drift := _drift(status):
        rows.add_row("drift", shown(drift))
    if rollout := _rollout(status):
        rows.add_row("rollout", shown(rollout))
    if experiments := _experiments(status):
        rows.add_row("experiments", shown(experiments))
    if paused := status.paused():
        rows.add_row("paused", shown(paused))
    return Panel(rows, title="learning")


def _drift(status: Status) -> str:
    """What of drift is open; empty where this instance does not watch."""
    view = None if status.instance is None else status.instance.drift()
    return "" if view is None else drift_words(view)


def drift_words(view: DriftView) -> str:
    """How the watch for drift stands, in a line."""
    since = "" if view.first_since_ms is None else f" since {_minute(view.first_since_ms)}"
    missing = ", a reference is being gathered" if view.is_reference_missing else ""
    if view.open_count == 0:
        return f"nothing open{since}{missing}"
    alarms = "1 alarm" if view.open_count == 1 else f"{view.open_count:,} alarms"
    return f"{alarms} open: {view.first}{since}{missing}"


def _plain_drift(status: Status) -> list[str]:
    return [plain(f"drift: {words}")] if (words := _drift(status)) else []


def _plain_paused(status: Status) -> list[str]:
    return [plain(f"paused: {words}")] if (words := status.paused()) else []


def _rollout(status: Status) -> str:
    """How a rollout stands; empty where none is under way, or another instance leads it."""
    one = None if status.instance is None else status.instance.rollout()
    return "" if one is None or one.is_over else rollout_line(one, time.time_ns() // 1_000_000)


def _plain_rollout(status: Status) -> list[str]:
    return [plain(words)] if (words := _rollout(status)) else []


def _experiments(status: Status) -> str:
    """What experiments run; empty where none does, or another instance looks after them."""
    running = None if status.instance is None else status.instance.experiments()
    return experiment_words(running or [])


def experiment_words(running: Sequence[StoredExperiment]) -> str:
    """Experiments in a line, the first few of them."""
    told = [_experiment(one) for one in running[:_EXPERIMENT_COUNT_MAX]]
    more = len(running) - len(told)
    return "; ".join([*told, *([f"and {more:,} more"] if more > 0 else [])])


def _experiment(one: StoredExperiment) -> str:
    definition = one.definition
    step = f", step {one.step + 1} of {len(definition.steps)}" if definition.steps else ""
    paused = ", paused" if one.status == "paused" else ""
    return (
        f"{definition.id} {definition.design}{step}, look {one.look} of {definition.looks}{paused}"
    )


def _plain_experiments(status: Status) -> list[str]:
    return [plain(f"experiments: {words}")] if (words := _experiments(status)) else []


def _minute(time_ms: int) -> str:
    """Of event time: a stream may be played months later, so that the day is told, too."""
    return date_text(time_ms)[5:16]


def _of_archive(status: Status) -> str:
    if status.archive is None:
        return ""
    return f" · {status.archive.trouble or 'the archive runs beside'}"


def _alerts(alerts: Sequence[bytes], decimals: int) -> Panel:
    rows = Table(expand=True, box=None, show_edge=False)
    for name in ("transaction", "account", "amount", "probability", "action", "because"):
        rows.add_column(name, no_wrap=name != "because", justify="left")
    for data in reversed(alerts):
        alert = decode_object(data)
        amount = alert["amount_minor"] / 10**decimals
        rows.add_row(
            shown(alert["transaction_id"]),
            shown(alert["account"]),
            f"{amount:,.{decimals}f}",
            fixed(alert["probability"], 3),
            Text(alert["action"], style=_ACTION_STYLE[alert["action"]]),
            shown("; ".join(_reason(reason) for reason in alert["reasons"])),
        )
    return Panel(rows, title="last alerts")


def _reason(reason: dict[str, Any]) -> str:
    value, low, high = (reason[key] for key in ("value", "usual_low", "usual_high"))
    if value is None:
        return f"{reason['feature']} is missing"
    usual = "" if low is None else f" (usual {low:,.4g}–{high:,.4g})"
    return f"{reason['feature']} {value:,.4g}{usual}"
