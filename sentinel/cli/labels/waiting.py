"""`sentinel feedback waiting`: votes whose transaction nobody knows yet."""

import time
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table

from sentinel import config as configuration
from sentinel.cli.texts import age_text, shown
from sentinel.codec.records import encode
from sentinel.codec.times import date_text
from sentinel.engine.archive.linking import Waiting
from sentinel.errors import ConfigError
from sentinel.operations.feedback import noted_waiting


def waiting_command(config_file: Path | None, *, limit: int, as_json: bool) -> None:
    """What the archive's folder says; nothing needs to run."""
    params = configuration.load(config_file).archive
    noted = noted_waiting(params)
    if noted is None:
        raise ConfigError(
            f"{params.directory} holds no note of feedback: `sentinel archive run` keeps one in "
            "its folder, [archive] directory"
        )
    now_ms = round(time.time() * 1000)
    newest = sorted(noted.waiting, key=lambda one: -one.since_ms)[:limit]
    if as_json:
        for one in newest:
            typer.echo(encode(_facts(one, now_ms)))
        return
    others = f", of the newest of {noted.log_count} logs" if noted.log_count > 1 else ""
    typer.echo(
        f"{len(noted.waiting):,} wait for their transaction{others}, as of "
        f"{date_text(noted.at_ms)}; each is placed when the decision is archived"
    )
    if not newest:
        return
    table = Table(title=f"the newest {len(newest):,}")
    for name in ("transaction", "who", "says", "since", "for"):
        table.add_column(name, overflow="fold")
    for one in newest:
        voice = one.voice
        table.add_row(
            shown(voice.transaction_id),
            shown(f"{voice.source}/{voice.who}"),
            shown(voice.label),
            date_text(one.since_ms),
            age_text(now_ms - one.since_ms),
        )
    Console().print(table)


def _facts(one: Waiting, now_ms: int) -> dict[str, object]:
    voice = one.voice
    return {
        "transaction_id": voice.transaction_id,
        "source": voice.source,
        "who": voice.who,
        "label": voice.label,
        "observed_ms": voice.observed_ms,
        "since_ms": one.since_ms,
        "waits_s": max(now_ms - one.since_ms, 0) / 1000,
    }
