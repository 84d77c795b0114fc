"""Cases and annotators as they are stored."""

import pytest

from sentinel.codec.stored import decode_stored, encode_stored
from sentinel.errors import RecordError
from sentinel.stored.votes import Annotator, Case, Vote

ANN = Annotator("x/ann", 1.5, 0.5, 2.0, 0.0, 3, 2, 1, 0, 500, 1_000, 9.0, 1.0, 8.0, 2.0, 20, 18)


def test_what_is_stored_is_read_again() -> None:
    vote = Vote("x/ann", "fraud", 0, 0.5, 1_000, 7, "é", 0.25, agreed=False)
    case = Case("t", 900, {"account": "a"}, (vote,), 0.97, "fraud", "fraud")

    assert decode_stored(Annotator, encode_stored(ANN)) == ANN
    assert decode_stored(Case, encode_stored(case)) == case


def test_what_older_versions_stored_is_readable() -> None:
    """Before there were slow records, known truth, and marks of who agreed with it."""
    annotator = (
        b'{"name":"x/ann","seen":1.5,"missed":0.5,"cleared":2.0,"accused":0.0,"vote_count":3,'
        b'"fraud_count":2,"unsure_count":1,"retracted_count":0,"first_ms":500,"last_ms":1000}'
    )
    case = (
        b'{"transaction_id":"t","event_time_ms":900,"entities":{"account":"a"},"votes":[{'
        b'"annotator":"x/ann","label":"fraud","revision":0,"confidence":0.5,"observed_ms":1000,'
        b'"offset":7,"notes":"","counted":0.25}],"posterior":0.5,"label":null,"status":"open"}'
    )

    assert decode_stored(Annotator, annotator) == Annotator(
        "x/ann", 1.5, 0.5, 2.0, 0.0, 3, 2, 1, 0, 500, 1_000
    )
    (vote,) = decode_stored(Case, case).votes
    assert vote == Vote("x/ann", "fraud", 0, 0.5, 1_000, 7, counted=0.25)


@pytest.mark.parametrize("data", [b"", b"[]", b'{"name":1}'])
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(RecordError):
        decode_stored(Annotator, data)
