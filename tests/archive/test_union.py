"""Columns of several versions as one table."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.archive.union import union, union_of, widened

TYPES = [pl.Int32(), pl.Int64(), pl.Float32(), pl.Float64(), pl.Boolean(), pl.String(), pl.Null()]


@pytest.mark.parametrize(
    ("types", "expected"),
    [
        ([pl.Float64()], pl.Float64()),
        ([pl.Int32(), pl.Int64()], pl.Int64()),
        ([pl.Int64(), pl.Float64()], pl.Float64()),
        ([pl.Float32(), pl.Float64()], pl.Float64()),
        ([pl.Boolean(), pl.Float64()], pl.Float64()),
        ([pl.Boolean(), pl.Int64()], pl.Float64()),
        ([pl.UInt64(), pl.Int64()], pl.Float64()),
        ([pl.Float64(), pl.String()], pl.String()),
        ([pl.Boolean(), pl.String()], pl.String()),
        ([pl.Null(), pl.Int64()], pl.Int64()),
        ([pl.Null()], pl.Null()),
    ],
)
def test_a_column_of_several_types_has_the_wider_one(
    types: list[pl.DataType], expected: pl.DataType
) -> None:
    assert widened(types) == expected
    assert widened(reversed(types)) == expected


@given(st.lists(st.sampled_from(TYPES), min_size=1, max_size=6))
def test_the_wider_type_depends_on_which_types_there_are_and_on_nothing_else(
    types: list[pl.DataType],
) -> None:
    assert widened(types) == widened(sorted(types, key=str)) == widened([*types, *types])


@given(st.lists(st.dictionaries(st.sampled_from("abc"), st.integers(-9, 9)), max_size=5))
def test_every_row_is_there_once_with_what_it_had_and_null_for_the_rest(
    rows: list[dict[str, int]],
) -> None:
    """Each row is a table of its own; every second one holds fractions."""
    frames = [
        pl.DataFrame({name: [value / 2 if i % 2 else value] for name, value in row.items()})
        for i, row in enumerate(rows)
        if row
    ]

    found = union_of(frames).to_dicts()

    kept = [(i, row) for i, row in enumerate(rows) if row]
    assert len(found) == len(kept)
    for line, (i, row) in zip(found, kept, strict=True):
        expected = {name: value / 2 if i % 2 else value for name, value in row.items()}
        assert {name: value for name, value in line.items() if value is not None} == expected


def test_a_filter_reaches_the_files_through_a_union() -> None:
    one, other = pl.LazyFrame({"a": [1], "b": [1]}), pl.LazyFrame({"a": [2]})
    both = union([one, other], [one.collect_schema(), other.collect_schema()])

    plan = both.filter(pl.col("a") == 2).explain()

    assert plan.count("FILTER") == 0 or plan.index("UNION") < plan.index("FILTER")
    assert both.filter(pl.col("a") == 2).collect().rows() == [(2, None)]
