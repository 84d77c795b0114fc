"""In which order tests run: what takes long begins first, so that no run ends with one long test.

xdist's `worksteal` gives each worker a stretch of the list, and whoever has nothing left the end of
another's.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


def long_first(items: Sequence[T], is_long: Callable[[T], bool], worker_count: int) -> list[T]:
    """The same items, such that each worker begins with its share of the long ones."""
    long = [item for item in items if is_long(item)]
    short = iter([item for item in items if not is_long(item)])
    order: list[T] = []
    for worker, size in enumerate(_stretches(len(items), worker_count)):
        first = long[worker::worker_count]
        order += first
        order += islice(short, max(size - len(first), 0))
    return [*order, *short]


def _stretches(count: int, worker_count: int) -> Iterator[int]:
    """How many of so many items each worker gets at the beginning."""
    for left in range(worker_count, 0, -1):
        yield count // left
        count -= count // left
