"""Stored bytes: what is packed comes back, and what is damaged is known to be."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sentinel.core.features import packing
from sentinel.core.features.plan import EntityPlan
from sentinel.core.features.spec import EntityParams
from sentinel.core.features.state import FeatureState
from tests.core.features.streams import every_feature, fold_all, long_stream

LOG = 11
LOGS = np.array([LOG])


def state_of(kind: str, *, log: int = LOG) -> FeatureState:
    params = EntityParams(kind=kind, events_max=5, tile="7h")  # type: ignore[arg-type]
    entities = {"account": params, "terminal": params}
    return FeatureState(entities, every_feature(), amount_decimals=2, log=log, entities_max=64)


def plan_and_blobs(kind: str) -> tuple[EntityPlan, list[bytes]]:
    state = state_of(kind)
    fold_all(state, long_stream(4, 200))
    return state.tables["account"].plan, state.cut(0, count_max=1_000)["account"].blobs


PLANS = {kind: plan_and_blobs(kind) for kind in ("events", "tiles")}
every_kind = pytest.mark.parametrize("kind", ["events", "tiles"])


def unpacked(plan: EntityPlan, data: bytes, *, log: int = LOG) -> tuple[bool, np.ndarray]:
    row = np.zeros(plan.word_count, dtype=np.int64)
    return packing.unpack(plan, data, row, logs=np.array([log])), row


@every_kind
def test_a_row_that_was_packed_comes_back_and_packs_to_the_same_bytes(kind: str) -> None:
    plan, blobs = PLANS[kind]
    rows = np.stack([unpacked(plan, blob)[1] for blob in blobs])

    assert packing.pack(plan, rows, np.arange(len(blobs)), logs=LOGS).values() == blobs
    assert packing.blob_sizes(plan, rows, np.arange(len(blobs))).tolist() == [*map(len, blobs)]
    assert packing.pack(plan, rows, np.zeros(0, dtype=np.int64), logs=LOGS).values() == []


@every_kind
def test_another_log_keeps_the_state_and_forgets_the_offsets(kind: str) -> None:
    plan, blobs = PLANS[kind]
    usable, row = unpacked(plan, blobs[0])
    usable_elsewhere, row_elsewhere = unpacked(plan, blobs[0], log=LOG + 1)

    assert usable
    assert usable_elsewhere
    assert row[0] > 0
    assert row_elsewhere[:2].tolist() == [0, 0]
    assert np.array_equal(row[2:], row_elsewhere[2:])


@every_kind
@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_a_blob_with_one_bit_changed_is_unreadable(kind: str, data: st.DataObject) -> None:
    plan, blobs = PLANS[kind]
    damaged = bytearray(data.draw(st.sampled_from(blobs)))
    damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= 1 << data.draw(st.integers(0, 7))

    usable, row = unpacked(plan, bytes(damaged))

    assert not usable
    assert not row.any()


@every_kind
def test_a_blob_cut_short_anywhere_is_unreadable(kind: str) -> None:
    plan, blobs = PLANS[kind]
    for length in range(len(blobs[0])):
        assert not unpacked(plan, blobs[0][:length])[0]
    assert not unpacked(plan, blobs[0] * 2)[0]


@every_kind
def test_a_blob_of_another_version_or_layout_is_unreadable(kind: str) -> None:
    plan, blobs = PLANS[kind]
    other_plan, _ = PLANS["tiles" if kind == "events" else "events"]
    newer = bytearray(blobs[0])
    newer[0] += 1

    assert not unpacked(plan, bytes(newer))[0]
    assert not unpacked(other_plan, blobs[0])[0]


@every_kind
@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_words_that_only_claim_to_be_state_never_reach_out_of_their_row(
    kind: str, data: st.DataObject
) -> None:
    """Bytes with a right checksum and any content: read and folded upon, they may mean nothing."""
    _, blobs = PLANS[kind]
    forged = np.frombuffer(data.draw(st.sampled_from(blobs)), dtype="<u8").copy()
    extremes = st.sampled_from((0, 1, 2, 5, 6, 1 << 62, (1 << 63) - 1, 1 << 63, (1 << 64) - 1))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(1, 8) | st.integers(1, forged.size - 1))
        forged[at] = data.draw(extremes | st.integers(0, (1 << 64) - 1))
    forged[0] = packing.sealed(forged)
    state = state_of(kind)

    unreadable = state.admit("account", ["a0"], [{-1: forged.tobytes()}])

    assert unreadable in (0, 1)
    guard = state.tables["account"].rows.parts[1:4].copy()
    fold_all(state, long_stream(5, 60, account_count=1))
    assert np.array_equal(state.tables["account"].rows.parts[1:4], guard)
    state.cut(0, count_max=10)


@every_kind
def test_random_bytes_are_counted_as_unreadable_and_the_entity_starts_empty(kind: str) -> None:
    rng = np.random.default_rng(3)
    state = state_of(kind)
    blobs = [{-1: rng.bytes(size)} for size in (0, 1, 47, 48, 56, 400)]

    assert state.admit("account", [f"a{i}" for i in range(6)], blobs) == 6

    assert len(state.tables["account"]) == 6
    assert not state.tables["account"].rows.parts[:6].any()
