"""`sentinel why`: the whole story of a transaction, and whether it would be told again."""

import asyncio
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sentinel import config as configuration
from sentinel.adapters.archive import ParquetArchive
from sentinel.cli.inspection.audit import audit_table
from sentinel.cli.labels.feedback import vote_table
from sentinel.cli.texts import shown
from sentinel.codec.times import date_text
from sentinel.config import Config
from sentinel.errors import ConfigError, TransientError
from sentinel.operations import embedded
from sentinel.operations import feedback as voices
from sentinel.operations.why import Account, account_of, replayed
from sentinel.records import WITHDRAWN

_SHOWN_COUNT = 10


def why_command(transaction_id: str, config_file: Path | None, *, replay: bool) -> bool:
    """Show, or score again; False when a score is not what it was."""
    config = configuration.load(config_file)
    files = ParquetArchive(config.archive)
    if not replay and not transaction_id:
        raise ConfigError("name a transaction, or give --replay for all that are archived")
    try:
        config, is_running = embedded.running(config), True
    except ConfigError:  # what is archived outlives it
        is_running = False
    if transaction_id:
        _show(account_of(files, config, transaction_id))
        if is_running:
            _show_votes(config, transaction_id)
        else:
            typer.echo("who said what is known while `sentinel run` is running")
    return not replay or _replay(files, config, transaction_id)


def headline(decision: Mapping[str, Any]) -> str:
    """What was decided, and what was out of the ordinary: an archived row in a line."""
    degraded = f", degraded: {decision['degraded']}" if decision["degraded"] else ""
    explored = ""
    if decision.get("explored"):  # older files do not say
        share = decision["explore_share"]
        explored = f", explored: a share of {share:g} of such blocks is reviewed instead"
    return (
        f"{decision['transaction_id']} of {date_text(decision['event_time_ms'])}, account "
        f"{decision['account']}: {decision['action']} ({decision['severity']}), probability "
        f"{decision['probability']:.4f}, score {decision['score']:.4f}, by model "
        f"{decision['model_version']}, {decision['arm']}, decision {decision['decision_id']}"
        f"{degraded}{explored}"
    )


def _show(account: Account) -> None:
    decision, console = account.decision, Console()
    console.print(shown(headline(decision)))
    for older in account.older:
        console.print(shown(f"before: {headline(older)}, of log {older['log']}"))
    table = Table(title="because")
    for name in ("feature", "value", "adds to the log-odds"):
        table.add_column(name, justify="left" if name == "feature" else "right")
    order = sorted(account.features, key=lambda name: -abs(account.contributions.get(name, 0.0)))
    for name in order[:_SHOWN_COUNT]:
        value = account.features[name]
        added = account.contributions.get(name)
        table.add_row(
            Text(name),
            "missing" if math.isnan(value) else f"{value:,.6g}",
            "" if added is None else f"{added:+.3f}",
        )
    console.print(table)
    for label in account.labels:
        console.print(shown(label_line(label)))
    if account.audit:
        console.print(audit_table(account.audit))


def label_line(label: Mapping[str, Any]) -> str:
    """An archived label, or its withdrawal, in a line."""
    before = f", before it was {label['supersedes']}" if label["supersedes"] else ""
    done = "withdrawn" if label["label"] == WITHDRAWN else "settled"
    return (
        f"label {label['label']} ({label['posterior']:.3f}) of {date_text(label['observed_ms'])}, "
        f"{label['vote_count']} votes, {done} by {label['source']}{before}"
    )


def _show_votes(config: Config, transaction_id: str) -> None:
    try:
        case = asyncio.run(voices.case_of(config, transaction_id))
    except ConfigError:
        typer.echo("nobody has said anything of it")
    except TransientError as error:
        typer.echo(f"who said what is not known now: {error}", err=True)
    else:
        Console().print(vote_table(case))


def _replay(files: ParquetArchive, config: Config, transaction_id: str) -> bool:
    found = replayed(files, config, transaction_id)
    for one in found:
        words = f"model {one.model_version}: {one.count:,} decisions scored again, "
        words += f"{one.count - one.differing_count:,} the same bit for bit"
        if one.problem:
            words = f"model {one.model_version}: {one.count:,} decisions not scored: {one.problem}"
        elif one.differing_count:
            words += f", others: {', '.join(one.differing)}"
        typer.echo(words)
    if not found:
        typer.echo("the archive holds no decision")
    return all(one.differing_count == 0 for one in found)
