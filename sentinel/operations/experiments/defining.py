"""An experiment as somebody writes it down: a TOML file, or a few options."""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sentinel.codec.values.settings import section
from sentinel.config import Config
from sentinel.core.experiments.definition import check_definition, policy_over
from sentinel.errors import ConfigError
from sentinel.stored.experiments import ArmSpec, Definition

_NAME_MAX = 200
_ARM_POLICY = "policy."


@dataclass(frozen=True, slots=True)
class Wanted:
    """The options of `sentinel experiments create` in the place of a file.

    Attributes
    ----------
    challengers
        Each "NAME=SETTINGS", settings with commas between them: "version=1.2.0",
        "policy.review_min=0.1".
    share
        Of all challengers together.
    others
        Keys of a definition with their values, where they were given.
    """

    name: str
    design: str
    challengers: Sequence[str]
    share: float
    control: str = "champion"
    others: dict[str, Any] | None = None


def definition_of_file(path: Path, config: Config) -> Definition:
    """What a file defines. Raises ConfigError, which says what is wrong in it and what may be."""
    try:
        table = tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: is not TOML: {error}") from error
    try:
        return checked_definition(table, config)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def definition_of_options(wanted: Wanted, config: Config) -> Definition:
    """What options define. Raises ConfigError."""
    if not wanted.challengers:
        raise ConfigError("--arm is needed: such as --arm challenger=version=1.2.0")
    each = wanted.share / len(wanted.challengers)
    is_shadow = wanted.design == "shadow"
    arms = [{"name": wanted.control, "share": 1.0 if is_shadow else 1.0 - wanted.share}]
    arms += [{**_arm(text), "share": each} for text in wanted.challengers]
    table = {"name": wanted.name, "design": wanted.design, "arms": arms, **(wanted.others or {})}
    if wanted.design == "ramp" and "steps" not in table:
        table["steps"] = [one for one in (0.01, 0.05, 0.25) if one < wanted.share] + [wanted.share]
    return checked_definition(table, config)


def checked_definition(table: dict[str, Any], config: Config) -> Definition:
    """A definition from a table, possible with this configuration. Raises ConfigError."""
    if missing := [key for key in ("name", "design", "arms") if key not in table]:
        raise ConfigError(f"[experiment] needs {', '.join(missing)}")
    found = section(Definition, table, name="experiment")
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
    return replace(found, number=1)


def _check_policy(arm: ArmSpec, config: Config) -> None:
    try:
        policy_over(config.policy, arm.policy)
    except ValueError as error:
        raise ConfigError(f"[experiment] arm {arm.name}: {error}") from error


def _arm(text: str) -> dict[str, Any]:
    """An arm of "NAME=version=1.2.0,policy.review_min=0.1"."""
    name, _, settings = text[:_NAME_MAX].partition("=")
    if not settings:
        raise ConfigError(
            f'--arm "{text[:_NAME_MAX]}" must be NAME=version=V or NAME=policy.SETTING=NUMBER, '
            "several with commas between them"
        )
    arm: dict[str, Any] = {"name": name, "policy": {}}
    for one in settings.split(","):
        key, _, value = one.partition("=")
        if key == "version":
            arm["version"] = value
        elif key.startswith(_ARM_POLICY):
            try:
                arm["policy"][key.removeprefix(_ARM_POLICY)] = float(value)
            except ValueError as error:
                raise ConfigError(f'--arm {name}: "{value}" of {key} must be a number') from error
        else:
            raise ConfigError(
                f'--arm {name}: "{key}" must be version, or a setting such as policy.review_min'
            )
    return arm
