"""Columns of texts over one buffer."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sentinel.core.features.hashing import hash64
from sentinel.record_blocks import OutputBlock
from sentinel.records import OutputRecord
from sentinel.texts import Texts, joined, packed

columns = st.lists(st.none() | st.text(max_size=9), max_size=12)


@given(columns)
def test_a_column_gives_back_what_was_packed(texts: list[str | None]) -> None:
    column = Texts.of(texts)

    assert list(column) == texts
    assert column == texts
    assert packed(column) is column


@given(columns, columns)
def test_joined_columns_stand_one_behind_the_other(
    first: list[str | None], second: list[str | None]
) -> None:
    assert joined([Texts.of(first), second]) == [*first, *second]


@given(columns, st.data())
def test_slices_and_places_share_the_buffer(texts: list[str | None], data: st.DataObject) -> None:
    column = Texts.of(texts)
    begin = data.draw(st.integers(0, len(texts)))
    index = data.draw(st.lists(st.integers(0, len(texts) - 1)) if texts else st.just([]))

    assert column[begin:] == texts[begin:]
    taken = column.take(np.array(index, dtype=np.int64))
    assert taken == [texts[i] for i in index]
    assert taken.data is column.data


@given(columns)
def test_a_text_has_one_hash_wherever_it_lies(texts: list[str | None]) -> None:
    behind = joined([["something else"], Texts.of(texts)])[1:]

    assert hash64(behind).tolist() == hash64(texts).tolist()
    assert all((h == 0) == (not text) for h, text in zip(hash64(texts), texts, strict=True))


def test_a_block_of_output_is_a_sequence_of_records() -> None:
    block = OutputBlock(Texts.of(["k", None]), Texts.of(["v", "w"]))

    assert list(block) == [OutputRecord(b"k", b"v"), OutputRecord(None, b"w")]
    assert list(block[1:]) == [OutputRecord(None, b"w")]
