"""Feedback, labels and lines of files as JSON."""

import json
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.codec.records import (
    decode_feedback,
    decode_label,
    decode_model_event,
    decode_object,
    encode,
    encode_pretty,
    fields_of_line,
)
from sentinel.errors import RecordError
from sentinel.records import Feedback, Label
from sentinel.stored.versions import EventKind, ModelEvent

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
times = st.integers(0, 253_402_300_799_999)
entities = st.dictionaries(texts, st.none() | texts, max_size=2)

VOICE = Feedback("T1", "fraud", "chargeback")
EVENT = ModelEvent(7, 5, "promoted", "1.2.0", "1.2.0", "1.1.9", None, "ann", "better")
LABEL = Label("T1", "fraud", 1.0, 1, "chargeback", 5, 3, {"account": "A"})


@given(
    voice=st.builds(
        Feedback,
        *[texts] * 3,
        who=texts,
        confidence=st.floats(0, 1),
        notes=texts,
        observed_ms=times,
        event_time_ms=st.none() | times,
        entities=st.none() | entities,
    )
)
def test_feedback_comes_back_as_it_went(voice: Feedback) -> None:
    assert decode_feedback(encode(voice)) == voice


@given(
    label=st.builds(
        Label,
        texts,
        st.sampled_from(["fraud", "genuine"]),
        st.floats(0, 1),
        st.integers(0, 9),
        texts,
        times,
        times,
        entities,
        supersedes=st.sampled_from([None, "fraud", "genuine"]),
        feedback_offset=st.integers(-1, 2**62),
    )
)
def test_a_label_comes_back_as_it_went(label: Label) -> None:
    assert decode_label(encode(label)) == label


versions = st.builds("{}.{}.{}".format, *[st.integers(0, 10**9)] * 3)


@given(
    event=st.builds(
        ModelEvent,
        st.integers(1, 2**62),
        times,
        st.sampled_from(get_args(EventKind)),
        versions,
        *[st.none() | versions] * 3,
        texts,
        texts,
    )
)
def test_a_change_of_models_comes_back_as_it_went(event: ModelEvent) -> None:
    assert decode_model_event(encode(event)) == event


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "tombstone"),
        (b"{", "not_json"),
        (b"{}", "wrong_type"),
        (encode(EVENT).replace(b"promoted", b"praised"), "wrong_type"),
        (encode(EVENT).replace(b'"number":7', b'"number":"7"'), "wrong_type"),
        (encode(EVENT).replace(b'"at_ms":5', b'"at_ms":-1'), "bad_time"),
        (encode(EVENT).replace(b'"at_ms":5', b'"at_ms":18446744073709551616'), "bad_time"),
        (encode(EVENT).replace(b'"version":"1.2.0"', b'"version":"../1"'), "bad_version"),
        (encode(EVENT).replace(b'"shadow":null', b'"shadow":"1.2"'), "bad_version"),
    ],
)
def test_a_change_of_models_that_cannot_be_read_is_refused(
    value: bytes | None, reason: str
) -> None:
    with pytest.raises(RecordError) as caught:
        decode_model_event(value)
    assert caught.value.reason == reason


def test_feedback_needs_no_more_than_who_says_what_of_which() -> None:
    value = b'{"transaction_id":"T1","label":"fraud","source":"chargeback","unknown":1}'

    assert decode_feedback(value) == VOICE


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "tombstone"),
        (b"", "not_json"),
        (b"\xff", "not_json"),
        (b'{"z":' + b"[" * 100_000, "not_json"),
        (b"{}", "wrong_type"),
        (b"[]", "wrong_type"),
        (encode(VOICE).replace(b'"fraud"', b"1"), "wrong_type"),
        (encode(VOICE).replace(b'"observed_ms":0', b'"observed_ms":-1'), "bad_time"),
        (encode(VOICE).replace(b'"observed_ms":0', b'"observed_ms":1e999'), "wrong_type"),
    ],
)
def test_feedback_that_cannot_be_read_is_refused(value: bytes | None, reason: str) -> None:
    with pytest.raises(RecordError) as caught:
        decode_feedback(value)
    assert caught.value.reason == reason


@pytest.mark.parametrize("name", ["observed_ms", "event_time_ms"])
def test_a_time_wider_than_a_column_is_refused(name: str) -> None:
    """JSON has such integers; what is made of them could be neither stored nor published."""
    voice = json.loads(encode(VOICE)) | {name: 2**64}
    label = json.loads(encode(LABEL)) | {name: 2**63}

    with pytest.raises(RecordError, match="bad_time"):
        decode_feedback(json.dumps(voice).encode())
    with pytest.raises(RecordError, match="bad_time"):
        decode_label(json.dumps(label).encode())


def test_a_label_is_fraud_or_genuine() -> None:
    value = encode(LABEL).replace(b'"fraud"', b'"unsure"')

    with pytest.raises(RecordError, match="wrong_type"):
        decode_label(value)


def test_numpy_and_nan_become_json() -> None:
    value = {"a": np.array([1.0, np.nan]), "b": np.int64(3)}

    assert encode(value) == b'{"a":[1.0,null],"b":3}'
    assert decode_object(encode_pretty(value)) == {"a": [1.0, None], "b": 3}


@pytest.mark.parametrize(
    ("data", "reason"), [(b"{", "not_json"), (b"[]", "wrong_type"), (b"\xff", "not_json")]
)
def test_an_object_is_an_object(data: bytes, reason: str) -> None:
    with pytest.raises(RecordError, match=reason):
        decode_object(data)


def test_a_line_keeps_its_fields_as_they_are_written() -> None:
    line = b'{"n":1.50, "secret":1, "id":"\\u00e9",\t"label":true, "n2":{"x":[ 1 ]}}'

    found = fields_of_line(line, ["id", "n", "n2", "absent"], "label")

    assert found.kept == b'{"id":"\\u00e9","n":1.50,"n2":{"x":[ 1 ]}}'
    assert found.label == "True"
    assert found.names == ["n", "secret", "id", "label", "n2"]


@pytest.mark.parametrize("line", [b"garbage", b"[1]", b"\xff", b"[" * 100_000, b""])
def test_a_line_that_is_no_object_is_kept_whole(line: bytes) -> None:
    found = fields_of_line(line, ["id"], "label")

    assert (found.names, found.kept, found.label) == ((), line, None)


def test_a_repaired_feedback_is_read() -> None:
    assert decode_feedback(encode(replace(VOICE, observed_ms=5))).observed_ms == 5
