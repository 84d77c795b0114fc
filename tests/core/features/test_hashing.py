"""The hash that stored state and every process agree upon."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sentinel.core.features.hashing import hash64


def test_known_values_never_change() -> None:
    """Stored bitmaps and event keys hold these: another value makes all stored state lie."""
    texts = ["a", "merchant-1", "ü", "\0", "a\0b", "\ud800", "x" * 10_000]

    assert hash64(texts).tolist() == [
        -9033471704281723301,
        -6485149566853864941,
        -7309443716806476511,
        -5115162479779449349,
        -6090848099315675605,
        3247263137740927865,
        -4457170473413863181,
    ]


def test_only_missing_and_empty_texts_hash_to_zero() -> None:
    assert hash64([]).size == 0
    assert hash64([None, "", "a", None]).tolist()[0:2] == [0, 0]
    assert hash64([None]).tolist() == hash64([""]).tolist() == [0]


@given(texts=st.lists(st.none() | st.text(alphabet=st.characters(), max_size=20), max_size=20))
def test_a_text_hashes_the_same_alone_and_among_others(texts: list[str | None]) -> None:
    together = hash64(texts)

    assert together.tolist() == [int(hash64([text])[0]) for text in texts]
    assert np.array_equal(together == 0, [not text for text in texts])


def test_each_bit_is_set_for_half_of_the_texts() -> None:
    hashes = hash64([f"merchant-{i}" for i in range(20_000)])

    assert np.unique(hashes).size == 20_000
    shares = [np.mean(hashes >> bit & 1) for bit in range(64)]
    assert np.all(np.abs(np.array(shares) - 0.5) < 0.02)
