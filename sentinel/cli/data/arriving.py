"""A file that arrives, with a person: what is asked of them, and what they are told."""

import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import typer
from rich.table import Table

from sentinel.cli.data.dry_run import tell_counts
from sentinel.cli.data.sources import transaction_file
from sentinel.cli.texts import PlainConsole, echo, plain
from sentinel.errors import ConfigError
from sentinel.operations.arrival.answers import Answers, OpenQuestion, UnansweredError
from sentinel.operations.arrival.columns import Look
from sentinel.operations.arrival.looking import look_at
from sentinel.operations.arrival.proposal import Proposal, proposal
from sentinel.operations.arrival.writing import config_of, toml_of
from sentinel.operations.data.dry_run import dry_run
from sentinel.operations.data.refusals import nothing_usable

_NAMES_SHOWN_MAX = 20


def arrived(file: Path, out: Path, answers: Answers, *, yes: bool) -> None:
    """Look at a file, ask, try what is proposed, write it, and say what it is and what comes next.

    Raises ConfigError.
    """
    found = _told_proposal(look_at(file), answers, yes=yes)
    text = toml_of(found)
    config = config_of(found, text)
    source = transaction_file(file, config, None, needs_labels=False)
    console = PlainConsole()
    with console.status(
        "trying it on the first rows; the first time this compiles what reads them"
    ):
        tried = dry_run(source, config, chunk_count_max=1)
    if not tried.usable_count:
        raise nothing_usable(file, tried.refusals)
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{out}: cannot be written: {error.strerror or error}") from error
    _tell_proposal(console, found)
    tell_counts(console, tried, "rows that were tried")
    console.print(f"{out} is written, with the reasons", soft_wrap=True)
    _tell_way_on(file, out, has_labels=found.label is not None)


def _told_proposal(look: Look, answers: Answers, *, yes: bool) -> Proposal:
    """The proposal, once nothing is open: asked in a terminal, guessed if the user said yes.

    Raises ConfigError, which names the flags, where nobody can be asked.
    """
    is_terminal = sys.stdin.isatty() and sys.stdout.isatty()
    while True:
        try:
            found = proposal(look, answers)
        except UnansweredError as error:
            if yes or not is_terminal:
                raise
            answers = _asked(look, answers, error.question)
            continue
        if yes or not found.questions:
            return found
        if not is_terminal:
            raise ConfigError(_open(look, found))
        answers = _asked(look, answers, found.questions[0])


def _open(look: Look, found: Proposal) -> str:
    """What the file does not say, and the flags that do."""
    flags = ", ".join(f"{q.flag} (guess: {q.guess})" for q in found.questions)
    return f"{look.file_name} does not say everything: say {flags}, or take the guesses with --yes"


def _asked(look: Look, answers: Answers, question: OpenQuestion) -> Answers:
    """The answers with that of a person to one more question."""
    while True:
        text = plain(f"{question.text} ({question.why})")
        said = str(typer.prompt(text, default=question.guess or None)).strip()
        answer: dict[str, Any] = {question.name: said}
        more = replace(answers, **answer)
        try:
            proposal(look, more)
        except UnansweredError:
            return more
        except ConfigError as error:
            echo(str(error))
        else:
            return more


def _tell_proposal(console: PlainConsole, found: Proposal) -> None:
    """What the columns were taken for, and why."""
    look = found.look
    seen = "all looked at" if look.is_whole else f"{look.seen_count:,} looked at"
    console.print(f"{look.file_name}: {look.row_count:,} rows, {seen}", soft_wrap=True)
    console.print(_roles_table(found))
    ignored = [one for one in found.inputs if one.use == "ignored"]
    for why in dict.fromkeys(one.why for one in ignored):
        names = [one.column.name or "(no name)" for one in ignored if one.why == why]
        console.print(f"left out: {_some(names)}: {why}", soft_wrap=True)
    for question in found.questions:
        said = f"guessed: {question.text} {question.guess}: {question.why}; {question.flag} says it"
        console.print(said, soft_wrap=True)
    for note in found.notes:
        console.print(f"note: {note}", soft_wrap=True)


def _roles_table(found: Proposal) -> Table:
    time = found.time
    how = " ".join(filter(None, (time.of.format, time.step, time.origin, time.zone)))
    amount = f"{found.amount_format}, {found.amount_decimals} decimals"
    table = Table("what", "column", "because")
    for name, role in (("transaction", found.transaction_id), ("account", found.account)):
        table.add_row(name, role.column.name if role.column else "(its row)", role.why)
    table.add_row("event time", time.of.column.name, f"{time.why}: {how}")
    table.add_row("amount", found.amount.name, amount)
    table.add_row("label", found.label.name if found.label else "(none)", "")
    for use in ("entity", "category", "number", "boolean"):
        names = [one.column.name for one in found.inputs if one.use == use]
        if names:
            table.add_row(use, _some(names), "")
    return table


def _some(names: list[str]) -> str:
    more = len(names) - _NAMES_SHOWN_MAX
    return ", ".join(names[:_NAMES_SHOWN_MAX]) + (f" and {more:,} more" if more > 0 else "")


def _tell_way_on(file: Path, out: Path, *, has_labels: bool) -> None:
    """The commands that come next."""
    name, own = shlex.quote(str(file)), shlex.quote(str(out))
    echo("next:")
    echo(f"  sentinel check-config -c {own} --file {name}    # the whole file, row by row")
    if not has_labels:
        echo(f"  and name the label in {own}, or bring a model: train needs to know frauds")
        return
    echo(f"  sentinel train {name} -c {own}")
    echo(f"  sentinel run -c {own}")
    echo(f"  sentinel produce {name} -c {own}    # or a later file, from a second terminal here")
