"""How many rows of an entity a clock hour holds: the first few stand for it, the rest do not.

Read from the state that windows are read from, so that it is the same in a replay.
"""

import numba

from sentinel.core.features.plan import (
    EVENT_COUNT,
    EVENT_MS,
    HEAD,
    HEADER_WORDS,
    L_CAPACITY,
    L_TILE_MS,
    L_WIDTH,
    NEWEST_TILE,
    TILE_COUNT,
)
from sentinel.records import Ints

HOUR_MS = 3_600_000
IN_HOUR_MAX = 64  # counted no further


@numba.njit(cache=True, nogil=True)
def events_in_hour(row: Ints, layout: Ints, t: int) -> float:
    """How many events there are in the hour of t, not after t; at most IN_HOUR_MAX.

    A ring with nothing older in it may have held more: it counts as IN_HOUR_MAX.
    """
    begin_ms = t - t % HOUR_MS
    n = 0
    for i in range(row[EVENT_COUNT] - 1, -1, -1):
        place = (row[HEAD] + i) % layout[L_CAPACITY]
        ms = row[HEADER_WORDS + place * layout[L_WIDTH] + EVENT_MS]
        if ms < begin_ms or n == IN_HOUR_MAX:
            return float(n)
        n += ms <= t
    return float(n if n < layout[L_CAPACITY] else IN_HOUR_MAX)


@numba.njit(cache=True, nogil=True)
def tiles_in_hour(row: Ints, layout: Ints, t: int) -> float:
    """How many records there are in the hour of t, or in its tile if that is wider.

    At most IN_HOUR_MAX; those after t in the same tile are among them.
    """
    newest = row[NEWEST_TILE] - 1
    first = max((t - t % HOUR_MS) // layout[L_TILE_MS], newest - layout[L_CAPACITY] + 1, 0)
    n = 0
    for tile in range(first, min(t // layout[L_TILE_MS], newest) + 1):
        at = HEADER_WORDS + tile % layout[L_CAPACITY] * layout[L_WIDTH]
        n += row[at + TILE_COUNT]
    return float(min(n, IN_HOUR_MAX))
