"""Transactions in many forms, good and broken, for whom two decoders must agree."""

import random
from collections.abc import Iterator
from itertools import count
from typing import get_args

from sentinel.codec.schema import PARTS_OF_MS, NegativeAmounts, SchemaParams, TimeFormat

NEW_YEAR = 1_577_836_800_000  # 2020-01-01T00:00:00Z

_SPOILERS = (
    *(b"\\", b'"', b"\x00", b"\x1f", b"\x7f", b"\x0b", b"\x0c", b"\xa0", b"\xff", b"\xef\xbb\xbf"),
    *(b"{", b"}", b"[", b"]", b",", b":", b" ", b"\t", b"\n", b"\r", b"-", b"+", b".", b"e", b"E"),
    *(b"0", b"9", b"null", b"true", b"false", b"NaN", b'""', b"\\u0041", b"\\ud800", b"//", b"'"),
    *("é".encode(), "漢".encode(), "𝄞".encode(), b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80"),
)
_NUMBERS = (
    *("0", "-0", "-0.0", "0.0", "1", "-1", "01", "1.", ".5", "1e5", "1E+5", "1e-5", "1e", "1e+"),
    *("1e400", "-1e400", "1e22", "1e23", "1e-22", "1e-23", "0e5", "0e999", "1e005", "--1", "+1"),
    *("12345678901234567890", "123456789012345678", "9007199254740992", "9007199254740993"),
    *("0.1", "0.29", "1.15", "12.345", "0.000000000000000001", "0.0000000000000000001", "2.675"),
    *("1577836800", "1577836800000", "1577836800000.5", "1577836800.0015", "1577836800.123456789"),
    *("NaN", "Infinity", "-Infinity", "nan", "0x10", "1_000", "100000000000000000000000000000"),
    *("4611686018427387904", "4611686018427387905", "9223372036854775808", "1000000000000"),
    *("1000000000001", "10000000000", "10000000000.01", "1.0", "5e0", "-5", "1e3", "12.50"),
)
_TIMES = (
    *("2020-01-01T00:00:00Z", "2020-01-01 00:00:00", "2020-01-01T00:00:00", "2020-01-01"),
    *("2020-02-29T23:59:59.999Z", "2019-02-29T00:00:00Z", "2100-02-29T00:00:00Z"),
    *("2000-02-29T12:00:00+05:30", "2024-12-31T23:59:59.9999995Z", "2020-01-01T24:00:00Z"),
    *("2020-01-01T00:00:60Z", "2020-01-01t00:00:00z", "2020-01-01T00:00:00.Z", "2020-13-01T00:00Z"),
    *("2020-01-01T00:00:00+0100", "2020-01-01T00:00:00+24:00", "2020-01-01T00:00:00-00:00"),
    *("1969-12-31T23:59:59Z", "1970-01-01T00:00:00+23:59", "2254-12-31T23:59:59.999999Z"),
    *("2255-01-01T00:00:00Z", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"),
    *("2020-01-01T00:00:00 Z", "2020-01-01T00:00:00Z ", "2020-01-01T00:00:00.1234567890Z", "", "x"),
)
_TEXTS = (
    "",
    "A1",
    "card-00000012",
    "é" * 4,
    "漢字",
    "𝄞",
    "a\x7fb",
    "true",
    "null",
    "12.34",
    "x" * 9,
)


def schemas() -> Iterator[SchemaParams]:
    """Every format of times and amounts, with fields of every kind."""
    for i in count():
        rng = random.Random(i)
        time_format = rng.choice(get_args(TimeFormat))
        shops = rng.choice(({}, {"terminal": "shop"}, {"terminal": "shop", "device": "shop2"}))
        has_currency = rng.random() < 0.3
        yield SchemaParams(
            currency="currency" if has_currency else "",
            reporting_currency="EUR" if has_currency else "",
            rates={"USD": 0.5, "JPY": 0.0061, "KWD": 3.0} if has_currency else {},
            event_time_format=time_format,
            event_time_zone=rng.choice(("UTC", "UTC", "Europe/Berlin", "Australia/Lord_Howe")),
            event_time_origin="2020-01-01" if time_format == "steps" else "",
            event_time_step=rng.choice(("1s", "1h", "30d")),
            amount_format=rng.choice(("decimal", "minor")),
            amount_decimals=2 if has_currency else rng.randrange(5),
            negative_amounts=rng.choice(get_args(NegativeAmounts)),
            account=rng.choice(("account", "a", "numéro")),
            entities=shops,
            numeric=rng.choice(((), ("distance",), ("distance", "dist", "distance2"))),
            boolean=rng.choice(((), ("contactless",))),
            categorical=(
                *rng.choice(((), ("country",), ("shop", "country") if shops else ("channel",))),
                *(("currency",) if has_currency else ()),
            ),
            id_length_max=rng.choice((4, 256, 256, 256)),
            record_bytes_max=rng.choice((150, 1_048_576, 1_048_576, 1_048_576)),
            event_time_min=rng.choice(("1970-01-01T00:00:00Z",) * 3 + ("2000-01-01T00:00:00Z",)),
            future_s_max=rng.choice((0.0, 1e9, 1e9, 1e9)),
        )


def _time(rng: random.Random, time_format: str) -> str:
    if time_format == "epoch_s":
        return rng.choice(
            (f"{rng.randrange(2**32)}", f"{rng.uniform(0, 2e9):.{rng.randrange(8)}f}")
        )
    if time_format == "epoch_ms":
        return f"{rng.randrange(2 * 10**12)}"
    if time_format in PARTS_OF_MS:
        text = f"{rng.randrange(2 * 10**12 * PARTS_OF_MS[time_format])}"
        return rng.choice((text, text, text[:-4] + "5000", f"{text}.0", f"{text}.5", "-" + text))
    if time_format == "steps":
        return rng.choice((f"{rng.randrange(900)}", f"{rng.uniform(-2, 900):.3f}"))
    fraction = f".{rng.randrange(10**9):09d}"[: rng.randrange(1, 11)] if rng.random() < 0.5 else ""
    fraction = "" if fraction == "." else fraction
    hour, minute = rng.choice((rng.randrange(24), 24)), rng.choice((rng.randrange(60), 60))
    zone = f"{rng.choice('+-')}{min(hour, rng.randrange(30)):02d}:{min(minute, 59):02d}"
    offset = rng.choice(("Z", "", "Z", zone, zone[:-1] + "9"))
    year = rng.choice((1970, 1999, 2000, 2019, 2020, 2024, 2100, 2254))
    date = f"{year:04d}-{rng.randrange(1, 13):02d}"
    clock = f"{rng.randrange(24):02d}:{rng.randrange(60):02d}:{rng.randrange(60):02d}"
    day = rng.choice((1, 28, 29, 30, 31, rng.randrange(1, 32)))
    return f'"{date}-{day:02d}{rng.choice("TTT ")}{clock}{fraction}{offset}"'


def _number(rng: random.Random) -> str:
    if rng.random() < 0.1:
        return rng.choice(_NUMBERS)
    text = f"{rng.randrange(10 ** rng.randrange(1, 19))}"
    if rng.random() < 0.5:
        text += f".{rng.randrange(10 ** rng.randrange(1, 10))}"
    if rng.random() < 0.1:
        text += f"{rng.choice('eE')}{rng.choice(('', '-', '+'))}{rng.randrange(30)}"
    return ("-" if rng.random() < 0.1 else "") + text


def _unknown(rng: random.Random, depth: int = 0) -> str:
    kind = rng.randrange(8 if depth < 4 else 6)
    if kind >= 6:
        items = [_unknown(rng, depth + 1) for _ in range(rng.randrange(4))]
        gap = rng.choice(("", "", " ", "\n"))
        if kind == 6:
            return "[" + gap + f"{gap},".join(items) + gap + "]"
        return "{" + gap + f",{gap}".join(f'"{i}"{gap}:{x}' for i, x in enumerate(items)) + "}"
    return (_number(rng), f'"{rng.choice(_TEXTS)}"', "true", "false", "null", _number(rng))[kind]


def _value(rng: random.Random, name: str, schema: SchemaParams) -> str:
    if rng.random() < 0.01:
        return _unknown(rng)
    if name == schema.event_time:
        return (
            f'"{rng.choice(_TIMES)}"'
            if rng.random() < 0.2
            else _time(rng, schema.event_time_format)
        )
    if name == schema.amount:
        text = f"{rng.choice(('', '', '', '-'))}{rng.randrange(10 ** rng.randrange(1, 9))}"
        if schema.amount_format == "decimal":
            text = rng.choice((text, f"{text}.{rng.randrange(1000)}", f'"{text}.5"'))
        return text if rng.random() < 0.95 else rng.choice((_number(rng), f'"{_number(rng)}"'))
    if name == schema.currency:
        return rng.choice(('"EUR"', '"USD"', '"JPY"', '"KWD"', '"KWD"', '"GBP"', '"eur"', "null"))
    if name in schema.numeric:
        return _number(rng) if rng.random() < 0.9 else "null"
    if name in schema.boolean:
        return rng.choice(("true", "false", "null"))
    if name in schema.categorical:
        return rng.choice(("true", "false", "null", "12", f'"{rng.choice(_TEXTS)}"'))
    if rng.random() < 0.3:
        return _number(rng) if rng.random() < 0.3 else f"{rng.randrange(10**6)}"
    return f'"{rng.choice(_TEXTS[1:])}"'


def _whole(rng: random.Random, schema: SchemaParams) -> bytes:
    names = [name for name, _ in schema.columns]
    names = [name for i, name in enumerate(names) if i < 4 or rng.random() < 0.8]
    names += rng.choices(["unknown", "accoun", "amount2", *names[:5]], k=rng.choice((0, 0, 1, 3)))
    if rng.random() < 0.3:
        rng.shuffle(names)
    if rng.random() < 0.03:
        names = names[1:]
    comma, colon = rng.choice(((",", ":"), (", ", ": "), (",", ":"), (" ,\r\n\t", " :\t")))
    known = {name for name, _ in schema.columns}
    values = [_value(rng, n, schema) if n in known else _unknown(rng) for n in names]
    body = comma.join(f'"{n}"{colon}{v}' for n, v in zip(names, values, strict=True))
    return rng.choice(("{%s}", "{%s}", " { %s }\n", "{%s}\r\n")).replace("%s", body).encode()


def _spoiled(rng: random.Random, value: bytes) -> bytes:
    at = rng.randrange(len(value) + 1)
    other = rng.randrange(len(value) + 1)
    match rng.randrange(7):
        case 0:
            return value[:at]
        case 1:
            return value[:at] + rng.choice(_SPOILERS) + value[at:]
        case 2:
            return value[:at] + rng.choice(_SPOILERS) + value[at + 1 :]
        case 3:
            flipped = bytearray(value)
            flipped[at % max(len(value), 1)] ^= 1 << rng.randrange(8)
            return bytes(flipped)
        case 4:
            return value[:at] + value[at + 1 :]
        case 5:
            return value + rng.choice(_SPOILERS)
        case _:
            low, high = sorted((at, other))
            return value[:high] + value[low:high] + value[high:]


def batch(seed: int, schema: SchemaParams, count: int) -> list[tuple[int, bytes | None]]:
    """Records with the times of Kafka, half of them spoilt."""
    rng = random.Random(seed)
    found: list[tuple[int, bytes | None]] = []
    for _ in range(count):
        value = _whole(rng, schema)
        if rng.random() < 0.4:
            for _ in range(rng.choice((1, 1, 2, 5))):
                value = _spoiled(rng, value) if value else value
        stamp_ms = rng.choice((0, -1, NEW_YEAR, 2 * NEW_YEAR, 10**13))
        found.append((stamp_ms, value if rng.random() < 0.99 else None))
    return found
