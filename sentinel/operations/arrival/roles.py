"""What identifies a transaction, who pays, how much, and what says that it was fraud."""

import re
from collections.abc import Iterable

import numpy as np

from sentinel.operations.arrival.columns import FileColumn, Look

# What a label may be in a file (adapters/files/transactions.py reads it).
_LABEL_VALUES = {"0", "1", "0.0", "1.0", "true", "false", "fraud", "genuine"}

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
        fitting = [column for column in left if re.fullmatch(pattern, column.words)]
        found += fitting
        left = [column for column in left if column not in fitting]
    return found


def label_columns(look: Look) -> list[FileColumn]:
    """What could say that a transaction was fraud: named so, with two values at most."""
    fitting = [column for column in look.columns if is_label(column)]
    return _ranked(fitting, _LABELS)


def is_label(column: FileColumn) -> bool:
    """Whether its values can be labels."""
    return bool(column.counts) and {text.lower() for text in column.counts} <= _LABEL_VALUES


def identifier_columns(look: Look) -> list[FileColumn]:
    """What could identify a transaction: named so, and hardly a value twice."""
    fitting = [
        column
        for column in look.columns
        if is_identifier(column) and column.distinct_count >= 0.98 * len(column.values)
    ]
    return _ranked(fitting, _IDENTIFIERS)


def account_columns(look: Look) -> list[FileColumn]:
    """What could be the account: named so, with many values."""
    fitting = [one for one in look.columns if is_identifier(one) and one.distinct_count > 2]
    return _ranked(fitting, _ACCOUNTS)


def is_identifier(column: FileColumn) -> bool:
    """Whether its values can be identifiers: texts or whole numbers, and there."""
    return (
        column.form in ("any", "text", "number")
        and bool(column.present)
        and (column.is_whole or not column.reads_as_number)
    )


def amount_columns(look: Look) -> list[FileColumn]:
    """What could be the amount: named so, numbers, few of them negative."""
    fitting = [
        column
        for column in look.columns
        if is_amount(column)
        and (column.distinct_count > 2 or re.fullmatch(_AMOUNTS[0], column.words))
    ]
    return _ranked(fitting, _AMOUNTS)


def is_amount(column: FileColumn) -> bool:
    """Whether its values can be amounts; a text that holds a number can."""
    if column.form in ("nested", "boolean") or not column.reads_as_number:
        return False
    numbers = column.numbers[np.isfinite(column.numbers)]
    return float(np.mean(numbers < 0)) <= _NEGATIVE_SHARE_MAX
