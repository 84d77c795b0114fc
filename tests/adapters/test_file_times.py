"""Event times and row numbers of files: the same as those of records, to the millisecond."""

import gzip
import json
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sentinel.adapters.files import TransactionFile
from sentinel.codec.schema import PARTS_OF_MS, SchemaParams
from tests.adapters.test_file_columns import decoded, jsonl, pandas_csv, parquet

BERLIN = SchemaParams(event_time_zone="Europe/Berlin")
AUTUMN = ["2026-10-25 01:59:59", "2026-10-25 02:30:00", "2026-10-25 02:10:00"]


def rows_at(times: list[Any]) -> list[dict[str, Any]]:
    return [
        {"transaction_id": f"T{i}", "event_time": time, "account": "A1", "amount": 1.5}
        for i, time in enumerate(times)
    ]


def times_of(path: Path, schema: SchemaParams) -> list[int]:
    rows, refused = decoded(path, schema)
    assert refused == []
    return [int(x) for x in rows.event_time_ms]


def utc_ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.parametrize("time_format", PARTS_OF_MS)
@given(whole=st.lists(st.integers(10**18, 4 * 10**18), min_size=1, max_size=4))
def test_micro_and_nanoseconds_are_the_same_in_every_file(
    tmp_path: Path, time_format: Any, whole: list[int]
) -> None:
    parts = PARTS_OF_MS[time_format]
    numbers = [number // (1_000_000 // parts) for number in whole]
    schema = SchemaParams(event_time_format=time_format)
    rows = rows_at(numbers)

    expected = [
        int((Decimal(number) / parts).to_integral_value(ROUND_HALF_EVEN)) for number in numbers
    ]
    found = [
        times_of(jsonl(tmp_path / "a.jsonl", rows), schema),
        times_of(pandas_csv(tmp_path / "a.csv", rows), schema),
        times_of(parquet(tmp_path / "a.parquet", rows), schema),
        times_of(parquet(tmp_path / "d.parquet", rows, event_time=pl.Decimal(38, 2)), schema),
        times_of(parquet(tmp_path / "t.parquet", rows, event_time=pl.String), schema),
    ]

    assert found == [expected] * 5


@pytest.mark.parametrize("time_format", ["epoch_s", "epoch_ms", "epoch_us", "epoch_ns", "steps"])
@pytest.mark.parametrize("kind", [pl.Datetime("ms"), pl.Datetime("us"), pl.Datetime("ns"), pl.Date])
@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin"])
def test_typed_times_are_read_in_any_format(
    tmp_path: Path, time_format: Any, kind: Any, zone: str
) -> None:
    times = [datetime(2026, 3, 29, 2, 30), datetime(2026, 7, 1, 12), datetime(2026, 10, 25, 2)]
    path = parquet(tmp_path / "a.parquet", rows_at(times), event_time=kind)
    origin = "2020-01-01" if time_format == "steps" else ""

    found = times_of(
        path,
        SchemaParams(event_time_format=time_format, event_time_zone=zone, event_time_origin=origin),
    )

    assert found == times_of(path, SchemaParams(event_time_zone=zone))


def test_typed_times_are_local_ones_of_the_zone(tmp_path: Path) -> None:
    path = parquet(tmp_path / "a.parquet", rows_at([datetime(2026, 7, 1, 12)]))
    zoned = pl.Datetime("us", "America/New_York")

    assert times_of(path, BERLIN) == [utc_ms("2026-07-01T10:00:00Z")]
    with_zone = rows_at([datetime(2026, 7, 1, 12, tzinfo=UTC)])
    path = parquet(tmp_path / "b.parquet", with_zone, event_time=zoned)
    assert times_of(path, BERLIN) == [utc_ms("2026-07-01T12:00:00Z")]


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_the_order_of_a_file_tells_the_hour_that_clocks_show_twice(
    tmp_path: Path, kind: str
) -> None:
    texts = [*AUTUMN, "2026-10-25 02:10:00", "2026-10-25 02:50:00.25", "2026-10-25 03:00:01"]
    path = tmp_path / f"a.{kind}"
    if kind == "parquet":
        parquet(path, rows_at([datetime.fromisoformat(text) for text in texts]))
    else:
        {"csv": pandas_csv, "jsonl": jsonl}[kind](path, rows_at(texts))

    found = times_of(path, BERLIN)

    assert found == [
        utc_ms("2026-10-24T23:59:59Z"),
        utc_ms("2026-10-25T00:30:00Z"),
        utc_ms("2026-10-25T01:10:00Z"),
        utc_ms("2026-10-25T01:10:00Z"),
        utc_ms("2026-10-25T01:50:00.25Z"),
        utc_ms("2026-10-25T02:00:01Z"),
    ]


def test_a_record_says_which_showing_its_row_means(tmp_path: Path) -> None:
    path = pandas_csv(tmp_path / "a.csv", rows_at(AUTUMN))
    (chunk,) = TransactionFile(path, BERLIN).chunks()

    assert [json.loads(value)["event_time"] for value in chunk.values] == [
        *AUTUMN[:2],
        AUTUMN[2] + "+01:00",
    ]


@pytest.mark.parametrize(
    ("clocks", "undecided"),
    [
        (["02:00:00", "02:30:00", "02:59:59"], 3),  # the first, the second, or some of each
        (["02:30:00", "02:10:00", "02:40:00"], 0),
        (["01:00:00", "03:00:00"], 0),
        (["02:00:00+01:00", "02:00:00+02:00"], 0),
        (["02:50:00", "02:40:00", "02:30:00"], 1),  # in no order: their reader says so
    ],
)
def test_what_the_order_cannot_tell_is_counted(
    tmp_path: Path, clocks: list[str], undecided: int
) -> None:
    times = [f"{day}T{clock}" for day in ("2025-10-26", "2026-10-25") for clock in clocks]
    source = TransactionFile(jsonl(tmp_path / "a.jsonl", rows_at(times)), BERLIN)
    list(source.chunks())

    assert source.undecided_count == 2 * undecided


def test_what_cannot_be_read_is_left_to_its_reader(tmp_path: Path) -> None:
    texts = ["2026-10-25", "2026-10-25 nonsense", "", "2026-10-25 02:61:00", 7, None]
    path = jsonl(tmp_path / "a.jsonl", rows_at(texts))
    path.write_bytes(path.read_bytes() + b'{"event_time"\n[1]\n"x"\n\xff\n')

    rows, refused = decoded(path, BERLIN)

    assert (len(rows), len(refused)) == (0, 10)


NUMBERED = SchemaParams(row_numbers=("transaction_id", "account"))


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_row_numbers_stand_for_an_identifier_that_a_file_lacks(tmp_path: Path, kind: str) -> None:
    rows = rows_at(["2024-05-01T00:00:00Z"] * 3)
    rows = [{k: v for k, v in one.items() if k != "transaction_id"} for one in rows]
    path = tmp_path / f"history 1.{kind}"
    {"csv": pandas_csv, "jsonl": jsonl, "parquet": parquet}[kind](path, rows)

    found, refused = decoded(path, NUMBERED)
    (chunk,) = TransactionFile(path, NUMBERED).chunks(skip=2)

    assert refused == []
    assert found.transaction_id.strings() == ["history 1-1", "history 1-2", "history 1-3"]
    assert found.entities["account"].strings() == ["A1"] * 3  # the file has it
    assert json.loads(chunk.values[0])["transaction_id"] == "history 1-3"


def test_a_blank_line_and_a_bad_one_do_not_shift_the_numbers_of_others(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    good = b'{"event_time":"2024-05-01T00:00:00Z","amount":1}\n'
    path.write_bytes(good + b"\n" + b"[]\n{}\n{\n" + good)

    rows, refused = decoded(path, NUMBERED)

    assert rows.transaction_id.strings() == rows.entities["account"].strings() == ["a-1", "a-5"]
    assert len(refused) == 3


@pytest.mark.parametrize(
    ("name", "stem"), [("a.b.csv", "a.b"), ("a.csv.gz", "a"), ("A.CSV", "A"), ('q"é.csv', 'q"é')]
)
def test_the_name_of_the_file_goes_without_its_endings(
    tmp_path: Path, name: str, stem: str
) -> None:
    path = tmp_path / name
    text = b"event_time,amount\n2024-05-01T00:00:00Z,1\n"
    if name.endswith(".gz"):
        text = gzip.compress(text)
    path.write_bytes(text)

    assert decoded(path, NUMBERED)[0].transaction_id.strings() == [f"{stem}-1"]


def test_without_the_setting_the_field_must_be_there(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("event_time,account,amount\n2024-05-01T00:00:00Z,A,1\n")

    with pytest.raises(Exception, match=r"has no column \['transaction_id'\]"):
        TransactionFile(path, SchemaParams())


def test_steps_of_a_file_are_numbers_of_any_type(tmp_path: Path) -> None:
    schema = SchemaParams(
        event_time_format="steps", event_time_step="1h", event_time_origin="2024-01-01T00:00:00Z"
    )
    begin = datetime(2024, 1, 1, tzinfo=UTC)
    expected = [round((begin + timedelta(hours=h)).timestamp() * 1000) for h in (0, 1, 743)]

    assert times_of(pandas_csv(tmp_path / "a.csv", rows_at([0, 1, 743])), schema) == expected
    assert times_of(pandas_csv(tmp_path / "b.csv", rows_at(["0.0", "1", " 743"])), schema) == (
        expected
    )
    path = parquet(tmp_path / "a.parquet", rows_at([0, 1, 743]), event_time=pl.Float32)
    assert times_of(path, schema) == expected
