"""Dead letters that do not fit: shortened, within the bytes that their topic takes, and said so."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.codec.dead_letters import DETAIL_LENGTH_MAX, dead_letter_record, decode_dead_letter
from sentinel.errors import RecordError
from sentinel.records import OutputRecord, Record, TopicPartition

AT = TopicPartition("transactions", 3)
ERROR = RecordError("too_large", "é" * 2 * DETAIL_LENGTH_MAX)

records = st.builds(
    Record,
    offset=st.integers(0, 2**60),
    timestamp=st.just(0),
    key=st.none() | st.binary(max_size=9_000),
    value=st.none() | st.binary(max_size=9_000),
    headers=st.lists(st.tuples(st.text(max_size=30), st.binary(max_size=3_000)), max_size=4),
)


def published(record: OutputRecord) -> Record:
    return Record(7, 9, record.key, record.value, record.headers)


def byte_count(record: OutputRecord) -> int:
    """What Kafka writes of it: the fields, and lengths of at most five bytes each."""
    fields = [record.key or b"", record.value or b""]
    for header in record.headers:
        fields += [header.name.encode(), header.value]
    return 61 + 30 + sum(len(one) + 5 for one in fields)


@given(records, st.integers(8_000, 40_000))
def test_it_is_whole_or_shortened_to_what_its_topic_takes(record: Record, bytes_max: int) -> None:
    made = dead_letter_record(AT, record, ERROR, bytes_max=bytes_max)
    found = decode_dead_letter(published(made))

    assert byte_count(made) <= bytes_max
    assert found is not None
    assert (found.at, found.offset_there, found.reason) == (AT, record.offset, "too_large")
    value = record.value or b""
    if found.shortened is None:
        assert (found.key, found.value) == (record.key, record.value)
        assert list(found.headers) == list(record.headers)
    else:
        assert value.startswith(found.value or b"")
        assert found.shortened.length == len(value)
        assert found.shortened.sha256 == hashlib.sha256(value).hexdigest()
        assert found.headers == ()


@pytest.mark.parametrize("told", [b"", b"12", b"x " + b"0" * 64, b"12 " + b"0" * 63])
def test_a_header_of_that_name_that_says_something_else_is_the_records_own(told: bytes) -> None:
    record = Record(1, 0, b"k", b"v", [("sentinel.shortened", told)])

    found = decode_dead_letter(published(dead_letter_record(AT, record, ERROR, bytes_max=10**6)))

    assert found is not None
    assert found.shortened is None
    assert [(h.name, h.value) for h in found.headers] == [("sentinel.shortened", told)]
