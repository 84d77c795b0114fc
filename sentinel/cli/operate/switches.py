"""`sentinel pause`, `resume` and `maintenance`: what goes on by itself rests, scoring does not."""

import asyncio
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from sentinel.cli.options import ConfigOption, login_name
from sentinel.cli.texts import age_text, echo

if TYPE_CHECKING:
    from pathlib import Path

    from sentinel.stored.switches import Switches, SwitchName


class Pausable(StrEnum):
    """What may be paused."""

    LEARNING = "learning"
    ROLLOUTS = "rollouts"
    DRIFT = "drift"
    ALL = "all"


class OnOff(StrEnum):
    """Maintenance mode."""

    ON = "on"
    OFF = "off"


What = Annotated[Pausable, typer.Argument(help="What: learning, rollouts, drift, or all three.")]
WhoSwitches = Annotated[
    str, typer.Option("--who", metavar="NAME", help="Who does it. [default: your login name]")
]
WhySwitches = Annotated[
    str,
    typer.Option("--why", metavar="TEXT", help="The reason: others see it, the audit keeps it."),
]


def pause(
    what: What, config: ConfigOption = None, who: WhoSwitches = "", why: WhySwitches = ""
) -> None:
    """Let something rest on every instance until it is resumed; scoring goes on."""
    _switch(config, _names(what), to_on=True, who=who, why=why)


def resume(
    what: What, config: ConfigOption = None, who: WhoSwitches = "", why: WhySwitches = ""
) -> None:
    """Let what was paused go on."""
    _switch(config, _names(what), to_on=False, who=who, why=why)


def maintenance(
    state: Annotated[OnOff, typer.Argument(help="on or off.")],
    config: ConfigOption = None,
    who: WhoSwitches = "",
    why: WhySwitches = "",
) -> None:
    """For planned work: everything that may be paused rests, scoring goes on, health says so."""
    _switch(config, ["maintenance"], to_on=state is OnOff.ON, who=who, why=why)


def _names(what: Pausable) -> "list[SwitchName]":
    from sentinel.core.switches import PAUSED_BY_ALL

    return [name for name in PAUSED_BY_ALL if what in (name, Pausable.ALL)]


def _switch(
    config_file: "Path | None", names: "list[SwitchName]", *, to_on: bool, who: str, why: str
) -> None:
    from sentinel.operations import embedded
    from sentinel.operations.operating.switching import switch

    settings, by = embedded.running_from(config_file), login_name(who)
    changed = asyncio.run(switch(settings, names, to_on=to_on, who=by, why=why))
    done = changed.done
    for name in done.changed:
        echo(f"{_title(name)} {_now(name, to_on=to_on)}")
    for name in done.unchanged:
        already = f": {switch_words(done.switches, name)}" if to_on else ""
        echo(f"{_title(name)} {_now(name, to_on=to_on)} already{already}")
    if not to_on and names != ["maintenance"] and done.switches.maintenance is not None:
        echo(
            "maintenance mode is on, so all of it rests: "
            + switch_words(done.switches, "maintenance")
        )
    if changed.untold:
        echo(
            "sentinel: it is done, and running instances see it within seconds; one of them tells "
            f"the audit when the broker is back: {changed.untold}",
            err=True,
        )


def _title(name: "SwitchName") -> str:
    return "maintenance mode" if name == "maintenance" else name


def _now(name: "SwitchName", *, to_on: bool) -> str:
    if name == "maintenance":
        return "is on" if to_on else "is off"
    return "is paused" if to_on else "goes on"


def switch_words(switches: "Switches", name: "SwitchName") -> str:
    """Who has switched it, when, and why."""
    from sentinel.operations.models.registry import now_ms

    found = switches.of(name)
    if found is None:
        return ""
    why = f": {found.why}" if found.why else ""
    return f"by {found.who}, {age_text(now_ms() - found.at_ms)} ago{why}"
