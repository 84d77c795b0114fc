"""Entity states as columns are the same entity states."""

from hypothesis import given
from hypothesis import strategies as st

from sentinel.blobs import Blob, BlobBlock

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
