"""Which column is what a transaction must have: as a person says, or as the file suggests."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import get_args

import numpy as np

from sentinel.codec.schema import AmountFormat, NegativeAmounts, rfc3339_ms
from sentinel.codec.values.labels import fraud_said
from sentinel.codec.values.zones import zone_named
from sentinel.core.features.spec import duration_ms
from sentinel.errors import ConfigError
from sentinel.operations.arrival.answers import (
    AS_SAID,
    NONE,
    Answers,
    Asker,
    OpenQuestion,
    UnansweredError,
    answered_column,
)
from sentinel.operations.arrival.columns import FileColumn, Look
from sentinel.operations.arrival.roles import (
    account_columns,
    amount_columns,
    identifier_columns,
    is_identifier,
    is_label,
    label_columns,
    negative_share,
)
from sentinel.operations.arrival.times import (
    ORIGIN,
    TimeColumn,
    agrees_in_utc,
    time_column,
    time_columns,
)
from sentinel.records import Floats

_DECIMALS_MAX = 4


@dataclass(frozen=True, slots=True)
class Role:
    """A column that the schema must have, and why it is this one; None: a row stands for it."""

    column: FileColumn | None
    why: str


@dataclass(frozen=True, slots=True)
class Time:
    """How the file says when.

    Attributes
    ----------
    zone
        Of times that do not say theirs; else empty.
    step, origin
        Of a counter, the length of a step and the time of step 0; else empty.
    """

    of: TimeColumn
    why: str
    zone: str = ""
    step: str = ""
    origin: str = ""

    @property
    def times_ms(self) -> Floats:
        """When each row happened; NaN where it does not say."""
        return self.of.times_ms(self.step, self.origin)

    @property
    def step_ms(self) -> int:
        """How far apart two times are at least."""
        return duration_ms(self.step) if self.step else 0


def chosen_time(look: Look, answers: Answers, asker: Asker) -> Time:
    """The event time. Raises ConfigError where no column can be it."""
    found = time_columns(look)
    if answers.time is not None:
        chosen, why = _named_time(look, answers.time), AS_SAID
    elif found:
        chosen, why = found[0], "the likeliest of those that hold times"
        why = why if len(found) > 1 else "the only one that holds times"
    else:
        raise UnansweredError(look.file_name, _NO_TIME)
    column = chosen.column
    if chosen.format == "steps":
        step = _checked_step(asker, chosen)
        text = f"When was step 0 of {column.name}?"
        origin = asker.said("origin", text, ORIGIN, "the file does not say it")
        with _said_of("--origin"):
            rfc3339_ms(origin)
        return Time(chosen, why, step=step, origin=origin)
    if chosen.has_zone:
        return Time(chosen, why)
    other = agrees_in_utc(chosen, found)
    if other is not None and answers.zone is None:
        return Time(chosen, f"{why}; {other.column.name} says the same since 1970", zone="UTC")
    text = f"Of which time zone are the times of {column.name}?"
    zone = asker.said("zone", text, "UTC", "they have no offset")
    with _said_of("--zone"):
        zone_named(zone)
    return Time(chosen, why, zone=zone)


_NO_TIME = OpenQuestion(
    "time",
    "Which column says when a transaction happened?",
    "",
    "No column holds times such as 2026-03-01T12:00:00Z, seconds since 1970, or a counter that is "
    "named so and goes up",
)


def _named_time(look: Look, name: str) -> TimeColumn:
    column = answered_column(look, "--time", name)
    found = time_column(column)
    if found is None and column.is_number:
        return TimeColumn(column, "steps", step="1s")
    if found is None:
        raise ConfigError(
            f"--time: {name} holds {_some(column)}: no times such as 2026-03-01T12:00:00Z, "
            "nor numbers"
        )
    return found


def _checked_step(asker: Asker, chosen: TimeColumn) -> str:
    """The length of a step. Its name says it, unless it is such as "step"."""
    name, step = chosen.column.name, chosen.step
    if re.search(r"\b(months?|weeks?|days?|hours?|minutes?|seconds?|secs?)$", chosen.column.words):
        return step
    step = asker.said("step", f"How long is a step of {name}?", step, f"it counts up, as {name}")
    with _said_of("--step"):
        if not duration_ms(step):
            raise ValueError(f'"{step}" is no time at all')
    return step


@contextmanager
def _said_of(flag: str) -> Iterator[None]:
    """Names the flag of an answer that is refused."""
    try:
        yield
    except ValueError as error:
        raise ConfigError(f"{flag}: {error}") from error


def _one_of(flag: str, said: str, allowed: tuple[str, ...]) -> str:
    if said not in allowed:
        raise ConfigError(f'{flag}: "{said}" must be one of {list(allowed)}')
    return said


def chosen_amount(look: Look, answers: Answers) -> FileColumn:
    """The amount. Raises ConfigError where no column can be it."""
    if answers.amount is not None:
        column = answered_column(look, "--amount", answers.amount)
        if not column.reads_as_number:
            raise ConfigError(f"--amount: {column.name} holds {_some(column)}: no numbers")
        return column
    found = amount_columns(look)
    if not found:
        raise UnansweredError(look.file_name, _NO_AMOUNT)
    return found[0]


_NO_AMOUNT = OpenQuestion(
    "amount",
    "Which column is the amount?",
    "",
    "No column with numbers of 0 and more is named like one",
)


def amount_format(amount: FileColumn, asker: Asker) -> str:
    """Whether the amount is in minor units."""
    if not amount.is_whole:
        return "decimal"
    if re.search(r"\b(minor|cents?|pence)\b", amount.words):
        return "minor"
    text = f"Is {amount.name} in major units (decimal), or in cents (minor)?"
    said = asker.said("amount_format", text, "decimal", "its values are whole numbers")
    return _one_of("--amount-format", said, get_args(AmountFormat))


def negative_amounts(amount: FileColumn, asker: Asker) -> str:
    """What becomes of negative amounts; empty where there are none."""
    share = negative_share(amount)
    if not share:
        return ""
    text = f"Are negative values of {amount.name} refused (refuse), counted as 0 (zero), or signed?"
    said = asker.said("negative_amounts", text, "zero", f"{share:.1%} are negative")
    return _one_of("--negative-amounts", said, get_args(NegativeAmounts))


def amount_decimals(amount: FileColumn) -> int:
    """How many decimals the amount has; two, unless more are seen, and few enough to be meant."""
    return amount.decimals if 2 < amount.decimals <= _DECIMALS_MAX else 2


def chosen_label(look: Look, answers: Answers, asker: Asker) -> FileColumn | None:
    """What says that a transaction was fraud; None if nothing does."""
    if answers.label not in (None, NONE):
        column = answered_column(look, "--label", str(answers.label))
        if not is_label(column):
            raise ConfigError(
                f"--label: {column.name} holds {_some(column)}: no 0 and 1, true and false, yes "
                "and no, or fraud and genuine"
            )
        return column
    found = label_columns(look)
    if found and answers.label is None:
        return found[0]
    if look.is_topic:  # labels are said later, as feedback
        return None
    asker.said(
        "label",
        "Which column says that a transaction was fraud?",
        NONE,
        "no column is named so, with 0 and 1, true and false, yes and no, or fraud and genuine",
    )
    return None


def label_values(label: FileColumn | None, count: int) -> Floats:
    """1 for a fraud, 0 for a genuine transaction, NaN where nobody says."""
    if label is None:
        return np.full(count, np.nan)
    said = {text: fraud_said(text) for text in label.counts}
    known = {text: float(is_fraud) for text, is_fraud in said.items() if is_fraud is not None}
    return np.array([known.get(value or "", np.nan) for value in label.values], np.float64)


def chosen_identifier(look: Look, answers: Answers) -> Role:
    """What identifies a transaction; else the number of its row."""
    name = answers.transaction_id
    if name is not None and name != NONE:
        return Role(_identifier(look, "--transaction-id", name), AS_SAID)
    found = identifier_columns(look)
    if found and name is None:
        return Role(found[0], "no value comes twice, and its name")
    if look.is_topic:
        raise UnansweredError(look.file_name, _NO_IDENTIFIER)
    return Role(None, "no column identifies a transaction: the file's name and the row's number do")


def chosen_account(look: Look, answers: Answers, asker: Asker) -> Role:
    """Who pays; else each row is an account of its own."""
    if answers.account not in (None, NONE):
        return Role(_identifier(look, "--account", str(answers.account)), AS_SAID)
    found = account_columns(look)
    if found and answers.account is None:
        return Role(found[0], f"{found[0].distinct_count:,} different values, and its name")
    if look.is_topic:
        raise UnansweredError(look.file_name, _NO_ACCOUNT)
    why = "no column is named like an account, a card or a customer"
    asker.said("account", "Which column is the account, the card or the customer?", NONE, why)
    return Role(None, "each row is an account of its own: nothing is counted over time")


_NO_IDENTIFIER = OpenQuestion(
    "transaction_id",
    "Which field identifies a transaction?",
    "",
    "No field is named so, without a value that comes twice, and no row stands for a record",
)
_NO_ACCOUNT = OpenQuestion(
    "account",
    "Which field is the account, the card or the customer?",
    "",
    "No field is named so, and no row stands for a record",
)


def _identifier(look: Look, flag: str, name: str) -> FileColumn:
    column = answered_column(look, flag, name)
    if not is_identifier(column):
        raise ConfigError(f"{flag}: {name} holds {_some(column)}: no texts or whole numbers")
    return column


def _some(column: FileColumn) -> str:
    """A few of the values, for a sentence."""
    some = [text[:40] for text in list(column.counts)[:3]]
    return f"values such as {some}" if some else "nothing"
