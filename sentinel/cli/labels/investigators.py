"""`sentinel investigators` and `sentinel feedback ask`: who votes, and whom to ask."""

import asyncio
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from sentinel import config as configuration
from sentinel.cli.texts import shown
from sentinel.codec.records import encode
from sentinel.codec.times import date_text
from sentinel.config import Config
from sentinel.core.consensus.asking import Question
from sentinel.core.consensus.patterns import agreement_of, oddities, skill_of, weight_of
from sentinel.operations import embedded
from sentinel.operations import feedback as app
from sentinel.stored.votes import Annotator, Case


def investigators_command(config_file: Path | None, *, as_json: bool) -> None:
    """Everybody who votes, and what their record says."""
    config = embedded.running(configuration.load(config_file))
    found = asyncio.run(app.annotators(config))
    if as_json:
        for one in found:
            typer.echo(encode(_facts(one, config)))
        return
    table = Table(title=f"{len(found):,} who vote")
    table.add_column("who", overflow="fold")
    for name in ("votes", "agreement", "sensitivity", "specificity", "weight", "known truth"):
        table.add_column(name, justify="right")
    table.add_column("last")
    table.add_column("look into")
    for one in found:
        table.add_row(shown(one.name), f"{one.vote_count:,}", *_record(one, config))
    Console().print(table)


def _record(annotator: Annotator, config: Config) -> list[str]:
    """What is shown of a record, from the agreement on; a trusted source has none."""
    one = annotator
    last = date_text(one.last_ms)
    if one.source in config.feedback.trusted_sources:
        return ["trusted", "", "", "", "", last, ""]
    params = config.consensus
    skill, agreement = skill_of(one, params), agreement_of(one)
    return [
        "" if agreement is None else f"{agreement:.2f}",
        _rate(skill.sensitivity, skill.sensitivity_range),
        _rate(skill.specificity, skill.specificity_range),
        f"{weight_of(one, params):.2f}",
        f"{one.known_right_count:,} of {one.known_count:,}" if one.known_count else "",
        last,
        ", ".join(oddities(one, params)),
    ]


def _facts(annotator: Annotator, config: Config) -> dict[str, Any]:
    one, params = annotator, config.consensus
    is_trusted = one.source in config.feedback.trusted_sources
    found: dict[str, Any] = {
        "annotator": one.name,
        "is_trusted": is_trusted,
        "vote_count": one.vote_count,
        "fraud_count": one.fraud_count,
        "unsure_count": one.unsure_count,
        "retracted_count": one.retracted_count,
        "first_ms": one.first_ms,
        "last_ms": one.last_ms,
    }
    if is_trusted:
        return found
    skill = skill_of(one, params)
    return found | {
        "agreement": agreement_of(one),
        "sensitivity": skill.sensitivity,
        "sensitivity_range": skill.sensitivity_range,
        "specificity": skill.specificity,
        "specificity_range": skill.specificity_range,
        "weight": weight_of(one, params),
        "known_count": one.known_count,
        "known_right_count": one.known_right_count,
        "look_into": oddities(one, params),
    }


def _rate(value: float, limits: tuple[float, float]) -> str:
    return f"{value:.2f} ({limits[0]:.2f}–{limits[1]:.2f})"


def ask_command(
    config_file: Path | None, *, source: str, capacity: int, limit: int, as_json: bool
) -> None:
    """Cases that are not settled, and whom to ask of each."""
    config = embedded.running(configuration.load(config_file))
    found = asyncio.run(app.unsettled(config, source=source, capacity=capacity, limit=limit))
    if as_json:
        for question in found:
            typer.echo(encode(_question(question)))
        return
    table = Table(title=f"{len(found):,} to settle")
    table.add_column("transaction", overflow="fold")
    table.add_column("status")
    for name in ("probability", "votes"):
        table.add_column(name, justify="right")
    for name in ("say fraud", "say genuine", "ask"):
        table.add_column(name, overflow="fold")
    for question in found:
        case, ask = question.case, question.ask
        says = {label: _who_says(case, label) for label in ("fraud", "genuine")}
        table.add_row(
            shown(case.transaction_id),
            case.status,
            "" if case.posterior is None else f"{case.posterior:.3f}",
            str(sum(map(len, says.values()))),
            *(shown(", ".join(names)) for names in says.values()),
            "nobody is left" if ask is None else shown(ask.name),
        )
    Console().print(table)


def _question(question: Question) -> dict[str, Any]:
    case = question.case
    says_fraud, says_genuine = _who_says(case, "fraud"), _who_says(case, "genuine")
    return {
        "transaction_id": case.transaction_id,
        "event_time_ms": case.event_time_ms,
        "entities": case.entities,
        "newest_ms": case.newest_ms,
        "status": case.status,
        "posterior": case.posterior,
        "vote_count": len(says_fraud) + len(says_genuine),
        "says_fraud": says_fraud,
        "says_genuine": says_genuine,
        "ask": None if question.ask is None else question.ask.name,
    }


def _who_says(case: Case, label: str) -> list[str]:
    return [vote.annotator for vote in case.votes if vote.label == label]
