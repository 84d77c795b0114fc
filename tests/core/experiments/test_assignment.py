"""Who is in which arm: the same in every process, monotone under ramps, apart between layers."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from sentinel.core.experiments.assignment.assigning import RADIX, Assignment
from sentinel.core.experiments.assignment.keys import key_check, key_of
from sentinel.core.experiments.assignment.siphash import HashKey, siphash, siphash_of
from sentinel.core.experiments.routing import at_step, having, paused, without
from sentinel.records import Ints, Transactions
from sentinel.stored.experiments import ArmSpec, Definition
from sentinel.stored.routing import RoutingPlan
from sentinel.texts import Texts

# https://github.com/veorq/SipHash: key 00 01 … 0f, of the first bytes of 00 01 02 …
VECTORS = {
    0: 0x726FDB47DD0E0E31,
    1: 0x74F839C593DC67FD,
    2: 0x0D6C8009D9A94F5A,
    3: 0x85676696D7FB7E2D,
    7: 0xAB0200F58B01D137,
    8: 0x93F5F5799A932462,
    15: 0xA129CA6149BE45E5,
}
KEY = key_of("a secret")
RAMP = Definition(
    "fast",
    "ramp",
    (ArmSpec("control", 0.5), ArmSpec("a", 0.3, "1.1.0"), ArmSpec("b", 0.2, "1.2.0")),
    steps=(0.01, 0.05, 0.25, 0.5),
)
CUTS = Definition(
    "cuts",
    "split",
    (ArmSpec("control", 0.5), ArmSpec("lower", 0.5, policy={"review_min": 0.1})),
    layer="policy",
)


def accounts(count: int, prefix: str = "account") -> Transactions:
    zero = np.zeros(count, dtype=np.int64)
    texts = Texts.of([f"{prefix}{i:06d}" for i in range(count)])
    return Transactions(texts, zero, zero, zero, zero, {"account": texts})


def planned(*definitions: Definition, holdout: float = 0.0) -> RoutingPlan:
    plan = RoutingPlan()
    for one in definitions:
        plan = having(plan, one, 0, champion="1.0.0", key_check=key_check(KEY), holdout=holdout)
    return plan


def arms(plan: RoutingPlan, rows: Transactions, number: int = 0) -> Ints:
    """Of one experiment: 0 where a row is in none of its arms."""
    found: Ints = Assignment(plan, KEY).codes(rows) // RADIX**number % RADIX
    return found


@pytest.mark.parametrize("length", VECTORS)
def test_the_hash_is_that_of_the_reference_implementation(length: int) -> None:
    found = siphash(Texts.of_bytes([bytes(range(length))]), HashKey.of(bytes(range(16))))
    assert int(found.view(np.uint64)[0]) == VECTORS[length]


def _slow(data: bytes, k0: int, k1: int) -> int:
    """The paper's text, word by word."""
    mask = 2**64 - 1
    v = [k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D]
    v += [k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573]

    def rotl(x: int, b: int) -> int:
        return ((x << b) | (x >> (64 - b))) & mask

    def sip_round() -> None:
        for a, b, c, d, r, s in ((0, 1, 2, 3, 13, 16), (2, 1, 0, 3, 17, 21)):
            v[a] = (v[a] + v[b]) & mask
            v[b] = rotl(v[b], r) ^ v[a]
            v[a] = rotl(v[a], 32)
            v[c] = (v[c] + v[d]) & mask
            v[d] = rotl(v[d], s) ^ v[c]

    padded = data + bytes(-(len(data) + 1) % 8) + bytes([len(data) % 256])
    for i in range(0, len(padded), 8):
        word = int.from_bytes(padded[i : i + 8], "little")
        v[3] ^= word
        sip_round()
        sip_round()
        v[0] ^= word
    v[2] ^= 0xFF
    for _ in range(4):
        sip_round()
    return v[0] ^ v[1] ^ v[2] ^ v[3]


@given(st.text(max_size=40), st.binary(min_size=16, max_size=16))
def test_the_hash_of_any_text_is_what_the_paper_says(text: str, key: bytes) -> None:
    found = HashKey.of(key)
    assert siphash_of(text, found) == _slow(
        text.encode("utf-8", "surrogatepass"), found.low, found.high
    )


def test_another_process_assigns_the_same() -> None:
    code = (
        "from tests.core.experiments.test_assignment import *\n"
        "print(arms(planned(RAMP, CUTS), accounts(200)).tolist())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(arms(planned(RAMP, CUTS), accounts(200)).tolist())


def test_arms_have_their_shares_and_layers_know_nothing_of_each_other() -> None:
    rows = accounts(100_000)
    plan = planned(RAMP, CUTS)
    for step, share in enumerate(RAMP.steps):
        found = np.bincount(arms(at_step(plan, RAMP, step), rows), minlength=4)
        wanted = np.array([0.0, 1 - share, 0.6 * share, 0.4 * share]) * 100_000
        assert found[0] == 0
        assert chisquare(found[1:], wanted[1:]).pvalue > 0.001
    last = at_step(plan, RAMP, 3)
    both = np.zeros((3, 2))
    np.add.at(both, (arms(last, rows) - 1, arms(last, rows, 1) - 1), 1)
    expected = np.outer(both.sum(axis=1), both.sum(axis=0)) / both.sum()
    assert chisquare(both.ravel(), expected.ravel(), ddof=3).pvalue > 0.001


def test_a_ramp_moves_accounts_from_the_control_to_a_challenger_and_nowhere_else() -> None:
    rows, plan = accounts(50_000), planned(RAMP)
    before = arms(plan, rows)
    for step in (1, 2, 3):
        after = arms(at_step(plan, RAMP, step), rows)
        moved = before != after
        assert set(before[moved].tolist()) <= {1}
        assert set(after[moved].tolist()) <= {2, 3}
        before = after
    assert np.array_equal(arms(at_step(plan, RAMP, 0), rows), arms(plan, rows))


def test_experiments_of_one_layer_have_different_accounts_and_the_holdout_none() -> None:
    first = replace(CUTS, traffic=0.4)
    second = replace(CUTS, name="more", traffic=0.5)
    rows, plan = accounts(50_000), planned(first, second, holdout=0.1)
    a, b = (arms(plan, rows, number) > 0 for number in (0, 1))
    assert not (a & b).any()
    assert abs(a.mean() - 0.9 * 0.4) < 0.01
    assert abs(b.mean() - 0.9 * 0.5) < 0.01
    alone = planned(second, holdout=0.1)
    outside = Assignment(alone, KEY).codes(rows) == 0
    held_out = Assignment(planned(CUTS, holdout=0.1), KEY).codes(rows) == 0
    assert abs(held_out.mean() - 0.1) < 0.01
    assert (outside | ~held_out).all()  # the same accounts are held out of all of them


def test_only_transactions_of_its_segments_take_part() -> None:
    rows = accounts(900)
    channel = Texts.of([("web", "shop", None)[i % 3] for i in range(900)])
    told = replace(rows, categorical={"channel": channel})
    plan = planned(replace(CUTS, segments={"channel": ("web",)}))
    found = arms(plan, told)
    assert (found[0::3] > 0).all()
    assert not found[1::3].any()
    assert not found[2::3].any()
    assert not arms(plan, rows).any()  # a field that nobody sends is no segment


def test_ten_thousand_new_accounts_in_a_second_are_as_evenly_spread_as_any() -> None:
    plan = planned(CUTS)
    shares = [(arms(plan, accounts(10_000, f"new{second}-")) == 2).mean() for second in range(40)]
    z = (np.array(shares) - 0.5) / np.sqrt(0.25 / 10_000)
    assert np.abs(z).max() < 4
    assert 0.5 < z.std() < 1.5


def test_what_is_paused_or_stopped_takes_nobody_and_what_goes_on_takes_the_same_again() -> None:
    rows, plan = accounts(1_000), planned(CUTS, RAMP)
    resting = paused(plan, CUTS, is_paused=True)
    assert len(Assignment(resting, KEY).experiments) == 1
    again = paused(resting, CUTS, is_paused=False)
    assert np.array_equal(arms(plan, rows), arms(again, rows))
    assert without(plan, "cuts").experiments == plan.experiments[1:]


def test_experiments_that_set_the_same_must_share_a_layer_and_a_full_one_refuses() -> None:
    model = Definition("m", "split", (ArmSpec("c", 0.5), ArmSpec("x", 0.5, "1.1.0")))
    plan = planned(model)
    with pytest.raises(ValueError, match="sets the model, too: the two must share a layer"):
        having(
            plan, replace(model, name="n", layer="other"), 0,
            champion="1.0.0", key_check=key_check(KEY), holdout=0.0,
        )  # fmt: skip
    with pytest.raises(ValueError, match='layer "main" has 0 of its accounts free'):
        having(
            plan, replace(model, name="n"), 0,
            champion="1.0.0", key_check=key_check(KEY), holdout=0.0,
        )  # fmt: skip
    with pytest.raises(ValueError, match="secret is another one"):
        having(plan, CUTS, 0, champion="1.0.0", key_check=key_check(key_of("x")), holdout=0.0)
