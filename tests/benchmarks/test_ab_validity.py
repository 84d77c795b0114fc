"""The benchmark of experiments judges as the product does."""

import numpy as np
import pytest
from numpy.random import default_rng

from benchmarks.ab_streams import RAMP, Accounts, Looks, clustered, independent
from benchmarks.ab_validity import clock, expected, hits_of, ratio_text, share_text, told_apart
from sentinel.core.experiments.inference.comparison import ArmComparison, compared
from sentinel.core.experiments.inference.planned import PlannedParams, PlannedTest


def decided(looks: Looks) -> list[bool]:
    """By the product, experiment by experiment."""
    found, shares = compared(looks.grams), clock(looks)
    accounts = np.einsum("rlkk->rlk", looks.grams[..., 0, 0])
    decisions = []
    for i in range(len(looks.n)):
        test = PlannedTest(PlannedParams())
        for k in range(looks.n.shape[1]):
            positives = looks.positives[i, k]
            one = ArmComparison(
                estimate=float(found.estimate[i, k]),
                rates=(0.0, 0.0),
                pooled=float(found.pooled[i, k]),
                separate=float(found.pooled[i, k]),
                accounts=(int(accounts[i, k, 0]), int(accounts[i, k, 1])),
                n=(0.0, 0.0),
                positives=(int(positives[0]), int(positives[1])),
            )
            test.look(one, float(shares[i, k]))
        decisions.append(test.decision is not None)
    return decisions


@pytest.mark.parametrize("lift", [1.0, 1.5])
def test_what_is_told_apart_is_what_the_planned_test_decides(lift: float) -> None:
    looks = independent(default_rng(1), 60, 20, 20_000, 0.3, (0.02, 0.02 * lift))

    found = told_apart(compared(looks.grams), clock(looks), expected(looks))

    assert found.tolist() == decided(looks)
    assert found.any()


def test_simulated_ramps_are_sums_over_accounts() -> None:
    like = Accounts(200, 0.1, RAMP, trend=1.0)

    share, money = clustered(default_rng(2), 2, 8, like)

    for looks in (share, money):
        grams = looks.grams
        assert np.allclose(grams, np.swapaxes(grams.swapaxes(2, 3), 4, 5))
        accounts = np.einsum("rlkk->rlk", grams[..., 0, 0])
        rows = np.einsum("rlkk->rlk", grams[..., 0, 1])
        assert (accounts[:, -1].reshape(2, 4, 2).sum(axis=-1) <= 200).all()
        assert (np.diff(rows, axis=1) >= 0).all()
        both = grams[:, -1, :, :, 0, 0]
        assert (both <= np.minimum(accounts[:, -1, :, None], accounts[:, -1, None, :])).all()
        # In a step an account has one arm.
        assert all((both[:, 2 * step, 2 * step + 1] == 0).all() for step in range(4))
    total = share.grams[:, -1, :, :, 0, 1]
    assert np.einsum("rkk->r", total).tolist() == share.n[:, -1].tolist()


def test_money_is_no_share_to_a_plain_test() -> None:
    share, money = clustered(default_rng(3), 20, 4, Accounts(300, 0.2, (0.5,)))

    assert hits_of(share)["rows as independent"].any()
    assert not hits_of(money)["rows as independent"].any()


def test_figures_come_with_their_standard_errors() -> None:
    hits, of = np.repeat([True, False], [30, 70]), np.repeat([True, False], [40, 60])

    assert share_text(hits) == "0.3000 ± 0.0458"
    assert ratio_text(hits, of) == "0.750 ± 0.068"
    assert ratio_text(of, of) == "1.000 ± 0.000"
