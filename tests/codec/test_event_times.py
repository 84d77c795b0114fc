"""Every format of event times, against whole numbers and zoneinfo, to the millisecond."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sentinel.codec.rows import RowDecoder
from sentinel.codec.schema import PARTS_OF_MS, SchemaParams
from sentinel.codec.transactions import TransactionDecoder
from sentinel.codec.values.zones import offset_s, offset_table, repeated_spans
from sentinel.records import Record

ZONES = (
    *("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca"),
    *("Asia/Kathmandu", "America/St_Johns", "Pacific/Apia", "America/Sao_Paulo", "Asia/Tehran"),
)
DAY_MS = 86_400_000
END_MS = 4_102_444_800_000  # 2100


def value_of(time: str) -> bytes:
    return b'{"transaction_id":"T1","event_time":%s,"account":"A1","amount":1}' % time.encode()


def read_ms(schema: SchemaParams, times: Sequence[str]) -> list[int]:
    """By the decoder; what msgspec makes of the same is the same."""
    records = [Record(i, 0, None, value_of(time)) for i, time in enumerate(times)]
    rows, rejected = TransactionDecoder(schema).decode([(0, records)])
    stamps_ms = np.zeros(len(records), dtype=np.int64)
    columns, _, refused = RowDecoder(schema).decode([r.value for r in records], stamps_ms)
    assert rejected == refused == []
    assert rows.event_time_ms.tolist() == columns.event_time_ms.tolist()
    return [int(x) for x in rows.event_time_ms]


def any_schema(**others: Any) -> SchemaParams:
    return SchemaParams(event_time_min="1970-01-01", **others)


@pytest.mark.parametrize("time_format", PARTS_OF_MS)
@given(ms=st.integers(0, END_MS), part=st.integers(0, 999_999) | st.just(500_000))
def test_parts_of_a_millisecond_are_rounded_half_to_even(
    time_format: Any, ms: int, part: int
) -> None:
    parts = PARTS_OF_MS[time_format]
    whole = ms * parts + part * parts // 1_000_000
    expected = int((Decimal(whole) / parts).to_integral_value(ROUND_HALF_EVEN))

    assert read_ms(any_schema(event_time_format=time_format), [str(whole)]) == [expected]


@pytest.mark.parametrize(
    ("time_format", "text", "expected"),
    [
        ("epoch_us", "1577836800000000.0", 1_577_836_800_000),
        ("epoch_us", "1.5778368e15", 1_577_836_800_000),
        ("epoch_ns", "1577836800000500001", 1_577_836_800_001),  # a double ends in 500096
        ("epoch_ns", "1577836800000500000", 1_577_836_800_000),
        ("epoch_ns", "1577836800001500000", 1_577_836_800_002),
        ("epoch_ns", "1577836800000499999", 1_577_836_800_000),
    ],
)
def test_a_whole_number_is_read_with_all_its_digits(
    time_format: Any, text: str, expected: int
) -> None:
    assert read_ms(SchemaParams(event_time_format=time_format), [text]) == [expected]


@pytest.mark.parametrize("time_format", PARTS_OF_MS)
@pytest.mark.parametrize(
    "text", ["157783680000000.5", "0.5", "9223372036854775808", "1" * 400, "-1", "1e300", "1"]
)
def test_what_is_no_such_number_is_refused(time_format: Any, text: str) -> None:
    decoder = TransactionDecoder(SchemaParams(event_time_format=time_format))
    rows, (refused,) = decoder.decode([(0, [Record(0, 0, None, value_of(text))])])

    assert (len(rows), refused.error.reason) == (0, "bad_time")


@given(steps=st.integers(0, 900), step=st.sampled_from(["1s", "1h", "7d", "30d"]))
def test_steps_are_counted_from_their_origin(steps: int, step: str) -> None:
    unit = {"1s": 1_000, "1h": 3_600_000, "7d": 7 * DAY_MS, "30d": 30 * DAY_MS}[step]
    schema = any_schema(
        event_time_format="steps", event_time_step=step, event_time_origin="2020-01-01T00:00:00Z"
    )

    found = read_ms(schema, [str(steps), f"{steps}.0", f"{steps}.5"])

    begin = 1_577_836_800_000
    assert found == [begin + steps * unit, begin + steps * unit, begin + steps * unit + unit // 2]


def test_an_origin_without_an_offset_is_one_of_the_zone() -> None:
    schema = any_schema(
        event_time_format="steps",
        event_time_origin="2020-07-01T00:00:00",
        event_time_zone="Europe/Berlin",
    )

    assert read_ms(schema, ["0"]) == [1_593_554_400_000]  # 2020-06-30T22:00:00Z


@pytest.mark.parametrize("zone", ZONES)  # one more than tables are kept: each is made once
@settings(max_examples=50)
@given(ms=st.integers(0, END_MS + 30_000 * DAY_MS))
def test_a_time_without_an_offset_is_one_of_the_zone(zone: str, ms: int) -> None:
    local = datetime(1970, 1, 1) + timedelta(milliseconds=ms)
    instant = local.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    expected = (instant - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    schema = SchemaParams(event_time_zone=zone, event_time_min="1969-12-01")
    text = local.isoformat(sep=" ", timespec="milliseconds")

    assert read_ms(schema, [f'"{text}"', f'"{instant.isoformat()}"']) == [expected] * 2


@pytest.mark.parametrize("zone", ZONES)
def test_the_table_of_a_zone_is_right_on_both_sides_of_every_change(zone: str) -> None:
    seconds, offsets = offset_table(zone)
    assert np.all(np.diff(seconds) > 0)
    for second, before, after in zip(seconds[1:-1], offsets, offsets[1:], strict=False):
        change = datetime(1970, 1, 1) + timedelta(seconds=int(second))
        assert offset_s(ZoneInfo(zone), change - timedelta(seconds=1)) == before
        assert offset_s(ZoneInfo(zone), change) == after


@pytest.mark.parametrize(
    ("local", "utc"),
    [
        ("2026-10-25 01:59:59", "2026-10-24T23:59:59Z"),
        ("2026-10-25 02:00:00", "2026-10-25T00:00:00Z"),  # clocks show it twice: the first
        ("2026-10-25 02:59:59", "2026-10-25T00:59:59Z"),
        ("2026-10-25 03:00:00", "2026-10-25T02:00:00Z"),
        ("2026-03-29 01:59:59", "2026-03-29T00:59:59Z"),
        ("2026-03-29 02:30:00", "2026-03-29T01:30:00Z"),  # clocks leave it out: 03:30
        ("2026-03-29 03:00:00", "2026-03-29T01:00:00Z"),
    ],
)
def test_the_hours_of_the_changes_have_one_reading_each(local: str, utc: str) -> None:
    berlin, plain = SchemaParams(event_time_zone="Europe/Berlin"), SchemaParams()

    assert read_ms(berlin, [f'"{local}"']) == read_ms(plain, [f'"{utc}"'])


def test_a_zone_is_read_by_the_compiled_functions(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("asked msgspec")

    monkeypatch.setattr(RowDecoder, "decode", refuse)
    for time, others in [
        ('"2026-10-25T02:30:00"', {"event_time_zone": "Europe/Berlin"}),
        ("1577836800000000", {"event_time_format": "epoch_us"}),
        ("1577836800000000000", {"event_time_format": "epoch_ns"}),
        ("5", {"event_time_format": "steps", "event_time_origin": "2020-01-01"}),
    ]:
        decoder = TransactionDecoder(SchemaParams(**others))  # type: ignore[arg-type]
        assert len(decoder.decode([(0, [Record(0, 0, None, value_of(time))])])[0]) == 1


def test_the_times_that_clocks_show_twice_are_known() -> None:
    spans = repeated_spans("Europe/Berlin")

    assert (datetime(2026, 10, 25, 2), datetime(2026, 10, 25, 3)) in spans
    assert repeated_spans("UTC") == repeated_spans("Asia/Kolkata") == []
    for zone in ZONES:
        for begin, end in repeated_spans(zone):
            for local in (begin, end - timedelta(seconds=1)):
                first, second = (
                    local.replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp() for fold in (0, 1)
                )
                assert first < second


@pytest.mark.parametrize(
    ("others", "message"),
    [
        ({"event_time_zone": "Mars/Olympus"}, 'event_time_zone "Mars/Olympus" is no time zone'),
        ({"event_time_zone": ""}, 'event_time_zone "" is no time zone'),
        ({"event_time_zone": "../UTC"}, "is no time zone"),
        ({"event_time_zone": "Europe"}, "is no time zone"),
        ({"event_time_format": "steps"}, 'event_time_format "steps" needs event_time_origin'),
        ({"event_time_origin": "2020-01-01"}, '"rfc3339" takes no event_time_origin'),
        ({"event_time_format": "steps", "event_time_origin": "x"}, '"x" is not an RFC 3339 time'),
        ({"event_time_format": "steps", "event_time_origin": "1950-01-01"}, "not be before 1970"),
        ({"event_time_step": "0s"}, 'event_time_step "0s" is no time at all'),
        ({"event_time_step": "1 month"}, 'duration "1 month" must be a whole number'),
        ({"row_numbers": ("amount",)}, r"row_numbers \['amount'\] must be among the identifiers"),
    ],
)
def test_settings_of_times_that_cannot_be_are_refused(others: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SchemaParams(**others)
