"""`sentinel models`: which versions there are, which of them serves, and who changes that."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.text import Text

from sentinel import config as configuration
from sentinel.adapters.registry import write_folder
from sentinel.cli.models import tables
from sentinel.cli.options import login_name
from sentinel.codec.records import encode
from sentinel.codec.times import date_text, epoch_ms
from sentinel.config import Config
from sentinel.core.registry import transitions
from sentinel.errors import ConfigError
from sentinel.operations import embedded
from sentinel.operations.models import registry as app
from sentinel.stored.versions import ModelEvent, RegistryState


def list_command(config_file: Path | None, *, as_json: bool) -> None:
    """Every version and its standing."""
    found = asyncio.run(app.registry(_running(config_file)))
    if as_json:
        for version in found.versions:
            typer.echo(encode(tables.facts(found, version)))
        return
    console = Console()
    console.print(tables.version_table(found))
    if not found.reports:
        console.print("no running instance has said what it serves")
    for line in tables.serving_lines(found.reports, found.registry_state.champion):
        console.print(Text(line))


def show_command(version: str, config_file: Path | None, *, as_json: bool) -> None:
    """All there is of one version."""
    config = _running(config_file)
    found = asyncio.run(app.registry(config))
    manifest = app.found_in(found, version)
    events = [one for one in asyncio.run(app.history(config)) if tables.concerns(one, version)]
    if as_json:
        facts = tables.facts(found, version)
        typer.echo(encode({**facts, "manifest": manifest, "history": list(events)}))
        return
    console = Console()
    console.print(tables.headline(found, version), highlight=False)
    console.print(tables.manifest_table(manifest))
    console.print(tables.event_table(events))


def diff_command(one: str, other: str, config_file: Path | None, *, as_json: bool) -> None:
    """Where two versions differ."""
    found = asyncio.run(app.registry(_running(config_file)))
    differing = app.differences(app.found_in(found, one), app.found_in(found, other))
    for name in ("version", "sha256"):
        differing.pop(name, None)
    if as_json:
        rows = {name: {one: a, other: b} for name, (a, b) in differing.items()}
        typer.echo(encode(rows))
        return
    Console().print(tables.difference_table(one, other, differing))


def at_command(time_text: str, config_file: Path | None, *, as_json: bool) -> None:
    """Which version served at a time."""
    at_ms = epoch_ms(time_text)
    if at_ms is None:
        raise ConfigError(f'"{time_text}" is not a time such as 2026-03-01T12:00:00Z')
    config = _running(config_file)
    history = asyncio.run(app.history(config))
    reports = asyncio.run(app.served_at(config, at_ms))
    champion = transitions.serving_at(history, at_ms)
    since = tables.last_change(history, at_ms)
    if as_json:
        facts = {"at_ms": at_ms, "champion": champion, "since": since, "reports": reports}
        typer.echo(encode(facts))
        return
    if champion is None or since is None:
        typer.echo(f"no version of the registry served at {date_text(at_ms)}")
    else:
        typer.echo(
            f"{champion} served at {date_text(at_ms)}: {since.kind.replace('_', ' ')} "
            f"{date_text(since.at_ms)} by {since.who}{f', {since.why}' if since.why else ''}"
        )
    for line in tables.serving_lines(reports, champion, was=True):
        typer.echo(line)


def history_command(config_file: Path | None, *, limit: int, as_json: bool) -> None:
    """A line for each change, oldest first."""
    events = asyncio.run(app.history(_running(config_file)))
    if as_json:
        for event in events[-limit:]:
            typer.echo(encode(event))
        return
    console = Console()
    console.print(tables.event_table(events[-limit:]))
    if len(events) > limit:
        console.print(f"the last {limit:,} of {len(events):,}", highlight=False)


def stage_command(version: str, config_file: Path | None, *, who: str, why: str) -> None:
    """From development to staging."""
    by = by_whom(who, why)
    _change(config_file, [lambda registry_state: transitions.staged(registry_state, version, **by)])


def approve_command(version: str, config_file: Path | None, *, who: str, why: str) -> None:
    """A person's word that a version may serve."""
    by = by_whom(who, why)
    _change(
        config_file, [lambda registry_state: transitions.approved(registry_state, version, **by)]
    )


def promote_command(
    version: str, config_file: Path | None, *, who: str, why: str, force: bool
) -> None:
    """A version serves from now on."""
    by = by_whom(who, why, is_needed=True)
    config = _running(config_file)

    def step(registry_state: RegistryState) -> tuple[RegistryState, ModelEvent]:
        return transitions.promoted(
            registry_state,
            version,
            **by,
            approval_needed=config.updates.needs_approval,
            force=force,
        )

    tell(asyncio.run(app.change(config, [step])))


def roll_back_command(config_file: Path | None, *, to: str, who: str, why: str) -> None:
    """A champion before serves again."""
    by = by_whom(who, why, is_needed=True)
    _change(
        config_file,
        [lambda registry_state: transitions.rolled_back(registry_state, **by, to=to or None)],
    )


def archive_command(version: str, config_file: Path | None, *, who: str, why: str) -> None:
    """A version that has not served is withdrawn."""
    by = by_whom(who, why)
    _change(
        config_file, [lambda registry_state: transitions.archived(registry_state, version, **by)]
    )


def shadow_command(version: str, config_file: Path | None, *, who: str, why: str) -> None:
    """A version scores beside the champion, or none does."""
    by = by_whom(who, why)
    name = None if version == "none" else version
    _change(config_file, [lambda registry_state: transitions.shadowed(registry_state, name, **by)])


def export_command(version: str, folder: Path, config_file: Path | None) -> None:
    """Write a version as `import --file` reads it."""
    write_folder(folder, asyncio.run(app.artifact(_running(config_file), version)))
    typer.echo(f"{version} is in {folder}: model.txt and manifest.json")


def _running(config_file: Path | None) -> Config:
    return embedded.running(configuration.load(config_file))


def by_whom(who: str, why: str, *, is_needed: bool = False) -> dict[str, Any]:
    """Who says it, why and when, as changes of the registry take it. Raises ConfigError.

    `is_needed` asks for a reason.
    """
    if is_needed and not why.strip():
        raise ConfigError("--why must give the reason")
    return {"who": login_name(who), "why": why.strip(), "at_ms": app.now_ms()}


def _change(config_file: Path | None, steps: Sequence[app.Step]) -> None:
    tell(asyncio.run(app.change(_running(config_file), steps)))


def tell(changed: app.Changed) -> None:
    """What was done; exit code 1 when the topics do not tell of it."""
    for event in changed.events:
        typer.echo(tables.sentence(event))
    for note in changed.notes:
        typer.echo(f"sentinel: {note}", err=True)
    if changed.unpublished:
        typer.echo(
            "sentinel: the registry is changed, and running instances see that by themselves; "
            f"but model-updates and audit do not tell of it: {changed.unpublished}",
            err=True,
        )
        raise typer.Exit(1)
