"""Boundaries against published ones and against random walks."""

import numpy as np
import pytest
from numpy.random import default_rng

from sentinel.core.experiments.inference.spending import Boundaries, boundaries, spent
from sentinel.records import Floats

PATH_COUNT = 20_000


def equal(count: int) -> list[float]:
    return [(k + 1) / count for k in range(count)]


def test_five_equal_looks_have_the_boundaries_that_everybody_has() -> None:
    """gsDesign and rpact print these (sfLDOF, one side of a two-sided 0.05)."""
    found = boundaries(equal(5), equal(5), level=0.05)

    assert found == pytest.approx([4.877, 3.357, 2.680, 2.290, 2.031], abs=5e-4)


@pytest.mark.parametrize(("count", "last"), [(20, 2.123), (100, 2.185), (1_000, 2.223)])
def test_the_last_boundary_of_many_looks(count: int, last: float) -> None:
    assert boundaries(equal(count), equal(count))[-1] == pytest.approx(last, abs=5e-4)


def test_one_look_is_the_fixed_test() -> None:
    assert boundaries([1.0], [123.4]) == pytest.approx([1.959964])
    assert spent(1.0, 0.05) == pytest.approx(0.025)
    assert spent(0.0, 0.05) == 0


def walks(informations: list[float], seed: int) -> Floats:
    """z of random walks at these informations, (PATH_COUNT, looks)."""
    steps = np.diff([0.0, *informations])
    moved = default_rng(seed).standard_normal((PATH_COUNT, steps.size)) * np.sqrt(steps)
    found: Floats = np.cumsum(moved, axis=1) / np.sqrt(informations)
    return found


@pytest.mark.parametrize("level", [0.05, 0.01, 0.2])
@pytest.mark.parametrize("clocks", ["equal", "uneven", "slower information", "bunched"])
def test_a_random_walk_is_beyond_its_boundaries_as_often_as_each_look_may_spend(
    level: float, clocks: str
) -> None:
    shares = equal(12) if clocks != "uneven" else [0.1, 0.15, 0.4, 0.45, 0.5, 0.9, 1.0]
    informations = list(shares)
    if clocks == "slower information":
        informations = [share**0.5 * 4_000 for share in shares]
    if clocks == "bunched":
        informations = [0.5 + 0.01 * k for k in range(12)]

    edges = boundaries(shares, informations, level)

    beyond = np.abs(walks(informations, seed=5)) >= edges
    for looks, share in enumerate(shares, start=1):
        rate, aim = beyond[:, :looks].any(axis=1).mean(), 2 * spent(share, level)
        assert abs(rate - aim) < 4 * np.sqrt(max(aim, 1e-4) / PATH_COUNT)


def test_only_ratios_of_informations_matter() -> None:
    shares = equal(10)
    informations = [share**1.5 for share in shares]

    scaled = [1e9 * one for one in informations]

    assert boundaries(shares, scaled) == pytest.approx(boundaries(shares, informations), rel=1e-7)


def test_information_that_falls_back_counts_as_hardly_more() -> None:
    shares = equal(5)

    found = boundaries(shares, [1.0, 2.0, 1.5, 3.0, 2.9])

    assert found == pytest.approx(boundaries(shares, [1.0, 2.0, 2.002, 3.0, 3.003]))
    assert all(np.isfinite(found))


def test_a_look_does_not_change_those_before_it() -> None:
    later = boundaries([0.2, 0.5, 1.0], [1.0, 2.0, 5.0])
    one_by_one = Boundaries(0.05)

    first = one_by_one.add(0.2, 1.0)
    second = one_by_one.add(0.5, 2.0)

    assert [first, second] == later[:2]


def test_a_look_with_hardly_anything_to_spend_is_hardly_ever_beyond_its_boundary() -> None:
    found = Boundaries(0.05)
    first = found.add(0.5, 1.0)

    second = found.add(float(np.nextafter(0.5, 1)), 1.0)

    assert second > first + 1
    assert found.add(1.0, 2.0) == pytest.approx(boundaries([0.5, 1.0], [1.001, 2.0])[-1], abs=0.01)
