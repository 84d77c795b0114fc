"""Votes whose transaction nobody knows yet, shown."""

from collections.abc import Sequence

from rich.table import Table

from sentinel.cli.texts import age_text, shown
from sentinel.codec.times import date_text
from sentinel.engine.archive.linking import Waiting
from sentinel.operations.feedback import Noted


def waiting_line(noted: Noted) -> str:
    """How many wait, and as of when."""
    others = f", of the newest of {noted.log_count} logs" if noted.log_count > 1 else ""
    return (
        f"{len(noted.waiting):,} wait for their transaction{others}, as of "
        f"{date_text(noted.at_ms)}; each is placed when the decision is archived"
    )


def waiting_table(newest: Sequence[Waiting], now_ms: int) -> Table:
    """A line for each."""
    table = Table(title=f"the newest {len(newest):,}")
    for name in ("transaction", "who", "says", "since", "for"):
        table.add_column(name, overflow="fold")
    for one in newest:
        feedback = one.voice
        table.add_row(
            shown(feedback.transaction_id),
            shown(f"{feedback.source}/{feedback.who}"),
            shown(feedback.label),
            date_text(one.since_ms),
            age_text(now_ms - one.since_ms),
        )
    return table


def waiting_facts(one: Waiting, now_ms: int) -> dict[str, object]:
    """The same of one, for a script."""
    feedback = one.voice
    return {
        "transaction_id": feedback.transaction_id,
        "source": feedback.source,
        "who": feedback.who,
        "label": feedback.label,
        "observed_ms": feedback.observed_ms,
        "since_ms": one.since_ms,
        "waits_s": max(now_ms - one.since_ms, 0) / 1000,
    }
