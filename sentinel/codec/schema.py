"""What a transaction looks like: the user's names of its fields, and what a usable value is."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import Annotated, Any, Literal, get_args

import msgspec

from sentinel.codec.paths import path_of
from sentinel.codec.values.currencies import DECIMALS, check_rates
from sentinel.codec.values.zones import zone_named
from sentinel.core.features.recent import RecentIds
from sentinel.core.features.spec import duration_ms

TimeFormat = Literal["rfc3339", "epoch_s", "epoch_ms", "epoch_us", "epoch_ns", "steps"]
AmountFormat = Literal["decimal", "minor"]
Framing = Literal["none", "registry"]  # "registry": a zero byte, the number of a schema, a payload
Payload = Literal["json", "avro"]
Duplicates = Literal["count", "ignore"]
NegativeAmounts = Literal["refuse", "zero", "signed"]

PARTS_OF_MS = {"epoch_us": 1_000, "epoch_ns": 1_000_000}  # formats of whole numbers only

# Sums of squares in the tiles hold amounts below 2**40 (sentinel/core/features/kernels/tiles.py).
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
    event_time_zone: str = "UTC"  # of times without an offset
    event_time_step: str = "1s"  # with format "steps": a time is origin + value * step
    event_time_origin: str = ""
    account: str = "account"
    amount: str = "amount"
    amount_format: AmountFormat = "decimal"
    amount_decimals: int = 2  # minor units are 10**-2 of the major unit
    negative_amounts: NegativeAmounts = "refuse"
    currency: str = ""  # the field that names it
    reporting_currency: str = ""  # in which amounts are kept, if there is such a field
    rates: dict[str, float] = field(default_factory=dict)  # of it for one unit of another
    entities: dict[str, str] = field(default_factory=dict)  # further entity kinds: their field
    numeric: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    boolean: tuple[str, ...] = ()
    row_numbers: tuple[str, ...] = ()  # identifiers that a file may lack: its rows stand for them
    duplicates: Duplicates = "count"  # "ignore": decided and flagged, not counted into the state
    duplicates_window: str = "1d"  # between the event times of two that are one transaction
    duplicates_max: int = 32  # identifiers remembered of each account
    framing: Framing = "none"
    payload: Payload = "json"  # behind the frame; without one a record is JSON
    payload_schemas: str = ""  # a folder with the Avro schemas, each named by its number: 17.avsc
    id_length_max: int = 256
    record_bytes_max: int = 1_048_576
    event_time_min: str = "2000-01-01T00:00:00Z"
    future_s_max: float = 86_400.0  # against the time of the Kafka record

    def __post_init__(self) -> None:
        self._check_times()
        self._check_amounts()
        if not 1 <= self.id_length_max <= 4096:
            raise ValueError(f"id_length_max must be in 1..4096, got {self.id_length_max}")
        if not 64 <= self.record_bytes_max <= 64 * 1_048_576:
            raise ValueError("record_bytes_max must be in 64..67108864")
        if not self.future_s_max >= 0:
            raise ValueError("future_s_max must not be negative")
        if "account" in self.entities:
            raise ValueError('"account" has its own key and is not among entities')
        identifiers = {self.transaction_id, self.account, *self.entities.values()}
        if strange := sorted(set(self.row_numbers) - identifiers):
            raise ValueError(
                f"row_numbers {strange} must be among the identifiers: {sorted(identifiers)}"
            )
        names = [name for name, _ in self.columns]
        if not all(map(_is_field_name, names)):
            raise ValueError("names of fields must not be empty, nor need escaping in JSON")
        counts = (names.count, self.categorical.count)
        if doubled := sorted({n for n in names if any(count(n) > 1 for count in counts)}):
            raise ValueError(f"fields are mapped twice: {doubled}")
        _check_paths(names)
        self._check_framing()
        self._check_duplicates()

    def _check_duplicates(self) -> None:
        if self.duplicates not in get_args(Duplicates):
            raise ValueError('duplicates must be "count" or "ignore"')
        duration_ms(self.duplicates_window)
        if not 1 <= self.duplicates_max <= 4096:
            raise ValueError(f"duplicates_max must be in 1..4096, got {self.duplicates_max}")

    @property
    def recent_ids(self) -> RecentIds | None:
        """What is remembered of transactions, so that they are not counted again."""
        if self.duplicates == "count":
            return None
        return RecentIds(duration_ms(self.duplicates_window), self.duplicates_max)

    def _check_framing(self) -> None:
        """Whether it is told how records are to be read."""
        if self.framing not in get_args(Framing):
            raise ValueError('framing must be "none" or "registry"')
        if self.payload not in get_args(Payload):
            raise ValueError('payload must be "json" or "avro"')
        if self.payload == "avro" and self.framing != "registry":
            raise ValueError(
                'payload "avro" needs framing = "registry": the frame names its schema'
            )
        if (self.payload == "avro") != bool(self.payload_schemas):
            word = "needs" if self.payload == "avro" else "takes no"
            raise ValueError(f'payload "{self.payload}" {word} payload_schemas, a folder')

    def _check_times(self) -> None:
        """Whether event times can be told from what is set."""
        if self.event_time_format not in get_args(TimeFormat):
            raise ValueError(f"event_time_format must be one of {list(get_args(TimeFormat))}")
        zone_named(self.event_time_zone)
        rfc3339_ms(self.event_time_min)
        if not duration_ms(self.event_time_step):
            raise ValueError(f'event_time_step "{self.event_time_step}" is no time at all')
        if (self.event_time_format == "steps") != bool(self.event_time_origin):
            word = "needs" if self.event_time_format == "steps" else "takes no"
            raise ValueError(
                f'event_time_format "{self.event_time_format}" {word} event_time_origin, '
                "the RFC 3339 time of step 0"
            )
        if self.event_time_origin and self.origin_ms < 0:
            raise ValueError("event_time_origin must not be before 1970")

    def _check_amounts(self) -> None:
        if self.amount_format not in ("decimal", "minor"):
            raise ValueError('amount_format must be "decimal" or "minor"')
        if self.negative_amounts not in get_args(NegativeAmounts):
            raise ValueError(f"negative_amounts must be one of {list(get_args(NegativeAmounts))}")
        if not 0 <= self.amount_decimals <= 4:
            raise ValueError(f"amount_decimals must be in 0..4, got {self.amount_decimals}")

        self._check_currencies()

    def _check_currencies(self) -> None:
        """Whether every amount can be told in one currency."""
        if bool(self.currency) != bool(self.reporting_currency):
            raise ValueError("currency (a field) and reporting_currency need each other")
        if not self.currency:
            if self.rates:
                raise ValueError("rates need currency and reporting_currency")
            return
        check_rates(self.reporting_currency, self.rates)
        if self.currency in self.kind_of:
            raise ValueError(f'currency "{self.currency}" may not be an entity')
        if self.amount_decimals != (decimals := DECIMALS[self.reporting_currency]):
            raise ValueError(
                f"amount_decimals must be {decimals}, as {self.reporting_currency} has, "
                f"got {self.amount_decimals}"
            )

    @property
    def zone(self) -> tzinfo:
        """Of times without an offset."""
        return zone_named(self.event_time_zone)

    @property
    def time_scale(self) -> float:
        """Milliseconds of one in what is read of a time: texts are read as seconds."""
        if self.event_time_format == "steps":
            return float(duration_ms(self.event_time_step))
        return 1000.0 if self.event_time_format in ("rfc3339", "epoch_s") else 1.0

    @property
    def origin_ms(self) -> int:
        """The time of step 0; 0 where steps are not counted."""
        return rfc3339_ms(self.event_time_origin, self.zone) if self.event_time_origin else 0

    @property
    def amount_minor_min(self) -> int:
        """The least amount that a record may have."""
        return 0 if self.negative_amounts == "refuse" else -AMOUNT_MINOR_MAX

    @property
    def amount_minor_least(self) -> int:
        """The least amount that is made of it."""
        return -AMOUNT_MINOR_MAX if self.negative_amounts == "signed" else 0

    @property
    def kind_of(self) -> dict[str, str]:
        """The kind of entity that a field names, by the field: it may be a category as well."""
        return {self.account: "account", **{name: kind for kind, name in self.entities.items()}}

    @property
    def other_texts(self) -> tuple[str, ...]:
        """Texts that are no entities: categories, and the currency."""
        texts = (*self.categorical, *([self.currency] if self.currency else []))
        return tuple(dict.fromkeys(name for name in texts if name not in self.kind_of))

    @property
    def columns(self) -> tuple[tuple[str, type | Any], ...]:
        """Field names in decoding order, each with the type that JSON must have."""
        # A double does not hold all nanoseconds.
        times = {"rfc3339": datetime, **dict.fromkeys(PARTS_OF_MS, int | float)}
        text = str | int | None
        return (
            (self.transaction_id, str | int),
            (self.event_time, times.get(self.event_time_format, float)),
            (self.account, str | int),
            (self.amount, _Int64 if self.amount_format == "minor" else float | str),
            *((name, text) for name in self.entities.values()),
            *((name, float | None) for name in self.numeric),
            *((name, bool | None) for name in self.boolean),
            *((name, str | int | bool | None) for name in self.other_texts),
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


def rfc3339_ms(text: str, zone: tzinfo = UTC) -> int:
    """Epoch milliseconds of an RFC 3339 time; without an offset it is one of this zone."""
    try:
        when = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f'"{text}" is not an RFC 3339 time') from error
    return round((when if when.tzinfo else when.replace(tzinfo=zone)).timestamp() * 1000)
