"""What may be declared, and what is said of what may not."""

from typing import Any

import pytest

from sentinel.core.features.plan import entity_plans
from sentinel.core.features.spec import EntityParams, FeatureParams, duration_ms
from sentinel.core.features.state import FeatureState

ENTITIES = {"account": EntityParams(), "terminal": EntityParams(kind="tiles")}
COUNT = {"name": "f", "stat": "count", "entity": "terminal", "window": "1d"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0s", 0), ("1s", 1_000), ("30m", 1_800_000), ("1h", 3_600_000), ("2d", 172_800_000),
     ("5200w", 3_144_960_000_000)],
)  # fmt: skip
def test_a_duration_is_a_whole_number_and_a_unit(text: str, expected: int) -> None:
    assert duration_ms(text) == expected


@pytest.mark.parametrize("text", ["", "1", "h", "1.5h", "-1h", "1 h", "1H", "1h30m", "1h\n", "1y"])
def test_anything_else_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="must be a whole number and one of s, m, h, d, w"):
        duration_ms(text)


def test_a_duration_has_an_end() -> None:
    with pytest.raises(ValueError, match='duration "5201w" is longer than 5200w'):
        duration_ms("5201w")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kind": "rings"}, 'kind must be "events" or "tiles", got "rings"'),
        ({"events_max": 1}, "events_max must be in 2..65536, got 1"),
        ({"events_max": 65_537}, "events_max must be in 2..65536, got 65537"),
        ({"tile": "0s"}, 'tile must be at least "1s", got "0s"'),
        ({"tile": "day"}, 'duration "day" must be'),
        ({"grace": ""}, 'duration "" must be'),
        ({"entities_max": 1_023}, "entities_max must be in 1024..100000000, got 1023"),
    ],
)
def test_an_entity_says_what_is_wrong_with_it(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EntityParams(**values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": ""}, "a feature needs a name"),
        ({"stat": "median"}, 'f: stat "median" must be one of'),
        ({"entity": ""}, 'f: stat "count" needs an entity'),
        ({"stat": "hour", "window": ""}, 'f: stat "hour" takes no entity'),
        ({"window": ""}, 'f: stat "count" needs a window, such as "1d"'),
        ({"window": "0d"}, 'f: "0d" is no time at all'),
        ({"window": "week"}, 'duration "week" must be'),
        ({"delay": "soon"}, 'duration "soon" must be'),
        ({"stat": "time_since_last"}, 'f: stat "time_since_last" takes no window'),
        ({"stat": "decayed_sum", "half_life": "1d"}, 'f: stat "decayed_sum" takes no window'),
        ({"stat": "hour", "entity": ""}, 'f: stat "hour" takes no window'),
        ({"stat": "decayed_sum", "window": ""}, 'f: stat "decayed_sum" needs a half_life'),
        ({"stat": "decayed_sum", "window": "", "half_life": "0h"}, 'f: "0h" is no time at all'),
        ({"half_life": "1d"}, 'f: stat "count" takes no half_life'),
        ({"stat": "first_seen", "delay": "1d"}, 'f: stat "first_seen" takes no delay'),
        ({"delay": "1d", "include_current": True}, "f: include_current fits no delay"),
        ({"stat": "fraud_count", "include_current": True}, "f: include_current fits no delay, nor"),
        ({"stat": "ratio", "include_current": True}, "f: include_current fits no delay, nor"),
        ({"stat": "amount", "entity": "", "window": "", "include_current": True}, "nor this stat"),
        ({"field": "city"}, 'f: stat "count" takes no field'),
        ({"stat": "distinct"}, 'f: stat "distinct" needs a field'),
        ({"values": ("a",)}, 'f: values belong to stat "category", and only there'),
        ({"stat": "category", "entity": "", "window": "", "field": "city"}, "f: values belong to"),
        ({"of": ("a", "b")}, 'f: of names two features with stat "quotient", else none'),
        ({"stat": "quotient", "entity": "", "window": ""}, "f: of names two features"),
        ({"utc_offset_h": 15.0}, "f: utc_offset_h must be in -14..14"),
    ],
)
def test_a_feature_says_what_is_wrong_with_it(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FeatureParams(**{**COUNT, **values})


def test_tiles_too_narrow_for_their_window_are_refused() -> None:
    """A second's tiles over a month would take 100 MB for each terminal."""
    entities = {**ENTITIES, "terminal": EntityParams(kind="tiles", tile="1s")}

    with pytest.raises(ValueError, match='entity "terminal" needs 2678402 tiles of 1s'):
        entity_plans(entities, [FeatureParams("f", "count", "terminal", window="30d")])


def test_tiles_keep_no_amounts_of_frauds() -> None:
    entities = {**ENTITIES, "terminal": EntityParams(kind="tiles", tile="1d")}
    feature = FeatureParams("least", "fraud_min", "terminal", window="30d")

    with pytest.raises(ValueError, match=r"\['least'\]: entity \"terminal\" needs kind \"events\""):
        entity_plans(entities, [feature])


def fingerprint(*features: FeatureParams, entities: dict[str, EntityParams] | None = None) -> str:
    return FeatureState(
        entities or ENTITIES, features, amount_decimals=2, entities_max=2
    ).fingerprint


def test_a_fingerprint_changes_with_the_layout_and_only_with_it() -> None:
    plain = FeatureParams("f", "count", "terminal", window="1d")
    before = fingerprint(plain)

    assert before == fingerprint(plain)
    assert before == fingerprint(FeatureParams("g", "sum", "terminal", window="1d", empty=3.0))
    assert before == fingerprint(plain, FeatureParams("g", "max", "account", window="1d"))
    changed = [
        fingerprint(FeatureParams("f", "count", "terminal", window="2d")),
        fingerprint(FeatureParams("f", "count", "terminal", window="1d", delay="2d")),
        fingerprint(FeatureParams("f", "fraud_count", "terminal", window="1d")),
        fingerprint(FeatureParams("f", "distinct", "terminal", window="1d", field="account")),
        fingerprint(FeatureParams("f", "distinct", "terminal", window="1d", field="country")),
        fingerprint(plain, FeatureParams("g", "fraud_count", "account", window="1d")),
        *(
            fingerprint(plain, entities={**ENTITIES, name: params})
            for name, params in [
                ("account", EntityParams(events_max=127)),
                ("account", EntityParams(grace="2d")),
                ("terminal", EntityParams(kind="events")),
                ("terminal", EntityParams(kind="tiles", tile="2h")),
            ]
        ),
    ]
    assert len({before, *changed}) == 1 + len(changed)


def test_an_entity_that_no_feature_reads_has_no_state() -> None:
    plans = entity_plans(ENTITIES, [FeatureParams("f", "count", "terminal", window="1d")])

    assert [plan.entity for plan in plans] == ["terminal"]


def test_warming_leaves_no_trace() -> None:
    features = [
        FeatureParams("f", "distinct", "terminal", window="1d", field="country"),
        FeatureParams("g", "fraud_share", "account", window="1d"),
        FeatureParams("h", "value", field="distance"),
        FeatureParams("i", "category", field="country", values=("GB",)),
    ]
    state = FeatureState(ENTITIES, features, amount_decimals=2, entities_max=8)

    state.warm()

    assert [len(table) for table in state.tables.values()] == [0, 0]
