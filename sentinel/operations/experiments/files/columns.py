"""Which columns of a file of outcomes are what."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from sentinel.adapters.files.opening import some_names
from sentinel.codec.values.labels import meaning_of
from sentinel.errors import ConfigError
from sentinel.operations.arrival.columns import FileColumn, Look
from sentinel.operations.drift.roles import seen

# By the words of a name, the likeliest first.
_USUAL = {
    "account": (
        *("account", "account id", "account number", "card", "card id", "card number"),
        *("customer", "customer id", "client", "client id", "user", "user id", "cardholder"),
    ),
    "arm": ("arm", "variant", "variation", "treatment", "group", "bucket", "model version"),
    "time": (
        *("time", "event time", "timestamp", "ts", "datetime", "date", "day", "event time ms"),
        *("time ms", "created at", "occurred at", "transaction time", "tx time", "tx datetime"),
    ),
    "outcome": (
        *("outcome", "label", "is fraud", "fraud", "tx fraud", "result", "target", "converted"),
        *("conversion", "metric", "y"),
    ),
    "amount": ("amount", "amount minor", "amt", "tx amount", "transaction amount"),
    "covariate": ("covariate", "pre period", "before", "baseline", "cuped", "x"),
}
_OPTIONAL = ("amount", "covariate")


@dataclass(frozen=True, slots=True)
class OutcomeColumns:
    """Names of columns; of those that a file need not have, None where it has none."""

    account: str | None = None
    arm: str | None = None
    time: str | None = None
    outcome: str | None = None
    amount: str | None = None
    covariate: str | None = None

    @property
    def names(self) -> list[str]:
        """Those that there are."""
        return [name for one in fields(self) if (name := getattr(self, one.name)) is not None]


def outcome_columns(path: Path, told: OutcomeColumns) -> tuple[OutcomeColumns, Look]:
    """What the columns of a file are: as somebody told, or by their usual names.

    Raises ConfigError where one is not found, or one stands for two things.
    """
    look = seen(path)
    there = [column.name for column in look.columns]
    if not there:
        raise ConfigError(f"{path}: has no column: none of its first lines is a JSON object")
    found: dict[str, str | None] = {}
    for role in _USUAL:
        name = getattr(told, role)
        if name is not None and name not in there:
            raise ConfigError(f"--{role} {name}: {path} has no such column; {_has(there)}")
        found[role] = name
    for role in _USUAL:
        taken = {name for name in found.values() if name is not None}
        if found[role] is None:
            found[role] = _usual(look, role, taken)
        if found[role] is None and role not in _OPTIONAL:
            raise ConfigError(
                f"{path}: no column is called as the {role} usually is: name it with --{role}; "
                f"{_has(there)}"
            )
    _refuse_twice(found)
    columns = OutcomeColumns(**found)
    for name in columns.names:
        column = look.named(name)
        assert column is not None
        if column.form == "nested":
            raise ConfigError(f"{path}: {name} holds lists or objects")
    return columns, look


def _has(names: Sequence[str]) -> str:
    return f"it has {some_names(names)}"


def _usual(look: Look, role: str, taken: set[str]) -> str | None:
    for words in _USUAL[role]:
        for column in look.columns:
            if words in column.path_words and column.name not in taken:
                return column.name
    return None


def _refuse_twice(found: dict[str, str | None]) -> None:
    by_name: dict[str, str] = {}
    for role, name in found.items():
        if name is None:
            continue
        if name in by_name:
            raise ConfigError(f"{name}: one column cannot be both {by_name[name]} and {role}")
        by_name[name] = role


def is_of_words(column: FileColumn) -> bool:
    """Whether its values are words of yes and no, or of fraud and genuine, and no numbers."""
    return not column.reads_as_number and bool(column.present)


def word_value(text: str) -> float | None:
    """1 of yes and fraud, 0 of no and genuine, NaN of nobody knows; None of another word."""
    meaning = meaning_of(text)
    if meaning is None:
        return None
    return {"fraud": 1.0, "genuine": 0.0}.get(meaning, float("nan"))
