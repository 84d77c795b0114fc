"""`sentinel feedback add|import|show`: say something of a transaction, and look at it."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table

from sentinel import config as configuration
from sentinel.adapters.voice_files import read_feedback
from sentinel.app import embedded
from sentinel.app import feedback as app
from sentinel.codec.rfc3339 import epoch_ms
from sentinel.errors import ConfigError
from sentinel.records import Feedback
from sentinel.votes import Case

_WAITING = (
    "it counts when `sentinel archive run` has archived the decision on its transaction; "
    "an account and an event time make it count at once"
)


def add_command(
    transaction_id: str,
    label: str,
    config_file: Path | None,
    *,
    source: str,
    who: str,
    confidence: float,
    notes: str,
    revision: int,
    account: str,
    event_time: str,
    entities: Sequence[str],
) -> None:
    """Send one voice."""
    config = embedded.running(configuration.load(config_file))
    voice = Feedback(
        transaction_id=transaction_id,
        label=label,
        source=source,
        who=who,
        confidence=confidence,
        notes=notes,
        revision=revision,
        event_time_ms=_time_ms(event_time) if event_time else None,
        entities=_entities(account, entities),
    )
    sent = asyncio.run(app.send(config, [voice]))
    if sent.refused:
        raise ConfigError(sent.refused[0])
    typer.echo(f"sent: {source}/{who} says {label} of {transaction_id}")
    if sent.unplaced_count:
        typer.echo(_WAITING)


def import_command(file: Path, config_file: Path | None, *, source: str) -> None:
    """Send every voice of a file, and say which rows were not right."""
    config = embedded.running(configuration.load(config_file))
    voices = read_feedback(file, source=source)
    sent = asyncio.run(app.send(config, voices))
    for number, words in list(sent.refused.items())[:20]:
        typer.echo(f"row {number + 1}: {words}", err=True)
    typer.echo(f"{sent.count:,} voices sent, {len(sent.refused):,} refused")
    if sent.unplaced_count:
        typer.echo(f"{sent.unplaced_count:,} of them: {_WAITING}")
    if sent.refused:
        raise typer.Exit(1)


def show_command(transaction_id: str, config_file: Path | None) -> None:
    """Everything that was said of a transaction, and what came of it."""
    config = embedded.running(configuration.load(config_file))
    case = asyncio.run(app.case_of(config, transaction_id))
    console = Console()
    console.print(_headline(case), highlight=False)
    console.print(vote_table(case))


def vote_table(case: Case) -> Table:
    """Who said what."""
    table = Table()
    for name in ("observed", "who", "says", "confidence", "revision", "notes"):
        table.add_column(name)
    for vote in case.votes:
        table.add_row(
            date_text(vote.observed_ms),
            vote.annotator,
            vote.label,
            f"{vote.confidence:g}",
            str(vote.revision),
            vote.notes,
        )
    return table


def _headline(case: Case) -> str:
    where = ", ".join(f"{kind} {name}" for kind, name in case.entities.items() if name is not None)
    posterior = "not known" if case.posterior is None else f"{case.posterior:.3f}"
    return (
        f"{case.transaction_id} of {date_text(case.event_time_ms)}, {where}: {case.status}, "
        f"probability of fraud {posterior}, label {case.label or 'none'}"
    )


def date_text(time_ms: int) -> str:
    """For a person to read, in UTC."""
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _time_ms(text: str) -> int:
    found = epoch_ms(text)
    if found is None:
        raise ConfigError(f'--event-time: "{text}" is not a time such as 2026-03-01T12:00:00Z')
    return found


def _entities(account: str, others: Sequence[str]) -> dict[str, str | None] | None:
    found: dict[str, str | None] = {"account": account} if account else {}
    for text in others:
        kind, separator, name = text.partition("=")
        if not (kind and separator and name):
            raise ConfigError(f'--entity: "{text}" must be KIND=NAME, such as terminal=M1')
        found[kind] = name
    return found or None
