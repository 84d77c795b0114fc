"""The index of keys against a dictionary."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sentinel.core.features.entity_table.keys import ABSENT, MISSING, KeyIndex, distinct
from sentinel.texts import Texts

SLOT_COUNT = 64

# Few and short, so that they meet again; and some that are long.
names = st.text(alphabet="ab\0é", max_size=3) | st.sampled_from(["x" * 300, "x" * 301])
steps = st.lists(st.tuples(st.booleans(), st.lists(names, min_size=1, max_size=8)), max_size=40)


@given(steps)
def test_keys_are_found_as_in_a_dictionary(steps: list[tuple[bool, list[str]]]) -> None:
    index, expected, free = KeyIndex(SLOT_COUNT), dict[str, int](), list(range(SLOT_COUNT))

    for is_put, keys in steps:
        if is_put:
            new = [key for key in dict.fromkeys(keys) if key not in expected][: len(free)]
            slots = [free.pop() for _ in new]
            index.put(np.array(slots, dtype=np.int64), Texts.of(new))
            expected |= dict(zip(new, slots, strict=True))
        else:
            gone = [key for key in dict.fromkeys(keys) if key in expected]
            free += [expected.pop(key) for key in gone]
            index.remove(np.array(free[len(free) - len(gone) :], dtype=np.int64))

        asked = [*keys, *expected, None]
        found = index.find(Texts.of(asked)).tolist()
        assert found == [*(expected.get(key, MISSING) for key in (*keys, *expected)), ABSENT]
        assert index.names(np.array(list(expected.values()), dtype=np.int64)) == list(expected)
        assert len(index) == len(expected)


def test_the_bytes_of_keys_that_have_left_are_used_again() -> None:
    index = KeyIndex(SLOT_COUNT)
    slots = np.arange(SLOT_COUNT)

    for turn in range(200):
        keys = Texts.of(f"{turn:04}-{i:03}-{'k' * 40}" for i in range(SLOT_COUNT))
        index.put(slots, keys)
        assert index.find(keys).tolist() == slots.tolist()
        index.remove(slots)

    assert index._arena.size < 64 * 1024  # of 600,000 bytes that came and went


def test_a_text_of_the_same_hash_is_another_key() -> None:
    """The table keeps half of the hash; what it points to is compared byte by byte."""
    index = KeyIndex(SLOT_COUNT)
    index.put(np.array([5]), Texts.of(["one"]))
    head = index._heads[5].copy()
    place = int(np.flatnonzero(index._table)[0])
    other = KeyIndex(SLOT_COUNT)
    other.put(np.array([7]), Texts.of(["two"]))
    there = int(np.flatnonzero(other._table)[0])
    tag = int(other._table[there]) >> 32

    # As if "one" had the hash of "two".
    index._table[place] = 0
    index._table[there] = tag << 32 | 6
    index._heads[5] = head

    assert index.find(Texts.of(["two"])).tolist() == [MISSING]


@given(st.lists(st.text(max_size=2), max_size=50))
def test_each_key_is_kept_where_it_first_stands(keys: list[str]) -> None:
    expected = [i for i, key in enumerate(keys) if key not in keys[:i]]

    assert distinct(Texts.of(keys)).tolist() == expected
