"""A file or a topic that arrives, with a person: what is asked of them, and what they are told."""

import asyncio
import shlex
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import typer

from sentinel.cli.data.dry_run import tell_counts
from sentinel.cli.data.proposed import tell_proposal
from sentinel.cli.data.sources import transaction_file
from sentinel.cli.texts import PlainConsole, echo, plain
from sentinel.config import Config
from sentinel.errors import ConfigError
from sentinel.operations import embedded
from sentinel.operations.arrival.answers import Answers, OpenQuestion, UnansweredError
from sentinel.operations.arrival.columns import Look
from sentinel.operations.arrival.looking import look_at
from sentinel.operations.arrival.proposal import Proposal, proposal
from sentinel.operations.arrival.topics import look_at_topic, notes_of, topic_sample
from sentinel.operations.arrival.writing import config_of, toml_of
from sentinel.operations.data.dry_run import RowSource, dry_run
from sentinel.operations.data.refusals import nothing_usable

_TRIED_COUNT = 20_000


def file_arrived(file: Path, out: Path, answers: Answers, *, yes: bool) -> None:
    """Look at a file or a folder, ask, try what is proposed, write it, and say what comes next.

    Raises ConfigError.
    """
    if file.is_dir() and out.resolve().is_relative_to(file.resolve()):
        raise ConfigError(f"{out}: would lie among the files of {file}: name another with --out")

    def rows(config: Config) -> RowSource:
        return transaction_file(file, config, None, needs_labels=False)

    found, config = _proposed(look_at(file), answers, yes=yes)
    console = PlainConsole()
    _try_and_write(console, found, config, rows, out)
    _tell_way_on(file, out, has_labels=found.label is not None)


def topic_arrived(topic: str, settings: Config, out: Path, answers: Answers, *, yes: bool) -> None:
    """The same of some records of a topic. Raises ConfigError."""
    sample = asyncio.run(topic_sample(embedded.running(settings), topic))
    look = look_at_topic(sample, settings)
    found, config = _proposed(look, answers, yes=yes)
    console = PlainConsole()
    _try_and_write(console, found, config, lambda _: sample, out)
    for note in notes_of(sample, look, config):
        console.print(f"note: {note}", soft_wrap=True)
    own = shlex.quote(str(out))
    echo("next:")
    echo(f"  sentinel topics check -c {own}    # whether the topics are as they must be")
    echo(f"  sentinel train FILE -c {own}    # a history with the same fields, and a label")
    echo(f"  sentinel run -c {own}")


def _proposed(look: Look, answers: Answers, *, yes: bool) -> tuple[Proposal, Config]:
    found = _told_proposal(look, answers, yes=yes)
    return found, config_of(found, toml_of(found))


def _try_and_write(
    console: PlainConsole,
    found: Proposal,
    config: Config,
    rows: Callable[[Config], RowSource],
    out: Path,
) -> None:
    """Try it on the first rows, write it where some are usable, and tell. Raises ConfigError."""
    with console.status(
        "trying it on the first rows; the first time this compiles what reads them"
    ):
        tried = dry_run(rows(config), config, row_count_min=_TRIED_COUNT)
    if not tried.usable_count:
        raise nothing_usable(found.look.file_name, tried.refusals)
    try:
        out.write_text(toml_of(found), encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{out}: cannot be written: {error.strerror or error}") from error
    tell_proposal(console, found)
    what = "records" if found.look.is_topic else "rows"
    tell_counts(console, tried, f"{what} that were tried")
    console.print(f"{out} is written, with the reasons", soft_wrap=True)


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
