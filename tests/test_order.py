"""The order in which tests run."""

from hypothesis import given
from hypothesis import strategies as st

from tests.order import long_first


@given(st.lists(st.booleans(), max_size=60), st.integers(1, 5))
def test_each_worker_begins_with_its_share_of_what_takes_long(
    kinds: list[bool], worker_count: int
) -> None:
    items = list(enumerate(kinds))

    order = long_first(items, lambda item: item[1], worker_count)

    assert sorted(order) == items, "none is lost, none runs twice"
    short = [item for item in order if not item[1]]
    assert short == sorted(short), "neighbours share what they need"
    begin, long_count = 0, sum(kinds)
    if len(kinds) // worker_count < -(-long_count // worker_count):
        return  # there are more than the stretches can hold
    for worker in range(worker_count):  # as xdist's worksteal deals them
        size = (len(order) - begin) // (worker_count - worker)
        stretch = [is_long for _, is_long in order[begin : begin + size]]
        share = len(range(worker, long_count, worker_count))
        assert stretch == [True] * share + [False] * (size - share)
        begin += size
