"""Numbers are written as orjson writes them."""

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.records import Floats, Ints
from tests.codec.numbers import special_floats, special_integers, written

COUNT = 20_000


def like_orjson(values: Floats | Ints) -> None:
    """Assert that each has the text that orjson gives it."""
    expected = orjson.dumps(values.tolist())[1:-1].split(b",")
    found = written(values)
    assert [pair for pair in zip(found, expected, strict=True) if pair[0] != pair[1]] == []


def drawn(kind: str, rng: np.random.Generator) -> Floats:
    match kind:
        case "any bits":
            return rng.integers(0, 2**64, COUNT, dtype=np.uint64).view(np.float64)
        case "subnormal":
            return rng.integers(0, 2**52, COUNT, dtype=np.uint64).view(np.float64)
        case "in [0, 1)":
            return rng.random(COUNT)
        case "cents":
            return np.round(rng.lognormal(3.0, 5.0, COUNT), 2)
        case "few digits":
            return np.round(rng.standard_normal(COUNT), 5)
        case "dyadic":
            return rng.integers(0, 2**20, COUNT) * 0.5 ** rng.integers(-60, 60, COUNT)
        case _:
            return rng.integers(0, 2**62, COUNT).astype(float)


@pytest.mark.parametrize(
    "kind", ["any bits", "subnormal", "in [0, 1)", "cents", "few digits", "dyadic", "whole"]
)
def test_a_double_is_written_in_the_fewest_digits(kind: str) -> None:
    like_orjson(drawn(kind, np.random.default_rng(7)))


def test_a_double_at_the_edge_of_something_is_written_in_the_fewest_digits() -> None:
    like_orjson(special_floats())


@given(st.lists(st.floats(), min_size=1, max_size=20))
def test_what_is_written_reads_back_as_the_same_double(values: list[float]) -> None:
    array = np.array(values)
    finite = array[np.isfinite(array)]

    assert [float(text).hex() for text in written(finite)] == [value.hex() for value in finite]
    like_orjson(array)


def test_an_integer_is_written_whole() -> None:
    any_bits = np.random.default_rng(7).integers(-(2**63), 2**63, COUNT)

    like_orjson(special_integers())
    like_orjson(any_bits)
    like_orjson(any_bits >> np.arange(COUNT) % 64)
