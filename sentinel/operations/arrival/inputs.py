"""What the other columns are good for: entities, categories, numbers, booleans, or nothing."""

import re
from dataclasses import dataclass
from typing import Literal

import numpy as np

from sentinel.codec.values.currencies import currencies_seen
from sentinel.core.learning.evaluation import auc
from sentinel.operations.arrival.columns import FileColumn
from sentinel.operations.arrival.roles import is_identifier
from sentinel.operations.arrival.times import time_column
from sentinel.records import Floats

Use = Literal["entity", "category", "number", "boolean", "ignored"]

CATEGORY_VALUES_MAX = 50
_ENTITY_VALUES_MIN = 20  # with fewer it is a category
_TELLING_COUNT_MIN = 20  # frauds, and genuine ones, from which on a column can tell too much
_TELLING = 0.99

_ENTITY = re.compile(
    r"\b(merchant|merch|terminal|device|shop|store|payee|receiver|recipient|beneficiary|dest|"
    r"destination|counterparty|ip|atm|seller|vendor|agent|emaildomain|domain)\b|"
    r"\b(account|card|cc|customer|client|user|wallet) (id|num|number|no|key|hash)$"
)
_NO_ENTITY = re.compile(
    r"\b(category|type|os|count|lat|long|lng|lon|latitude|longitude|country|city|zip|state|risk|"
    r"score|amount|amt|age|balance|limit|date|time)\b"
)
_PERSONAL = re.compile(
    r"\b(first|last|firstname|lastname|surname|street|address|dob|birth|birthday|birthdate|ssn|"
    r"passport|phone|email|e mail|(full|given|family|middle|maiden|holder|cardholder|customer) ?"
    r"name)\b|^name$"
)
_PROTECTED = re.compile(r"\b(gender|sex|ethnicity|race|religion|nationality|marital)\b")
_TOLD_LATER = re.compile(
    r"\b(fraud|fraudulent|flagged|chargeback|disputed?|scenario|verdict|outcome|investigated|"
    r"confirmed|blocked|declined|refunded|reversed|label|target)\b"
)
_PAST_COUNT = re.compile(r"\b(count|number|nb|cnt|risk|rate|share)\b")
_AFTERWARDS = re.compile(r"\bnew ?balance\b|\bbalance after\b|\bnew .*balance")
_CURRENCY = re.compile(r"\b(currency|ccy|curr)\b")
_CODE = re.compile(r"\b(zip|zipcode|postcode|postal|mcc|code|id|type|category|class)$")


@dataclass(frozen=True, slots=True)
class Input:
    """What becomes of a column, and why.

    Attributes
    ----------
    name
        Of the entity, where it is one.
    values
        Of a category, the most frequent first.
    """

    column: FileColumn
    use: Use
    why: str
    name: str = ""
    values: tuple[str, ...] = ()


def input_of(column: FileColumn, is_fraud: Floats) -> Input:
    """What a column is good for; `is_fraud` has 1, 0 or NaN for each row."""
    if why := _ignored_for(column):
        return Input(column, "ignored", why)
    if separation(column, is_fraud) >= _TELLING:
        return Input(
            column, "ignored", "tells frauds by itself: perhaps it is known only afterwards"
        )
    if column.is_boolean:
        return Input(column, "boolean", "two values, such as true and false")
    if _is_entity(column):
        why = f"{column.distinct_count:,} different values that come back"
        return Input(column, "entity", why, entity_name(column))
    return _value(column)


def is_currency(one: Input) -> bool:
    """Whether it names currencies, and more than one."""
    is_named = any(map(_CURRENCY.search, one.column.path_words))
    return is_named and len(currencies_seen(one.values)) > 1


def _value(column: FileColumn) -> Input:
    """A number, a category, or too many texts."""
    if column.is_number and not _CODE.search(column.words):
        return Input(column, "number", "numbers")
    if column.distinct_count > CATEGORY_VALUES_MAX:
        why = f"{column.distinct_count:,} different values are too many for a category"
        return Input(column, "ignored", why)
    if not (column.is_whole or not column.reads_as_number):
        return Input(column, "ignored", "numbers in texts, which no schema takes")
    by_count = sorted(column.counts.items(), key=lambda item: (-item[1], item[0]))
    values = tuple(dict.fromkeys(_as_category(text) for text, _ in by_count))
    return Input(column, "category", f"{len(values)} different values", values=values)


def _ignored_for(column: FileColumn) -> str:
    """Why its name or its values make it no input; empty if they do not."""
    words, is_text = column.words, not column.reads_as_number and not column.is_boolean
    reasons = (
        (column.form == "nested", "holds lists or objects"),
        (column.form == "unreached", "a name on the way to it is empty or has a dot: no path"),
        (not column.can_be_named, "its name cannot stand in a schema"),
        (column.is_before, "is of before the change"),
        (not column.present, "is empty"),
        (_PROTECTED.search(words), "a protected trait of a person"),
        (is_text and any(map(_PERSONAL.search, column.path_words)), "personal data"),
        (_TOLD_LATER.search(words) and not _PAST_COUNT.search(words), "may tell the label"),
        (column.is_constant, "is the same in every row"),
        (_AFTERWARDS.search(words), "is known only after the transaction"),
        (time_column(column) is not None, "is another time"),
        (_is_counter(column), "only counts up"),
        (is_text and _looks_like_date(column), "is a date"),
    )
    return next((why for is_so, why in reasons if is_so), "")


def _is_counter(column: FileColumn) -> bool:
    return column.is_number and column.distinct_count > 20 and column.is_in_order


def _looks_like_date(column: FileColumn) -> bool:
    some = list(column.counts)[:100]
    return all(re.fullmatch(r"\d{4}-\d\d-\d\d|\d\d?[./]\d\d?[./]\d{2,4}", text) for text in some)


def _is_entity(column: FileColumn) -> bool:
    return (
        is_identifier(column)
        and bool(_ENTITY.search(column.words))
        and not _NO_ENTITY.search(column.words)
        and _ENTITY_VALUES_MIN < column.distinct_count < len(column.present)
        and max(map(len, column.counts)) <= 256
    )


def entity_name(column: FileColumn) -> str:
    """A short name for an entity, from the column's: "nameDest" is "dest"."""
    shortest = next(filter(_ENTITY.search, reversed(column.path_words)), column.words)
    words = [word for word in shortest.split() if word not in ("name", "id", "num", "number")]
    name = re.sub(r"[^a-z0-9_]", "", "_".join(words))
    return name if name and name != "account" and not name[0].isdigit() else f"entity_{name}"


def separation(column: FileColumn, is_fraud: Floats) -> float:
    """How well a column alone tells frauds from others, from 0 to 1; 0 where that cannot be said.

    With a category each value stands for its share of frauds.
    """
    known = np.isfinite(is_fraud)
    if min(np.sum(is_fraud == 1), np.sum(is_fraud == 0)) < _TELLING_COUNT_MIN:
        return 0.0
    if column.is_number:
        numbers = np.where(np.isfinite(column.numbers), column.numbers, -1e300)
    elif column.distinct_count <= CATEGORY_VALUES_MAX:
        numbers = _fraud_shares(column, is_fraud)
    else:
        return 0.0
    found = auc(numbers[known], is_fraud[known].astype(np.int64))
    return 0.0 if found is None else abs(2 * found - 1)


def _fraud_shares(column: FileColumn, is_fraud: Floats) -> Floats:
    """Of each row the share of frauds among those with its value."""
    values = np.array([value or "" for value in column.values])
    _, codes = np.unique(values, return_inverse=True)
    known = np.isfinite(is_fraud)
    count = np.bincount(codes[known], minlength=codes.max() + 1)
    frauds = np.bincount(codes[known], weights=is_fraud[known], minlength=codes.max() + 1)
    shares: Floats = (frauds / np.maximum(count, 1))[codes]
    return shares


def _as_category(text: str) -> str:
    """The text that a category has of it: numbers lose an empty fraction, truths their case."""
    low = text.lower()
    if low in ("true", "false"):
        return low
    return re.sub(r"^(-?\d+)\.0+$", r"\1", text)
