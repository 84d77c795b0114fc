"""What the benchmarks of paired tests and guardrails reckon by."""

import math

import numpy as np
import pytest
from numpy.random import default_rng

from benchmarks.guardrails import SETTINGS, Alerts, Setting, false_slow
from benchmarks.paired_shadow import counts_needed, ratios
from sentinel.core.experiments.shadow.betting import log_evidence


def test_the_counts_needed_are_the_first_that_are_enough() -> None:
    needed = counts_needed(80)

    for n in range(81):
        enough = [b for b in range(n + 1) if log_evidence(b, n - b) >= math.log(20)]
        assert needed[n] == (enough[0] if enough else n + 1)


def test_models_that_share_no_find_need_half_of_a_splits_transactions_and_common_finds_less() -> (
    None
):
    rng = default_rng(1)
    first, second = (rng.random((2, 200_000)) < [[0.010], [0.014]]).astype(float)
    apart = ratios(first, second, 0.0)
    shared = (rng.random(200_000) < 0.03).astype(float)
    together = ratios(np.maximum(first, shared), np.maximum(second, shared), 0.7)

    assert apart["transactions"] == pytest.approx(2.0, abs=0.05)
    assert apart["reviews"] == pytest.approx(1.0, abs=0.03)
    assert together["transactions"] > 5
    assert together["known frauds"] > together["transactions"]


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda one: one.name)
def test_every_account_that_was_alerted_on_counts_once_and_as_a_loss_once(
    setting: Setting,
) -> None:
    rng = default_rng(2)
    alerts = Alerts(setting, rng)
    account_count = len(np.unique(alerts.account))

    first = sum(a.alerted + c.alerted for a, c in alerts.first())
    lost = sum(sum(a.lost) + sum(c.lost) for a, c in alerts.losses(rng))
    assert first == lost == account_count
    assert sum(a.alerted + c.alerted for a, c in alerts.all()) == alerts.account.size


def test_slow_batches_that_come_ten_at_a_time_stop_an_arm_unless_ten_count_as_one() -> None:
    apart, together = (false_slow(10, n, 15, default_rng(3))["stopped"] for n in (1, 10))

    assert apart > 0.5
    assert together < 0.5
