"""Universal Binary JSON: each kind of value, and what is no value."""

import struct
from typing import Any

import numpy as np
import pytest

from sentinel.codec.models.ubjson import decode_ubjson


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"Z", None),
        (b"NNT", True),
        (b"F", False),
        (b"i\xff", -1),
        (b"U\xff", 255),
        (b"I\xff\xfe", -2),
        (b"l\x00\x00\x00\x07", 7),
        (b"L" + (2**40).to_bytes(8, "big"), 2**40),
        (b"d" + struct.pack(">f", 0.1), float(np.float32(0.1))),
        (b"D" + struct.pack(">d", 0.1), 0.1),
        (b"Ca", "a"),
        (b"SU\x05caf\xc3\xa9", "café"),
        (b"[]", []),
        (b"[i\x01Si\x01xZ]", [1, "x", None]),
        (b"[#i\x02TF", [True, False]),
        (b"[$S#i\x02i\x01ai\x01b", ["a", "b"]),
        (b"{}", {}),
        (b"{i\x01a[i\x01]i\x01b{}}", {"a": [1], "b": {}}),
        (b"{#i\x01i\x01aT", {"a": True}),
        (b"{$i#i\x01i\x01a\x05", {"a": 5}),
    ],
)
def test_each_kind_of_value_is_read(data: bytes, value: Any) -> None:
    assert decode_ubjson(data) == value


def test_numbers_of_one_type_come_as_an_array() -> None:
    found = decode_ubjson(b"[$d#i\x02" + struct.pack(">2f", 1.5, -2.0))

    assert np.array_equal(found, np.array([1.5, -2.0]))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"N",
        b"x",
        b"SU\x05abc",
        b"Si\xffabc",
        b"SD\x00",
        b"[i\x01",
        b"[$i",
        b"[$ii",
        b"[$d#i\x7f\x00",
        b"[$Z#l\x7f\xff\xff\xff",
        b"{i\x01a",
        b"{i\x01ax}",
        b"TT",
        b"H",
        b"[" * 100,
        b"SU\x02\xff\xfe",
    ],
)
def test_what_is_no_value_is_an_error(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"cut off|goes on|where a|nested|no length|damaged"):
        decode_ubjson(data)
