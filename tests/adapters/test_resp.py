"""Columns as arguments of a Redis command, against the bytes that hiredis writes."""

from typing import Any

import hiredis
from hypothesis import given
from hypothesis import strategies as st

from sentinel.adapters.redis.resp import Arguments, arguments, bulk, joined
from sentinel.texts import Texts

values = st.lists(st.binary(max_size=120), max_size=30)


def by_hiredis(words: list[bytes]) -> bytes:
    """The arguments alone: hiredis writes how many they are before them."""
    pack: Any = hiredis.pack_command  # typed for one argument
    written: bytes = pack(tuple(words))
    return written.split(b"\r\n", 1)[1] if words else b""


def all_of(found: Arguments) -> bytes:
    return found.part(0, found.ends.size)


@given(values, st.binary(max_size=20), st.binary(max_size=5))
def test_the_bytes_are_those_of_the_client(
    texts: list[bytes], prefix: bytes, before: bytes
) -> None:
    found = arguments(Texts.of_bytes(texts), head=bulk(before), prefix=prefix)

    words = [word for text in texts for word in (before, prefix + text)]
    assert all_of(found) == by_hiredis(words)


@given(values, values, st.data())
def test_any_stretch_of_joined_columns_holds_the_arguments_of_its_rows(
    first: list[bytes], second: list[bytes], data: st.DataObject
) -> None:
    found = joined([arguments(Texts.of_bytes(texts)) for texts in (first, second)])
    rows = first + second
    begin = data.draw(st.integers(0, len(rows)))
    end = data.draw(st.integers(begin, len(rows)))

    assert found.part(begin, end) == by_hiredis(rows[begin:end])


def test_texts_that_end_in_a_shared_buffer_are_written_alone() -> None:
    texts = Texts.of_bytes([b"one", b"two" * 40, b"", b"three"])

    assert all_of(arguments(texts[1:3])) == b"$120\r\n" + b"two" * 40 + b"\r\n$0\r\n\r\n"


def test_no_column_is_no_argument() -> None:
    assert all_of(joined([])) == b""
