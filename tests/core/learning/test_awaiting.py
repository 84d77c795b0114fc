"""What is awaited, and how long it takes at the pace of late."""

import numpy as np
import pytest

from sentinel.core.learning.awaiting import Awaited, Need, Paces, about, longest_wait_s


def waits(counts: list[tuple[float, int]], needed: int = 100) -> list[float | None]:
    """The estimate at each of some times with the count of then; the need is never met."""
    paces = Paces()
    found = []
    for now_s, count in counts:
        [awaited] = paces.awaited([Need("frauds", count, needed)], now_s)
        found.append(awaited.wait_s)
    return found


def test_what_is_awaited_is_said_as_a_person_would() -> None:
    assert (
        Awaited("frauds among mature examples", 38, 100, True, 251.0).sentence
        == "38 of 100 frauds among mature examples, about 4 minutes"
    )
    assert (
        Awaited("new examples", 1_200, 50_000, True, None).sentence
        == "1,200 of 50,000 new examples, no pace to estimate by"
    )


def test_a_steady_pace_is_drawn_out_to_the_end() -> None:
    rng = np.random.default_rng(3)
    for rate in rng.uniform(0.5, 3.0, 20):
        counts = [(float(t), int(rate * t)) for t in range(0, 31, 5)]

        *_, wait_s = waits(counts)

        assert wait_s == pytest.approx((100 - counts[-1][1]) / rate, rel=0.15)


def test_without_a_pace_there_is_no_estimate() -> None:
    assert waits([(0.0, 38)]) == [None], "one look is no pace"
    assert waits([(0.0, 38), (1.0, 60)])[-1] is None, "a moment is none"
    assert waits([(0.0, 38), (20.0, 38), (40.0, 38)])[-1] is None, "nothing comes"


def test_what_came_long_ago_is_no_pace_of_now() -> None:
    counts = [(0.0, 0), (10.0, 50), *((float(t), 50) for t in range(20, 400, 10))]

    assert waits(counts)[2] is not None
    assert waits(counts)[-1] is None


def test_a_count_that_shrinks_begins_anew() -> None:
    """Another champion has seen more of the examples."""
    found = waits([(0.0, 10), (10.0, 90), (20.0, 5), (30.0, 15)])

    assert found[2] is None
    assert found[3] == pytest.approx(85 / 1.0)


def test_only_what_is_not_met_is_awaited_and_what_everything_waits_for_is_first() -> None:
    needs = [
        Need("examples", 5, 5),
        Need("old frauds", 3, 4, is_required=False),
        Need("frauds", 1, 2),
    ]

    found = Paces().awaited(needs, 0.0)

    assert [one.what for one in found] == ["frauds", "old frauds"]


def test_all_of_it_is_there_when_the_last_of_it_is() -> None:
    def awaited(wait_s: float | None) -> Awaited:
        return Awaited("x", 1, 2, True, wait_s)

    assert longest_wait_s([awaited(3.0), awaited(70.0)]) == 70.0
    assert longest_wait_s([awaited(3.0), awaited(None)]) is None
    assert longest_wait_s([]) == 0.0


@pytest.mark.parametrize(
    ("wait_s", "words"),
    [
        (0.0, "about 5 seconds"),
        (22.0, "about 20 seconds"),
        (56.0, "about 55 seconds"),
        (58.0, "about 1 minute"),
        (251.0, "about 4 minutes"),
        (3_500.0, "about 1 hour"),
        (86_000.0, "about 1 day"),
        (40 * 86_400.0, "about 40 days"),
    ],
)
def test_a_wait_is_told_no_finer_than_it_is_known(wait_s: float, words: str) -> None:
    assert about(wait_s) == words
