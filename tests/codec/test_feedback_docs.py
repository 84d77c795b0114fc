"""`docs/feedback.md` says what the reader does."""

import re
from pathlib import Path

import pytest

from sentinel.adapters.feedback_files import read_feedback_file
from sentinel.codec.feedback.checking import FeedbackBounds
from sentinel.codec.feedback.file_values import COLUMNS
from sentinel.codec.feedback.files import FeedbackReader
from sentinel.codec.schema import SchemaParams
from sentinel.codec.values.labels import MEANINGS

DOCS = (Path(__file__).parents[2] / "docs" / "feedback.md").read_text()
NOW_MS = 1_800_000_000_000


def rows_of(header: str) -> list[list[str]]:
    """The cells of the table with this first line."""
    lines = DOCS[DOCS.index(header) :].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_every_column_is_in_the_table_at_its_field() -> None:
    told = {
        (field.strip("`"), column)
        for field, columns, *_ in rows_of("| field of the record |")
        for column in re.findall(r"`(\w+)`", columns)
    }

    expected = {(field, column) for column, (field, _) in COLUMNS.items()}
    assert told == expected | {("entities", n) for n in ("entities", "account", "entity_KIND")}


def test_every_word_of_a_label_is_in_the_table() -> None:
    told = {
        word: label.strip("`")
        for label, words in rows_of("| label | also |")
        for word in [label.strip("`"), *re.findall(r"`(\w+)`", words)]
    }

    assert told == MEANINGS | {"1": "fraud", "0": "genuine"}


@pytest.mark.parametrize(("kind", "ending"), [("csv", ".csv"), ("json", ".jsonl")])
def test_the_examples_are_read_whole(tmp_path: Path, kind: str, ending: str) -> None:
    files = DOCS[DOCS.index("## Files") :]
    (example,) = re.findall(rf"```{kind}\n(.*?)```", files, re.DOTALL)
    path = tmp_path / f"example{ending}"
    path.write_text(example)
    bounds = FeedbackBounds.of(SchemaParams(entities={"terminal": "terminal"}))
    reader = FeedbackReader(bounds, source="investigator", now_ms=NOW_MS)

    (found,) = read_feedback_file(path, reader)

    assert found.refused == {}
    assert reader.unknown_columns == {}
    assert reader.unknown_kinds == {}
    first, second = found.all_feedback
    assert first.entities == {"account": "C448", "terminal": "M8104"}
    assert (first.label, second.label) == ("fraud", "genuine")
    assert first.event_time_ms == 1_788_256_800_000
