"""What a person says of a file where it does not say it itself."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from sentinel.errors import ConfigError
from sentinel.operations.arrival.columns import FileColumn, Look

_ENTITY = re.compile(r"([a-z][a-z0-9_]*)=(.+)", re.ASCII)

AS_SAID = "as you said"
NONE = "none"  # said of a column that the file does not have


@dataclass(frozen=True, slots=True)
class Answers:
    """The flags of `sentinel init`; None where nothing was said."""

    transaction_id: str | None = None
    time: str | None = None
    zone: str | None = None
    step: str | None = None
    origin: str | None = None
    account: str | None = None
    amount: str | None = None
    amount_format: str | None = None
    negative_amounts: str | None = None
    label: str | None = None
    entities: Mapping[str, str] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()

    @property
    def named(self) -> set[str]:
        """The columns of which something was said: no guess takes them for anything else."""
        said = (self.transaction_id, self.time, self.account, self.amount, self.label)
        return {*filter(None, said), *self.entities.values(), *self.ignored} - {NONE}


@dataclass(frozen=True, slots=True)
class OpenQuestion:
    """What the file does not say.

    Attributes
    ----------
    name
        Of the attribute of `Answers` that answers it; with dashes, of the flag.
    guess
        What is taken without an answer; empty where nothing can be.
    why
        What the guess stands on.
    """

    name: str
    text: str
    guess: str
    why: str

    @property
    def flag(self) -> str:
        """The flag that answers it."""
        return "--" + self.name.replace("_", "-")


def answered_column(look: Look, flag: str, name: str) -> FileColumn:
    """The column that an answer names. Raises ConfigError."""
    found = look.named(name)
    if found is None:
        some = [column.name for column in look.columns[:40]]
        raise ConfigError(f'{flag}: {look.file_name} has no column "{name}"; it has {some}')
    return found


class UnansweredError(ConfigError):
    """Raised when a file does not say what nobody can guess: `question` asks for it."""

    def __init__(self, file_name: str, question: OpenQuestion) -> None:
        super().__init__(
            f"{file_name}: {question.text} {question.why}: say it with {question.flag}"
        )
        self.question = question


class Asker:
    """Collects what a file does not say, as long as no person has said it."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self.questions: list[OpenQuestion] = []

    def said(self, name: str, text: str, guess: str, why: str) -> str:
        """What was answered, or else the guess; the question is kept where nothing was."""
        answer: str | None = getattr(self._answers, name)
        if answer is None:
            self.questions.append(OpenQuestion(name, text, guess, why))
        return guess if answer is None else answer


def said_entities(pairs: Iterable[str]) -> dict[str, str]:
    """The columns of further entities, from NAME=COLUMN. Raises ConfigError."""
    found: dict[str, str] = {}
    for pair in pairs:
        match = _ENTITY.fullmatch(pair)
        if match is None or match[1] == "account" or match[1] in found:
            raise ConfigError(
                f'--entity: "{pair}" must be NAME=COLUMN, with a name of small letters, digits and '
                "_ that is not account, and each name once"
            )
        found[match[1]] = match[2]
    return found
