"""Files of voices: the same rows in each format, and every way in which a file can be odd."""

import csv
import gzip
import io
import json
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sentinel.adapters import feedback_files as voice_files
from sentinel.adapters.feedback_files import read_feedback_file
from sentinel.codec.feedback.checking import WORDS, FeedbackBounds
from sentinel.codec.feedback.files import FeedbackReader
from sentinel.codec.records import encode
from sentinel.codec.schema import SchemaParams
from sentinel.errors import ConfigError
from sentinel.records import Feedback

DATA = Path(__file__).parent.parent / "data"
NOW_MS = 1_800_000_000_000
EVENT_MS = 1_788_256_800_000  # 2026-09-01T10:00:00Z
BOUNDS = FeedbackBounds.of(SchemaParams(entities={"terminal": "shop"}))
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Found:
    """What a file comes to."""

    def __init__(self, path: Path, source: str = "investigator") -> None:
        self.reader = FeedbackReader(BOUNDS, source=source, now_ms=NOW_MS)
        self.voices: list[Feedback] = []
        self.numbers: list[int] = []
        self.refused: dict[int, str] = {}
        for piece in read_feedback_file(path, self.reader):
            self.voices += piece.all_feedback
            self.numbers += piece.numbers
            self.refused |= piece.refused

    @property
    def said(self) -> list[tuple[str, str]]:
        return [(voice.transaction_id, voice.label) for voice in self.voices]


def a_file(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_each_row_of_an_odd_file_is_read_or_refused_by_its_number_and_field() -> None:
    found = Found(DATA / "import_odd.jsonl")

    assert found.refused == {
        1: "revision is nan, which JSON does not have",
        2: 'revision "1e+30" is not a whole number from 0 to 9007199254740991',
        10: 'revision "abc" is not a whole number from 0 to 9007199254740991',
    }
    first = Feedback(
        "T2", "fraud", "investigator", "ann", event_time_ms=EVENT_MS, entities={"account": "C1"}
    )
    assert found.numbers == [3, 4, 5, 6, 7, 8, 9]
    assert found.voices == [
        first,
        replace(first, transaction_id="T3"),
        replace(first, transaction_id="T4"),
        replace(first, transaction_id="T5"),
        replace(first, transaction_id="T6", observed_ms=1_788_343_200_000),
        replace(first, transaction_id="T7", label="genuine", who=""),
        replace(first, transaction_id="T8", notes="customer says [not me]"),
    ]
    assert list(found.reader.unknown_columns) == ["priority"]
    assert list(found.reader.unknown_kinds) == ["planet"]


characters = st.characters(exclude_categories=["Cs"])
identifiers = st.text(characters, min_size=1, max_size=5).filter(str.strip)
names = st.text(characters, max_size=5).map(str.strip)
times = st.integers(946_684_800_000, NOW_MS)
voices = st.builds(
    Feedback,
    identifiers,
    st.sampled_from(WORDS),
    names.filter(bool).map(lambda text: text.replace("/", "-")),
    names,
    st.floats(0, 1),
    st.just("") | st.text(characters, max_size=9).filter(str.strip),
    st.just(0) | times,
    st.none() | times,
    st.none() | st.dictionaries(st.sampled_from(["account", "terminal"]), identifiers, min_size=1),
    st.integers(0, 2**53 - 1),
    st.none() | st.floats(0, 1),
    st.none() | names.filter(bool),
).filter(lambda one: one.observed_ms == 0 or one.observed_ms >= (one.event_time_ms or 0))


def row_of(voice: Feedback) -> dict[str, Any]:
    """As a table of typed columns has it."""
    entities = voice.entities or {}

    def when(time_ms: int | None) -> datetime | None:
        return EPOCH + timedelta(milliseconds=time_ms) if time_ms else None

    return {
        "task": voice.transaction_id,
        "label": voice.label,
        "source": voice.source,
        "worker": voice.who,
        "confidence": voice.confidence,
        "notes": voice.notes,
        "observed": when(voice.observed_ms),
        "event_time": when(voice.event_time_ms),
        "account": entities.get("account"),
        "entity_terminal": entities.get("terminal"),
        "revision": voice.revision,
        "probability": voice.probability,
        "selected_by": voice.selected_by,
    }


def csv_of(rows: Sequence[dict[str, Any]], delimiter: str = ",") -> str:
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(said=st.lists(voices, min_size=1, max_size=6))
def test_the_same_voices_are_the_same_feedback_in_every_format(
    tmp_path: Path, said: list[Feedback]
) -> None:
    rows = [row_of(voice) for voice in said]
    table = pl.DataFrame(rows, infer_schema_length=None)
    table.write_parquet(tmp_path / "a.parquet")
    with_objects = [
        row | {"entities": voice.entities} for row, voice in zip(rows, said, strict=True)
    ]
    lines = [json.dumps(row, default=str).encode() for row in with_objects]
    objects = [
        row | {"entities": json.dumps(v.entities or {})} for row, v in zip(rows, said, strict=True)
    ]
    paths = [
        tmp_path / "a.parquet",
        a_file(tmp_path, "a.csv", csv_of(rows)),
        a_file(tmp_path, "b.csv", csv_of(objects, ";")),
        a_file(tmp_path, "a.tsv", csv_of(rows, "\t")),
        a_file(tmp_path, "a.jsonl", b"\n".join(map(encode, said))),
        a_file(tmp_path, "a.ndjson", b"\n".join(lines)),
    ]

    for path in paths:
        found = Found(path)
        assert found.voices == said, path.suffix
        assert found.refused == {}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(["a.csv", "a.jsonl", "a.parquet", "a.csv.gz"]),
    begin=st.sampled_from([b"", b"task,label,who\n", b"PAR1", b'{"task": "T", "label": 1}\n']),
    noise=st.binary(max_size=60),
    lines=st.lists(
        st.sampled_from([b"T,1,a", b'T,"1', b'"', b"", b",,", b"{", b"[1]"]), max_size=5
    ),
)
def test_no_bytes_are_more_than_one_clear_error(
    tmp_path: Path, name: str, begin: bytes, noise: bytes, lines: list[bytes]
) -> None:
    path = a_file(tmp_path, name, begin + noise + b"\n".join(lines))
    numbers: list[int] = []
    with suppress(ConfigError):
        found = Found(path)
        numbers = sorted([*found.numbers, *found.refused])

    assert numbers == list(range(1, len(numbers) + 1))


def test_blank_lines_are_no_rows_and_a_mark_at_the_begin_is_not_text(tmp_path: Path) -> None:
    rows = "\ufefftask,label\r\n\r\n  \r\nT1,1\r\n,\r\n , \r\nT2,0\r\n,,\r\n"
    table = Found(a_file(tmp_path, "a.CSV", rows))
    lines = '\ufeff{"task":"T1","label":1}\n\n  \t\r\n{"task":"T2","label":0}'
    objects = Found(a_file(tmp_path, "a.NDJSON", lines))

    assert table.said == objects.said == [("T1", "fraud"), ("T2", "genuine")]
    assert table.numbers == objects.numbers == [1, 2]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_what_separates_the_columns_is_found(tmp_path: Path, delimiter: str) -> None:
    rows = ' task,"label",notes\nT1,1,"a,b;c|d"\n'.replace(",", delimiter)
    found = Found(a_file(tmp_path, "a.csv", rows.replace(f"a{delimiter}", "a,")))

    assert found.said == [("T1", "fraud")]
    assert len(found.voices[0].notes) == 7


def test_a_row_that_cannot_be_told_apart_is_refused_and_the_others_are_read(
    tmp_path: Path,
) -> None:
    rows = (
        b"task,label,who,notes\n"
        b"T1,1,ann,a,b\n"  # a comma too many
        b"T2,1\n"  # short: what is missing has its default
        b'T3,1,"ann"x,\n'  # a quote in the middle
        b"T4,1,ann,caf\xe9\n"  # Latin-1
        b'T5,1,ann,"two\nlines, ""quoted"""\n'
        b'T6,0,bob,"not closed\nT7,1,ann,\n'
    )

    found = Found(a_file(tmp_path, "a.csv", rows))

    assert found.said == [("T2", "fraud"), ("T5", "fraud")]
    assert found.voices[1].notes == 'two\nlines, "quoted"'
    assert found.refused == {
        1: "5 values, and the header names 4 columns",
        3: "its values cannot be told apart, in lines 4 to 4: ',' expected after '\"'",
        4: "notes is not UTF-8",
        6: "its values cannot be told apart, in lines 8 to 9: unexpected end of data",
    }


def test_a_line_that_no_row_needs_is_refused_in_bounded_memory(tmp_path: Path) -> None:
    long = "x" * (3 * 1_048_576)
    table = a_file(tmp_path, "a.csv", f"task,label,foo\nT1,1,{long}\nT2,0,\n")
    lines = f'{{"task":"T1","label":1,"foo":"{long}"}}\n{{"task":"T2","label":0}}\n'

    for path in (table, a_file(tmp_path, "a.jsonl", lines)):
        found = Found(path)
        assert found.said == [("T2", "genuine")]
        assert found.refused == {1: "a line of over 1,048,576 bytes"}


def test_rows_are_numbered_through_over_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(voice_files, "PIECE_ROW_COUNT", 3)
    rows = [{"task": f"T{i}", "label": "?" if i % 4 == 0 else "1"} for i in range(1, 11)]
    pl.DataFrame(rows).write_parquet(tmp_path / "a.parquet")
    table = a_file(tmp_path, "a.csv", csv_of(rows))
    lines = a_file(tmp_path, "a.jsonl", "\n".join(map(json.dumps, rows)))
    zipped = a_file(tmp_path, "a.csv.gz", gzip.compress(csv_of(rows).encode()))

    for path in (tmp_path / "a.parquet", table, lines, zipped):
        found = Found(path)
        assert found.numbers == [1, 2, 3, 5, 6, 7, 9, 10]
        assert set(found.refused) == {4, 8}


def test_typed_columns_of_parquet_are_what_they_are(tmp_path: Path) -> None:
    zoned = pl.Series([datetime(2026, 9, 1, 12)]).dt.replace_time_zone("Europe/Berlin")
    frame = pl.DataFrame(
        {
            "task": pl.Series([7], dtype=pl.Int16),
            "is_fraud": [True],
            "worker": pl.Series(["ann"], dtype=pl.Categorical),
            "event_time": zoned.cast(pl.Datetime("ns", "Europe/Berlin")),
            "observed": pl.Series([datetime(2026, 9, 2)]).cast(pl.Date),
            "confidence": pl.Series(["0.5"]).str.to_decimal(scale=2),
            "entities": [{"account": 12, "terminal": None}],
            "secret": [b"\x00"],
        }
    )
    frame.write_parquet(tmp_path / "a[1].parquet")
    frame.with_columns(is_fraud=~pl.col("is_fraud")).write_parquet(tmp_path / "a1.parquet")

    found = Found(tmp_path / "a[1].parquet")

    assert found.voices == [
        Feedback(
            "7", "fraud", "investigator", "ann", 0.5, "", EVENT_MS + 14 * 3_600_000, EVENT_MS,
            {"account": "12"},
        )
    ]  # fmt: skip
    assert list(found.reader.unknown_columns) == ["secret"]


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_times_of_no_zone_are_those_of_the_schema_in_every_format(
    tmp_path: Path, ending: str
) -> None:
    frame = pl.DataFrame(
        {"task": ["T"], "label": [1], "observed": [datetime(2026, 9, 2, 12)]},
        schema_overrides={"observed": pl.Datetime("ns")},
    )
    path = tmp_path / f"a.{ending}"
    if ending == "parquet":
        frame.write_parquet(path)
    else:
        path.write_text(frame.write_csv() if ending == "csv" else frame.write_ndjson())
    schema = SchemaParams(event_time_zone="Europe/Berlin")
    reader = FeedbackReader(FeedbackBounds.of(schema), source="a", now_ms=NOW_MS)

    (found,) = read_feedback_file(path, reader)

    assert found.all_feedback[0].observed_ms == EVENT_MS + 24 * 3_600_000


def test_a_name_that_is_no_text_is_refused_where_it_cannot_be_opened(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/a\xff.parquet"))
    path.write_bytes(b"PAR1")

    with pytest.raises(ConfigError, match="a name that is not UTF-8 leads to it"):
        Found(path)


def test_times_far_from_any_calendar_are_refused_by_their_rows(tmp_path: Path) -> None:
    far = pl.Series([2**62, 0, None, EVENT_MS * 1000]).cast(pl.Datetime("us"))
    pl.DataFrame({"task": ["T"] * 4, "label": [1] * 4, "observed": far}).write_parquet(
        tmp_path / "a.parquet"
    )

    found = Found(tmp_path / "a.parquet")

    assert found.refused.keys() == {1, 2}
    assert [voice.observed_ms for voice in found.voices] == [0, EVENT_MS]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.txt", "task,label\n", "its name must end in .csv, .tsv, .jsonl"),
        ("a.json", "[]", "its name must end in"),
        ("a", "task,label\n", "its name must end in"),
        ("a.csv", "", "is empty"),
        ("a.csv", "\n \n", "is empty"),
        ("a.csv", "task,worker\n", "has no column label or is_fraud; it has ['task', 'worker']"),
        ("a.csv", "task,label,label\n", "has two columns label"),
        ("a.csv", "task,label\n".encode("utf-16"), "is UTF-16; save it as UTF-8"),
        ("a.jsonl", "{}".encode("utf-16"), "is UTF-16; save it as UTF-8"),
        ("a.parquet", "PAR1", "cannot be read as"),
        ("a.csv.gz", "task,label\n", "cannot be read as"),
        ("a.csv.gz", gzip.compress(b"task,label\n" * 99, mtime=0)[:-9], "cannot be read as"),
    ],
)
def test_what_is_no_file_of_voices_is_one_clear_line(
    tmp_path: Path, name: str, content: str | bytes, words: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        Found(a_file(tmp_path, name, content))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_or_a_folder_is_said(tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere.csv", tmp_path):
        with pytest.raises(ConfigError, match="there is no such file"):
            Found(path)


def test_a_file_without_rows_says_nothing(tmp_path: Path) -> None:
    assert Found(a_file(tmp_path, "a.jsonl", "")).voices == []
    assert Found(a_file(tmp_path, "a.csv", "task,label\n")).voices == []
