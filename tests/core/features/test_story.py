"""What a person is told of an entity is what was counted of it."""

from collections import Counter

from hypothesis import given

from sentinel.core.features.spec import EntityParams
from sentinel.core.features.state import FeatureState
from sentinel.core.features.story import KnownEvent, KnownTile, story
from tests.core.features.streams import Item, every_feature, rows_of, streams

HOUR_MS = 3_600_000
KINDS = {
    "account": EntityParams(events_max=128, grace="4w"),
    "terminal": EntityParams(kind="tiles", tile="1h", grace="4w"),
}


def new_state() -> FeatureState:
    return FeatureState(
        KINDS, every_feature(), amount_decimals=2, partition_count=2, entities_max=16
    )


def stored(items: list[Item]) -> dict[tuple[str, str], dict[int, bytes]]:
    """Blobs by entity and key, and by part."""
    state = new_state()
    rows, labels = rows_of(items)
    state.admit_new(rows)
    state.fold(rows, labels)
    found: dict[tuple[str, str], dict[int, bytes]] = {}
    for number in range(2):
        for entity, cut in state.cut(number, count_max=1_000).items():
            part = number if state.tables[entity].plan.shared else -1
            for name, blob in zip(cut.names, cut.blobs, strict=True):
                found.setdefault((entity, name or ""), {})[part] = bytes(blob)
    return found


@given(items=streams(partition_count=2))
def test_every_transaction_that_is_kept_is_told(items: list[Item]) -> None:
    counted = [item for item in items if not item.mark]
    labels = {item.transaction_id: item.mark for item in items if item.mark}
    names = {1: "genuine", 2: "fraud"}
    for (entity, key), blobs in stored(items).items():
        found = story(new_state(), entity, key, blobs)

        own = [
            item for item in counted if key == (item.account, item.terminal)[entity != "account"]
        ]
        assert found is not None
        assert found.last_ms == max(item.ms for item in own)
        if entity == "account":
            told = [
                KnownEvent(item.ms, item.amount, names.get(labels.get(item.transaction_id, 0)))
                for item in own
            ]
            assert sorted(found.events, key=repr) == sorted(told, key=repr)
            assert [one.event_time_ms for one in found.events] == sorted(i.ms for i in own)
        else:
            check_tiles(found.tiles, own)


def check_tiles(tiles: tuple[KnownTile, ...], own: list[Item]) -> None:
    """The newest ones: what is older than all that a ring keeps has left it."""
    counts = Counter(item.ms // HOUR_MS for item in own)
    for tile in tiles:
        in_it = [item.amount for item in own if item.ms // HOUR_MS * HOUR_MS == tile.begin_ms]
        assert (tile.count, tile.sum_minor, tile.max_minor) == (
            counts[tile.begin_ms // HOUR_MS],
            sum(in_it),
            max(in_it),
        )
    assert tiles[-1].begin_ms == max(counts) * HOUR_MS
    assert [one.begin_ms for one in tiles] == sorted({one.begin_ms for one in tiles})


def test_of_an_entity_that_nobody_has_seen_there_is_no_story() -> None:
    assert story(new_state(), "account", "nobody", {}) is None


def test_of_one_whose_bytes_are_damaged_there_is_none_either() -> None:
    assert story(new_state(), "account", "a", {-1: b"\x02damaged"}) is None
