"""From declared features to the tables that the kernels read."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sentinel.core.features.spec import (
    DECAY_STATS,
    ENTITY_STATS,
    EVENT_STATS,
    IN_HOUR,
    LABEL_STATS,
    EntityParams,
    FeatureParams,
    duration_ms,
)
from sentinel.records import Floats, Ints

# Codes of the statistics in the kernels.
COUNT, SUM, MEAN, STD, MAX, DISTINCT = 0, 1, 2, 3, 4, 5
FRAUD_COUNT, FRAUD_SHARE = 6, 7
DECAYED_COUNT, DECAYED_SUM = 8, 9
RATIO, Z_SCORE, FIRST_SEEN, TIME_SINCE_LAST = 10, 11, 12, 13
FRAUD_MIN = 14
ROWS_IN_HOUR = 15
CODE = {
    "count": COUNT,
    "sum": SUM,
    "mean": MEAN,
    "std": STD,
    "max": MAX,
    "distinct": DISTINCT,
    "fraud_count": FRAUD_COUNT,
    "fraud_share": FRAUD_SHARE,
    "fraud_min": FRAUD_MIN,
    "decayed_count": DECAYED_COUNT,
    "decayed_sum": DECAYED_SUM,
    "ratio": RATIO,
    "z_score": Z_SCORE,
    "first_seen": FIRST_SEEN,
    "time_since_last": TIME_SINCE_LAST,
    IN_HOUR: ROWS_IN_HOUR,
}

# Words at the head of a row of state; both kinds share the first two.
# FOLDED_BY is the input partition that NEXT_OFFSET belongs to, plus one.
NEXT_OFFSET, FOLDED_BY = 0, 1
HEAD, EVENT_COUNT = 2, 3  # events: which place holds the oldest, how many there are
NEWEST_TILE, LAST_MS = 2, 3  # tiles: both plus one, so that zeroed memory means "nothing yet"
HEADER_WORDS = 4

# Behind the head stand the places of the ring, each with the words of one event or tile side by
# side: to count a record in touches one cache line or two, not one for each word.
EVENT_MS, EVENT_AMOUNT, EVENT_WORDS = 0, 1, 2  # then key and hashes, where they are needed
TILE_COUNT, TILE_SUM, TILE_SQUARE_HIGH, TILE_SQUARE_LOW, TILE_MAX, TILE_WORDS = range(6)
# ... then known frauds and bitmaps, where they are needed

# Behind the ring of an account there may stand identifiers of recent transactions: their count,
# then for each a hash, an event time and an offset (recent.py).
RECENT_WORDS = 3

# A bitmap of 256 bits estimates up to a few hundred distinct values within some per cent
# (linear counting: Whang, Vander-Zanden, Taylor 1990).
BITMAP_WORDS = 4

# Each transaction reads every tile of its longest window: this many take tens of microseconds.
TILES_MAX = 16_384

# Positions in `EntityPlan.layout`.
L_CAPACITY, L_WIDTH, L_LABEL, L_HASHED, L_HASHED_COUNT, L_GRACE_MS, L_TILE_MS = range(7)

EVERYTHING_MS = 1 << 60  # wider than any time, narrow enough not to overflow when subtracted


@dataclass(frozen=True, slots=True)
class EntityPlan:
    """How the rows of one entity kind are laid out, and which features are read from them.

    Attributes
    ----------
    layout
        int64 (7,): places in the ring, words of a place; within a place the position of what
        labels say (-1: not kept) and of the hashed fields, and their count; grace, tile width.
    windows
        int64 (n_windows, 2): delay and width in milliseconds, ascending.
    ops
        int64 (n_features, 5): stat code, window, hashed column, include_current, output column.
    constants
        float64 (n_features, 2): half-life in milliseconds, value where there is nothing to say.
    hashed_fields
        Fields whose hash is kept for each event (events) or in a bitmap (tiles).
    """

    entity: str
    params: EntityParams
    shared: bool
    word_count: int
    layout: Ints
    windows: Ints
    ops: Ints
    constants: Floats
    hashed_fields: tuple[str, ...]

    @property
    def is_events(self) -> bool:
        """Whether the state is a ring of events, else of tiles."""
        return self.params.kind == "events"

    @property
    def fingerprint(self) -> str:
        """Names the layout of a stored row: equal layouts can read each other's rows."""
        text = f"{self.entity} {self.params.kind} {self.hashed_fields} {self.layout.tolist()}"
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def entity_plan(
    entity: str,
    params: EntityParams,
    features: Sequence[tuple[int, FeatureParams]],
    *,
    shared: bool,
    recent_max: int = 0,
) -> EntityPlan:
    """Plan the state of one entity kind for its features, each given with its output column.

    `recent_max` is how many identifiers of recent transactions it has room for; they are no part of
    the layout, since who does not know them leaves them out.

    Raises ValueError when tiles are too narrow for the longest window, or do not keep what a
    feature asks for.
    """
    unkept = [f.name for _, f in features if f.stat in EVENT_STATS]
    if unkept and params.kind == "tiles":
        raise ValueError(f'{unkept}: entity "{entity}" needs kind "events" for these features')
    windows = _windows([feature for _, feature in features])
    hashed = tuple(sorted({f.field for _, f in features if f.field}))
    ops = np.zeros((len(features), 5), dtype=np.int64)
    constants = np.zeros((len(features), 2))
    for i, (column, feature) in enumerate(features):
        window = windows.index(_window(feature)) if _window(feature) in windows else -1
        field = hashed.index(feature.field) if feature.field else -1
        ops[i] = (CODE[feature.stat], window, field, feature.include_current, column)
        constants[i] = (duration_ms(feature.half_life) if feature.half_life else 0, feature.empty)
    has_labels = any(f.stat in LABEL_STATS for _, f in features)
    layout = _layout(params, windows, len(hashed), has_labels=has_labels)
    if layout[L_CAPACITY] > TILES_MAX and params.kind == "tiles":
        raise ValueError(
            f'entity "{entity}" needs {layout[L_CAPACITY]} tiles of {params.tile} for its longest '
            f"window, delay and grace, more than {TILES_MAX}: take wider tiles"
        )
    recent_words = 1 + RECENT_WORDS * recent_max if recent_max else 0
    return EntityPlan(
        entity=entity,
        params=params,
        shared=shared,
        word_count=HEADER_WORDS + int(layout[L_CAPACITY] * layout[L_WIDTH]) + recent_words,
        layout=layout,
        windows=np.array(windows, dtype=np.int64).reshape(-1, 2),
        ops=ops,
        constants=constants,
        hashed_fields=hashed,
    )


def entity_plans(
    entities: Mapping[str, EntityParams],
    features: Sequence[FeatureParams],
    *,
    recent_max: int = 0,
) -> tuple[EntityPlan, ...]:
    """The plan of each entity kind that some feature uses, the account first."""
    numbered = list(enumerate(features))
    plans = []
    for entity, params in entities.items():
        stats = ENTITY_STATS | {IN_HOUR}
        own = [(i, f) for i, f in numbered if f.stat in stats and f.entity == entity]
        if own:
            shared = entity != "account"
            room = 0 if shared else recent_max
            plans.append(entity_plan(entity, params, own, shared=shared, recent_max=room))
    return tuple(plans)


def _window(feature: FeatureParams) -> tuple[int, int]:
    return (feature.delay_ms, feature.window_ms or EVERYTHING_MS)


def _windows(features: Sequence[FeatureParams]) -> list[tuple[int, int]]:
    """Distinct (delay, width), ascending: one backward scan for each delay serves all widths."""
    unwindowed = DECAY_STATS | {"time_since_last", IN_HOUR}
    return sorted({_window(f) for f in features if f.stat not in unwindowed})


def _layout(
    params: EntityParams,
    windows: Sequence[tuple[int, int]],
    hashed_count: int,
    *,
    has_labels: bool,
) -> Ints:
    is_events = params.kind == "events"
    tile_ms = duration_ms(params.tile)
    grace_ms = duration_ms(params.grace)
    reach_ms = max((d + w for d, w in windows if w < EVERYTHING_MS), default=tile_ms)
    plain_words = EVENT_WORDS if is_events else TILE_WORDS
    hashed_words = hashed_count * (1 if is_events else BITMAP_WORDS)
    layout = np.zeros(7, dtype=np.int64)
    # One tile more at each end: the reach need not be aligned, and late records go back by grace.
    tile_count = -(-(reach_ms + grace_ms) // tile_ms) + 2
    layout[L_CAPACITY] = params.events_max if is_events else tile_count
    layout[L_WIDTH] = plain_words + has_labels + hashed_words
    layout[L_LABEL] = plain_words if has_labels else -1
    layout[L_HASHED] = plain_words + has_labels
    layout[L_HASHED_COUNT] = hashed_count
    layout[L_GRACE_MS] = grace_ms
    layout[L_TILE_MS] = 0 if is_events else tile_ms
    return layout
