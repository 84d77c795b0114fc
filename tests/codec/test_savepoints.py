"""Savepoints as bytes: they come back to the bit, or not at all."""

import base64
import hashlib
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sentinel.codec.savepoints import (
    PIECE_BYTES_MAX,
    VERSION,
    Column,
    Encoded,
    Head,
    decode_head,
    decode_savepoint,
    encode_savepoint,
)
from sentinel.codec.savepoints.tables import SavedTable
from sentinel.codec.stored import decode_stored, encode_stored
from sentinel.errors import RecordError

ANY_BITS = st.integers(0, 40).flatmap(
    lambda size: st.sampled_from([np.float64, np.int64, np.bool_]).flatmap(
        lambda dtype: arrays(dtype, size)
    )
)
STORED = Path(__file__).parents[1] / "data" / "savepoint_1.json"  # by the version before
NUMBERS = np.random.default_rng(5).normal(size=100_000)


def encoded(columns: dict[str, Column], **facts: Any) -> Encoded:
    return encode_savepoint(columns, facts, log="a log", next_offset=7)


def refusal(one: Encoded) -> str:
    with pytest.raises(RecordError) as caught:
        decode_savepoint(one.head, one.sha256, one.pieces)
    return caught.value.detail


def sealed(head: Head, body: bytes) -> Encoded:
    """With a SHA-256 that is right, whatever is in it."""
    data = encode_stored(head)
    return Encoded(data, hashlib.sha256(data + body).hexdigest(), [body])


@given(st.dictionaries(st.text(max_size=3), ANY_BITS, max_size=5))
def test_columns_come_back_to_the_bit(columns: dict[str, Column]) -> None:
    one = encoded(columns, newest_ms=5, share=0.1)

    head, found = decode_savepoint(one.head, one.sha256, one.pieces)

    assert (head.log, head.next_offset) == ("a log", 7)
    assert head.facts == {"newest_ms": 5, "share": 0.1}
    assert found.keys() == columns.keys()
    for name, column in columns.items():
        assert found[name].dtype == column.dtype
        assert found[name].tobytes() == column.tobytes()


def test_every_kind_of_not_a_number_keeps_its_bits() -> None:
    bits = np.array([0x7FF8000000000001, 0xFFF8000000000000, 0x8000000000000000], np.uint64)
    one = encoded({"x": bits.view(np.float64)})

    _, found = decode_savepoint(one.head, one.sha256, one.pieces)

    assert found["x"].view(np.uint64).tolist() == bits.tolist()


def test_pieces_are_of_one_size_and_the_same_columns_give_the_same() -> None:
    one, again = (encoded({"x": NUMBERS, "y": NUMBERS > 0}) for _ in range(2))

    assert one == again
    assert len(one.pieces) > 2
    assert {len(piece) for piece in one.pieces[:-1]} == {PIECE_BYTES_MAX}
    assert len(one.pieces[-1]) < PIECE_BYTES_MAX


def test_what_is_alike_takes_few_bytes() -> None:
    counts = np.arange(100_000) % 50

    assert sum(map(len, encoded({"x": counts.astype(np.float64)}).pieces)) < 100_000


@pytest.mark.parametrize("place", ["head", "first piece", "last piece"])
def test_a_single_changed_byte_is_refused(place: str) -> None:
    one = encoded({"x": NUMBERS})
    for at in (0, 40, -1):
        target = bytearray(one.head if place == "head" else one.pieces[-(place == "last piece")])
        target[at] ^= 1
        changed = bytes(target)
        pieces = list(one.pieces)
        pieces[-(place == "last piece")] = changed
        other = replace(one, head=changed) if place == "head" else replace(one, pieces=pieces)
        assert "does not have its SHA-256" in refusal(other)


def test_what_is_missing_doubled_or_in_another_order_is_refused() -> None:
    one = encoded({"x": NUMBERS})
    first, *rest = one.pieces
    for pieces in ([], [first], rest, [first, first, *rest], [*rest, first], one.pieces[:-1]):
        assert "does not have its SHA-256" in refusal(replace(one, pieces=pieces))
    cut = [*one.pieces[:-1], one.pieces[-1][:-1]]
    assert "does not have its SHA-256" in refusal(replace(one, pieces=cut))


def test_one_of_another_version_is_refused() -> None:
    head = replace(decode_stored(Head, encoded({"x": NUMBERS}).head), version=3)

    assert refusal(sealed(head, b"")) == "it is of version 3, 1 and 2 are read"
    with pytest.raises(RecordError, match="version 3"):
        decode_head(encode_stored(head))


def test_what_is_saved_are_parquet_files_that_anything_can_read() -> None:
    columns = {"x": NUMBERS, "y": NUMBERS > 0, "n": np.arange(3)}
    one = encoded(columns)
    first, second = decode_stored(Head, one.head).tables
    body = b"".join(one.pieces)
    assert len(body) == first.byte_count + second.byte_count

    table = pl.read_parquet(io.BytesIO(body[: first.byte_count]))

    assert table.equals(pl.DataFrame({"x": NUMBERS, "y": NUMBERS > 0}))
    assert (first.row_count, second.row_count) == (len(NUMBERS), 3)


def test_what_comes_back_can_be_written_to() -> None:
    one = encoded({"x": np.arange(5), "y": np.zeros(5), "z": np.zeros(5, dtype=np.bool_)})
    assert all(
        x.flags.writeable for x in decode_savepoint(one.head, one.sha256, one.pieces)[1].values()
    )


def parquet(**columns: Any) -> tuple[bytes, int]:
    buffer, table = io.BytesIO(), pl.DataFrame(columns)
    table.write_parquet(buffer)
    return buffer.getvalue(), table.height


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"row_count": 4}, "another length"),
        ({"row_count": 6}, "another length"),
        ({"row_count": -1}, "cannot be read"),
        ({"byte_count": 3}, "cannot be read"),
        ({"byte_count": 9_999}, "cannot be read"),
        ({"byte_count": -1}, "cannot be read"),
    ],
)
def test_a_head_that_does_not_fit_its_tables_is_refused(change: dict[str, Any], words: str) -> None:
    """Though its SHA-256 is right: somebody else has written it."""
    one = encoded({"x": np.arange(5)})
    head = decode_stored(Head, one.head)
    wrong = replace(head, tables=(replace(head.tables[0], **change),))

    assert words in refusal(sealed(wrong, one.pieces[0]))


@pytest.mark.parametrize(
    "columns",
    [
        {"x": ["text"]},
        {"x": [None, 1]},
        {"x": [1.0, None]},
        {"x": [[1, 2]]},
        {"x": np.zeros(3, dtype=np.float32)},
        {"x": [b"bytes"]},
    ],
    ids=str,
)
def test_a_column_of_another_kind_is_refused(columns: dict[str, Any]) -> None:
    data, row_count = parquet(**columns)
    head = Head(VERSION, "a log", 7, {}, tables=(SavedTable(row_count, len(data)),))

    assert refusal(sealed(head, data)) == "its column x cannot be read"


def test_a_column_that_is_there_twice_is_refused() -> None:
    data, row_count = parquet(x=[1, 2])
    head = Head(VERSION, "a log", 7, {}, tables=(SavedTable(row_count, len(data)),) * 2)

    assert refusal(sealed(head, data + data)) == "its column x is there twice"


@pytest.mark.parametrize("body", [b"", b"not Parquet.", b"PAR1", b"PAR1" + bytes(40) + b"PAR1"])
def test_what_is_no_parquet_is_refused(body: bytes) -> None:
    head = Head(VERSION, "a log", 7, {}, tables=(SavedTable(5, len(body)),))

    assert "its table 0 cannot be read" in refusal(sealed(head, body))


def test_a_file_that_is_cut_or_changed_anywhere_is_refused_or_read_and_nothing_else() -> None:
    """Its SHA-256 is right: whoever wrote it may have written anything."""
    data, row_count = parquet(x=np.arange(50), y=np.arange(50) / 7)
    head = Head(VERSION, "a log", 7, {}, tables=(SavedTable(row_count, len(data)),))
    rng = np.random.default_rng(3)
    refused = 0
    for _ in range(300):
        changed = bytearray(data)
        changed[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
        one = sealed(head, bytes(changed))
        try:
            decode_savepoint(one.head, one.sha256, one.pieces)
        except RecordError:
            refused += 1
    assert refused > 0


def test_what_is_no_head_is_refused() -> None:
    data = b"[]"
    assert "Head" in refusal(Encoded(data, hashlib.sha256(data).hexdigest(), []))


def test_a_table_that_would_grow_beyond_what_it_says_is_not_read_whole() -> None:
    """A thousand times as large in memory as in the store, if one let it."""
    one = encoded({"x": np.zeros(4_000_000)})
    head = decode_stored(Head, one.head)
    wrong = replace(head, tables=(replace(head.tables[0], row_count=1),))

    assert "another length" in refusal(sealed(wrong, b"".join(one.pieces)))


# Of the version before, which deflated each column by itself.


def of_version_1() -> Encoded:
    stored = json.loads(STORED.read_text())
    pieces = [base64.b64decode(piece) for piece in stored["pieces"]]
    return Encoded(stored["head"].encode(), stored["sha256"], pieces)


def test_one_of_version_1_is_read_to_the_bit() -> None:
    one = of_version_1()

    head, found = decode_savepoint(one.head, one.sha256, one.pieces)

    assert (head.log, head.next_offset, head.facts) == ("a log", 7, {"newest_ms": 5})
    bits = [0x7FF8000000000001, 0xFFF8000000000000, 0x8000000000000000, 1]
    assert found["numbers"].view(np.uint64).tolist() == bits
    assert found["counts"].tolist() == list(range(-2, 5))
    assert found["marks"].tolist() == [True, False, True, False, True]
    assert found["none"].size == 0
    assert {column.dtype.str for column in found.values()} == {"<f8", "<i8", "|b1"}
    assert all(column.flags.writeable for column in found.values())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"value_count": 6}, "another length"),
        ({"value_count": 8}, "another length"),
        ({"value_count": -1}, "cannot be read"),
        ({"dtype": "<f4"}, "cannot be read"),
        ({"dtype": "|O"}, "cannot be read"),
        ({"byte_count": 3}, "another length"),
        ({"byte_count": 999}, "cannot be read"),
        ({"byte_count": -1}, "cannot be read"),
    ],
)
def test_a_head_of_version_1_that_does_not_fit_its_columns_is_refused(
    change: dict[str, Any], words: str
) -> None:
    one = of_version_1()
    head = decode_stored(Head, one.head)
    numbers, counts = head.columns[:2]
    wrong = replace(head, columns=(replace(counts, **change),))
    body = b"".join(one.pieces)[numbers.byte_count :]
    if "byte_count" not in change:
        body = body[: counts.byte_count]

    assert words in refusal(sealed(wrong, body))


def test_what_is_not_deflated_in_version_1_is_refused() -> None:
    one = of_version_1()
    head = decode_stored(Head, one.head)
    wrong = replace(head, columns=(replace(head.columns[0], byte_count=9),))

    assert "cannot be read" in refusal(sealed(wrong, b"not zlib."))
