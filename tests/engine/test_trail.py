"""Where a partition stood some time ago."""

from hypothesis import given
from hypothesis import strategies as st

from sentinel.engine.scoring.partitions import Trail

steps = st.lists(st.tuples(st.integers(1, 9), st.integers(0, 50)), min_size=1, max_size=30)


@given(steps, st.integers(0, 12))
def test_it_knows_the_offset_of_any_time_within_what_is_kept(
    gains: list[tuple[int, int]], age_s: int
) -> None:
    """Against all that was ever noted."""
    trail, noted, now_s, offset = Trail(), [(-1, 0)], 0, 0
    for passed_s, gained in gains:
        now_s, offset = now_s + passed_s, offset + gained
        trail.note(now_s, offset, kept_s=12)
        noted.append((now_s, offset))
        assert trail.at(now_s - age_s) == max(o for t, o in noted if t <= max(now_s - age_s, -1))


def test_what_is_older_than_is_kept_is_summed_up() -> None:
    trail = Trail()
    for second in range(1000):
        trail.note(float(second), second, kept_s=10.0)
    assert len(trail._steps) == 11
    assert trail.at(5.0) == 0
