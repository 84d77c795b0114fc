"""What a transaction looks like: the user's names of its fields, and what a usable value is."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import msgspec

from sentinel.codec.paths import path_of

TimeFormat = Literal["rfc3339", "epoch_s", "epoch_ms"]
AmountFormat = Literal["decimal", "minor"]

# Sums of squares in the tiles hold amounts below 2**40 (sentinel/core/features/tiles.py).
AMOUNT_MINOR_MAX = 10**12

EVENT_TIME_MS_MAX = 253_402_300_799_999  # the end of year 9999, as far as RFC 3339 goes

# JSON has integers of any length; a column has not.
_Int64 = Annotated[int, msgspec.Meta(ge=-(2**62), le=2**62)]


@dataclass(frozen=True, slots=True)
class SchemaParams:
    """The user's own field names, and what a usable value is."""

    transaction_id: str = "transaction_id"
    event_time: str = "event_time"
    event_time_format: TimeFormat = "rfc3339"
    account: str = "account"
    amount: str = "amount"
    amount_format: AmountFormat = "decimal"
    amount_decimals: int = 2  # minor units are 10**-2 of the major unit
    entities: dict[str, str] = field(default_factory=dict)  # further entity kinds: their field
    numeric: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    boolean: tuple[str, ...] = ()
    id_length_max: int = 256
    record_bytes_max: int = 1_048_576
    event_time_min: str = "2000-01-01T00:00:00Z"
    future_s_max: float = 86_400.0  # against the time of the Kafka record

    def __post_init__(self) -> None:
        if self.event_time_format not in ("rfc3339", "epoch_s", "epoch_ms"):
            raise ValueError('event_time_format must be "rfc3339", "epoch_s" or "epoch_ms"')
        if self.amount_format not in ("decimal", "minor"):
            raise ValueError('amount_format must be "decimal" or "minor"')
        if not 0 <= self.amount_decimals <= 4:
            raise ValueError(f"amount_decimals must be in 0..4, got {self.amount_decimals}")
        if not 1 <= self.id_length_max <= 4096:
            raise ValueError(f"id_length_max must be in 1..4096, got {self.id_length_max}")
        if not 64 <= self.record_bytes_max <= 64 * 1_048_576:
            raise ValueError("record_bytes_max must be in 64..67108864")
        if not self.future_s_max >= 0:
            raise ValueError("future_s_max must not be negative")
        if "account" in self.entities:
            raise ValueError('"account" has its own key and is not among entities')
        rfc3339_ms(self.event_time_min)
        names = [name for name, _ in self.columns]
        if not all(map(_is_field_name, names)):
            raise ValueError("names of fields must not be empty, nor need escaping in JSON")
        if doubled := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"fields are mapped twice: {doubled}")
        _check_paths(names)

    @property
    def columns(self) -> tuple[tuple[str, type | Any], ...]:
        """Field names in decoding order, each with the type that JSON must have."""
        times = {"rfc3339": datetime, "epoch_s": float, "epoch_ms": float}
        text = str | int | None
        return (
            (self.transaction_id, str | int),
            (self.event_time, times[self.event_time_format]),
            (self.account, str | int),
            (self.amount, _Int64 if self.amount_format == "minor" else float | str),
            *((name, text) for name in self.entities.values()),
            *((name, float | None) for name in self.numeric),
            *((name, bool | None) for name in self.boolean),
            *((name, str | int | bool | None) for name in self.categorical),
        )


def _is_field_name(name: str) -> bool:
    """Whether the decoder can look for it."""
    return name.isprintable() and bool(name) and not set(name) & {'"', "\\"}


def _check_paths(names: list[str]) -> None:
    for name in names:
        path = path_of(name)
        for depth in range(1, len(path)):
            if (outer := ".".join(path[:depth])) in names:
                raise ValueError(f'"{name}" leads into "{outer}", which is a field itself')


REQUIRED_COUNT = 4  # id, time, account, amount: a transaction without one is not usable


def rfc3339_ms(text: str) -> int:
    """Epoch milliseconds of an RFC 3339 time; without an offset it is taken as UTC."""
    try:
        when = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f'"{text}" is not an RFC 3339 time') from error
    return round((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() * 1000)
