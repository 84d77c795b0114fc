"""Examples as columns: what is read, and that nothing else gets in."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.codec.examples import Decoded, decode_columns
from sentinel.codec.records import decode_object, encode
from sentinel.core.features.hashing import hash64
from sentinel.records import Example

NAMES = ("amount", "count_1h")
EXAMPLE = Example(
    id="feedback-3",
    transaction_id="T-ü",
    decision_id="D1",
    event_time_ms=1_700_000_000_000,
    account="A1",
    amount_minor=12_345,
    score=0.2,
    probability=0.3,
    action="review",
    model_version="1.0.0",
    arm="champion",
    features={"count_1h": 3.0, "unasked": 9.0, "amount": 123.45},
    label="fraud",
    posterior=0.97,
    source="consensus",
    label_delay_ms=5,
    propensity=0.1,
    weight=10.0,
    is_explored=True,
)


def decoded(value: bytes | None, *, appended_ms: int = EXAMPLE.event_time_ms) -> Decoded:
    return decode_columns([(42, appended_ms, value)], NAMES)


def changed(**changes: Any) -> bytes:
    return encode({**decode_object(encode(EXAMPLE)), **changes})


def test_an_example_is_a_row_with_its_features_in_the_order_that_is_asked_for() -> None:
    found = decoded(encode(EXAMPLE))

    rows, examples = found.rows, found.rows.examples
    assert found.refused_count == 0
    assert examples.features.tolist() == [[123.45, 3.0]]
    assert examples.id_hash.tolist() == hash64(["T-ü"]).tolist()
    assert examples.version.tolist() == [42]
    assert examples.event_time_ms.tolist() == [1_700_000_000_000]
    assert examples.stratum.tolist() == [5], "the third decade, flagged"
    assert examples.is_fraud.tolist() == [True]
    assert examples.posterior.tolist() == [0.97]
    assert examples.weight.tolist() == [10.0]
    assert examples.is_presumed.tolist() == [False]
    assert rows.account.tolist() == hash64(["A1"]).tolist()
    assert rows.amount_minor.tolist() == [12_345]
    assert rows.action.tolist() == [1]
    assert (rows.is_selective.tolist(), rows.is_explored.tolist()) == ([False], [True])
    assert rows.is_investigated.tolist() == [True]


def test_a_feature_that_is_missing_or_null_is_nan() -> None:
    for features in ({"count_1h": 3}, {"count_1h": 3, "amount": None}):
        [row] = decoded(changed(features=features)).rows.examples.features
        assert np.isnan(row[0])
        assert row[1] == 3.0


@pytest.mark.parametrize(
    ("source", "is_presumed", "is_investigated"),
    [("presumed", True, False), ("chargeback", False, False), ("investigator", False, True)],
)
def test_who_settled_the_label_is_told(
    source: str, is_presumed: bool, is_investigated: bool
) -> None:
    rows = decoded(encode(replace(EXAMPLE, source=source))).rows

    assert rows.examples.is_presumed.tolist() == [is_presumed]
    assert rows.is_investigated.tolist() == [is_investigated]


@pytest.mark.parametrize(
    "changes",
    [
        {"transaction_id": ""},
        {"transaction_id": None},
        {"event_time_ms": -1},
        {"event_time_ms": 1.5},
        {"event_time_ms": EXAMPLE.event_time_ms + 86_400_001},
        {"amount_minor": -(10**12) - 1},
        {"amount_minor": 10**13},
        {"action": "allow"},
        {"label": "unknown"},
        {"posterior": 1.1},
        {"posterior": None},
        {"weight": -0.1},
        {"weight": 1e300},
        {"weight": None},
        {"features": {"amount": "12"}},
        {"features": None},
        {"is_selective": True},
    ],
    ids=str,
)
def test_what_no_column_can_hold_is_refused(changes: dict[str, Any]) -> None:
    found = decoded(changed(**changes))

    assert found.refused_count == 1
    assert len(found.rows) == 0
    assert found.rows.examples.features.shape == (0, 2)


def test_what_is_refused_does_not_keep_its_neighbours() -> None:
    good = encode(EXAMPLE)
    records = [(5, EXAMPLE.event_time_ms, good), (6, 0, good), (7, EXAMPLE.event_time_ms, good)]

    found = decode_columns(records, NAMES)

    assert found.rows.examples.version.tolist() == [5, 7]
    assert found.refused_count == 1


def test_a_day_ahead_is_what_clocks_may_do() -> None:
    assert decoded(encode(EXAMPLE), appended_ms=EXAMPLE.event_time_ms - 86_400_000).rows
    late = decoded(encode(EXAMPLE), appended_ms=EXAMPLE.event_time_ms - 86_400_001)
    assert late.refused_count == 1


@given(st.binary(max_size=60) | st.none())
def test_bytes_of_any_kind_are_refused_and_no_error(value: bytes | None) -> None:
    assert decoded(value).refused_count == 1


@given(st.data())
def test_a_damaged_example_is_read_or_refused(data: st.DataObject) -> None:
    whole = bytearray(encode(EXAMPLE))
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] = data.draw(st.integers(0, 255))

    found = decoded(bytes(whole))

    assert len(found.rows) + found.refused_count == 1


def test_nested_without_end_is_refused() -> None:
    assert decoded(b'{"features":' + b"[" * 100_000).refused_count == 1
