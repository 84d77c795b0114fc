"""Which settings may change while an instance runs, and where each comes from."""

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.app.reload.settings import LiveSettings
from sentinel.codec.stored import decode_stored, encode_stored
from sentinel.config import SECRETS, Config, Written, load, read, versioned
from sentinel.core.decision import PolicyParams
from sentinel.errors import ConfigError
from sentinel.operations.operating.applying import wanted_of
from sentinel.operations.operating.layers import (
    reloadable_values,
    setting_changes,
    setting_values,
    with_values,
)
from sentinel.operations.operating.origins import settings_of
from sentinel.operations.operating.reloadable import (
    RELOADABLE,
    RESTART,
    is_reloadable,
    why_restart,
)
from sentinel.operations.operating.telling import restart_lines
from sentinel.stored.switches import AppliedConfig
from tests.app import small
from tests.engine.samples import a_config

PAGE = Path(__file__).parents[2] / "docs" / "changing.md"
EXPLORING = PolicyParams(explore_share=0.05, explore_amount_minor_max=5_000)
CONFIG = versioned(replace(a_config(), policy=EXPLORING))


def test_the_table_names_what_there_is_and_each_section() -> None:
    paths = setting_values(CONFIG)
    assert all(any(path == n or path.startswith(f"{n}.") for path in paths) for n in RELOADABLE)
    assert RESTART.keys() == {one.name for one in fields(Config)} - {"version"}
    assert all(why_restart(path) for path in paths if not is_reloadable(path))
    assert not any(is_reloadable(".".join(secret)) for secret in SECRETS)


def test_the_page_has_the_same_table() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for name in RELOADABLE:
        assert f"`{name}`" in page or f"`[{name}]`" in page, name


@pytest.mark.parametrize("path", sorted(reloadable_values(CONFIG)))
def test_each_setting_that_may_change_can_be_applied_and_read_back(path: str) -> None:
    """As JSON, through the store's document."""
    value = reloadable_values(CONFIG)[path]
    other = another(path, value)
    stored = decode_stored(AppliedConfig, encode_stored(AppliedConfig({path: other})))

    changed = with_values(CONFIG, stored.values)

    assert setting_changes(setting_values(CONFIG), setting_values(changed)) == {
        path: (value, other)
    }
    assert (changed.version != CONFIG.version) == (path != "logging.level"), "it decides nothing"
    assert with_values(changed, {path: value}) == CONFIG


def another(path: str, value: Any) -> Any:
    """Another value that goes with all others."""
    if path == "policy.explore_share":
        return 0.07
    if path == "logging.level":
        return "error"
    if path == "policy.recommended":
        return {**value, "low": ["wait"]}
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        return "31d"
    return value + 1 if isinstance(value, int) else value * 1.0625


@given(st.floats(0.01, 0.4), st.floats(0.41, 1.0))
def test_a_version_is_that_of_what_is_said_however_it_came(low: float, high: float) -> None:
    values = {"policy.review_min": low, "policy.block_min": high}
    once = with_values(CONFIG, values)
    by_steps = with_values(with_values(CONFIG, {"policy.block_min": high}), values)
    params = replace(CONFIG.policy, review_min=low, block_min=high)

    assert once == by_steps == versioned(replace(CONFIG, policy=params))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"policy.review_min": 2.0}, "[policy] expected 0 < review_min"),
        ({"policy.review_min": "0.3"}, "[policy] review_min must be a number"),
        ({"policy.nothing": 1}, "[policy] has unknown keys"),
        ({"drift.run_length": "1m"}, "[drift] run_length"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        with_values(CONFIG, values)
    assert said in str(caught.value)


def test_what_does_not_fit_changes_nothing() -> None:
    settings, handed = LiveSettings(CONFIG, CONFIG), list[Config]()
    settings.readers = [handed.append]

    with pytest.raises(ConfigError, match="mia has applied"):
        settings.take_applied(AppliedConfig({"policy.review_min": 0.99}, who="mia", number=1))

    assert (settings.in_force, settings.applied, handed) == (CONFIG, AppliedConfig(), [])


def test_what_only_this_run_knows_stays_through_all_changes() -> None:
    running = replace(CONFIG, redis=replace(CONFIG.redis, url="redis://127.0.0.1:7"))
    settings = LiveSettings(CONFIG, running)

    settings.take_applied(AppliedConfig({"policy.review_min": 0.3}, number=1))

    assert settings.in_force.redis == running.redis
    assert settings.in_force.version == with_values(CONFIG, {"policy.review_min": 0.3}).version
    settings.take_applied(AppliedConfig(number=2))
    assert settings.in_force == running


def shown(text: str, applied: AppliedConfig, **environment: str) -> dict[str, Any]:
    import tomllib

    written = Written(Path("x.toml"), tomllib.loads(text), environment)
    return {one.path: one for one in settings_of(written, applied, is_builtin=False)}


def test_where_each_setting_comes_from() -> None:
    text = small.TOML + "\n[policy]\nreview_min = 0.2\nblock_min = 0.7\n"
    applied = AppliedConfig({"policy.block_min": 0.6}, number=1)

    found = shown(
        text,
        applied,
        SENTINEL__POLICY__HIGH_MIN="0.55",
        SENTINEL__REDIS__PASSWORD="hush",
    )

    assert (found["policy.review_min"].origin, found["policy.review_min"].value) == ("file", 0.2)
    assert (found["policy.block_min"].origin, found["policy.block_min"].value) == ("applied", 0.6)
    assert found["policy.block_min"].file_value == 0.7
    assert (found["policy.high_min"].origin, found["policy.high_min"].default) == (
        "environment",
        0.5,
    )
    assert found["policy.critical_min"].origin == "default"
    assert (found["redis.password"].value, found["redis.password"].origin) == ("set", "environment")
    assert found["kafka.sasl_password"].value == "not set"
    assert not found["redis.url"].can_reload
    assert not any("hush" in str(one) for one in found.values())


def test_every_setting_is_shown() -> None:
    found = {one.path for one in settings_of(read(None, {}), AppliedConfig(), is_builtin=True)}
    secrets = {".".join(one) for one in SECRETS}

    assert found == setting_values(load(None, {})).keys() | secrets


def test_a_variable_of_whoever_applies_a_file_is_not_applied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = small.config_file(tmp_path)
    monkeypatch.setenv("SENTINEL__POLICY__REVIEW_MIN", "0.33")
    monkeypatch.setenv("SENTINEL__KAFKA__GROUP_ID", "ours")

    wanted = wanted_of(path)

    assert wanted.values["policy.review_min"] == 0.2
    assert wanted.overridden == ("policy.review_min",)
    assert wanted.config.kafka.group_id == "ours"


def test_what_needs_a_restart_is_told_by_section_with_the_reason() -> None:
    first, second = restart_lines(["kafka.group_id", "redis.url", "kafka.client_id"])

    assert first.startswith("needs a restart: [kafka] group_id, [kafka] client_id (connections")
    assert second.startswith("needs a restart: [redis] url (")
