"""Changes of the registry that a person makes: by whom, and what was done."""

import asyncio
from pathlib import Path
from typing import Any

import typer

from sentinel.cli.models.tables import sentence
from sentinel.cli.options import login_name
from sentinel.cli.texts import echo
from sentinel.errors import ConfigError
from sentinel.operations import embedded
from sentinel.operations.models import registry


def by_whom(who: str, why: str, *, is_needed: bool = False) -> dict[str, Any]:
    """Who says it, why and when, as changes of the registry take it. Raises ConfigError.

    `is_needed` asks for a reason.
    """
    if is_needed and not why.strip():
        raise ConfigError("--why must give the reason")
    return {"who": login_name(who), "why": why.strip(), "at_ms": registry.now_ms()}


def carry_out(config_file: Path | None, step: registry.Step) -> None:
    """Make one change, and tell of it."""
    tell(asyncio.run(registry.change_registry(embedded.running_from(config_file), [step])))


def tell(changed: registry.Changed) -> None:
    """What was done; exit code 1 when the topics do not tell of it."""
    for event in changed.events:
        echo(sentence(event))
    for note in changed.notes:
        echo(f"sentinel: {note}", err=True)
    if changed.unpublished:
        echo(
            "sentinel: the registry is changed, and running instances will see it; "
            f"but the topics model-updates and audit do not tell of it: {changed.unpublished}",
            err=True,
        )
        raise typer.Exit(1)
