"""What a configuration should say of a file, from what was seen of it and what a person says."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from sentinel.codec.paths import path_of
from sentinel.operations.arrival.answers import (
    AS_SAID,
    Answers,
    Asker,
    OpenQuestion,
    answered_column,
)
from sentinel.operations.arrival.choosing import (
    Role,
    Time,
    amount_decimals,
    amount_format,
    chosen_account,
    chosen_amount,
    chosen_identifier,
    chosen_label,
    chosen_time,
    label_values,
    negative_amounts,
)
from sentinel.operations.arrival.columns import FileColumn, Look
from sentinel.operations.arrival.durations import TrainingCut, cut, usual_cut
from sentinel.operations.arrival.inputs import Input, input_of, is_currency, separation
from sentinel.records import Floats

_ENTITIES_MAX = 4
_NUMBERS_MAX = 200  # each is a feature: more make decisions slow, and say little
_FRAUDS_WANTED = 10


@dataclass(frozen=True, slots=True)
class Proposal:
    """What a configuration for the file should say, and what only a person knows.

    Attributes
    ----------
    inputs
        What became of every other column.
    questions
        What was guessed though the file does not say it.
    notes
        What a person should know before training.
    """

    look: Look
    transaction_id: Role
    time: Time
    account: Role
    amount: FileColumn
    amount_format: str
    amount_decimals: int
    negative_amounts: str  # empty where there are none
    label: FileColumn | None
    inputs: Sequence[Input]
    cut: TrainingCut
    questions: Sequence[OpenQuestion]
    notes: Sequence[str]


def proposal(look: Look, answers: Answers) -> Proposal:
    """What a configuration should say.

    Raises ConfigError, which names the flag, where an answer does not fit the file, or where
    nothing can be guessed.
    """
    asker = Asker(answers)
    taken = {*answers.named}
    taken |= {one.name for one in look.columns if not one.can_be_named or one.is_before}

    def free(own: str | None) -> Look:
        return look.without(taken - {own})

    time = chosen_time(free(answers.time), answers, asker)
    taken.add(time.of.column.name)
    amount = chosen_amount(free(answers.amount), answers)
    taken.add(amount.name)
    label = chosen_label(free(answers.label), answers, asker)
    taken |= {label.name} if label is not None else set()
    transaction_id = chosen_identifier(free(answers.transaction_id), answers)
    taken |= {transaction_id.column.name} if transaction_id.column is not None else set()
    account = chosen_account(free(answers.account), answers, asker)
    roles = [time.of.column, amount, label, transaction_id.column, account.column]
    is_fraud = label_values(label, look.seen_count)
    rest = [column for column in look.columns if all(column is not one for one in roles)]
    found = usual_cut() if look.is_topic else cut(time.times_ms, is_fraud, time.step_ms)
    for name in (*answers.entities.values(), *answers.ignored):
        answered_column(look, "--entity or --ignore", name)
    inputs = [_input(column, look, answers, is_fraud) for column in rest]
    inputs = _apart(inputs, [one.name for one in roles if one is not None and one is not label])
    return Proposal(
        look=look,
        transaction_id=transaction_id,
        time=time,
        account=account,
        amount=amount,
        amount_format=amount_format(amount, asker),
        amount_decimals=amount_decimals(amount),
        negative_amounts=negative_amounts(amount, asker),
        label=label,
        inputs=_limited(inputs, is_fraud),
        cut=found,
        questions=asker.questions,
        notes=list(_notes(look, time, inputs, is_fraud, found)),
    )


def _input(column: FileColumn, look: Look, answers: Answers, is_fraud: Floats) -> Input:
    for name, of in answers.entities.items():
        if column.name == of:
            return Input(column, "entity", AS_SAID, name)
    if column.name in answers.ignored:
        return Input(column, "ignored", AS_SAID)
    return input_of(column, is_fraud)


def _apart(inputs: Sequence[Input], taken: Sequence[str]) -> list[Input]:
    """The same, without fields into which the path of another one would lead, and the reverse."""
    names, on_the_way = set(taken), {path for name in taken for path in _outer(name)}
    found = []
    for one in inputs:
        name = one.column.name
        outer = set(_outer(name))
        if one.use != "ignored" and (name in on_the_way or outer & names):
            one = replace(one, use="ignored", why="its name and another one are path and field")
        if one.use != "ignored":
            names.add(name)
            on_the_way |= outer
        found.append(one)
    return found


def _outer(name: str) -> list[str]:
    """Of a path the names that lead to it."""
    path = path_of(name)
    return [".".join(path[:depth]) for depth in range(1, len(path))]


def _limited(inputs: Sequence[Input], is_fraud: Floats) -> list[Input]:
    """The same, with no more entities and numbers than a first configuration should have."""
    entities = [one for one in inputs if one.use == "entity"]
    entities.sort(key=lambda one: one.why != AS_SAID)
    numbers = [one for one in inputs if one.use == "number"]
    if len(numbers) > _NUMBERS_MAX:
        numbers.sort(key=lambda one: -separation(one.column, is_fraud))
    why = f"beyond {_ENTITIES_MAX} entities and the {_NUMBERS_MAX} numbers that tell most"
    dropped = [*entities[_ENTITIES_MAX:], *numbers[_NUMBERS_MAX:]]
    found, names = [], {"account"}
    for one in inputs:
        if one in dropped:
            found.append(replace(one, use="ignored", why=why))
        elif one.use == "entity":
            name = _free(one.name, names)
            names.add(name)
            found.append(replace(one, name=name))
        else:
            found.append(one)
    return found


def _free(name: str, taken: set[str]) -> str:
    return next(
        one
        for one in (name, *(f"{name}_{i}" for i in range(2, len(taken) + 3)))
        if one not in taken
    )


def _notes(
    look: Look, time: Time, inputs: Sequence[Input], is_fraud: Floats, found: TrainingCut
) -> Iterator[str]:
    if not time.of.is_in_order and not look.is_topic:
        yield (
            f"the rows are not in the order of {time.of.column.name}: sort the file by it before "
            "you train"
        )
    if currencies := next((one for one in inputs if is_currency(one)), None):
        yield (
            f"{currencies.column.name} names {len(currencies.values)} currencies; amounts count "
            "as if they were one: set schema.currency, reporting_currency and rates"
        )
    if look.is_topic:
        return  # a history, and its labels, are still to come
    if not np.any(np.isfinite(is_fraud)):
        yield "no label was found: train needs one"
    elif found.frauds_min is not None and found.frauds_min < _FRAUDS_WANTED:
        yield (
            f"{int(np.sum(is_fraud == 1)):,} frauds among {int(np.sum(np.isfinite(is_fraud))):,} "
            "labelled rows that were looked at: a model of so few, and its measures, mean little"
        )
