"""`sentinel feedback` and `sentinel investigators`: say something of a transaction, and look."""

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
from sentinel.core.consensus.patterns import oddities, skill_of, weight_of
from sentinel.errors import ConfigError
from sentinel.records import Feedback
from sentinel.votes import Case


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
        hint = "; give --account and --event-time, nobody has placed it yet"
        words = sent.refused[0]
        raise ConfigError(words + (hint if "are needed" in words else ""))
    typer.echo(f"sent: {source}/{who} says {label} of {transaction_id}")


def import_command(file: Path, config_file: Path | None, *, source: str) -> None:
    """Send every voice of a file, and say which rows were not right."""
    config = embedded.running(configuration.load(config_file))
    voices = read_feedback(file, source=source)
    sent = asyncio.run(app.send(config, voices))
    for number, words in list(sent.refused.items())[:20]:
        typer.echo(f"row {number + 1}: {words}", err=True)
    typer.echo(f"{sent.count:,} voices sent, {len(sent.refused):,} refused")
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


def investigators_command(config_file: Path | None) -> None:
    """Everybody who votes, and what their record says."""
    config = embedded.running(configuration.load(config_file))
    found = asyncio.run(app.annotators(config))
    params = config.consensus
    table = Table(title=f"{len(found):,} who vote")
    table.add_column("who")
    for name in ("votes", "fraud", "sensitivity", "specificity", "weight", "last"):
        table.add_column(name, justify="right")
    table.add_column("look into")
    for one in found:
        skill = skill_of(one, params)
        is_trusted = one.name.split("/", 1)[0] in config.feedback.trusted_sources
        table.add_row(
            one.name,
            f"{one.vote_count:,}",
            f"{one.fraud_count:,}",
            "trusted" if is_trusted else _rate(skill.sensitivity, skill.sensitivity_range),
            "" if is_trusted else _rate(skill.specificity, skill.specificity_range),
            "" if is_trusted else f"{weight_of(one, params):.2f}",
            date_text(one.last_ms),
            "" if is_trusted else ", ".join(oddities(one)),
        )
    Console().print(table)


def _rate(value: float, limits: tuple[float, float]) -> str:
    return f"{value:.2f} ({limits[0]:.2f}–{limits[1]:.2f})"


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
