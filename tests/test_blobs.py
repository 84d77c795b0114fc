"""Entity states as columns are the same entity states."""

from hypothesis import given
from hypothesis import strategies as st

from sentinel.stored.blobs import Blob, BlobBlock

blobs = st.lists(
    st.builds(
        Blob,
        st.sampled_from(["account", "terminal"]),
        st.text(max_size=5),
        st.integers(-1, 2),
        st.binary(max_size=9),
    )
)


@given(blobs)
def test_columns_give_back_what_went_in_in_order(found: list[Blob]) -> None:
    block = BlobBlock.of(found)

    assert len(block) == len(found)
    assert list(block) == found
    assert block[1:3] == found[1:3]
    assert [block[i] for i in range(len(found))] == found


@given(blobs, st.integers(1, 7))
def test_pieces_are_full_but_for_the_last_and_give_back_the_block(
    found: list[Blob], count_max: int
) -> None:
    pieces = list(BlobBlock.of(found).pieces(count_max))

    assert [blob for piece in pieces for blob in piece] == found
    assert all(len(piece) == count_max for piece in pieces[:-1])
    assert len(pieces[-1]) <= count_max
    assert (len(pieces[-1]) > 0) == bool(found)
