"""Columns as arguments of a Redis command, against the bytes that hiredis writes."""

from typing import Any

import hiredis
from hypothesis import given
from hypothesis import strategies as st

from sentinel.adapters.redis.resp import arguments, bulk
from sentinel.texts import Texts

values = st.lists(st.binary(max_size=120), max_size=30)


def by_hiredis(words: list[bytes]) -> bytes:
    """The arguments alone: hiredis writes how many they are before them."""
    pack: Any = hiredis.pack_command  # typed for one argument
    written: bytes = pack(tuple(words))
    return written.split(b"\r\n", 1)[1] if words else b""


@given(values, st.binary(max_size=20), st.binary(max_size=5))
def test_the_bytes_are_those_of_the_client(
    texts: list[bytes], prefix: bytes, before: bytes
) -> None:
    found = arguments(Texts.of_bytes(texts), head=bulk(before), prefix=prefix)

    words = [word for text in texts for word in (before, prefix + text)]
    assert found == by_hiredis(words)


def test_texts_that_end_in_a_shared_buffer_are_written_alone() -> None:
    texts = Texts.of_bytes([b"one", b"two" * 40, b"", b"three"])

    assert arguments(texts[1:3]) == b"$120\r\n" + b"two" * 40 + b"\r\n$0\r\n\r\n"


def test_no_text_is_no_argument() -> None:
    assert arguments(Texts.of([])) == b""
