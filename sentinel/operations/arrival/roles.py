"""What identifies a transaction, who pays, how much, and what says that it was fraud."""

import re
from collections.abc import Iterable

import numpy as np

from sentinel.codec.values.labels import meaning_of
from sentinel.operations.arrival.columns import FileColumn, Look

# By the words of a name, the likeliest first.
_LABELS = (
    r"(is )?fraud( (flag|bool|label|indicator|ind|class))?",
    r"(tx|txn|transaction|trans) (is )?fraud",
    r"(is )?fraudulent",
    r"(is )?charge ?back",
    r"class|label|target",
)
_IDENTIFIERS = (
    r"(transaction|trans|tx|txn|payment|event) (id|num|number|no|uuid|guid|ref|reference|key)",
    r"(transaction|trans|tx|txn)",
    r"(id|uuid|guid|event uuid|reference|record id|row id)",
)
_KEY = r"( (id|num|number|no|key|hash|token|uuid|ref))?"
_ACCOUNTS = (
    rf"account{_KEY}",
    rf"(cc|card|credit card|pan){_KEY}",
    rf"(customer|client|user|member|cardholder|payer|sender|wallet|consumer|iban){_KEY}",
    r"(name )?orig(in)?( account)?",
    r"(from|source|src|debtor|sender) (account|iban|id|wallet)",
    r"card 1",
    r".*\b(account|customer|card) (id|num|number|no)",
)
_AMOUNTS = (
    r"(transaction |trans |tx |txn |payment )?(amount|amt)",
    r"(amount|amt) .*|.* (amount|amt)",
    r".*\b(value|price|total|sum|paid|cost)\b.*",
    r".*\blimit\b.*",
)
_NEGATIVE_SHARE_MAX = 0.25


def _ranked(columns: Iterable[FileColumn], patterns: Iterable[str]) -> list[FileColumn]:
    """The columns that a pattern fits, those of an earlier one first."""
    left, found = list(columns), []
    for pattern in patterns:
        fitting = [column for column in left if _is_named(column, pattern)]
        found += fitting
        left = [column for column in left if column not in fitting]
    return found


def _is_named(column: FileColumn, pattern: str) -> bool:
    return any(re.fullmatch(pattern, words) for words in column.path_words)


def label_columns(look: Look) -> list[FileColumn]:
    """What could say that a transaction was fraud: named so, with two values at most."""
    fitting = [column for column in look.columns if is_label(column)]
    return _ranked(fitting, _LABELS)


def is_label(column: FileColumn) -> bool:
    """Whether its values can be labels."""
    meanings = set(map(meaning_of, column.counts))
    return bool(meanings & {"fraud", "genuine"}) and None not in meanings


def identifier_columns(look: Look) -> list[FileColumn]:
    """What could identify a transaction: named so, and hardly a value twice."""
    fitting = [
        column
        for column in look.columns
        if is_identifier(column) and column.distinct_count >= 0.98 * len(column.values)
    ]
    return _ranked(fitting, _IDENTIFIERS)


def account_columns(look: Look) -> list[FileColumn]:
    """What could be the account: named so, with many values unless it is called just that."""
    fitting = [
        one
        for one in look.columns
        if is_identifier(one) and (one.distinct_count > 2 or _is_named(one, _ACCOUNTS[0]))
    ]
    return _ranked(fitting, _ACCOUNTS)


def is_identifier(column: FileColumn) -> bool:
    """Whether its values can be identifiers: texts or whole numbers, and there."""
    return (
        column.form in ("any", "text", "number")
        and bool(column.present)
        and (column.is_whole or not column.reads_as_number)
    )


def amount_columns(look: Look) -> list[FileColumn]:
    """What could be the amount: numbers, and called just that, or named so and rarely negative."""
    numbers = [one for one in look.columns if is_amount(one)]
    fitting = [
        one
        for one in numbers
        if _is_named(one, _AMOUNTS[0])
        or (one.distinct_count > 2 and negative_share(one) <= _NEGATIVE_SHARE_MAX)
    ]
    return _ranked(fitting, _AMOUNTS)


def is_amount(column: FileColumn) -> bool:
    """Whether its values can be amounts; a text that holds a number can."""
    return column.form not in ("nested", "boolean") and column.reads_as_number


def negative_share(column: FileColumn) -> float:
    """Which share of its numbers is negative; 0 where there are none."""
    numbers = column.numbers[np.isfinite(column.numbers)]
    return float(np.mean(numbers < 0)) if numbers.size else 0.0
