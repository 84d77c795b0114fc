"""What is never trained on: which transactions, and how many of them are kept."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.random import default_rng

from sentinel.core.features.hashing import hash64, uniform
from sentinel.core.learning.training_data.columns import Columns, joined
from sentinel.core.learning.training_data.hold_out import HeldOut, is_held_out, nothing_held_out
from tests.core.learning.wide import columns, labelled

EVER = 2**60


def kept_of(*batches: Columns, row_count_max: int) -> HeldOut:
    found = nothing_held_out(row_count_max, feature_count=2)
    for batch in batches:
        found = found.with_rows(batch)
    return found


def test_a_share_is_held_out_whatever_else_is_sampled_by_the_same_hashes() -> None:
    hashes = hash64([f"T{i}" for i in range(50_000)])
    is_out = is_held_out(hashes, 0.1)

    assert is_out.mean() == pytest.approx(0.1, abs=0.005)
    assert is_held_out(hashes, 0.3)[is_out].all()
    assert not is_held_out(hashes, 0.0).any()
    assert is_held_out(hashes, 1.0).all()
    assert is_out[uniform(hashes) < 0.1].mean() == pytest.approx(0.1, abs=0.015)


def test_all_are_kept_while_there_is_room() -> None:
    rows = columns(500)

    found = kept_of(rows, row_count_max=2_000).between(0, EVER)

    assert len(found) == 500
    assert (found.examples.weight == 1.0).all()


def test_frauds_are_all_kept_and_the_others_stand_for_all() -> None:
    rows = columns(40_000, fraud_share=0.02)

    found = kept_of(rows, row_count_max=4_000).between(0, EVER)

    assert len(found) <= 4_000
    assert np.count_nonzero(found.examples.is_fraud) == rows.examples.is_fraud.sum()
    of_fraud = found.examples.weight[found.examples.is_fraud]
    of_genuine = found.examples.weight[~found.examples.is_fraud]
    assert (of_fraud == 1.0).all()
    assert np.ptp(of_genuine) < 1e-9, "each has had the same chance"
    assert found.examples.weight.sum() == pytest.approx(40_000, rel=0.05)


def test_frauds_have_half_of_the_rows_at_most() -> None:
    rows = columns(10_000, fraud_share=0.8)

    held = kept_of(rows, row_count_max=1_000)

    newest_frauds = np.flatnonzero(rows.examples.is_fraud)[-500:]
    assert len(held.rows) <= 1_000
    assert np.isin(rows.examples.id_hash[newest_frauds], held.rows.examples.id_hash).all()
    assert held.between(0, EVER).examples.weight.sum() == pytest.approx(10_000, rel=0.15)


def test_what_stands_for_ten_is_as_likely_as_ten() -> None:
    weight = np.where(np.arange(20_000) % 2 == 0, 10.0, 1.0)
    rows = columns(20_000, fraud_share=0.0, weight=weight)

    found = kept_of(rows, row_count_max=3_000).between(0, EVER)

    assert found.examples.weight.sum() == pytest.approx(weight.sum(), rel=0.05)
    light = found.examples.weight[found.examples.version % 2 == 1].sum()
    assert light == pytest.approx(10_000, rel=0.2)


def test_labels_that_came_for_a_reason_and_what_is_withdrawn_are_no_evidence() -> None:
    rows = columns(100)
    rows.is_selective[:10] = True
    gone = rows.take(np.arange(10, 20))
    gone = replace(
        gone,
        examples=replace(gone.examples, weight=np.zeros(10), version=gone.examples.version + 1_000),
    )

    found = kept_of(rows, gone, row_count_max=1_000).between(0, EVER)

    assert sorted(found.examples.version.tolist()) == list(range(20, 100))


def test_only_what_happened_between_is_given() -> None:
    held = kept_of(columns(100), row_count_max=1_000)

    assert sorted(held.between(20_000, 30_000).examples.version.tolist()) == list(range(20, 30))


def test_the_newest_label_counts_and_brings_its_own_columns() -> None:
    rows = columns(100, fraud_share=0.0)
    told = labelled(rows, np.arange(100) < 5, later=1_000)
    told.amount_minor[:] = 9

    found = kept_of(rows, told, row_count_max=1_000).between(0, EVER)

    assert np.count_nonzero(found.examples.is_fraud) == 5
    assert (found.amount_minor == 9).all()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_how_they_were_batched_changes_nothing(seed: int) -> None:
    rows = columns(6_000, fraud_share=0.1)
    rng = default_rng(seed)
    told = labelled(rows, rng.random(6_000) < 0.1, later=100_000)
    told = told.take(np.sort(rng.choice(6_000, 2_000, replace=False)))
    order = [rows.take(part) for part in np.array_split(np.arange(6_000), 17)]
    order += [told.take(part) for part in np.array_split(np.arange(2_000), 5)]

    one = kept_of(*order, row_count_max=800)
    other = kept_of(*_threes(order), row_count_max=800)

    assert one.rows.examples.id_hash.tolist() == other.rows.examples.id_hash.tolist()
    found, again = one.between(0, EVER), other.between(0, EVER)
    assert found.examples.weight.tolist() == again.examples.weight.tolist()
    assert found.examples.is_fraud.tolist() == again.examples.is_fraud.tolist()


def _threes(batches: list[Columns]) -> list[Columns]:
    return [joined(batches[i : i + 3]) for i in range(0, len(batches), 3)]
