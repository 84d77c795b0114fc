"""Savepoints as bytes: they come back to the bit, or not at all."""

import hashlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sentinel.codec import savepoints
from sentinel.codec.savepoints import (
    Column,
    Encoded,
    Head,
    SavedColumn,
    decode_head,
    decode_savepoint,
    encode_savepoint,
)
from sentinel.codec.stored import decode_stored, encode_stored
from sentinel.errors import RecordError

ANY_BITS = st.integers(0, 40).flatmap(
    lambda size: st.sampled_from([np.float64, np.int64, np.bool_]).flatmap(
        lambda dtype: arrays(dtype, size)
    )
)
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
    assert list(found) == list(columns)
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
    assert {len(piece) for piece in one.pieces[:-1]} == {savepoints.PIECE_BYTES_MAX}
    assert len(one.pieces[-1]) < savepoints.PIECE_BYTES_MAX


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


def test_one_of_another_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    one = encoded({"x": NUMBERS})
    monkeypatch.setattr(savepoints, "VERSION", 2)

    assert refusal(one) == "it is of version 1, 2 is read"
    with pytest.raises(RecordError, match="version 1"):
        decode_head(one.head)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"value_count": 4}, "another length"),
        ({"value_count": 6}, "another length"),
        ({"value_count": -1}, "cannot be read"),
        ({"dtype": "<f4"}, "cannot be read"),
        ({"dtype": "|O"}, "cannot be read"),
        ({"byte_count": 3}, "another length"),
        ({"byte_count": 999}, "cannot be read"),
        ({"byte_count": -1}, "cannot be read"),
    ],
)
def test_a_head_that_does_not_fit_its_columns_is_refused(
    change: dict[str, Any], words: str
) -> None:
    """Though its SHA-256 is right: somebody else has written it."""
    one = encoded({"x": np.arange(5)})
    head = decode_stored(Head, one.head)
    wrong = replace(head, columns=(replace(head.columns[0], **change),))

    assert words in refusal(sealed(wrong, one.pieces[0]))


def test_what_is_not_compressed_and_what_is_no_head_is_refused() -> None:
    column = SavedColumn("x", "<i8", 5, 9)
    head = Head(savepoints.VERSION, "a log", 7, {}, (column,))
    assert "cannot be read" in refusal(sealed(head, b"not zlib."))

    data = b"[]"
    assert "Head" in refusal(Encoded(data, hashlib.sha256(data).hexdigest(), []))


def test_a_column_that_would_grow_beyond_what_it_says_is_not_inflated() -> None:
    """A thousand times as large in memory as in the store, if one let it."""
    one = encoded({"x": np.zeros(4_000_000)})
    head = decode_stored(Head, one.head)
    wrong = replace(head, columns=(replace(head.columns[0], value_count=1),))

    assert "another length" in refusal(sealed(wrong, b"".join(one.pieces)))
