"""Any value of any setting is a configuration, or one line: never a traceback."""

import datetime as dt
import math
import tomllib
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sentinel import config as configuration
from sentinel.codec.values.settings import NUMBER_MAX
from sentinel.config import Config
from sentinel.core.features.spec import EntityParams, FeatureParams
from sentinel.core.features.state import layout_of
from sentinel.errors import ConfigError

REFERENCE = (Path(__file__).parent.parent / "config" / "sentinel.toml").read_text()


def keys_of(kind: type, at: tuple[str, ...]) -> list[tuple[str, ...]]:
    """The place of every setting of a section, and of the sections in it."""
    found = []
    for name, hint in get_type_hints(kind).items():
        is_section = is_dataclass(hint) and isinstance(hint, type)
        found += keys_of(hint, (*at, name)) if is_section else [(*at, name)]
    return found


SETTINGS = [
    at
    for name, kind in get_type_hints(Config).items()
    if is_dataclass(kind) and isinstance(kind, type)
    for at in keys_of(kind, (name,))
] + [("entities", "account", key) for key in get_type_hints(EntityParams)]

any_text = st.sampled_from(["", "1m", "0s", "99999w", "a/b", "ä ", "\n", "x" * 300]) | st.text()
any_number = (
    st.integers()
    | st.floats()
    | st.sampled_from([0, 1, -1, NUMBER_MAX, NUMBER_MAX + 1, 2**63, 10**400, math.nan, math.inf])
)
any_scalar = (
    st.booleans()
    | any_number
    | any_text
    | st.dates()
    | st.times()
    | st.datetimes(timezones=st.none() | st.just(dt.UTC))
)
any_value = st.recursive(
    any_scalar,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(any_text, inner, max_size=3),
    max_leaves=5,
)


def built(table: dict[str, Any], environment: dict[str, str] | None = None) -> Config | None:
    """What is in force, or nothing where it is refused in one line of a sane length."""
    refused = ""
    try:
        configuration.override(table, environment or {})
        found = configuration.build(table)
    except ConfigError as error:
        found, refused = None, str(error)
    assert (found is None) == bool(refused)
    assert "\n" not in refused
    assert len(refused) < 2_000
    if found is not None:
        layout_of(found.entities, found.features)  # what a start would plan can be planned
    return found


def with_value(at: tuple[str, ...], value: Any) -> dict[str, Any]:
    table: dict[str, Any] = tomllib.loads(REFERENCE)
    place = table
    for key in at[:-1]:
        place = place.setdefault(key, {})
    place[at[-1]] = value
    return table


@settings(max_examples=600)
@given(st.sampled_from(SETTINGS), any_value)
def test_any_value_of_a_setting_is_a_configuration_or_one_line(
    at: tuple[str, ...], value: Any
) -> None:
    built(with_value(at, value))


@settings(max_examples=300)
@given(st.sampled_from(sorted(get_type_hints(FeatureParams))), any_value, st.integers(0, 30))
def test_any_value_of_a_feature_is_a_configuration_or_one_line(
    key: str, value: Any, index: int
) -> None:
    table: dict[str, Any] = tomllib.loads(REFERENCE)
    table["features"][index % len(table["features"])][key] = value
    built(table)


@settings(max_examples=300)
@given(st.sampled_from(SETTINGS), any_text)
def test_any_value_of_a_variable_is_a_configuration_or_one_line(
    at: tuple[str, ...], value: str
) -> None:
    name = configuration.ENVIRONMENT_PREFIX + "__".join(at).upper()
    built(tomllib.loads(REFERENCE), {name: value})


@pytest.mark.parametrize(
    "number",
    [math.inf, -math.inf, math.nan, 10**400, 1e16],
    ids=lambda x: f"{x:.4}" if isinstance(x, float) else "huge",
)
@pytest.mark.parametrize("at", [("redis", "state_ttl_s"), ("engine", "refresh_s")])
def test_a_number_that_is_none_is_refused(at: tuple[str, ...], number: float) -> None:
    assert built(with_value(at, number)) is None


@pytest.mark.parametrize("text", ["2024", "true", "1.5", "2024-01-01", '"2024"'])
def test_a_variable_of_a_text_is_a_text(text: str) -> None:
    found = built(tomllib.loads(REFERENCE), {"SENTINEL__KAFKA__GROUP_ID": text})

    assert found is not None
    assert found.kafka.group_id == text.strip('"')


@pytest.mark.parametrize("name", ["my topic/1", "a" * 250, ".", "ä", ""])
def test_a_topic_name_that_kafka_refuses_is_refused(name: str) -> None:
    assert built(with_value(("topics", "transactions"), name)) is None


def test_a_prefix_counts_with_the_name_of_a_topic() -> None:
    assert built(with_value(("topics", "prefix"), "a" * 240)) is None
    assert built(with_value(("topics", "prefix"), "fraud.")) is not None


@pytest.mark.parametrize("column", ["event_time_ms", "transaction_id"])
def test_a_feature_is_not_named_as_a_column_that_stands_beside_it(column: str) -> None:
    table: dict[str, Any] = tomllib.loads(REFERENCE)
    table["schema"]["transaction_id"] = "transaction_id"
    table["features"][0]["name"] = column
    with pytest.raises(ConfigError, match="a column that `sentinel features` writes"):
        configuration.build(table)


def test_tiles_too_narrow_for_a_window_are_refused_before_a_start() -> None:
    with pytest.raises(ConfigError, match="take wider tiles"):
        configuration.build(with_value(("entities", "terminal"), {"kind": "tiles", "tile": "1s"}))


def test_a_table_that_no_memory_holds_is_refused() -> None:
    entities = {"events_max": 65_536, "entities_max": 100_000_000}
    with pytest.raises(ConfigError, match=r"entities\.account\] .* GiB of memory"):
        configuration.build(with_value(("entities", "account"), entities))
