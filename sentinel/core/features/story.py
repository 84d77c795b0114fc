"""What the state knows of one entity, for a person."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sentinel.core.features.kernels import events
from sentinel.core.features.plan import (
    EVENT_AMOUNT,
    EVENT_COUNT,
    EVENT_MS,
    HEAD,
    HEADER_WORDS,
    L_CAPACITY,
    L_LABEL,
    L_TILE_MS,
    L_WIDTH,
    LAST_MS,
    NEWEST_TILE,
    TILE_COUNT,
    TILE_MAX,
    TILE_SUM,
    EntityPlan,
)
from sentinel.core.features.state import FeatureState
from sentinel.records import Ints

_LABELS = {events.MARK_FRAUD: "fraud", events.MARK_GENUINE: "genuine"}


@dataclass(frozen=True, slots=True)
class KnownEvent:
    """One transaction that is kept: its amount in minor units, and what is known of it by now."""

    event_time_ms: int
    amount_minor: int
    label: str | None


@dataclass(frozen=True, slots=True)
class KnownTile:
    """What was counted in one span of time.

    Attributes
    ----------
    begin_ms
        Of the span.
    sum_minor, max_minor
        Of the amounts, in minor units.
    fraud_count
        Known frauds; None where labels are not kept.
    """

    begin_ms: int
    count: int
    sum_minor: int
    max_minor: int
    fraud_count: int | None


@dataclass(frozen=True, slots=True)
class EntityStory:
    """What is kept of one entity, oldest first: events, or else tiles.

    Attributes
    ----------
    last_ms
        Its newest event time; None where only a label came.
    """

    entity: str
    key: str
    last_ms: int | None
    events: tuple[KnownEvent, ...]
    tiles: tuple[KnownTile, ...]


def story(
    state: FeatureState, entity: str, key: str, blobs: Mapping[int, bytes]
) -> EntityStory | None:
    """What the store's blobs of an entity say; None where they say nothing, or are damaged.

    `state` is a throw-away one: the entity is admitted to it.
    """
    table = state.tables[entity]
    if state.admit(entity, [key], [blobs]) or not blobs:
        return None
    row, plan = table.rows.totals[int(table.find([key])[0])], table.plan
    if plan.is_events:
        known = tuple(_events(row, plan))
        last_ms = known[-1].event_time_ms if known else None
        return EntityStory(entity, key, last_ms, known, ())
    last_ms = int(row[LAST_MS]) - 1 if row[LAST_MS] else None
    return EntityStory(entity, key, last_ms, (), tuple(_tiles(row, plan)))


def _events(row: Ints, plan: EntityPlan) -> Iterator[KnownEvent]:
    capacity, width, label = (int(plan.layout[i]) for i in (L_CAPACITY, L_WIDTH, L_LABEL))
    for i in range(int(row[EVENT_COUNT])):
        at = HEADER_WORDS + (int(row[HEAD]) + i) % capacity * width
        mark = int(row[at + label]) & (1 << events.MARK_BITS) - 1 if label >= 0 else 0
        yield KnownEvent(int(row[at + EVENT_MS]), int(row[at + EVENT_AMOUNT]), _LABELS.get(mark))


def _tiles(row: Ints, plan: EntityPlan) -> Iterator[KnownTile]:
    capacity, width, label = (int(plan.layout[i]) for i in (L_CAPACITY, L_WIDTH, L_LABEL))
    newest = int(row[NEWEST_TILE]) - 1
    for tile in range(max(newest - capacity + 1, 0), newest + 1):
        at = HEADER_WORDS + tile % capacity * width
        if row[at + TILE_COUNT]:
            yield KnownTile(
                tile * int(plan.layout[L_TILE_MS]),
                int(row[at + TILE_COUNT]),
                int(row[at + TILE_SUM]),
                int(row[at + TILE_MAX]) - 1,
                int(row[at + label]) if label >= 0 else None,
            )
