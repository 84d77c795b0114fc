"""Quiet hours: by the clock on the wall, over midnight, and over a change of the clocks."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.engine.rollouts.quiet_hours import QuietHours

BERLIN = ZoneInfo("Europe/Berlin")


def ms(text: str, zone: ZoneInfo = BERLIN, fold: int = 0) -> int:
    found = datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold)
    return round(found.timestamp() * 1000)


@pytest.mark.parametrize(
    ("at", "is_quiet"),
    [
        ("2026-06-01T21:59:59", False),
        ("2026-06-01T22:00:00", True),
        ("2026-06-02T00:00:00", True),
        ("2026-06-02T05:59:59", True),
        ("2026-06-02T06:00:00", False),
    ],
)
def test_a_night_begins_with_its_first_minute_and_ends_before_its_last(
    at: str, is_quiet: bool
) -> None:
    quiet = QuietHours.parsed("22:00-06:00", "Europe/Berlin")

    assert quiet.contains(ms(at)) is is_quiet


def test_they_end_where_the_clock_on_the_wall_says_so_in_a_night_of_nine_hours() -> None:
    quiet = QuietHours.parsed("22:00-06:00", "Europe/Berlin")
    begin, end = ms("2026-10-24T22:00:00"), ms("2026-10-25T06:00:00")

    assert quiet.end_ms(begin) == end
    assert end - begin == 9 * 3_600_000


@given(
    st.integers(0, 1439),
    st.integers(0, 1439),
    st.integers(0, 2 * 366 * 1440),
    st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kolkata"]),
)
def test_a_moment_is_quiet_where_the_oracle_says_so_and_no_more_when_they_end(
    begin: int, end: int, minute: int, zone: str
) -> None:
    if begin == end:
        return
    text = f"{begin // 60:02}:{begin % 60:02}-{end // 60:02}:{end % 60:02}"
    quiet = QuietHours.parsed(text, zone)
    at_ms = ms("2026-01-01T00:00:00", ZoneInfo("UTC")) + minute * 60_000
    local = datetime.fromtimestamp(at_ms / 1000, ZoneInfo(zone))
    clock = f"{local:%H:%M}"
    first, last = text.split("-")
    oracle = first <= clock < last if first < last else clock >= first or clock < last

    assert quiet.contains(at_ms) is oracle
    ends_ms = quiet.end_ms(at_ms)
    assert ends_ms >= at_ms
    assert (ends_ms == at_ms) is not oracle or ends_ms - at_ms <= 86_400_000
    assert not quiet.contains(ends_ms) or oracle  # a minute that does not exist is skipped
    assert timedelta(milliseconds=ends_ms - at_ms) <= timedelta(hours=25)


@pytest.mark.parametrize(
    ("text", "zone", "said"),
    [
        ("22-6", "UTC", 'must look like "22:00-06:00"'),
        ("24:00-06:00", "UTC", 'must look like "22:00-06:00"'),
        ("08:00-08:00", "UTC", "would never end"),
        ("22:00-06:00", "Nowhere/Land", "IANA name"),
        ("22:00-06:00", "../etc/passwd", "IANA name"),
    ],
)
def test_what_are_no_quiet_hours_is_refused(text: str, zone: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        QuietHours.parsed(text, zone)
