"""Those who vote, shown with what their record says."""

from collections.abc import Sequence
from typing import Any

from rich.table import Table

from sentinel.cli.texts import shown
from sentinel.codec.times import date_text
from sentinel.config import Config
from sentinel.core.consensus.batch.patterns import agreement_of, oddities, skill_of, weight_of
from sentinel.stored.votes import Annotator


def annotator_table(annotators: Sequence[Annotator], config: Config) -> Table:
    """A line for each."""
    table = Table(title=f"{len(annotators):,} who vote")
    table.add_column("who", overflow="fold")
    for name in ("votes", "agreement", "sensitivity", "specificity", "weight", "known truth"):
        table.add_column(name, justify="right")
    table.add_column("last")
    table.add_column("look into")
    for one in annotators:
        table.add_row(shown(one.name), f"{one.vote_count:,}", *_record(one, config))
    return table


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


def annotator_facts(annotator: Annotator, config: Config) -> dict[str, Any]:
    """The same of one, for a script."""
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
