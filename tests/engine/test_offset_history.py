"""Where a partition stood some time ago."""

from hypothesis import given
from hypothesis import strategies as st

from sentinel.engine.partitions.input_partition import OffsetHistory

steps = st.lists(st.tuples(st.integers(1, 9), st.integers(0, 50)), min_size=1, max_size=30)


@given(steps, st.integers(0, 12))
def test_it_knows_the_offset_of_any_time_within_what_is_kept(
    gains: list[tuple[int, int]], age_s: int
) -> None:
    """Against all that was ever noted."""
    offset_history, noted, now_s, offset = OffsetHistory(), [(-1, 0)], 0, 0
    for passed_s, gained in gains:
        now_s, offset = now_s + passed_s, offset + gained
        offset_history.note(now_s, offset, kept_s=12)
        noted.append((now_s, offset))
        assert offset_history.at(now_s - age_s) == max(
            o for t, o in noted if t <= max(now_s - age_s, -1)
        )


def test_what_is_older_than_is_kept_is_summed_up() -> None:
    offset_history = OffsetHistory()
    for second in range(1000):
        offset_history.note(float(second), second, kept_s=10.0)
    assert len(offset_history._steps) == 11
    assert offset_history.at(5.0) == 0
