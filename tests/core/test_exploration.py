"""Which would-be blocks are reviewed instead: a share, of small amounts, the same each time."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.core.decision import BLOCK, REVIEW, PolicyParams
from sentinel.core.exploration import exploration, explored_actions, is_explored
from sentinel.core.features.hashing import hash64
from sentinel.core.learning.maturity import is_sampled
from sentinel.records import Ints
from sentinel.texts import Texts

MASK = 2**64 - 1
COUNT = 200_000
HASHES = hash64([f"T{number}" for number in range(COUNT)])
SALT = int.from_bytes(b"explore1", "big")


def policy(share: float, cap: int = 5_000) -> PolicyParams:
    return PolicyParams(explore_share=share, explore_amount_minor_max=cap)


def finalised(h: int) -> int:
    """Murmur3's finaliser, as published."""
    h = (h ^ (h >> 33)) * 0xFF51AFD7ED558CCD & MASK
    h = (h ^ (h >> 33)) * 0xC4CEB9FE1A85EC53 & MASK
    return h ^ (h >> 33)


def number_of(transaction_id: str) -> float:
    """The number in [0, 1) that a transaction draws, with Python's integers."""
    h = 0xCBF29CE484222325
    for byte in transaction_id.encode():
        h = (h ^ byte) * 0x100000001B3 & MASK
    return (finalised(finalised(h) ^ SALT) >> 11) / 2**53


rows = st.lists(
    st.tuples(st.text(st.characters(codec="utf-8"), min_size=1), st.integers(0, 9_999)),
    max_size=30,
)


@given(rows, st.floats(0, 0.1), st.integers(1, 9_999), st.randoms(use_true_random=False))
def test_what_is_explored_is_what_looking_at_each_row_gives(
    some: list[tuple[str, int]], share: float, cap: int, random: Any
) -> None:
    action = [random.randrange(3) for _ in some]
    # With shares as small as may be configured, hardly any of a few rows is ever chosen.
    crowd = [(f"{name}{i}", amount) for name, amount in some for i in range(8)]
    actions = np.repeat(np.array(action, dtype=np.int64), 8)

    found = exploration(*columns(crowd), actions, policy(share, cap))

    assert found == {
        i: number_of(name) < share
        for i, (name, amount) in enumerate(crowd)
        if share > 0 and actions[i] == BLOCK and amount <= cap
    }
    changed = explored_actions(actions, found)
    assert changed.tolist() == [
        REVIEW if found.get(i) else before for i, before in enumerate(actions.tolist())
    ]


def columns(some: list[tuple[str, int]]) -> tuple[Texts, Ints]:
    return Texts.of([name for name, _ in some]), np.array([a for _, a in some], dtype=np.int64)


@given(st.permutations(range(40)), st.integers(0, COUNT - 40))
def test_a_transaction_is_explored_alike_in_any_batch(order: list[int], first: int) -> None:
    """As a replay has it: other neighbours, another place."""
    ids = Texts.of(f"T{number}" for number in range(first, first + 40))
    amounts, blocks, at = np.arange(40) * 200, np.full(40, BLOCK), np.array(order)

    found = exploration(ids, amounts, blocks, policy(0.1))
    again = exploration(ids.take(at), amounts[at], blocks, policy(0.1))

    assert {order[i]: chosen for i, chosen in again.items()} == found
    i = order[0]
    alone = exploration(ids[i : i + 1], amounts[i : i + 1], blocks[:1], policy(0.1))
    assert alone.get(0) == found.get(i)


def test_which_ones_are_explored_never_changes() -> None:
    """A replay after an upgrade must decide as before."""
    found = np.flatnonzero(is_explored(HASHES[:1_000], 0.01)).tolist()

    assert found == [37, 54, 91, 172, 244, 562, 837, 916]


@pytest.mark.parametrize("share", [0.001, 0.01, 0.03, 0.1])
def test_as_many_are_explored_as_asked(share: float) -> None:
    deviation = np.sqrt(share * (1 - share) / COUNT)

    assert is_explored(HASHES, share).mean() == pytest.approx(share, abs=4 * deviation)


def test_a_larger_share_holds_the_smaller_one() -> None:
    small, large = is_explored(HASHES, 0.01), is_explored(HASHES, 0.05)

    assert not np.any(small & ~large)


@pytest.mark.parametrize("sampled_share", [0.01, 0.1, 0.5])
@pytest.mark.parametrize("share", [0.01, 0.1])
def test_exploring_does_not_know_what_is_sampled(share: float, sampled_share: float) -> None:
    """Both share a hash; were they dependent, the product of both shares would be no propensity."""
    explored, sampled = is_explored(HASHES, share), is_sampled(HASHES, sampled_share)

    product = share * sampled_share
    deviation = np.sqrt(product * (1 - product) / COUNT)
    assert np.mean(explored & sampled) == pytest.approx(product, abs=4 * deviation)
    assert np.mean(is_sampled(HASHES, share) & sampled) == pytest.approx(
        min(share, sampled_share), rel=0.1
    ), "with the same numbers one would hold the other"


def test_a_chosen_identifier_says_nothing_of_its_neighbours() -> None:
    explored = is_explored(HASHES, 0.1)

    assert np.mean(explored[1:] & explored[:-1]) == pytest.approx(0.01, abs=4 * 0.00023)


@pytest.mark.parametrize(
    ("amount", "is_at_stake"),
    [(0, True), (5_000, True), (5_001, False), (-5_000, True), (-5_001, False)],
)
def test_the_cap_is_the_largest_amount_that_is_at_stake(amount: int, is_at_stake: bool) -> None:
    found = exploration(Texts.of(["T1"]), np.array([amount]), np.array([BLOCK]), policy(0.1))

    assert (0 in found) is is_at_stake


def test_what_exploring_costs_is_within_the_budget_that_the_documents_name() -> None:
    """A share of the would-be blocks times the cap, on average."""
    amounts = np.random.default_rng(1).integers(0, 20_000, COUNT)
    ids = Texts.of(f"T{number}" for number in range(COUNT))

    found = exploration(ids, amounts, np.full(COUNT, BLOCK), policy(0.01))

    chosen = [row for row, is_chosen in found.items() if is_chosen]
    assert amounts[chosen].max() <= 5_000
    per_thousand = amounts[chosen].sum() / COUNT * 1_000
    assert 0 < per_thousand <= 0.01 * 1_000 * 5_000


def test_off_nothing_is_at_stake_and_the_actions_are_the_same() -> None:
    action = np.array([BLOCK, BLOCK])

    found = exploration(Texts.of(["a", "b"]), np.array([0, 0]), action, PolicyParams())

    assert found == {}
    assert explored_actions(action, found) is action


def test_no_rows_are_no_exploration() -> None:
    none = np.zeros(0, dtype=np.int64)

    assert exploration(Texts.of([]), none, none, policy(0.1)) == {}
