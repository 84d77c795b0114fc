"""Objects in JSON and structs in Parquet, looked at: fields under the paths that a schema has."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.adapters.files.looking import seen_rows
from sentinel.codec.paths import JsonFields
from sentinel.codec.values.seen import columns_seen, fields_seen, texts_of_line

CHANGE: dict[str, Any] = {
    "op": "c",
    "before": None,
    "after": {"id": 1, "card": {"number": "C1", "tags": ["a"]}, "ok": True, "note": {}},
}


def seen(*objects: Any) -> dict[str, tuple[str, list[str | None]]]:
    lines = [json.dumps(one).encode() for one in objects]
    columns = columns_seen(fields_seen(lines), lines)
    return {column.name: (column.form, column.values) for column in columns}


def test_fields_of_objects_are_named_by_their_paths_and_arrays_are_left() -> None:
    later = {"op": "u", "before": None, "after": None}

    assert seen(CHANGE, later) == {
        "op": ("text", ["c", "u"]),
        "before": ("text", [None, None]),
        "after.id": ("number", ["1", None]),
        "after.card.number": ("text", ["C1", None]),
        "after.card.tags": ("nested", ["{}", None]),
        "after.ok": ("boolean", ["true", None]),
        "after.note": ("nested", ["{}", None]),
    }


def test_what_is_an_object_in_one_row_and_a_text_in_another_is_no_field() -> None:
    found = seen({"a": {"b": 1}}, {"a": "x"})

    assert found["a"] == ("nested", ["{}", "x"]) or found["a"][0] == "nested"
    assert found["a.b"] == ("number", ["1", None])


def test_a_name_that_no_path_leads_to_is_said() -> None:
    found = seen({"a": {"b.c": 1, "": 2}, "x.y": {"z": 3}, "u.v": 4})

    assert {name: form for name, (form, _) in found.items()} == {
        "a.b.c": "unreached",
        "a.": "unreached",
        "x.y": "nested",
        "u.v": "number",
    }


def test_a_field_of_the_whole_name_comes_before_the_path() -> None:
    assert seen({"a": {"b": 1}, "a.b": "x"})["a.b"] == ("text", ["x"])
    assert seen({"a.b": "x", "a": {"b": 1}})["a.b"] == ("text", ["x"])


def test_an_object_with_a_field_for_each_of_hundreds_is_a_map() -> None:
    objects = [{"id": i, "by": {"card": {f"C{i}": 1}}} for i in range(300)]

    found = seen(*objects)

    assert set(found) == {"id", "by.card"}
    assert found["by.card"][0] == "nested"


def test_depth_is_bounded() -> None:
    deep: Any = 1
    for _ in range(300):
        deep = {"a": deep}

    [name] = texts_of_line(json.dumps(deep).encode())

    assert name.count(".") <= 16


SCALARS = st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3)
KEYS = st.sampled_from(["a", "b", "a.b", "", "c"])
OBJECTS = st.dictionaries(
    KEYS,
    st.recursive(
        SCALARS | st.lists(SCALARS, max_size=2),
        lambda inner: st.dictionaries(KEYS, inner, max_size=3),
        max_leaves=6,
    ),
    max_size=4,
)


@given(OBJECTS)
def test_what_is_seen_under_a_path_is_what_the_decoder_reads_there(fields: dict[str, Any]) -> None:
    line = json.dumps(fields).encode()
    read = JsonFields(line)

    for name, field in texts_of_line(line).items():
        if field.form == "unreached":
            continue
        value = json.loads(read.value_of(name) or b"null")
        if field.form == "nested":
            assert isinstance(value, list | dict)
        elif field.form == "boolean":
            assert value is (field.text == "true")
        else:
            assert (None if value is None else str(value)) == field.text


def test_structs_of_parquet_are_paths_too(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        [
            {
                "id": 1,
                "after": {"amount": 2.5, "tags": ["x"], "card": {"no": "C1", "d.e": 1}},
                "x.y": {"z": 1},
            },
            {"id": 2, "after": None, "x.y": {"z": 2}},
        ]
    )
    frame.write_parquet(tmp_path / "a.parquet")

    found = {one.name: (one.form, one.values) for one in seen_rows(tmp_path / "a.parquet").columns}

    assert found == {
        "id": ("any", ["1", "2"]),
        "after.amount": ("any", ["2.5", None]),
        "after.tags": ("nested", ["{}", None]),
        "after.card.no": ("any", ["C1", None]),
        "after.card.d.e": ("nested", ["{}", None]),
        "x.y": ("nested", ["{}", "{}"]),
    }


@pytest.mark.parametrize("line", [b"", b"[1]", b"nonsense", b'"x"', b"{" * 9, b"\xff"])
def test_what_is_no_object_has_no_fields(line: bytes) -> None:
    assert texts_of_line(line) == {}
