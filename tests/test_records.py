"""Records as columns, made by hand."""

from hypothesis import given
from hypothesis import strategies as st

from sentinel.record_blocks import RecordBlock
from sentinel.records import Record

values = st.none() | st.binary(max_size=200)
records = st.builds(
    Record,
    offset=st.integers(0, 1 << 60),
    timestamp=st.integers(-1, 1 << 45),
    key=values,
    value=values,
    headers=st.lists(st.tuples(st.text(max_size=70), st.binary(max_size=70)), max_size=70),
)


@given(st.lists(records, max_size=8), st.integers(0, 8))
def test_a_block_gives_back_what_was_packed(packed: list[Record], begin: int) -> None:
    block = RecordBlock.of(packed)

    assert list(block) == packed
    assert list(block[begin:]) == packed[begin:]
