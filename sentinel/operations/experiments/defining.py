"""An experiment as somebody writes it down: a TOML file, or a few options."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sentinel.codec.values.settings import section, table_of
from sentinel.config import Config
from sentinel.core.experiments.definition import check_definition, policy_over
from sentinel.errors import ConfigError
from sentinel.stored.experiments import ArmSpec, Definition

_SHOWN_MAX = 80
_ARM_POLICY = "policy."
_TABLE = "experiment"
_SHARES = {"canary": 0.05, "shadow": 1.0}
_STEPS = (0.01, 0.05, 0.25)


@dataclass(frozen=True, slots=True)
class WantedExperiment:
    """The options of `sentinel experiments create` in the place of a file.

    Attributes
    ----------
    challengers
        Each "NAME=SETTINGS", settings with commas between them: "version=1.2.0",
        "policy.review_min=0.1".
    is_aa
        Two equal arms: whatever is found between them is chance.
    share
        Of all challengers together; None for what the design is usually run with.
    others
        Keys of a definition with their values, where they were given.
    """

    name: str
    design: str
    challengers: Sequence[str] = ()
    is_aa: bool = False
    share: float | None = None
    others: Mapping[str, Any] = field(default_factory=dict)


def definition_of_file(path: Path, config: Config) -> Definition:
    """What a file defines. Raises ConfigError, which says what is wrong in it and what may be."""
    try:
        table = tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: is not TOML: {error}") from error
    try:
        if extra := sorted(table.keys() - {_TABLE}):
            raise ConfigError(f"what is to be compared stands in [{_TABLE}], and {extra} does not")
        return checked_definition(table_of(table.get(_TABLE, {}), _TABLE), config)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def definition_of_options(wanted: WantedExperiment, config: Config) -> Definition:
    """What options define. Raises ConfigError."""
    if wanted.is_aa == bool(wanted.challengers):
        raise ConfigError(
            "say what is compared with the champion, such as --arm challenger=version=1.2.0, or "
            "--aa for two equal arms: one of them"
        )
    found = [_arm(text) for text in wanted.challengers] or [{"name": "same"}]
    share, steps = wanted.share, wanted.others.get("steps")
    if share is None:
        share = steps[-1] if steps else _SHARES.get(wanted.design, 0.5)
    rest = 1.0 if wanted.design == "shadow" else 1.0 - share
    arms = [{"name": "control", "share": rest}]
    arms += [{**one, "share": share / len(found)} for one in found]
    table = {"name": wanted.name, "design": wanted.design, "arms": arms, **wanted.others}
    if wanted.design == "ramp" and not steps:
        table["steps"] = [one for one in _STEPS if one < share] + [share]
    return checked_definition(table, config)


def checked_definition(table: Mapping[str, Any], config: Config) -> Definition:
    """A definition from a table, possible with this configuration. Raises ConfigError."""
    if missing := [key for key in ("name", "design", "arms") if key not in table]:
        raise ConfigError(f"[experiment] needs {', '.join(missing)}")
    if "number" in table:
        raise ConfigError("[experiment] number is not for you to say: definitions are counted")
    found = section(Definition, dict(table), name=_TABLE)
    try:
        check_definition(found)
    except ValueError as error:
        raise ConfigError(f"[experiment] {error}") from error
    for arm in found.arms:
        _check_policy(arm, config)
    known = set(config.schema.categorical)
    if unknown := sorted(found.segments.keys() - known):
        raise ConfigError(
            f"[experiment.segments] {unknown} are no categorical fields of [schema]; known: "
            f"{sorted(known)}"
        )
    return found


def _check_policy(arm: ArmSpec, config: Config) -> None:
    try:
        policy_over(config.policy, arm.policy)
    except ValueError as error:
        raise ConfigError(f"[experiment] arm {arm.name}: {error}") from error


def _arm(text: str) -> dict[str, Any]:
    """An arm of "NAME=version=1.2.0,policy.review_min=0.1"."""
    name, _, settings = text.partition("=")
    if not settings:
        raise ConfigError(
            f'--arm "{text[:_SHOWN_MAX]}" must be NAME=version=V or NAME=policy.SETTING=NUMBER, '
            "several with commas between them"
        )
    found: dict[str, str] = {}
    for key, _, value in (one.partition("=") for one in settings.split(",")):
        if key in found or not (key == "version" or key.startswith(_ARM_POLICY)):
            raise ConfigError(
                f'--arm {name}: "{key[:_SHOWN_MAX]}" must be version, or a setting such as '
                "policy.review_min, each once"
            )
        found[key] = value
    version = found.pop("version", "")
    policy = {key.removeprefix(_ARM_POLICY): _number(name, key, found[key]) for key in found}
    return {"name": name, "version": version, "policy": policy}


def _number(arm: str, key: str, value: str) -> float:
    try:
        return float(value)
    except ValueError as error:
        raise ConfigError(
            f'--arm {arm}: "{value[:_SHOWN_MAX]}" of {key} must be a number'
        ) from error
