"""What the trainer's process is lost at is found in two readings, whatever the batches."""

from hypothesis import given
from hypothesis import strategies as st

from sentinel.engine.updates.intake import Quarantine

sizes = st.lists(st.integers(1, 9), min_size=1, max_size=8)


def read(quarantine: Quarantine, poisoned: int, batch_sizes: list[int], count: int) -> bool:
    """One reading of so many records from the first on; whether it came to the end."""
    first, turn = 0, 0
    while first < count:
        batch = range(first, min(first + batch_sizes[turn % len(batch_sizes)], count))
        if poisoned in batch and not quarantine.is_left_out(poisoned):
            quarantine.lost(batch[0], batch[-1])
            return False
        first, turn = batch.stop, turn + 1
    return True


@given(st.integers(0, 39), sizes, sizes, sizes)
def test_a_record_that_ends_every_process_is_left_out_at_the_second(
    poisoned: int, first: list[int], second: list[int], third: list[int]
) -> None:
    quarantine = Quarantine()

    ended = [read(quarantine, poisoned, batches, 40) for batches in (first, second, third)]

    assert ended == [False, False, True]
    left_out = [i for i in range(40) if quarantine.is_left_out(i)]
    assert poisoned in left_out
    assert len(left_out) <= min(max(first), max(second))
    assert left_out == list(range(left_out[0], left_out[-1] + 1))


def test_processes_that_are_lost_at_different_places_cost_no_record() -> None:
    quarantine = Quarantine()

    for first in (0, 20, 10, 40, 0):
        assert not quarantine.lost(first, first + 9)

    assert not any(quarantine.is_left_out(i) for i in range(60))


def test_two_that_lie_apart_are_both_found() -> None:
    quarantine = Quarantine()

    for poisoned in (12, 30):
        assert not read(quarantine, poisoned, [10], 40)
        assert not read(quarantine, poisoned, [7], 40)

    assert read(quarantine, 12, [10], 40)
    assert read(quarantine, 30, [10], 40)
    assert not quarantine.is_left_out(20)
