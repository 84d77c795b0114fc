"""A case, its votes, and whom to ask of it, shown."""

from collections.abc import Sequence
from typing import Any

from rich.table import Table

from sentinel.cli.texts import shown
from sentinel.codec.times import date_text
from sentinel.core.consensus.asking import Question
from sentinel.stored.votes import Case


def case_line(case: Case) -> str:
    """What transaction it is, how it stands, and how it came to be looked at."""
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


def question_table(questions: Sequence[Question]) -> Table:
    """Cases that are not settled, and whom to ask of each."""
    table = Table(title=f"{len(questions):,} to settle")
    table.add_column("transaction", overflow="fold")
    table.add_column("status")
    for name in ("probability", "votes"):
        table.add_column(name, justify="right")
    for name in ("say fraud", "say genuine", "ask"):
        table.add_column(name, overflow="fold")
    for question in questions:
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
    return table


def question_facts(question: Question) -> dict[str, Any]:
    """The same of one case, for a script."""
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
