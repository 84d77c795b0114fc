"""`sentinel feedback add|import|show`: say something of a transaction, and look at it."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table

from sentinel import config as configuration
from sentinel.adapters.voice_files import read_voices
from sentinel.cli.labels.rows import reader_of, say_left_out, say_refused
from sentinel.cli.texts import plain, shown
from sentinel.codec.times import date_text
from sentinel.codec.voices import ENTITY, VoteRows
from sentinel.config import Config
from sentinel.errors import ConfigError
from sentinel.operations import embedded
from sentinel.operations import feedback as app
from sentinel.stored.votes import Case

_AHEAD_MS_MAX = 60_000  # clocks differ; what is further ahead was not seen yet
_WAITING = (
    "it counts when `sentinel archive run` has archived the decision on its transaction; "
    "an account and an event time make it count at once; `sentinel feedback waiting` lists what "
    "waits"
)


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a person says that the transaction was; empty texts: they do not say."""

    account: str = ""
    event_time: str = ""
    entities: tuple[str, ...] = ()  # each KIND=NAME


def add_command(config_file: Path | None, voice: Mapping[str, object], placed: Placed) -> None:
    """Send one voice, given as a row of a file would be, and say when it counts."""
    config = embedded.running(configuration.load(config_file))
    reader = reader_of(config, source="")
    row = {**voice, **_placing(placed, config)}
    read = reader.read(VoteRows(1, 1, {name: [value] for name, value in row.items()}))
    for reason in read.refused.values():
        raise ConfigError(reason)
    (one,) = read.voices
    if one.observed_ms > time.time() * 1000 + _AHEAD_MS_MAX:
        raise ConfigError(f"observed {date_text(one.observed_ms)} is in the future")
    sent = app.FeedbackSent()
    asyncio.run(app.send(config, iter([read]), sent, everywhere=True))
    for reason in sent.refused.reasons.values():
        raise ConfigError(reason)
    name = plain(one.transaction_id)
    typer.echo(f"sent: {plain(f'{one.source}/{one.who}')} says {one.label} of {name}")
    typer.echo(_standing(name, sent, config))
    _say_corrected(sent)


def _standing(name: str, sent: app.FeedbackSent, config: Config) -> str:
    """When the only voice that was sent counts."""
    directory = config.archive.directory
    if sent.archived_count:
        return f"{name} is archived: it counts at once"
    absent = f"{name} is not archived in {directory}"
    if sent.waiting_count:
        return f"{absent} yet: {_WAITING}"
    why = "others have spoken of it before" if sent.known_count else "you say when and of whom"
    return f"{absent} yet; it counts at once all the same, since {why}"


def import_command(file: Path, config_file: Path | None, *, source: str) -> bool:
    """Send every voice of a file; False when rows were refused, which are listed."""
    config = embedded.running(configuration.load(config_file))
    reader, sent = reader_of(config, source=source), app.FeedbackSent()
    try:
        asyncio.run(app.send(config, read_voices(file, reader), sent))
    except ConfigError:
        if sent.count:
            typer.echo(f"{sent.count:,} voices were sent before this", err=True)
        raise
    say_refused(sent.refused)
    say_left_out(reader)
    typer.echo(f"{sent.count:,} voices sent, {sent.refused.count:,} refused")
    if sent.waiting_count:
        typer.echo(f"{sent.waiting_count:,} of them: {_WAITING}")
    if sent.anonymous_count:
        typer.echo(
            f"{sent.anonymous_count:,} of them do not say who: all such of one source are one voice"
        )
    _say_corrected(sent)
    return not sent.refused.count


def _say_corrected(sent: app.FeedbackSent) -> None:
    if sent.corrected_count:
        typer.echo(
            f"{sent.corrected_count:,} gave another event time than their transaction has: that "
            "of the transaction counts"
        )


def show_command(transaction_id: str, config_file: Path | None) -> None:
    """Everything that was said of a transaction, and what came of it."""
    config = embedded.running(configuration.load(config_file))
    case = asyncio.run(app.case_of(config, transaction_id))
    console = Console()
    console.print(shown(_headline(case)))
    console.print(vote_table(case))


def vote_table(case: Case) -> Table:
    """Who said what."""
    table = Table()
    for name in ("observed", "who", "says", "confidence", "revision", "notes"):
        table.add_column(name, overflow="fold")
    for vote in case.votes:
        table.add_row(
            date_text(vote.observed_ms),
            shown(vote.annotator),
            vote.label,
            f"{vote.confidence:g}",
            str(vote.revision),
            shown(vote.notes),
        )
    return table


def _headline(case: Case) -> str:
    where = ", ".join(f"{kind} {name}" for kind, name in case.entities.items() if name is not None)
    posterior = "not known" if case.posterior is None else f"{case.posterior:.3f}"
    return (
        f"{case.transaction_id} of {date_text(case.event_time_ms)}, {where}: {case.status}, "
        f"probability of fraud {posterior}, label {_label(case)}{_selected(case)}"
    )


def _label(case: Case) -> str:
    return case.label or ("withdrawn" if case.is_withdrawn else "none")


def _selected(case: Case) -> str:
    if case.is_brought_up:
        return "; brought up by its source"
    return f"; looked at as {case.channel}" if case.channel else ""


def _placing(placed: Placed, config: Config) -> dict[str, object]:
    """The columns that place a transaction. Raises ConfigError."""
    found: dict[str, object] = {"account": placed.account, "event_time": placed.event_time}
    for text in placed.entities:
        kind, separator, name = text.partition("=")
        if not (kind and separator and name):
            raise ConfigError(f'--entity: "{text}" must be KIND=NAME, such as terminal=M1')
        if kind not in config.schema.entities:
            raise ConfigError(
                f'--entity: the schema has no "{kind}", but {sorted(config.schema.entities)}'
            )
        found[ENTITY + kind] = name
    return found
