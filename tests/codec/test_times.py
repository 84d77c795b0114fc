"""Times as people write them."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.codec.times import SECONDS_MAX, date_text, epoch_ms, ms_of_number, number_of

SEPTEMBER = 1_788_256_800_000  # 2026-09-01T10:00:00Z


@pytest.mark.parametrize(
    "text",
    [
        *("2026-09-01T10:00:00Z", "2026-09-01 10:00:00", "2026-09-01T12:00:00+02:00"),
        *("1788256800", "1788256800000", "1788256800.0", "1788256800000.0", "1.7882568e9"),
        "20260901T100000Z",
    ],
)
def test_a_moment_has_many_forms(text: str) -> None:
    assert epoch_ms(text) == SEPTEMBER


def test_eight_digits_are_a_date() -> None:
    assert epoch_ms("20260901") == epoch_ms("2026-09-01") == SEPTEMBER - 10 * 3_600_000


@pytest.mark.parametrize(
    "text",
    [
        *("", "yesterday", "01/09/2026", "nan", "inf", "1_788_256_800", "１７８８２５６８００"),
        *("²" * 9, "0x6a", "1e999", "9" * 5000, "2026-13-01", "20261301"),
    ],
)
def test_what_is_no_time_is_none(text: str) -> None:
    assert epoch_ms(text) is None


@given(st.datetimes(datetime(2000, 1, 1), datetime(5000, 1, 1)))
def test_seconds_and_milliseconds_are_told_apart_from_2000_to_5138(when: datetime) -> None:
    ms = round(when.replace(microsecond=0, tzinfo=UTC).timestamp()) * 1000

    assert ms_of_number(ms) == ms_of_number(ms // 1000) == ms == epoch_ms(str(ms // 1000))
    assert ms // 1000 < SECONDS_MAX < ms


@given(st.datetimes(datetime(1980, 1, 1), datetime(2200, 1, 1)))
def test_a_time_is_rounded_to_the_millisecond_as_a_transaction_is(when: datetime) -> None:
    expected = round(when.replace(tzinfo=UTC).timestamp() * 1000)

    assert abs((epoch_ms(when.isoformat()) or 0) - expected) <= (when.microsecond % 1000 == 500)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        *(("12", 12), ("-3", -3), ("1.5", 1.5), (".5", 0.5), ("2.", 2.0), ("1e30", 1e30)),
        *(("9007199254740993", 9007199254740993), ("1e999", float("inf"))),
        *((text, None) for text in ("", "1_0", "nan", "inf", "0x1", "١٢", "1,5", "--1", " 1")),
    ],
)
def test_a_number_is_what_json_would_write(text: str, number: float | None) -> None:
    assert number_of(text) == number


def test_a_time_is_told_in_utc_and_one_of_no_calendar_as_a_number() -> None:
    assert date_text(SEPTEMBER) == "2026-09-01 10:00:00"
    assert date_text(-(10**18)) == "-1000000000000000000 ms"
